// The fleet as JSON, for functions: they start in milliseconds from it, without a YAML parser or a schema library.
// Pure. Written at synth by whoever deploys, read by the same version of the product; `format` guards a mix-up.
//
// Domains are rows that point into tables, and policies are written once each: 100,000 domains are about 3 MB.

import { isAlgorithm, isMade } from './algorithm.ts';
import { SelkieError } from './errors.ts';
import type {
  AdoptedKey,
  Fleet,
  FleetDomain,
  FleetHost,
  FleetRecord,
  FleetVault,
  FleetZone,
  Policy,
} from './policy.ts';

/** Raised with every change of the shape below, or of a type that it holds. */
const format = 9;

/** What few domains have; `spf` and `dmarc` by their numbers in the table of records, since many say the same. */
interface Rest extends Pick<FleetDomain, 'adopted' | 'cname'> {
  readonly spf?: number;
  readonly dmarc?: number;
}

/** [domain, index of its zone, index of its pool, index of its policy, leaving: 1, else 0, the rest where there is any] */
type DomainRow = readonly [string, number, number, number, 0 | 1, Rest?];

interface Compiled {
  readonly format: number;
  readonly version: number;
  readonly zones: readonly FleetZone[];
  readonly pools: readonly string[];
  readonly policies: readonly Policy[];
  readonly records: readonly FleetRecord[];
  readonly hosts: readonly FleetHost[];
  readonly domains: readonly DomainRow[];
  /** Null: by default. */
  readonly vault: FleetVault | null;
  /** The reason of whoever forces it; null: nobody does. */
  readonly force: string | null;
}

/** Gives each distinct value a number, from 0 on, in the order of their first appearance. */
const table = <T>(textOf: (value: T) => string) => {
  const values: T[] = [];
  const byText = new Map<string, number>();
  const byIdentity = new Map<T, number>();
  const number = (value: T): number => {
    const known = byIdentity.get(value);
    if (known !== undefined) return known;
    const text = textOf(value);
    const index = byText.get(text) ?? values.push(value) - 1;
    byIdentity.set(value, index);
    byText.set(text, index);
    return index;
  };
  return { values, number };
};

const restOf = (
  { adopted, cname, spf, dmarc }: FleetDomain,
  number: (record: FleetRecord) => number,
): readonly [] | readonly [Rest] => {
  const rest: Rest = {
    ...(adopted === undefined ? {} : { adopted }),
    ...(cname === undefined ? {} : { cname }),
    ...(spf === undefined ? {} : { spf: number(spf) }),
    ...(dmarc === undefined ? {} : { dmarc: number(dmarc) }),
  };
  return Object.keys(rest).length === 0 ? [] : [rest];
};

/** One line of JSON for `loadCompiledFleet`. The same fleet gives the same text. */
export const compileFleet = (fleet: Fleet): string => {
  const zones = table<string>((name) => name);
  const pools = table<string>((name) => name);
  const policies = table<Policy>((policy) => JSON.stringify(policy));
  const records = table<FleetRecord>((record) => JSON.stringify(record));
  for (const name of fleet.zones.keys()) zones.number(name);
  for (const name of fleet.pools) pools.number(name);
  const compiled: Compiled = {
    format,
    version: fleet.version,
    zones: [...fleet.zones.values()],
    pools: fleet.pools,
    domains: [...fleet.domains.values()].map((entry) => [
      entry.domain,
      zones.number(entry.zone),
      pools.number(entry.pool),
      policies.number(entry.policy),
      entry.leaving ? 1 : 0,
      ...restOf(entry, records.number),
    ]),
    policies: policies.values,
    records: records.values,
    hosts: [...fleet.hosts.values()],
    vault: fleet.vault ?? null,
    force: fleet.force?.reason ?? null,
  };
  if (zones.values.length !== fleet.zones.size || pools.values.length !== fleet.pools.length)
    throw new SelkieError(
      'invalid',
      'A domain of the fleet names a zone or a pool that the fleet does not have.',
    );
  return JSON.stringify(compiled);
};

const broken = (why: string): SelkieError =>
  new SelkieError('invalid', `This is no compiled fleet of this version of Selkie (${why}): deploy again.`);

type Test = (value: unknown) => boolean;

const isText: Test = (value) => typeof value === 'string' && value !== '';
const isLength: Test = (value) => Number.isFinite(value) && Number(value) >= 0;
const isIndex: Test = (value) => Number.isSafeInteger(value);
const listOf =
  (test: Test): Test =>
  (value) =>
    Array.isArray(value) && value.every(test);
const perhaps =
  (test: Test): Test =>
  (value) =>
    value === undefined || test(value);
/** Names every field, so that one which is added to a type is added here; an object with any other is refused. */
const shaped =
  <T>(fields: { readonly [Field in keyof T]-?: Test }): Test =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.keys(value).every((field) => Object.hasOwn(fields, field)) &&
    Object.entries<Test>(fields).every(([field, test]) =>
      test(Object.hasOwn(value, field) ? (value as Record<string, unknown>)[field] : undefined),
    );

