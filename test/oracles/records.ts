// Keys for tests, made at run time, and the records that publish them.
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { SigningKey } from '../../agent/signing/key-ring.ts';
import { type Algorithm, algorithms } from '../../core/algorithm.ts';
import { keyRecordName } from '../../core/names.ts';

/** Name → TXT value. */
export type Records = Readonly<Record<string, string>>;

export interface OracleResult {
  readonly selector: string;
  readonly domain: string;
  /** `pass`, or the oracle's word for anything else. */
  readonly result: string;
}

/** Results in one comparable form: `240128 example.com pass`. */
export const lines = (results: readonly OracleResult[]): string[] =>
  results.map(({ selector, domain, result }) => `${selector} ${domain} ${result}`);

/** A signing key whose private half is at hand. */
export interface TestKey extends SigningKey {
  readonly key: KeyObject;
}

const pairs = new Map<string, KeyObject>();

/** The same key for the same three names, within one run. */
export const testKey = (domain: string, selector: string, algorithm: Algorithm = 'rsa2048'): TestKey => {
  const facts = algorithms[algorithm];
  const name = `${selector} ${domain} ${algorithm}`;
  const key =
    pairs.get(name) ??
    ('bits' in facts
      ? generateKeyPairSync('rsa', { modulusLength: facts.bits }).privateKey
      : generateKeyPairSync('ed25519').privateKey);
  pairs.set(name, key);
  return { domain, selector, algorithm, key, load: async () => key };
};

/** The key's record: RSA as SubjectPublicKeyInfo (RFC 6376 §3.6.1), Ed25519 as its 32 bytes (RFC 8463 §4.2). */
export const recordsOf = (...keys: readonly Omit<TestKey, 'load'>[]): Records =>
  Object.fromEntries(
    keys.map(({ domain, selector, algorithm, key }) => {
      const { keyType } = algorithms[algorithm];
      const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
      const p = (keyType === 'rsa' ? der : der.subarray(-32)).toString('base64');
      return [keyRecordName(selector, domain), `v=DKIM1; k=${keyType}; p=${p}`];
    }),
  );
