// Drift: what is not as the ledger says. An audit compares every record, secret, row and host, each day and when somebody asks;
// it puts back what is ours, and says what to do about the rest. docs/operations.md has the runbook.

import { SelkieError } from '../core/errors.ts';
import { lowerName } from '../core/names.ts';
import { formatInstant, type Instant } from '../core/time.ts';
import { takeInventory } from './drift/inventory.ts';
import { watchMended } from './drift/mended.ts';
import { zoneSubject } from './drift/report.ts';
import { auditZone } from './drift/zone.ts';
import type { DriftReport, Finding, Inventory, Unit } from './ports.ts';
import { remember } from './remember.ts';
import { openSession, report, type Session, type World } from './world.ts';

type AuditUnit = Extract<Unit, { kind: 'audit' | 'inventory' | 'mended' }>;

export const isAuditUnit = (unit: Unit): unit is AuditUnit =>
  unit.kind === 'audit' || unit.kind === 'inventory' || unit.kind === 'mended';

/** Does one unit of an audit. @throws what says that it is to be tried again */
export const workOnAudit = async (world: World, unit: AuditUnit): Promise<void> => {
  switch (unit.kind) {
    case 'audit':
      return auditZone(world, unit);
    case 'inventory':
      return takeInventory(world, unit);
    case 'mended':
      return watchMended(world, unit);
  }
};

const everything: readonly Inventory[] = ['zones', 'domains', 'secrets', 'hosts'];

export interface AuditOrder {
  /** A record zone of the fleet; absent: everything. */
  readonly zone?: string;
  /** Who asks; absent: the schedule, whose audits are in no trail. */
  readonly by?: string;
  readonly reason?: string;
  readonly idempotencyKey?: string;
}

/** Under which requests of audits are remembered, where those of a domain are under its name. */
const requestSubject = 'drift';

/**
 * Writes down who asks for it and why, in the fleet's audit trail.
 * @returns whether this very request was made before, and an audit has told of it since. Without one it is sent again: where
 *   the queue took nothing the first time, nobody else would
 * @throws conflict: the Idempotency-Key was used for another zone
 */
const isDone = async (
  world: World,
  session: Session,
  { zone, by, reason, idempotencyKey = world.randomness.id() }: AuditOrder,
): Promise<boolean> => {
  if (by === undefined) return false;
  const [subject, last] =
    zone === undefined
      ? (['everything', await world.ledger.driftOf('domains')] as const)
      : ([zoneSubject(zone), await world.ledger.driftOf(zoneSubject(zone))] as const);
  const fingerprint = JSON.stringify(['audit', zone ?? '']);
  const { joined, at } = await remember(world, session, requestSubject, idempotencyKey, fingerprint, {
    what: 'audit',
    by,
    ...(reason === undefined ? {} : { why: reason }),
    before: { [subject]: last === undefined ? 'never audited' : `audited ${formatInstant(last.at)}` },
    after: { [subject]: 'audit asked for' },
  });
  return joined && last !== undefined && last.at >= at;
};

/**
 * Has one zone audited, or everything. Returns the subjects whose reports will tell.
 * @throws not-found: the fleet has no such zone; conflict; stale-fleet
 */
export const orderAudit = async (world: World, order: AuditOrder = {}): Promise<readonly string[]> => {
  const session = await openSession(world);
  const { zone, by } = order;
  if (by !== undefined) report(world, session, 'step', `${by} asks for an audit of ${zone ?? 'everything'}`);
  if (zone !== undefined) {
    const name = lowerName(zone);
    if (!world.fleet.zones.has(name))
      throw new SelkieError('not-found', `zone ${name} is not in fleet.yaml: name one of its record zones`, {
        field: 'zone',
      });
    if (!(await isDone(world, session, { ...order, zone: name })))
      await world.queue.send([{ kind: 'audit', zone: name }]);
    return [zoneSubject(name)];
  }
  if (!(await isDone(world, session, order)))
    await world.queue.send(everything.map((of): Unit => ({ kind: 'inventory', of })));
  return [...everything.filter((of) => of !== 'zones'), ...[...world.fleet.zones.keys()].map(zoneSubject)];
};

const time = <K extends string>(name: K, at: Instant | undefined): { readonly [name in K]?: string } =>
  at === undefined ? {} : ({ [name]: formatInstant(at) } as { readonly [name in K]: string });

const findingStatus = ({ since, mended, ...finding }: Finding) => ({
  ...finding,
  since: formatInstant(since),
  ...(mended === undefined
    ? {}
    : { mended: { change: mended.changeId, ...time('at', mended.at), ...time('shown', mended.shown) } }),
});

const reportStatus = (report: DriftReport) => ({
  subject: report.subject,
  begun: formatInstant(report.begun),
  at: formatInstant(report.at),
  complete: report.complete,
  compared: report.compared,
  found: report.found,
  alarms: report.alarms,
  findings: report.findings.map(findingStatus),
});

/** The last audit of each subject, as people and programs are shown it; of zones, those that the fleet names. */
export const driftStatus = async (
  world: World,
  options: { readonly after?: string; readonly limit: number },
) => {
  const { reports, next } = await world.ledger.drift(options);
  const subjects = new Set<string>([...everything, ...[...world.fleet.zones.keys()].map(zoneSubject)]);
  return {
    audits: reports.filter(({ subject }) => subjects.has(subject)).map(reportStatus),
    ...(next === undefined ? {} : { next }),
  };
};
