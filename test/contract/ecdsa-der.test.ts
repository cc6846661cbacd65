import { createVerify, generateKeyPairSync, sign, verify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { derToConcatenated } from '../../contract/ecdsa-der.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const derOf = (data: string): Uint8Array => new Uint8Array(sign('sha256', Buffer.from(data), privateKey));

describe('ECDSA signatures from DER to r‖s', () => {
  test('verify as r‖s with node itself, whatever their lengths', () => {
    const lengths = new Set<number>();
    for (let i = 0; i < 1_000; i++) {
      const der = derOf(`message ${i}`);
      lengths.add(der.length);
      const joined = derToConcatenated(der, 32);
      expect(joined).toHaveLength(64);
      expect(
        verify('sha256', Buffer.from(`message ${i}`), { key: publicKey, dsaEncoding: 'ieee-p1363' }, joined),
      ).toBe(true);
    }
    // Both integers bare, one padded, both padded; shorter ones are rare, and have rows of their own below.
    for (const length of [70, 71, 72]) expect(lengths).toContain(length);
  });

  test('an integer that is short is padded in front', () => {
    expect(derToConcatenated(hex('3006 0201 7f 0201 01'), 32)).toEqual(
      hex(`${'00'.repeat(31)}7f${'00'.repeat(31)}01`),
    );
  });

  test('the zero that keeps an integer positive is dropped', () => {
    const high = 'ff'.repeat(32);
    expect(derToConcatenated(hex(`3046 0221 00${high} 0221 00${high}`), 32)).toEqual(hex(high + high));
  });

  test('P-384 too', () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const der = new Uint8Array(sign('sha384', Buffer.from('x'), pair.privateKey));
    const verifier = createVerify('sha384').update('x');
    expect(
      verifier.verify({ key: pair.publicKey, dsaEncoding: 'ieee-p1363' }, derToConcatenated(der, 48)),
    ).toBe(true);
  });

  const good = '3006 0201 7f 0201 01';
  test.each([
    ['nothing', ''],
    ['another tag', good.replace('3006', '3106')],
    ['an integer of another tag', good.replace('0201 01', '0401 01')],
    ['a byte behind its end', `${good} 00`],
    ['a byte missing', good.slice(0, -3)],
    ['a length that runs over', good.replace('0201 01', '0202 01')],
    ['an outer length that is short', good.replace('3006', '3005')],
    ['a third integer', '3009 0201 7f 0201 01 0201 01'],
    ['one integer', '3003 0201 7f'],
    ['an empty integer', '3005 0200 0201 01'],
    ['a negative integer', '3006 0201 80 0201 01'],
    ['zero', '3006 0201 00 0201 01'],
    ['a zero too many in front', '3007 0202 007f 0201 01'],
    ['an integer too long', `3026 0221 01${'00'.repeat(32)} 0201 01`],
    ['a length in the long form', '308106 0201 7f 0201 01'],
    ['an indefinite length', '3080 0201 7f 0201 01 0000'],
  ])('refuses %s', (_, text) => {
    expect(() => derToConcatenated(hex(text), 32)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});
