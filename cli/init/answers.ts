// What `selkie init` asks, and what an answer may be: the same for a flag and for a line that somebody typed. Pure.
import { algorithms, isAlgorithm, isMade } from '../../core/algorithm.ts';
import { deepestZone } from '../../core/names.ts';
import { rotateEveryField } from '../../fleet/fields.ts';
import { dnsName, domainName } from '../../fleet/name.ts';
import { poolName } from '../../fleet/schema.ts';

/** One of Route 53, or one that no program can change. */
export type Zone = { readonly name: string } & ({ readonly id: string } | { readonly provider: 'manual' });

/** As it is answered: `example.jp=Z0123456789ABC`, `example.jp=manual`. */
export const zoneWord = (zone: Zone): string => `${zone.name}=${'id' in zone ? zone.id : zone.provider}`;

export interface Answers {
  readonly domains: readonly string[];
  readonly zones: readonly Zone[];
  readonly pool: string;
  /** `P90D` or `on-demand`. */
  readonly rotateEvery: string;
  readonly algorithms: readonly string[];
}

export type Parsed<T> = { readonly value: T } | { readonly wrong: string };

const words = (text: string): readonly string[] => text.split(/[\s,]+/).filter((word) => word !== '');

export const parseDomains = (text: string): Parsed<readonly string[]> => {
  const named = words(text).map((word) => ({ word, ...domainName(word) }));
  const bad = named.find((each) => 'wrong' in each);
  if (bad !== undefined && 'wrong' in bad) return { wrong: `'${bad.word}' ${bad.wrong}` };
  if (named.length === 0) return { wrong: 'name at least one domain, such as example.jp' };
  return { value: [...new Set(named.flatMap((each) => ('name' in each ? each.name : [])))] };
};

const zoneId = /^(?:\/hostedzone\/)?(Z[A-Z0-9]{1,31})$/;

/** Where a domain's key records lie: core/names.ts. */
export const zoneOf = (domain: string, zones: readonly Zone[]): Zone | undefined => {
  const name = deepestZone(
    `_domainkey.${domain}`,
    zones.map((zone) => zone.name),
  );
  return zones.find((zone) => zone.name === name);
};

/** `NAME=ID` or `NAME=manual` for each, or an id alone where one zone is wanted.  @param wanted domains that have no zone yet */
export const parseZones = (text: string, wanted: readonly string[]): Parsed<readonly Zone[]> => {
  const zones: Zone[] = [];
  for (const word of words(text)) {
    const at = word.lastIndexOf('=');
    const given = word.slice(at + 1);
    const id = given === 'manual' ? given : zoneId.exec(given)?.[1];
    const found = at > 0 ? dnsName(word.slice(0, at)) : undefined;
    if (found !== undefined && 'wrong' in found) return { wrong: `'${word.slice(0, at)}' ${found.wrong}` };
    if (id === undefined)
      return { wrong: `'${given}' is not a hosted zone id, such as Z0123456789ABC, nor manual` };
    const [name = found?.name, ...others] = found === undefined ? apexes(wanted) : [];
    if (name === undefined || others.length > 0)
      return { wrong: `say of which zone ${id} is: example.jp=${id}` };
    zones.push(id === 'manual' ? { name, provider: id } : { name, id });
  }
  const without = wanted.filter((domain) => zoneOf(domain, zones) === undefined);
  return without.length === 0
    ? { value: zones }
    : { wrong: `no zone holds ${without.join(', ')}: ${without[0]}=Z…, or ${without[0]}=manual` };
};

/** Domains that are below none of the others: a zone of each holds them all. */
const apexes = (domains: readonly string[]): readonly string[] =>
  domains.filter((one) => !domains.some((other) => one.endsWith(`.${other}`)));

/** Zones for `npm start`, which answers for them itself; the ids only have to differ. */
export const localZones = (domains: readonly string[]): readonly Zone[] =>
  apexes(domains).map((name, at) => ({ name, id: `ZLOCAL${String(at + 1).padStart(10, '0')}` }));

/** Zones elsewhere, which people change: they are called as the domains are, unless somebody says otherwise. */
export const manualZones = (domains: readonly string[]): readonly Zone[] =>
  apexes(domains).map((name) => ({ name, provider: 'manual' }));

export const parsePool = (text: string): Parsed<string> => {
  const found = poolName.safeParse(text.trim());
  return found.success
    ? { value: found.data }
    : { wrong: 'a pool has small letters, digits and hyphens, such as outbound' };
};

/** `90`, `90 days` and `P90D` are the same. */
export const parseRotateEvery = (text: string): Parsed<string> => {
  const days = /^(\d{1,4})\s*(?:d|days?)?$/i.exec(text.trim())?.[1];
  const value = days === undefined ? text.trim() : `P${days}D`;
  const found = rotateEveryField.safeParse(value);
  if (found.success) return { value };
  return { wrong: `'${text.trim()}' ${found.error.issues[0]?.message}; or write on-demand` };
};

const made = Object.keys(algorithms).filter(isAlgorithm).filter(isMade);

export const parseAlgorithms = (text: string): Parsed<readonly string[]> => {
  const names = [...new Set(words(text.toLowerCase()))];
  const odd = names.find((name) => !made.some((each) => each === name));
  if (odd !== undefined) return { wrong: `'${odd}' is not one of ${made.join(', ')}` };
  return names.length === 0 ? { wrong: `name at least one of ${made.join(', ')}` } : { value: names };
};
