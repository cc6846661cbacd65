// The contract of `Keys`, for every adapter.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type Algorithm, algorithms } from '../../core/algorithm.ts';
import { SelkieError } from '../../core/errors.ts';
import type { Keys } from '../../engine/ports.ts';

const each = Object.keys(algorithms) as Algorithm[];
const open = (der: Uint8Array) => createPrivateKey({ key: Buffer.from(der), type: 'pkcs8', format: 'der' });

export const keysContract = (name: string, keys: Keys): void => {
  describe(`${name} as Keys`, () => {
    describe.each(each)('%s', (algorithm) => {
      const { keyType } = algorithms[algorithm];

      test('generates PKCS#8 DER of its type and size', async () => {
        const { privateKey } = await keys.generate(algorithm);
        const key = open(privateKey);
        expect(key.asymmetricKeyType).toBe(keyType);
        if (keyType === 'rsa')
          expect(key.asymmetricKeyDetails).toEqual({
            modulusLength: algorithms[algorithm].bits,
            publicExponent: 65_537n,
          });
      });

      test('says the public half as p= does, and its fingerprint', async () => {
        const { privateKey } = await keys.generate(algorithm);
        const der = createPublicKey(open(privateKey)).export({ type: 'spki', format: 'der' });
        const { publicKey, fingerprint } = keys.publicOf(privateKey);
        // RFC 8463 §4: 32 raw bytes; RFC 6376 §3.6.1 as practised: SubjectPublicKeyInfo.
        const expected = keyType === 'rsa' ? der : der.subarray(-32);
        expect(publicKey).toBe(expected.toString('base64'));
        expect(fingerprint).toBe(createHash('sha256').update(der).digest('hex'));
      });

      test('matches its own public key, folded too, and no other', async () => {
        const [one, other] = await Promise.all([keys.generate(algorithm), keys.generate(algorithm)]);
        const { publicKey } = keys.publicOf(one.privateKey);
        expect(keys.matches(one.privateKey, algorithm, publicKey)).toBe(true);
        expect(
          keys.matches(one.privateKey, algorithm, `${publicKey.slice(0, 20)}\r\n ${publicKey.slice(20)}`),
        ).toBe(true);
        expect(keys.matches(one.privateKey, algorithm, keys.publicOf(other.privateKey).publicKey)).toBe(
          false,
        );
      });
    });

    test('no two keys are the same', async () => {
      const made = await Promise.all([1, 2, 3, 4].map(() => keys.generate('ed25519')));
      const prints = made.map(({ privateKey }) => keys.publicOf(privateKey).fingerprint);
      expect(new Set(prints).size).toBe(4);
    });

    test('matches a bare RSAPublicKey as RFC 6376 §3.6.1 describes it', async () => {
      const { privateKey } = await keys.generate('rsa2048');
      const bare = createPublicKey(open(privateKey)).export({ type: 'pkcs1', format: 'der' });
      expect(keys.matches(privateKey, 'rsa2048', bare.toString('base64'))).toBe(true);
    });

    test('does not match across key types', async () => {
      const [rsa, ed] = await Promise.all([keys.generate('rsa2048'), keys.generate('ed25519')]);
      const rsaPublic = keys.publicOf(rsa.privateKey).publicKey;
      const edPublic = keys.publicOf(ed.privateKey).publicKey;
      expect(keys.matches(rsa.privateKey, 'ed25519', rsaPublic)).toBe(false);
      expect(keys.matches(rsa.privateKey, 'rsa2048', edPublic)).toBe(false);
      expect(keys.matches(ed.privateKey, 'ed25519', rsaPublic)).toBe(false);
    });

    test.each([
      ['a tombstone', () => ''],
      ['no base64', (good: string) => `*${good.slice(1)}`],
      ['a piece', (good: string) => good.slice(0, -8)],
      ['base64 of something else', () => Buffer.from('v=DKIM1').toString('base64')],
    ])('a public key that is %s matches nothing', async (_, damage) => {
      for (const algorithm of ['rsa2048', 'ed25519'] as const) {
        const { privateKey } = await keys.generate(algorithm);
        const { publicKey } = keys.publicOf(privateKey);
        expect(keys.matches(privateKey, algorithm, damage(publicKey))).toBe(false);
      }
    });

    test('what is no PKCS#8 key is invalid, and no byte of it is in the error', async () => {
      const { privateKey } = await keys.generate('rsa2048');
      const pem = open(privateKey).export({ type: 'pkcs1', format: 'pem' }).toString();
      const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
      const bad = [
        Buffer.from(pem),
        privateKey.slice(0, -5),
        new Uint8Array(),
        new Uint8Array(ec.export({ type: 'pkcs8', format: 'der' })),
      ];
      for (const bytes of bad) {
        let caught: unknown;
        try {
          keys.publicOf(bytes);
        } catch (error) {
          caught = error;
        }
        expect(caught).toBeInstanceOf(SelkieError);
        expect(caught).toMatchObject({ code: 'invalid' });
        expect((caught as SelkieError).cause).toBeUndefined();
        expect(String((caught as SelkieError).stack)).not.toContain(pem.slice(40, 80));
      }
    });
  });
};
