// What a unit of work is given: the ports, the fleet, and a session in which time is the ledger's.

import type { Seals } from '../contract/seals.ts';
import { SelkieError } from '../core/errors.ts';
import type { Situation } from '../core/key/actions.ts';
import type { DomainRow, HostView } from '../core/key/evidence.ts';
import { defaultPolicy, type Fleet, type FleetZone, hostsOf, type Policy } from '../core/policy.ts';
import { add, between, type Duration, formatDuration, type Instant, minutes } from '../core/time.ts';
import type {
  Clock,
  Disclosure,
  DnsObserver,
  DnsWriter,
  Happening,
  HostRow,
  HostTransport,
  Keys,
  Ledger,
  LedgerHead,
  Queue,
  Randomness,
  Reporter,
  Resolver,
  Unit,
  Vault,
} from './ports.ts';
import { fellowsOf, type Lying } from './units.ts';

export interface World {
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly keys: Keys;
  readonly vault: Vault;
  readonly disclosure: Disclosure;
  readonly writer: DnsWriter;
  readonly observer: DnsObserver;
  /** Absent: no domain of the fleet has SPF or DMARC records that need it. */
  readonly resolver?: Resolver;
  readonly seals: Seals;
  readonly transport: HostTransport;
  readonly queue: Queue;
  readonly ledger: Ledger;
  readonly reporter: Reporter;
  readonly fleet: Fleet;
  /** Who holds leases: one name for as long as one piece of work is done at a time, over restarts where there is but one worker. */
  readonly worker: string;
}

export interface Session {
  readonly head: LedgerHead;
  /** Ledger-side time: the ledger's at the start of the session, carried on by the worker's clock. */
  now(): Instant;
}

/** Beyond this difference between the worker's clock and the ledger's nothing is done: invariant 10. */
const tolerableSkew = minutes(5);

/**
 * For what works on a ledger that is not in use: engine/restore.ts.
 * @throws unavailable: the clocks differ too much; stale-fleet: another deployment installed a newer fleet
 */
export const openSessionOnAny = async (world: World): Promise<Session> => {
  const head = await world.ledger.head();
  const started = world.clock.now();
  const skew = Math.max(between(head.at, started), between(started, head.at));
  if (skew > tolerableSkew)
    throw new SelkieError(
      'unavailable',
      `this machine's clock and the ledger's differ by ${formatDuration(minutes(Math.round(skew / minutes(1))))}: set the clock (waits of a key's life must not be cut short)`,
    );
  if (world.fleet.version < head.fleetVersion)
    throw new SelkieError(
      'stale-fleet',
      `this process carries fleet version ${world.fleet.version}, the ledger has ${head.fleetVersion}: a newer deployment does the work`,
    );
  return { head, now: () => add(head.at, between(started, world.clock.now())) };
};

/**
 * @throws unavailable: the clocks differ too much, or the ledger is not in use; stale-fleet: another deployment installed a
 *   newer fleet
 */
export const openSession = async (world: World): Promise<Session> => {
  const session = await openSessionOnAny(world);
  const { restored, replacedBy } = session.head;
  if (restored !== undefined)
    throw new SelkieError(
      'unavailable',
      `${restored.says}: nothing works on it until it is brought up (selkie restore; docs/operations.md, Recovery drills). Hosts sign with the keys that they have`,
    );
  if (replacedBy !== undefined)
    throw new SelkieError(
      'unavailable',
      `this ledger was replaced by ${replacedBy}, which knows more: deploy with "ledgerTable": "${replacedBy}" in cdk.json`,
    );
  return session;
};

/**
 * Whether this process carries the fleet that is installed. Until a newer one is, others go by the one before: two plans for
 * one domain would undo each other's work. Nothing is lost by waiting: what installs it, and each tick, wakes what is due.
 * Hosts go on being told what the log says meanwhile; one that only the newer fleet knows counts from its installation on.
 */
export const isInstalled = ({ fleet }: World, { head }: Session): boolean =>
  fleet.version <= head.fleetVersion;

/**
 * Whoever finds a lease taken comes back later; the others that find it taken meanwhile need not, since one does: else
 * units that come faster than they are done would pile up, and all of them ask again and again.
 */
