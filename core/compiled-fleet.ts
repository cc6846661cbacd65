// The fleet as JSON, for functions: they start in milliseconds from it, without a YAML parser or a schema library.
// Pure. Written at synth by whoever deploys, read by the same version of the product; `format` guards a mix-up.
//
// Domains are rows that point into tables, and policies are written once each: 100,000 domains are about 3 MB.

import { isAlgorithm } from './algorithm.ts';
import { SelkieError } from './errors.ts';
import type { Fleet, FleetDomain, FleetHost, FleetZone, Policy } from './policy.ts';

/** Raised with every change of the shape below, or of a type that it holds. */
const format = 1;

/** [domain, index of its zone, index of its pool, index of its policy, leaving: 1, else 0] */
type DomainRow = readonly [string, number, number, number, 0 | 1];

interface Compiled {
  readonly format: number;
  readonly version: number;
  readonly zones: readonly FleetZone[];
  readonly pools: readonly string[];
  readonly policies: readonly Policy[];
  readonly hosts: readonly FleetHost[];
  readonly domains: readonly DomainRow[];
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

/** One line of JSON for `loadCompiledFleet`. The same fleet gives the same text. */
export const compileFleet = (fleet: Fleet): string => {
  const zones = table<string>((name) => name);
  const pools = table<string>((name) => name);
  const policies = table<Policy>((policy) => JSON.stringify(policy));
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
    ]),
    policies: policies.values,
    hosts: [...fleet.hosts.values()],
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

const isCompiled = (value: unknown): value is Compiled =>
  typeof value === 'object' &&
  value !== null &&
  'version' in value &&
  typeof value.version === 'number' &&
  ['zones', 'pools', 'policies', 'hosts', 'domains'].every((field) =>
    Array.isArray((value as Record<string, unknown>)[field]),
  );

/**
 * The fleet that `compileFleet` wrote, all its maps in the same order.
 * @throws invalid where `json` is something else, of another format, or torn
 */
export const loadCompiledFleet = (json: string): Fleet => {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw broken('not JSON');
  }
  if (typeof value !== 'object' || value === null || !('format' in value)) throw broken('no format');
  if (value.format !== format) throw broken(`format ${String(value.format)} instead of ${format}`);
  if (!isCompiled(value)) throw broken('a part is missing');
  const { zones, pools, policies } = value;
  for (const policy of policies)
    if (!policy.algorithms.every(isAlgorithm)) throw broken('an algorithm that is not known');
  const domains = new Map<string, FleetDomain>();
  for (const [domain, z, p, q, leaving] of value.domains) {
    const [zone, pool, policy] = [zones[z], pools[p], policies[q]];
    if (zone === undefined || pool === undefined || policy === undefined)
      throw broken(`${domain} points nowhere`);
    domains.set(domain, { domain, zone: zone.name, pool, policy, leaving: leaving === 1 });
  }
  return {
    version: value.version,
    domains,
    zones: new Map(zones.map((zone) => [zone.name, zone])),
    pools,
    hosts: new Map(value.hosts.map((host) => [host.name, host])),
  };
};
