// The sweep: finds who is due and puts them on the queue, by cohorts. Installs a fleet that is newer than the ledger's.

import { SelkieError } from '../core/errors.ts';
import { effectOf, hostedZone, refusalText } from '../core/fleet-change.ts';
import { adoptionIgnored } from '../core/key/adoption.ts';
import type { DomainRow } from '../core/key/evidence.ts';
import { emptyRow } from '../core/key/row.ts';
import type { FleetDomain } from '../core/policy.ts';
import { minutes, seconds } from '../core/time.ts';
import { auditedDomain, forcedBy } from './audit.ts';
import { isAuditUnit, workOnAudit } from './drift.ts';
import { examineFleet } from './fleet-guard.ts';
import { countFleet } from './health.ts';
import { carryOut } from './order-many.ts';
import { inParallel } from './parallel.ts';
import type { Commit, Unit } from './ports.ts';
import { reconcileCohort } from './reconcile-cohort.ts';
import { reconcileHost } from './reconcile-host.ts';
import { cohortUnits } from './units.ts';
import { isInstalled, openSession, report, type Session, type World } from './world.ts';

/** Due domains that one sweep takes, at most: an account may publish 4,800 in a minute, and each is looked at some four times. */
const sweepSize = 20_000;
/** Units of one sweep, at most. What is left, the next takes. */
const sweepUnits = 3_000;
const width = 8;
const pageSize = 500;
/** Minutes between two counts of what is silent or forgotten: a read for each host. */
const countEvery = 5;

/** @throws stale-fleet, unavailable, throttled */
export const tick = async (world: World): Promise<void> => {
  const session = await openSession(world);
  if (!isInstalled(world, session)) await world.queue.send([{ kind: 'fleet' }]);
  const due = await world.ledger.due(session.now(), sweepSize);
  const units: Unit[] = cohortUnits(world.fleet, due).slice(0, sweepUnits);
  // Once an hour every host is looked after, whether anything changed or not: a wake-up may have been lost, a disk restored.
  const minute = Math.floor(session.now() / minutes(1));
  if (minute % 60 === 0) units.push(...hostUnits(world));
  if (units.length > 0) await world.queue.send(units);
  if (minute % countEvery === 0) await countFleet(world, session);
};

const hostUnits = (world: World): Unit[] =>
  [...world.fleet.hosts.keys()].map((host): Unit => ({ kind: 'host', host }));

const placeOf = ({ zone, pool, cname }: FleetDomain): Pick<DomainRow, 'zone' | 'pool' | 'cname'> => ({
  zone,
  pool,
  ...(cname === undefined ? {} : { cname }),
});

/** Between the fleet file and the ledger: each domain has a row, and one that vanished from the file is wound up. */
const installed = (world: World, session: Session, row: DomainRow): DomainRow | undefined => {
  const now = session.now();
  const wanted = world.fleet.domains.get(row.domain);
  const gone = row.keys.every((key) => key.evidence.destroyed !== undefined);
  const bare = gone && row.records === undefined;
  if (wanted === undefined) {
    if (row.vanished !== undefined || bare) return undefined;
    report(
      world,
      session,
      'alarm',
      `${row.domain} vanished from fleet.yaml: its keys drain and are removed`,
      {
        domain: row.domain,
      },
    );
    return { ...row, vanished: { at: now }, wakeAt: now };
  }
  const { vanished: _back, ...rest } = row;
  const ignored = adoptionIgnored(row, wanted.adopted);
  if (ignored !== undefined) report(world, session, 'trouble', ignored, { domain: row.domain });
  // A domain moves to another zone or pool only with nothing in its hands.
  const { cname: _moves, ...stays } = rest;
  const place = gone ? placeOf(wanted) : {};
  const zone = world.fleet.zones.get(gone ? wanted.zone : row.zone);
  const lies = zone === undefined ? {} : { hostedZone: hostedZone(zone) };
  if (!gone && (wanted.zone !== row.zone || wanted.pool !== row.pool || wanted.cname !== row.cname))
    report(
      world,
      session,
      'alarm',
      `fleet.yaml moves ${row.domain} to zone ${wanted.zone}, pool ${wanted.pool}${wanted.cname === undefined ? '' : `, cname ${wanted.cname}`}: set it to state: leaving first, and move it when its keys are gone`,
      { domain: row.domain },
    );
  return { ...(gone ? stays : rest), ...place, ...lies, wakeAt: now };
};