const isPolicy = shaped<Policy>({
  rotateEvery: perhaps(isLength),
  algorithms: (value) => listOf(isText)(value) && (value as unknown[]).length > 0,
  timeZone: isText,
  tags: shaped<Policy['tags']>({
    hashes: perhaps((value) => value === 'sha256'),
    service: perhaps((value) => value === 'email'),
    strict: perhaps((value) => value === true),
    note: perhaps(isText),
  }),
  ttl: isLength,
  downstreamQueue: isLength,
  drainMargin: isLength,
  reportedDrain: isLength,
  hold: isLength,
  skewBound: isLength,
  fenceAfter: isLength,
  disclose: perhaps((value) => value === 'after-removal'),
});

const isRest = shaped<Rest>({
  adopted: perhaps(
    listOf(
      shaped<AdoptedKey>({
        selector: isText,
        algorithm: isText,
        publicKey: isText,
        record: perhaps(isText),
      }),
    ),
  ),
  cname: perhaps(isText),
  spf: perhaps(isIndex),
  dmarc: perhaps(isIndex),
});

const isVault = shaped<FleetVault>({
  layout: (value) => value === 'per-key' || value === 'sharded',
  replicas: listOf(isText),
});

const isRow: Test = (row) =>
  Array.isArray(row) &&
  (row.length === 5 || (row.length === 6 && isRest(row[5]))) &&
  isText(row[0]) &&
  [row[1], row[2], row[3]].every(isIndex) &&
  (row[4] === 0 || row[4] === 1);

const parts: { readonly [Part in keyof Compiled]: Test } = {
  format: (value) => value === format,
  version: isIndex,
  zones: listOf(
    shaped<FleetZone>({
      name: isText,
      id: isText,
      provider: perhaps((value) => value === 'manual'),
      role: perhaps(shaped<NonNullable<FleetZone['role']>>({ arn: isText, externalId: perhaps(isText) })),
      nameServers: perhaps(listOf(isText)),
    }),
  ),
  pools: listOf(isText),
  policies: listOf(isPolicy),
  records: listOf(shaped<FleetRecord>({ value: isText, adopt: perhaps((value) => value === true) })),
  hosts: listOf(
    shaped<FleetHost>({
      name: isText,
      pool: isText,
      endpoint: perhaps(isText),
      encryptionKey: isText,
      signingKey: isText,
      certificate: perhaps(isText),
      keyTypes: perhaps(listOf((value) => value === 'rsa' || value === 'ed25519')),
      addresses: perhaps(listOf(isText)),
    }),
  ),
  domains: listOf(isRow),
  vault: (value) => value === null || isVault(value),
  force: (value) => value === null || isText(value),
};

const byName = <T>(values: readonly T[], nameOf: (value: T) => string): Map<string, T> => {
  const map = new Map(values.map((value) => [nameOf(value), value]));
  if (map.size !== values.length) throw broken('a name stands twice');
  return map;
};

const parsed = (json: string): object => {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw broken('not JSON');
  }
  if (typeof value !== 'object' || value === null || !('format' in value)) throw broken('no format');
  if (value.format !== format)
    throw broken(
      `format ${typeof value.format === 'number' ? value.format : 'of another kind'} instead of ${format}`,
    );
  return value;
};

/**
 * The fleet that `compileFleet` wrote, all its maps in the same order.
 * @throws invalid where `json` is something else, of another format, or torn
 */
export const loadCompiledFleet = (json: string): Fleet => {
  const value = parsed(json);
  for (const [part, test] of Object.entries<Test>(parts)) {
    if (!Object.hasOwn(value, part)) throw broken('a part is missing');
    if (!test((value as Record<string, unknown>)[part])) throw broken(`its ${part} are not whole`);
  }
  const { version, zones, pools, policies, records, hosts, domains, vault, force } = value as Compiled;
  for (const policy of policies)
    if (!policy.algorithms.every((name) => isAlgorithm(name) && isMade(name)))
      throw broken('an algorithm that is not known');
  const entries = domains.map(([domain, z, p, q, leaving, rest]): FleetDomain => {
    const [zone, pool, policy] = [zones[z], pools[p], policies[q]];
    if (zone === undefined || pool === undefined || policy === undefined)
      throw broken(`${domain} points nowhere`);
    const { spf, dmarc, ...plain } = rest ?? {};
    const [sender, request] = [spf, dmarc].map((n) => (n === undefined ? undefined : records[n]));
    if ((spf !== undefined && sender === undefined) || (dmarc !== undefined && request === undefined))
      throw broken(`${domain} points nowhere`);
    if (rest?.adopted?.every(({ algorithm }) => isAlgorithm(algorithm)) === false)
      throw broken('an algorithm that is not known');
    return {
      domain,
      zone: zone.name,
      pool,
      policy,
      leaving: leaving === 1,
      ...plain,
      ...(sender === undefined ? {} : { spf: sender }),
      ...(request === undefined ? {} : { dmarc: request }),
    };
  });
  return {
    version,
    domains: byName(entries, (entry) => entry.domain),
    zones: byName(zones, (zone) => zone.name),
    pools: [...byName(pools, (pool) => pool).keys()],
    hosts: byName(hosts, (host) => host.name),
    ...(vault === null ? {} : { vault }),
    ...(force === null ? {} : { force: { reason: force } }),
  };
};
