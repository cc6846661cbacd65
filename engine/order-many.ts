// An order for many domains, as an operator gives it: of the whole fleet, of a record zone, or of a pool whose hosts were broken
// into. It is written once, with an event in the fleet's audit trail, and units of the queue carry it out, some thousand domains
// each, with an event in the trail of each domain: nobody waits for a hundred thousand rows. What broke off is gone on with, since each domain's own order is answered but once.

import { SelkieError } from '../core/errors.ts';
import type { FleetDomain } from '../core/policy.ts';
import { type Instant, minutes } from '../core/time.ts';
import type { Unit } from './ports.ts';
import { remember } from './remember.ts';
import { giveTurns, turnsFor } from './rotate-all.ts';
import { openSession, report, type Session, type World } from './world.ts';

/** Which domains: one of the three. */
export interface Which {
  readonly all?: true;
  readonly zone?: string;
  readonly pool?: string;
}

export interface ManyOrder extends Which {
  readonly kind?: 'requested' | 'emergency';
  readonly reason: string;
  readonly by?: string;
  /** With `emergency`: as of a RotationOrder. */
  readonly unsigned?: boolean;
}

export interface Begun {
  readonly domains: number;
  /** When the work on the last one begins, as fast as the provider takes them. */
  readonly until: Instant;
  /** This very request was answered before. */
  readonly joined: boolean;
}

/** Under which orders for many are remembered, where one of a domain is under its name. */
const subject = 'rotations';

/** Domains of one unit: some seconds of writes. */
const domainsOfUnit = 2_000;

const isWanted =
  ({ all, zone, pool }: Which) =>
  (entry: FleetDomain): boolean =>
    !entry.leaving && (all === true || entry.zone === zone || entry.pool === pool);

const named = ({ all, zone, pool }: Which): string =>
  all === true ? 'the fleet' : zone === undefined ? `pool ${pool}` : `zone ${zone}`;

/** @throws not-found: no domain is meant */
const domainsFor = (world: World, which: Which): readonly string[] => {
  const found = [...world.fleet.domains.values()].filter(isWanted(which)).map(({ domain }) => domain);
  if (found.length === 0)
    throw new SelkieError('not-found', `${named(which)} has no domain in fleet.yaml that stays`, {
      field: which.zone === undefined ? 'pool' : 'zone',
    });
  return found;
};

/**
 * What an order given now would come to; nothing is ordered by asking.
 * @throws not-found: it would mean no domain
 */
export const weighMany = (world: World, session: Session, which: Which): Omit<Begun, 'joined'> => {
  const domains = domainsFor(world, which);
  const at = session.now();
  return { domains: domains.length, until: turnsFor(world, domains, at).at(-1)?.start ?? at };
};

/** In one order, so that the same order has the same text. */
const textOf = ({ all, zone, pool, kind, reason, by, unsigned }: ManyOrder): string =>
  JSON.stringify({ all, zone, pool, kind, reason, by, unsigned });

/**
 * Writes the order and has it carried out.
 * @throws not-found: it means no domain; conflict: the Idempotency-Key was used for another order; stale-fleet
 */
export const orderMany = async (
  world: World,
  session: Session,
  order: ManyOrder,
  idempotencyKey: string = world.randomness.id(),
): Promise<Begun> => {
  const domains = domainsFor(world, order);
  const { kind, reason, by, unsigned } = order;
  const { at, joined } = await remember(world, session, subject, idempotencyKey, textOf(order), {
    what: kind === 'emergency' ? 'emergency' : 'rotate',
    ...(by === undefined ? {} : { by }),
    why: reason,
    // What becomes of each domain, its own trail says.
    before: null,
    after: {
      of: named(order),
      domains: domains.length,
      ...(unsigned === true ? { unsigned } : {}),
    },
  });
  // Sent again where it was written before: who wrote it may have died before it sent it.
  await world.queue.send([{ kind: 'order', id: idempotencyKey }]);
  if (!joined) report(world, session, 'step', `${domains.length} domains of ${named(order)} are to rotate`);
  const until = turnsFor(world, domains, at).at(-1)?.start ?? at;
  return { domains: domains.length, until, joined };
};

/**
 * Orders the domains of some turns, and hands the rest to the unit that follows.
 * @throws stale-fleet, unavailable, throttled: the unit is to be tried again
 */
export const carryOut = async (
  world: World,
  { id, turn = 0 }: Extract<Unit, { kind: 'order' }>,
): Promise<void> => {
  const session = await openSession(world);
  const saved = await world.ledger.request(subject, id);
  if (saved === undefined) return;
  const order = JSON.parse(saved.fingerprint) as ManyOrder;
  const turns = turnsFor(world, domainsFor(world, order), saved.at);
  let next = turn;
  for (let domains = 0; next < turns.length && domains < domainsOfUnit; next += 1)
    domains += turns[next]?.unit.domains.length ?? 0;
  const refused = await giveTurns(world, session, turns.slice(turn, next), {
    ...order,
    idempotencyKey: `rotations/${id}`,
  });
  for (const [domain, why] of refused)
    report(world, session, 'trouble', `${domain} does not rotate with ${named(order)}: ${why}`, { domain });
  // Once, however often this unit was delivered; where whoever sends it dies before that, the unit is delivered again, later.
  const follows = `order/${id}/${next}`;
  if (next < turns.length && (await world.ledger.lease(follows, id, session.now(), minutes(1))))
    await world.queue.send([{ kind: 'order', id, turn: next }]);
};
