// What is measured of a fleet: everything rotates in an emergency; or each domain once by the schedule, from its beginning until
// nothing is left of the key before.

import type { DomainRow } from '../../core/key/evidence.ts';
import { days, hours } from '../../core/time.ts';
import { requestMany } from '../../engine/rotate-all.ts';
import { openSession } from '../../engine/world.ts';
import { createScaleWorld, type FleetShape, type ScaleWorld } from './world.ts';

export interface Case extends FleetShape {
  readonly does: 'emergency' | 'schedule';
}

export interface Measured {
  readonly of: Case;
  readonly world: ScaleWorld;
  /** Hours until the last of them. */
  readonly hours: {
    readonly inSync: number;
    readonly proved: number;
    readonly switched: number;
    readonly gone: number;
  };
  /** Of one domain, from its rotation's beginning: the median. */
  readonly each: { readonly switched: number; readonly gone: number };
  readonly rotations: number;
  /** Seconds that this took. */
  readonly took: number;
}

type Milestone = 'begun' | 'inSync' | 'proved' | 'switched' | 'gone';

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** There are too many for one call of Math.max. */
const latestOf = (times: Iterable<number>): number => {
  let most = 0;
  for (const at of times) most = Math.max(most, at);
  return most;
};

/** When each domain's first rotation here passed its milestones. */
const watchRotations = (world: ScaleWorld) => {
  const times: Record<Milestone, Map<string, number>> = {
    begun: new Map(),
    inSync: new Map(),
    proved: new Map(),
    switched: new Map(),
    gone: new Map(),
  };
  const mark = (milestone: Milestone, domain: string, fact: unknown): void => {
    if (fact !== undefined && !times[milestone].has(domain)) times[milestone].set(domain, world.now());
  };
  world.watch = (row: DomainRow): void => {
    const { domain, keys, rotations } = row;
    mark('begun', domain, rotations[1]);
    for (const { selector, evidence, turns } of keys)
      if (selector === 'first') mark('gone', domain, evidence.destroyed);
      else {
        mark('inSync', domain, evidence.inSync);
        mark('proved', domain, turns[0].proved);
        mark('switched', domain, turns[0].active);
      }
  };
  return times;
};

export const measure = async (
  of: Case,
  options: { readonly workers: number; readonly share: number },
): Promise<Measured> => {
  const began = performance.now();
  const world = await createScaleWorld(of, options);
  const times = watchRotations(world);
  if (of.does === 'emergency') {
    await world.call(async (by) =>
      requestMany(by, await openSession(by), by.fleet.domains.keys(), {
        kind: 'emergency',
        reason: 'a drill',
      }),
    );
    await world.run(days(2), () => times.switched.size >= of.domains);
  } else await world.run(days(131));
  const last = (milestone: Milestone): number =>
    times[milestone].size < of.domains
      ? Number.POSITIVE_INFINITY
      : (latestOf(times[milestone].values()) - world.start) / hours(1);
  const since = (milestone: Milestone): number =>
    median([...times[milestone]].map(([domain, at]) => (at - (times.begun.get(domain) ?? at)) / hours(1)));
  return {
    of,
    world,
    hours: { inSync: last('inSync'), proved: last('proved'), switched: last('switched'), gone: last('gone') },
    each: { switched: since('switched'), gone: since('gone') },
    rotations: times.begun.size,
    took: (performance.now() - began) / 1_000,
  };
};
