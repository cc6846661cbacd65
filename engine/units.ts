// Units of work for domains: those of a zone's cohort go together, so that their record changes share requests, and so that
// a cohort that is found due twice makes the same unit twice. Pure.

import { cohortOf } from '../core/key/cohorts.ts';
import type { Fleet } from '../core/policy.ts';
import type { Unit } from './ports.ts';

type Group = `${string} ${number}`;

/** Fleets are values that never change: each is counted once. */
const counts = new WeakMap<Fleet, ReadonlyMap<Group, number>>();

const count = (fleet: Fleet): ReadonlyMap<Group, number> => {
  const found = new Map<Group, number>();
  for (const { zone, policy } of fleet.domains.values()) {
    const group: Group = `${zone} ${policy.rotateEvery ?? 0}`;
    found.set(group, (found.get(group) ?? 0) + 1);
  }
  counts.set(fleet, found);
  return found;
};

/** How many domains of the domain's zone rotate in the same period, itself included; 1 where the fleet does not name it. */
export const zoneSize = (fleet: Fleet, domain: string): number => {
  const entry = fleet.domains.get(domain);
  if (entry === undefined) return 1;
  return (counts.get(fleet) ?? count(fleet)).get(`${entry.zone} ${entry.policy.rotateEvery ?? 0}`) ?? 1;
};

/** Domains of one unit at most: a chance cohort of the largest zone has fewer. */
const unitSize = 140;

export type ZoneUnit = Extract<Unit, { kind: 'zone' }>;

/** The units of these domains, in the order in which their first domains come; each domain once. */
export const zoneUnits = (
  fleet: Fleet,
  domains: Iterable<{ readonly domain: string; readonly zone: string }>,
): readonly ZoneUnit[] => {
  const cohorts = new Map<string, { readonly zone: string; readonly names: Set<string> }>();
  for (const { domain, zone } of domains) {
    const key = `${zone} ${cohortOf(domain, zoneSize(fleet, domain))}`;
    const cohort = cohorts.get(key) ?? { zone, names: new Set() };
    cohorts.set(key, cohort);
    cohort.names.add(domain);
  }
  return [...cohorts.values()].flatMap(({ zone, names }) => {
    const all = [...names];
    return Array.from({ length: Math.ceil(all.length / unitSize) }, (_, index) => ({
      kind: 'zone' as const,
      zone,
      domains: all.slice(index * unitSize, (index + 1) * unitSize),
    }));
  });
};
