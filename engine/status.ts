// What people and programs are shown: rows in words, with what stands in the way. Reads, never writes.

import { type Blocked, stepOf } from '../core/key/actions.ts';
import { adoptionIgnored } from '../core/key/adoption.ts';
import type { DomainRow, Key, Rotation } from '../core/key/evidence.ts';
import { nextRotation, plan } from '../core/key/plan.ts';
import { recordName } from '../core/key/row.ts';
import { dutyTurn, rotationState, stateOf, turnOf } from '../core/key/state.ts';
import { keyRecordName } from '../core/names.ts';
import { policyStep } from '../core/policy-records/plan.ts';
import { earliest, formatInstant, type Instant } from '../core/time.ts';
import { openDomain } from './commands.ts';
import { lateWork } from './health.ts';
import { fleetHost, hostRow } from './hosts.ts';
import { policyNotes, policyStatus } from './policies/status.ts';
import { policyPlan } from './policies/work.ts';
import type { HostRow } from './ports.ts';
import { hostCache, openWork, type Work } from './work.ts';
import { hostView, type Session, type World } from './world.ts';

const time = (at: Instant | undefined): { readonly at?: string } =>
  at === undefined ? {} : { at: formatInstant(at) };

/** Where a receiver still meets mail of a key that stopped signing. */
const seenStatus = (key: Key) => {
  const { reported } = dutyTurn(key);
  if (reported === undefined) return {};
  const { by, messages, until } = reported;
  return { stillSeen: { by, messages, until: formatInstant(until) } };
};

export const keyStatus = (row: DomainRow, key: Key) => ({
  selector: key.selector,
  algorithm: key.algorithm,
  state: stateOf(key),
  record: keyRecordName(key.selector, row.domain),
  // Where its record lies in another zone, by a CNAME.
  ...(recordName(row, key.selector) === keyRecordName(key.selector, row.domain)
    ? {}
    : { target: recordName(row, key.selector) }),
  reserved: formatInstant(key.evidence.reserved.at),
  ...(key.evidence.adopted === undefined ? {} : { adopted: formatInstant(key.evidence.adopted.at) }),
  ...(key.evidence.compromised === undefined ? {} : { compromised: key.evidence.compromised.reason }),
  ...(key.evidence.abandoned === undefined ? {} : { abandoned: key.evidence.abandoned.reason }),
  ...(turnOf(key).active === undefined
    ? {}
    : { active: formatInstant(turnOf(key).active?.at ?? key.evidence.reserved.at) }),
  ...seenStatus(key),
});

export const blockedStatus = ({ by, says, selector, until }: Blocked) => ({
  by,
  says,
  ...(selector === undefined ? {} : { selector }),
  ...(until === undefined ? {} : { until: formatInstant(until) }),
});

/** One rotation, as it stands in its row. */
export const rotationStatus = (row: DomainRow, rotation: Rotation) => ({
  id: rotation.id,
  kind: rotation.kind,
  state: rotationState(row, rotation),
  requested: formatInstant(rotation.at),
  algorithms: rotation.algorithms,
  selectors: rotation.selectors,
  ...(rotation.by === undefined ? {} : { by: rotation.by }),
  ...(rotation.reason === undefined ? {} : { reason: rotation.reason }),
  ...(rotation.unsigned === undefined ? {} : { unsigned: rotation.unsigned }),
  ...(rotation.aborted === undefined ? {} : { aborted: rotation.aborted.reason }),
});

const domainStatus = (work: Work) => {
  const { row } = work;
  const s = work.situation();
  const planned = plan(s);
  const ignored = adoptionIgnored(row, s.adopted);
  const policies = policyPlan(work);
  const wakeAt = earliest(planned.wakeAt, policies.wakeAt);
  const notes = [...(ignored === undefined ? [] : [ignored]), ...policyNotes(work)];
  const late = lateWork(work);
  return {
    domain: row.domain,
    zone: row.zone,
    pool: row.pool,
    leaving: s.leaving,
    ...(s.byHand === true ? { byHand: true as const } : {}),
    keys: row.keys.filter((key) => key.evidence.destroyed === undefined).map((key) => keyStatus(row, key)),
    rotations: row.rotations.map((rotation) => rotationStatus(row, rotation)),
    taken: row.taken.map(({ selector, reason }) => ({ selector, reason })),
    ...(notes.length === 0 ? {} : { notes }),
    ...policyStatus(work),
    next: [...planned.actions.map(stepOf), ...policies.actions.map(policyStep)],
    blockedBy: [...planned.blockedBy, ...policies.blockedBy].map(blockedStatus),
    ...(late.length === 0 ? {} : { late }),
    ...(nextRotation(s) === undefined ? {} : { nextRotation: time(nextRotation(s)).at }),
    ...(wakeAt === undefined ? {} : { wakeAt: time(wakeAt).at }),
  };
};

export type DomainStatus = ReturnType<typeof domainStatus>;

/** @throws not-found */
export const statusOf = async (world: World, session: Session, domain: string): Promise<DomainStatus> =>
  domainStatus(await openDomain(world, session, domain));

/** A page of all domains, in the order of their names. */
export const statusOfAll = async (
  world: World,
  session: Session,
  options: { readonly after?: string; readonly limit: number },
): Promise<{ readonly domains: readonly DomainStatus[]; readonly next?: string }> => {
  const page = await world.ledger.domains(options);
  const cache = hostCache(world);
  const works = await Promise.all(page.rows.map((row) => openWork(world, session, row.domain, cache)));
  return {
    domains: works.filter((work) => work !== undefined).map(domainStatus),
    ...(page.next === undefined ? {} : { next: page.next }),
  };
};

const hostStatus = (row: HostRow) => ({
  host: row.name,
  pool: row.pool,
  ready: hostView(row).ready,
  cursor: row.cursor ?? null,
  failed: row.failed,
  ...(row.excluded === undefined ? {} : { excluded: row.excluded.reason }),
  ...(row.fenced === undefined ? {} : { fenced: row.fenced.reason }),
  ...(row.lastSeen === undefined ? {} : { lastSeen: formatInstant(row.lastSeen) }),
  ...(row.trusts === undefined ? {} : { trusts: row.trusts }),
  ...(row.trouble === undefined ? {} : { trouble: row.trouble.message }),
});

/** A page of the fleet's hosts, in the order of their names. */
export const hostsStatus = async (
  world: World,
  { after, limit }: { readonly after?: string; readonly limit: number },
) => {
  const names = [...world.fleet.hosts.keys()]
    .toSorted()
    .filter((name) => after === undefined || name > after);
  const rows = await Promise.all(names.slice(0, limit).map((name) => hostRow(world, fleetHost(world, name))));
  const last = rows.at(-1);
  return {
    hosts: rows.map(hostStatus),
    ...(names.length > limit && last !== undefined ? { next: last.name } : {}),
  };
};

/** @throws not-found */
export const hostStatusOf = async (world: World, name: string) =>
  hostStatus(await hostRow(world, fleetHost(world, name)));