/** What a forced fleet takes from a domain is an event of its audit trail. */
const written = (world: World, session: Session, before: DomainRow, next: DomainRow): Commit => {
  const { fleet } = world;
  const { dropped, stops, lockedOut } = effectOf(before, fleet);
  if (fleet.force === undefined || !(stops || dropped.length > 0 || lockedOut !== undefined))
    return { domains: [next] };
  const { row, audit } = auditedDomain(session, forcedBy(fleet.force.reason), before, next, {
    fleet: fleet.version,
    ...(lockedOut === undefined ? {} : { zone: `${lockedOut.zone} ${lockedOut.why}` }),
  });
  return { domains: [row], audit };
};

/** A refused fleet is compared with the ledger again after so long: each time reads every row. */
const refusalStands = minutes(10);

/** Whether the fleet would lose keys or records, and nobody forces it: then it is not installed, and an alarm says why. */
const isRefused = async (world: World, session: Session): Promise<boolean> => {
  const { fleet, ledger } = world;
  const [lease, holder] = [`refused/${fleet.version}`, world.randomness.id()];
  const forced = fleet.force;
  // Had by whoever found it refused lately; or, for a moment, by one who looks just now: the next tick asks again.
  if (forced === undefined && !(await ledger.lease(lease, holder, session.now(), seconds(1)))) return true;
  const reasons = await examineFleet(ledger, fleet);
  if (reasons.length === 0) return false;
  if (forced !== undefined) {
    report(world, session, 'alarm', `forced (${forced.reason}): ${refusalText(reasons)}`);
    return false;
  }
  await ledger.lease(lease, holder, session.now(), refusalStands);
  report(
    world,
    session,
    'alarm',
    `${refusalText(reasons)} Until a fleet is installed, hosts sign with the keys that they have and nothing rotates.`,
  );
  return true;
};

/** @throws stale-fleet, unavailable, throttled, conflict: the unit is to be tried again */
const installFleet = async (world: World): Promise<void> => {
  const session = await openSession(world);
  if (isInstalled(world, session) || (await isRefused(world, session))) return;
  const known = new Set<string>();
  let after: string | undefined;
  do {
    const page = await world.ledger.domains({ limit: pageSize, ...(after === undefined ? {} : { after }) });
    await inParallel(width, page.rows, async (row) => {
      known.add(row.domain);
      const next = installed(world, session, row);
      if (next !== undefined) await world.ledger.commit(written(world, session, row, next));
    });
    after = page.next;
  } while (after !== undefined);

  const fresh = [...world.fleet.domains.values()].filter(({ domain }) => !known.has(domain));
  await inParallel(width, fresh, (entry) => {
    const { domain, zone, pool } = entry;
    const lies = world.fleet.zones.get(zone);
    const row = { ...emptyRow(domain, zone, pool), ...placeOf(entry), wakeAt: session.now() };
    return world.ledger.commit({
      domains: [lies === undefined ? row : { ...row, hostedZone: hostedZone(lies) }],
    });
  });
  await world.ledger.installFleet(world.fleet.version);
  const hosts = hostUnits(world);
  if (hosts.length > 0) await world.queue.send(hosts);
  report(
    world,
    session,
    'step',
    `fleet of ${world.fleet.domains.size} domains installed (version ${world.fleet.version})`,
  );
  await tick(world);
};

/** Does one unit of work. @throws what says that it is to be tried again */
export const workOn = async (world: World, unit: Unit): Promise<void> => {
  if (isAuditUnit(unit)) return workOnAudit(world, unit);
  switch (unit.kind) {
    case 'fleet':
      return installFleet(world);
    case 'cohort':
      return reconcileCohort(world, unit);
    case 'host':
      return reconcileHost(world, unit);
    case 'order':
      return carryOut(world, unit);
    default:
      throw new SelkieError('invalid', `no such unit of work: ${JSON.stringify(unit)}`);
  }
};
