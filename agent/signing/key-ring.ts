// The keys that this host signs with at present. No I/O: whoever read the keys (sync, a driver) puts them in here, and the
// signer takes a domain's keys out once per message.
import type { KeyObject } from 'node:crypto';
import { type Algorithm, algorithms } from '../../core/algorithm.ts';
import { SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';

export interface SigningKey {
  /** `d=`; a lower-case A-label name. */
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: Algorithm;
  /**
   * The private key, read and parsed at its first use and then kept for a while: parsing it for each message would halve
   * the rate of RSA signatures, and a host of 100,000 domains has no room for all of them.
   * @throws SelkieError where it cannot be read any more; the key store then reports it as a key that failed
   */
  load(): Promise<KeyObject>;
}

export interface KeyRing {
  /**
   * Puts `keys` in place of all that were there, in one step: a message gets the old set or the new one, never a mixture.
   * @throws unsafe, and leaves the old set, where a domain has two keys of one type: verifiers look at few signatures
   *   (OpenDKIM at three), so an old key and a new one never sign together
   * @param stopped `domain/selector` → why this key, not in `keys`, must not sign; none where absent
   */
  replace(keys: readonly SigningKey[], stopped?: ReadonlyMap<string, string>): void;
  /** The domain's keys, RSA first, then Ed25519; empty where it has none. */
  signingKeys(domain: string): readonly SigningKey[];
  /** Why a key of this domain must not sign; undefined where all that it has may. A domain that has only such keys is ours all the same. */
  stopped(domain: string): string | undefined;
}

const none: readonly SigningKey[] = Object.freeze([]);
const rank = (key: SigningKey): number => (algorithms[key.algorithm].keyType === 'rsa' ? 0 : 1);

const snapshot = (keys: readonly SigningKey[]): ReadonlyMap<string, readonly SigningKey[]> => {
  const sets = new Map<string, SigningKey[]>();
  for (const key of keys) {
    const domain = lowerName(key.domain);
    const set = sets.get(domain) ?? [];
    const other = set.find((present) => rank(present) === rank(key));
    if (other !== undefined)
      throw new SelkieError(
        'unsafe',
        `${domain}: ${other.selector} and ${key.selector} are both ${algorithms[key.algorithm].keyType} keys; a domain signs with one key of each type`,
        { field: 'keys' },
      );
    set.push(Object.freeze({ ...key, domain }));
    sets.set(domain, set);
  }
  for (const set of sets.values()) Object.freeze(set.sort((a, b) => rank(a) - rank(b)));
  return sets;
};

const reasons = (stopped: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map(
    [...stopped].map(([name, why]) => {
      const [domain = '', selector = ''] = name.split('/');
      return [lowerName(domain), `${selector}: ${why}`];
    }),
  );

/** A ring without keys. */
export const createKeyRing = (): KeyRing => {
  let current: ReadonlyMap<string, readonly SigningKey[]> = new Map();
  let whyStopped: ReadonlyMap<string, string> = new Map();
  return {
    replace(keys, stopped = new Map()) {
      current = snapshot(keys);
      whyStopped = reasons(stopped);
    },
    signingKeys: (domain) => current.get(domain) ?? none,
    stopped: (domain) => whyStopped.get(domain),
  };
};
