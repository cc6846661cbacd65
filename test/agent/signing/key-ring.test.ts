import { describe, expect, it } from 'vitest';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { testKey } from '../../oracles/records.ts';

const selectors = (keys: readonly { selector: string }[]): string[] => keys.map(({ selector }) => selector);

describe('key ring', () => {
  it('is empty at first', () => expect(createKeyRing().signingKeys('example.com')).toEqual([]));

  it('gives RSA first, whatever the order they came in', () => {
    const ring = createKeyRing();
    ring.replace([testKey('Example.COM', '240128e', 'ed25519'), testKey('example.com', '240128')]);
    expect(selectors(ring.signingKeys('example.com'))).toEqual(['240128', '240128e']);
  });

  it('matches a domain exactly: no parent, no child', () => {
    const ring = createKeyRing();
    ring.replace([testKey('example.com', '240128')]);
    expect(ring.signingKeys('mail.example.com')).toEqual([]);
    expect(ring.signingKeys('com')).toEqual([]);
  });

  it('replaces all, and leaves sets that were taken before as they were', () => {
    const ring = createKeyRing();
    ring.replace([testKey('example.com', '240128'), testKey('example.org', '240128')]);
    const taken = ring.signingKeys('example.com');
    ring.replace([testKey('example.com', '240501')]);
    expect(selectors(taken)).toEqual(['240128']);
    expect(selectors(ring.signingKeys('example.com'))).toEqual(['240501']);
    expect(ring.signingKeys('example.org')).toEqual([]);
    expect(Object.isFrozen(taken)).toBe(true);
  });

  it('refuses two keys of one type for a domain, and keeps the old set', () => {
    const ring = createKeyRing();
    ring.replace([testKey('example.com', '240128')]);
    expect(() =>
      ring.replace([testKey('example.com', '240501'), testKey('example.com', '240128', 'rsa2048')]),
    ).toThrow(
      expect.objectContaining({ code: 'unsafe', message: expect.stringContaining('240501 and 240128') }),
    );
    expect(selectors(ring.signingKeys('example.com'))).toEqual(['240128']);
  });

  it('knows the domains whose key was stopped, and no longer once it was not', () => {
    const ring = createKeyRing();
    ring.replace(
      [testKey('example.com', '240128')],
      new Map([
        ['Example.com/240128e', 'its record is gone'],
        ['example.org/240128', 'its record is revoked'],
      ]),
    );
    expect(ring.stopped('example.com')).toBe('240128e: its record is gone');
    expect(ring.stopped('example.org')).toBe('240128: its record is revoked');
    expect(ring.stopped('example.net')).toBeUndefined();
    ring.replace([testKey('example.com', '240128')]);
    expect(ring.stopped('example.org')).toBeUndefined();
  });
});