export const comeBack = async (
  world: World,
  session: Session,
  lease: string,
  unit: Unit,
  delay: Duration,
): Promise<void> => {
  if (await world.ledger.lease(`${lease}/next`, world.randomness.id(), session.now(), delay))
    await world.queue.send([unit], delay);
};

export const report = (
  world: World,
  session: Session,
  level: Happening['level'],
  says: string,
  about: Pick<Happening, 'domain' | 'selector' | 'host'> = {},
): void => world.reporter.report({ at: session.now(), level, says, ...about });

const views = new WeakMap<HostRow, HostView>();

/** A host's row as the planner sees it. Rows are values that never change, so each is translated once. */
export const hostView = (row: HostRow): HostView => {
  const known = views.get(row) ?? viewOf(row);
  views.set(row, known);
  return known;
};

const viewOf = (row: HostRow): HostView => {
  const counts = row.excluded === undefined && row.fenced === undefined;
  return {
    name: row.name,
    ready: counts && row.complete,
    excluded: row.excluded !== undefined,
    epoch: row.cursor?.epoch ?? 0,
    cursor: row.cursor?.n ?? 0,
    failed: new Map(Object.entries(row.failed)),
    lastUse: new Map(Object.entries(row.lastUse)),
    ...(counts && !row.complete && row.manifest !== undefined ? { unheard: true } : {}),
    ...(row.queueLifetime === undefined ? {} : { queueLifetime: row.queueLifetime }),
    ...(row.lastSeen === undefined ? {} : { lastSeen: row.lastSeen }),
  };
};

export const newHostRow = (name: string, pool: string): HostRow => ({
  name,
  pool,
  version: 0,
  complete: false,
  failed: {},
  lastUse: {},
});

/** The rows of a pool's hosts, in the fleet's order; a host that nobody has heard of yet has an empty one. */
export const poolHosts = (world: World, pool: string): Promise<readonly HostRow[]> =>
  Promise.all(
    hostsOf(world.fleet, pool).map(
      async (host) => (await world.ledger.host(host.name)) ?? newHostRow(host.name, pool),
    ),
  );

/** A domain that vanished from the fleet file is wound up by the defaults. */
export const policyOf = (world: World, domain: string): Policy =>
  world.fleet.domains.get(domain)?.policy ?? defaultPolicy;

/** What the fleet does not name gets no keys, whether its row says yet that it vanished or had nothing to lose. */
const isLeaving = (world: World, row: DomainRow): boolean =>
  row.vanished !== undefined || (world.fleet.domains.get(row.domain)?.leaving ?? true);

/** Whether people change the zone that the domain's key records lie in. */
const isByHand = (world: World, row: DomainRow): boolean =>
  world.fleet.zones.get(row.zone)?.provider === 'manual';

export const situation = (
  world: World,
  session: Session,
  row: DomainRow,
  hosts: readonly HostRow[],
): Situation => ({
  row,
  policy: policyOf(world, row.domain),
  leaving: isLeaving(world, row),
  adopted: world.fleet.domains.get(row.domain)?.adopted ?? [],
  hosts: hosts.map(hostView),
  epoch: session.head.epoch,
  fellows: fellowsOf(world.fleet, row.domain),
  // People have no quota.
  sparing: !isByHand(world, row) && (world.writer.isShort?.() ?? false),
  ...(isByHand(world, row) ? { byHand: true } : {}),
  now: session.now(),
});

/** In which zone a domain's keys lie; undefined where neither the fleet nor the ledger knows it. */
export const lyingOf = async (world: World, domain: string): Promise<Lying | undefined> => {
  const zone = world.fleet.domains.get(domain)?.zone ?? (await world.ledger.domain(domain))?.zone;
  return zone === undefined ? undefined : { domain, zone };
};

/** @throws not-found: the zone is no longer in the fleet */
export const zoneOf = (world: World, row: DomainRow): FleetZone => {
  const zone = world.fleet.zones.get(row.zone);
  if (zone === undefined)
    throw new SelkieError(
      'not-found',
      `zone ${row.zone} of ${row.domain} is not in fleet.yaml: put it back until the domain's keys are removed`,
    );
  return zone;
};
