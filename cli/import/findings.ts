// What an import found, whatever it read: zones, domains, and the keys that sign already. Pure but for the form of public keys.
import { type Algorithm, algorithms } from '../../core/algorithm.ts';
import { parseKeyRecord } from '../../core/dkim/key-record.ts';
import { describe } from '../../core/errors.ts';
import { isDnsName, isDomainName } from '../../core/names.ts';
import { readAdoptedKey } from '../../fleet/adopted-key.ts';

export interface FoundKey {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: Algorithm;
  readonly publicKey: string;
}

export interface Findings {
  readonly zones: readonly string[];
  /** Also those without a key. */
  readonly domains: readonly string[];
  readonly keys: readonly FoundKey[];
  /** What a person should know. */
  readonly remarks: readonly string[];
}

/** A TXT record of a zone; `where` names it for people: `example.jp.zone:12`. */
export interface FoundRecord {
  readonly name: string;
  readonly value: string;
  readonly where: string;
}

const between = '._domainkey.';

const keyIn = ({ name, value, where }: FoundRecord): FoundKey | string | undefined => {
  const at = name.indexOf(between);
  if (at <= 0) return undefined;
  const [selector, domain] = [name.slice(0, at), name.slice(at + between.length)];
  const passed = (why: string): string => `${where}: ${name} ${why}`;
  if (!isDnsName(selector) || !isDomainName(domain))
    return passed('is no name that keys can have; it is passed over');
  try {
    const record = parseKeyRecord(value);
    if (record.revoked) return passed('is revoked (p= is empty); it is passed over');
    const read = readAdoptedKey(record.publicKey);
    if ('wrong' in read) return passed(read.wrong);
    return { domain, selector, algorithm: read.algorithm, publicKey: record.publicKey };
  } catch (error) {
    return passed(`is no key record that verifiers take (${describe(error)}); it is passed over`);
  }
};

/** The keys of a zone's TXT records. */
export const keysIn = (records: readonly FoundRecord[]): Pick<Findings, 'keys' | 'remarks'> => {
  const names = new Map<string, number>();
  for (const { name } of records) names.set(name, (names.get(name) ?? 0) + 1);
  const keys: FoundKey[] = [];
  const remarks: string[] = [];
  for (const record of records) {
    const found = keyIn(record);
    if (found === undefined) continue;
    if (typeof found === 'string') remarks.push(found);
    // RFC 6376 §3.6.2.2: several TXT records at one name are undefined.
    else if ((names.get(record.name) ?? 0) > 1)
      remarks.push(
        `${record.where}: ${record.name} has more than one TXT record, which verifiers may not take`,
      );
    else keys.push(found);
  }
  return { keys, remarks };
};

export interface Chosen {
  readonly domain: string;
  readonly adopted: readonly FoundKey[];
  /** Several of one key type: nobody but the hosts knows which of them signs. */
  readonly rivals: readonly FoundKey[];
}

/** Of each domain the keys that it can begin with: at most one of each key type. */
export const choose = ({ domains, keys }: Findings): readonly Chosen[] => {
  const byDomain = Map.groupBy(keys, ({ domain }) => domain);
  return [...new Set([...domains, ...byDomain.keys()])].toSorted().map((domain) => {
    const own = byDomain.get(domain) ?? [];
    const types = [...Map.groupBy(own, ({ algorithm }) => algorithms[algorithm].keyType).values()];
    return {
      domain,
      adopted: types.filter(({ length }) => length === 1).flat(),
      rivals: types.filter(({ length }) => length > 1).flat(),
    };
  });
};

export const joined = (all: readonly Findings[]): Findings => ({
  zones: [...new Set(all.flatMap(({ zones }) => zones))].toSorted(),
  domains: [...new Set(all.flatMap(({ domains }) => domains))],
  keys: all.flatMap(({ keys }) => keys),
  remarks: all.flatMap(({ remarks }) => remarks),
});
