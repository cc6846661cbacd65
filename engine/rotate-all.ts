// An order for many domains: each row is written at once, and the work on them is spread over as long as the provider's quota
// takes, one cohort after the other. Begun all together they would fill the queue with units that only wait for each other,
// and the first domains would be done no sooner than the last.

import { SelkieError } from '../core/errors.ts';
import { add, type Instant, milliseconds, minutes, seconds } from '../core/time.ts';
import { openDomain, requestRotation } from './commands.ts';
import type { RotationOrder } from './orders.ts';
import { inParallel } from './parallel.ts';
import { type CohortUnit, cohortUnits, type Lying } from './units.ts';
import type { Session, World } from './world.ts';

/** Domains whose rows are written at once. */
const width = 16;
const sweepEvery = minutes(1);

/** What a provider takes: by default 80 % of Route 53's quotas. */
export interface Pace {
  /** Changes of records in a second. */
  readonly changes: number;
  /** Requests in a second. Each unit makes two in each of its zones: its CREATEs, and whether they are everywhere. */
  readonly requests: number;
}

const route53Pace: Pace = { changes: 80, requests: 8 };

/** Most of a full bucket of changes, in the time that it takes to come in: it is there when the order is given. */
const inStock = seconds(12);

export interface Turn {
  readonly unit: CohortUnit;
  readonly start: Instant;
}

/** When the work on each cohort begins: one after the other, as fast as the provider takes them. */
export const turnsFor = (
  world: World,
  domains: Iterable<string>,
  from: Instant,
  pace: Pace = route53Pace,
): readonly Turn[] => {
  const zoneOf = (domain: string): string | undefined => world.fleet.domains.get(domain)?.zone;
  const named = [...domains].flatMap((domain): Lying[] => {
    const zone = zoneOf(domain);
    return zone === undefined ? [] : [{ domain, zone }];
  });
  let at = -inStock;
  return cohortUnits(world.fleet, named).map((unit) => {
    const start = add(from, milliseconds(Math.max(0, Math.floor(at))));
    const zones = new Set(unit.domains.map(zoneOf)).size;
    at += seconds(Math.max(unit.domains.length / pace.changes, (2 * zones) / pace.requests));
    return { unit, start };
  });
};

export interface OrderedMany {
  /** Domains that rotate, those included that did already. */
  readonly ordered: number;
  /** Why others do not. */
  readonly refused: ReadonlyMap<string, string>;
  /** When the work on the last one begins. */
  readonly until: Instant;
}

const isOrdered = async (
  world: World,
  session: Session,
  domain: string,
  { kind = 'requested' }: RotationOrder,
): Promise<boolean> => {
  const last = (await openDomain(world, session, domain)).row.rotations.at(-1);
  return last?.kind === kind && last.at >= session.head.at;
};

/** Orders one, whose turn comes at `start`. @returns why it is refused */
const orderOne = async (
  world: World,
  session: Session,
  domain: string,
  order: RotationOrder,
  start: Instant,
): Promise<string | undefined> => {
  try {
    const { joined } = await requestRotation(world, session, domain, order);
    if (!joined) await (await openDomain(world, session, domain)).rest(start);
    return undefined;
  } catch (error) {
    if (!(error instanceof SelkieError)) throw error;
    // Another worker has it in hand already: it does what was ordered.
    if (error.code === 'conflict' && (await isOrdered(world, session, domain, order))) return undefined;
    if (error.retry === 'later' && error.code !== 'conflict') throw error;
    return error.message;
  }
};

/**
 * Orders the domains of these turns, and has those that come soon begin. @returns why others do not rotate
 * @throws unavailable, throttled: give the order again
 */
export const giveTurns = async (
  world: World,
  session: Session,
  turns: readonly Turn[],
  order: RotationOrder,
): Promise<ReadonlyMap<string, string>> => {
  const refused = new Map<string, string>();
  // Each is woken in its turn, and not by its order.
  const silent: World = { ...world, queue: { send: async () => {} } };
  const give = (some: readonly Turn[]): Promise<unknown> =>
    inParallel(
      width,
      some.flatMap(({ unit, start }) => unit.domains.map((domain) => ({ domain, start }))),
      async ({ domain, start }) => {
        const why = await orderOne(silent, session, domain, order, start);
        if (why !== undefined) refused.set(domain, why);
      },
    );

  // The first are not left to the next sweep: they are under way while the last are still written.
  const sweep = add(session.now(), sweepEvery);
  const isSoon = ({ start }: Turn): boolean => start <= sweep;
  const soon = turns.filter(isSoon);
  await give(soon);
  for (const { unit, start } of soon)
    await world.queue.send([unit], milliseconds(Math.max(0, start - session.now())));
  await give(turns.filter((turn) => !isSoon(turn)));
  return refused;
};

/**
 * Asks for a rotation of each of these domains, as `requestRotation` does of one. What was ordered already is joined, so that
 * an order that broke off is given again.
 * @throws unavailable, throttled: give the order again
 */
export const requestMany = async (
  world: World,
  session: Session,
  domains: Iterable<string>,
  order: RotationOrder,
  pace?: Pace,
): Promise<OrderedMany> => {
  const all = [...new Set(domains)];
  const from = session.now();
  const turns = turnsFor(world, all, from, pace);
  const refused = new Map<string, string>([
    ...all.flatMap((domain) =>
      world.fleet.domains.has(domain) ? [] : [[domain, `${domain} is not in fleet.yaml`] as const],
    ),
    ...(await giveTurns(world, session, turns, order)),
  ]);
  return { ordered: all.length - refused.size, refused, until: turns.at(-1)?.start ?? from };
};
