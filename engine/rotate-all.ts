// An order for many domains: each row is written at once, and the work on them is spread over as long as the provider's quota
// takes, one cohort after the other. Begun all together they would fill the queue with units that only wait for each other,
// and the first domains would be done no sooner than the last.

import { SelkieError } from '../core/errors.ts';
import { add, type Instant, milliseconds } from '../core/time.ts';
import { openDomain, type RotationOrder, requestRotation } from './commands.ts';
import { inParallel } from './parallel.ts';
import { zoneUnits } from './units.ts';
import type { Session, World } from './world.ts';

/** Domains whose rows are written at once. */
const width = 16;

/** What a provider takes: by default 80 % of Route 53's quotas. */
export interface Pace {
  /** Changes of records in a second. */
  readonly changes: number;
  /** Requests in a second. Each unit makes two: its CREATEs, and whether they are everywhere. */
  readonly requests: number;
}

const route53Pace: Pace = { changes: 80, requests: 8 };

/** When the work on each domain begins: a cohort at a time, no sooner than the provider takes them. */
export const startsOf = (
  world: World,
  domains: Iterable<string>,
  from: Instant,
  pace: Pace = route53Pace,
): ReadonlyMap<string, Instant> => {
  const named = [...domains].flatMap((domain) => {
    const zone = world.fleet.domains.get(domain)?.zone;
    return zone === undefined ? [] : [{ domain, zone }];
  });
  const starts = new Map<string, Instant>();
  let at: number = from;
  for (const unit of zoneUnits(world.fleet, named)) {
    for (const domain of unit.domains) starts.set(domain, add(from, milliseconds(Math.floor(at - from))));
    at += 1_000 * Math.max(unit.domains.length / pace.changes, 2 / pace.requests);
  }
  return starts;
};

export interface OrderedMany {
  /** Domains that rotate, those included that did already. */
  readonly ordered: number;
  /** Why others do not. */
  readonly refused: ReadonlyMap<string, string>;
  /** When the work on the last one begins. */
  readonly until: Instant;
}

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
  const refused = new Map<string, string>();
  const all = [...new Set(domains)];
  const from = session.now();
  const starts = startsOf(world, all, from, pace);
  for (const domain of all) if (!starts.has(domain)) refused.set(domain, `${domain} is not in fleet.yaml`);
  // The sweep wakes each in its turn.
  const silent: World = { ...world, queue: { send: async () => {} } };
  await inParallel(width, [...starts], async ([domain, start]) => {
    try {
      const { joined } = await requestRotation(silent, session, domain, order);
      if (joined) return;
      await (await openDomain(silent, session, domain)).rest(start);
    } catch (error) {
      if (!(error instanceof SelkieError)) throw error;
      // Another worker has it in hand already: it does what was ordered.
      if (error.code === 'conflict' && (await isOrdered(silent, session, domain, order))) return;
      if (error.retry === 'later' && error.code !== 'conflict') throw error;
      refused.set(domain, error.message);
    }
  });
  return {
    ordered: all.length - refused.size,
    refused,
    until: [...starts.values()].at(-1) ?? from,
  };
};

const isOrdered = async (
  world: World,
  session: Session,
  domain: string,
  { kind = 'requested' }: RotationOrder,
): Promise<boolean> => {
  const { row } = await openDomain(world, session, domain);
  return row.rotations.at(-1)?.kind === kind && (row.rotations.at(-1)?.at ?? 0) >= session.head.at;
};
