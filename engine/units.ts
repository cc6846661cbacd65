// Units of work for domains: those of a cohort go together, so that their record changes and their secrets are shared, and so
// that a cohort that is found due twice makes the same unit twice. Pure.

import { alone, cohortOf, type Fellows, isSmallZone } from '../core/key/cohorts.ts';
import type { Fleet } from '../core/policy.ts';
import type { Unit } from './ports.ts';

/** Fleets are values that never change: each is counted once. */
const counts = new WeakMap<Fleet, Counts>();

interface Counts {
  /** By zone and period. */
  readonly ofZone: ReadonlyMap<string, number>;
  /** By period. */
  readonly ofSmallZones: ReadonlyMap<number, number>;
}

const periodOf = (fleet: Fleet, domain: string): number => fleet.domains.get(domain)?.policy.rotateEvery ?? 0;

const counted = (fleet: Fleet): Counts => {
  const known = counts.get(fleet);
  if (known !== undefined) return known;
  const zones = new Map<string, { period: number; size: number }>();
  for (const { zone, policy } of fleet.domains.values()) {
    const period = policy.rotateEvery ?? 0;
    const found = zones.get(`${zone} ${period}`);
    if (found === undefined) zones.set(`${zone} ${period}`, { period, size: 1 });
    else found.size += 1;
  }
  const ofSmallZones = new Map<number, number>();
  for (const { period, size } of zones.values())
    if (isSmallZone(size)) ofSmallZones.set(period, (ofSmallZones.get(period) ?? 0) + size);
  const found = { ofZone: new Map([...zones].map(([name, { size }]) => [name, size])), ofSmallZones };
  counts.set(fleet, found);
  return found;
};

/** How many domains rotate in the same period as this one; it alone where the fleet does not name it. */
export const fellowsOf = (fleet: Fleet, domain: string): Fellows => {
  const entry = fleet.domains.get(domain);
  if (entry === undefined) return alone;
  const period = periodOf(fleet, domain);
  const { ofZone, ofSmallZones } = counted(fleet);
  return {
    ofZone: ofZone.get(`${entry.zone} ${period}`) ?? 1,
    ofSmallZones: ofSmallZones.get(period) ?? 1,
  };
};

/** Where a domain's key records lie, by its row: the fleet may already want them elsewhere. */
export interface Lying {
  readonly domain: string;
  readonly zone: string;
}

/** The name of a domain's cohort, the same for all that are in it; and of the lease on the cohort. */
export const cohortName = (fleet: Fleet, { domain, zone }: Lying): string => {
  const fellows = fellowsOf(fleet, domain);
  const where = isSmallZone(fellows.ofZone) ? 'small zones' : zone;
  return `cohort/${where}/${periodOf(fleet, domain)}/${cohortOf({ domain, zone, fellows })}`;
};

/** Domains of one unit at most: few chance cohorts have more. */
const unitSize = 140;

export type CohortUnit = Extract<Unit, { kind: 'cohort' }>;

/** The units of these domains, in the order in which their first domains come; each domain once. */
export const cohortUnits = (fleet: Fleet, domains: Iterable<Lying>): readonly CohortUnit[] => {
  const cohorts = new Map<string, Set<string>>();
  for (const each of domains) {
    const name = cohortName(fleet, each);
    const cohort = cohorts.get(name) ?? new Set();
    cohorts.set(name, cohort);
    cohort.add(each.domain);
  }
  return [...cohorts.values()].flatMap((names) => {
    const all = [...names];
    return Array.from({ length: Math.ceil(all.length / unitSize) }, (_, index) => ({
      kind: 'cohort' as const,
      domains: all.slice(index * unitSize, (index + 1) * unitSize),
    }));
  });
};
