// Adoption: keys that signed before Selkie came become a domain's first key set. What must stand at their names, and the
// facts with which their lives begin here. Pure. docs/adr/0006-adopted-keys.md says why it is one step.

import { algorithms } from '../algorithm.ts';
import { parseKeyRecord } from '../dkim/key-record.ts';
import { describe } from '../errors.ts';
import type { AdoptedKey } from '../policy.ts';
import type { Duration, Instant } from '../time.ts';
import type { DomainRow, Key, Place, Rotation } from './evidence.ts';
import { keyOf } from './row.ts';

/** Only a domain that Selkie has no key of, and never had, may begin with keys from elsewhere. */
export const adoptable = (row: DomainRow): boolean => row.keys.length === 0 && row.rotations.length === 0;

/** Where two public keys part, for people who compare them; what both share at their beginning says nothing. */
const parting = (found: string, wanted: string): string => {
  let at = 0;
  while (at < found.length && found[at] === wanted[at]) at += 1;
  const from = (text: string): string => (at < text.length ? `${text.slice(at, at + 12)}…` : 'its end');
  return `from character ${at + 1} of p= on, ${from(found)} instead of ${from(wanted)}`;
};

/**
 * Why a key cannot be adopted with these values at its name; undefined: it can.
 * @param values TXT values at exactly the key record's name, joined: RFC 6376 §3.6.2.2
 */
export const adoptionFault = (key: AdoptedKey, values: readonly string[]): string | undefined => {
  const [value, ...more] = values;
  if (value === undefined) return 'there is no TXT record';
  if (more.length > 0) return `there are ${values.length} TXT records: leave one (RFC 6376 section 3.6.2.2)`;
  try {
    const record = parseKeyRecord(value);
    const { keyType } = algorithms[key.algorithm];
    if (record.revoked) return 'the record says that the key is revoked (p= is empty)';
    if (record.keyType !== keyType) return `the record is of key type ${record.keyType}, not ${keyType}`;
    if (record.publicKey !== key.publicKey)
      return `the record is of another key: ${parting(record.publicKey, key.publicKey)}`;
    // RFC 6376 §3.6.1: with these, no signature of ours would verify.
    if (record.hashes?.includes('sha256') === false)
      return `the record allows only h=${record.hashes.join(':')}, and signatures are made with sha256`;
    if (!record.services.some((service) => service === '*' || service === 'email'))
      return `the record is for s=${record.services.join(':')}, not for email`;
    return undefined;
  } catch (error) {
    return `what stands there is no key record. ${describe(error)}`;
  }
};

/** What was found of a key that can be adopted. */
export interface FoundKey {
  readonly key: AdoptedKey;
  /** Where it stands, if not where the domain's keys are written. */
  readonly name?: string;
  /** The record's set, as the provider has it: what its deletion will have to name. */
  readonly value: string;
  readonly ttl: Duration;
  /** How many name servers showed it. */
  readonly servers: number;
  /** Of the zone, where a server told. */
  readonly negativeTtl: Duration;
}

/** The row when its keys are adopted, and hosts are told at `place` to sign with them. */
export const adopted = (
  row: DomainRow,
  rotation: string,
  found: readonly FoundKey[],
  at: Instant,
  place: Place,
): DomainRow => {
  const now = { at };
  const keys = found.map(
    ({ key, name, value, ttl, servers, negativeTtl }): Key => ({
      selector: key.selector,
      algorithm: key.algorithm,
      rotation,
      evidence: {
        reserved: now,
        adopted: { at, publicKey: key.publicKey },
        publishIntended: { at, value, ttl, ...(name === undefined ? {} : { name }) },
      },
      turns: [{ begun: now, proved: { at, servers, negativeTtl }, signIntended: { at, place } }],
    }),
  );
  const whole: Rotation = {
    id: rotation,
    kind: 'adopted',
    at,
    algorithms: keys.map(({ algorithm }) => algorithm),
    selectors: keys.map(({ selector }) => selector),
  };
  return { ...row, keys: [...row.keys, ...keys], rotations: [...row.rotations, whole] };
};

/**
 * Why what the fleet file says of adopted keys has no effect on this row; undefined: it has, or had. Once a domain has keys,
 * its row says what they are.
 */
export const adoptionIgnored = (row: DomainRow, wanted: readonly AdoptedKey[] = []): string | undefined => {
  if (adoptable(row)) return undefined;
  const others = wanted.filter(
    ({ selector, publicKey }) => keyOf(row, selector)?.evidence.adopted?.publicKey !== publicKey,
  );
  if (others.length === 0) return undefined;
  return `fleet.yaml names ${others.map(({ selector }) => selector).join(' and ')} as adopted, but keys are adopted only before Selkie has any key of ${row.domain}: the entry has no effect`;
};
