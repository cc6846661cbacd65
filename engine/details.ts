// One thing at a time, for whoever asks closer than status.ts shows: keys, rotations, the plan, the audit trail. Reads, never
// writes.

import { type AuditEvent, type AuditTail, fleetSubject, hostSubject } from '../core/audit.ts';
import { SelkieError } from '../core/errors.ts';
import { stepOf } from '../core/key/actions.ts';
import type { DomainRow, Key } from '../core/key/evidence.ts';
import { plan } from '../core/key/plan.ts';
import { keysOf, turnOf } from '../core/key/state.ts';
import { policyStep } from '../core/policy-records/plan.ts';
import { earliest, formatInstant } from '../core/time.ts';
import { openDomain } from './commands.ts';
import { fleetHost, hostRow } from './hosts.ts';
import { policyPlan } from './policies/work.ts';
import type { Disclosure } from './ports.ts';
import { blockedStatus, keyStatus, rotationStatus } from './status.ts';
import type { Session, World } from './world.ts';

/** When each thing that is known of a key was so, by the names of its evidence; of its turns of duty, the present one. */
const timesOf = (key: Key): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...Object.entries(key.evidence), ...Object.entries(turnOf(key))].map(([fact, { at }]) => [
      fact,
      formatInstant(at),
    ]),
  );

const keyDetail = (row: DomainRow, key: Key) => {
  const { stored, adopted, disclosed, destroyed } = key.evidence;
  const publicKey = stored?.publicKey ?? adopted?.publicKey;
  const nameServers = turnOf(key).proved?.servers;
  return {
    ...keyStatus(row, key),
    rotation: key.rotation,
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(nameServers === undefined ? {} : { nameServers }),
    ...(disclosed === undefined ? {} : { disclosed: formatInstant(disclosed.at) }),
    ...(destroyed === undefined ? {} : { destroyed: formatInstant(destroyed.at) }),
    times: timesOf(key),
  };
};

/** Every key that the domain's row remembers, those that are gone too. @throws not-found */
export const keysStatus = async (world: World, session: Session, domain: string) => {
  const { row } = await openDomain(world, session, domain);
  return { domain, keys: row.keys.map((key) => keyDetail(row, key)) };
};

/** @throws not-found */
export const keyStatusOf = async (world: World, session: Session, domain: string, selector: string) => {
  const { row } = await openDomain(world, session, domain);
  const key = row.keys.find((each) => each.selector === selector);
  if (key === undefined)
    throw new SelkieError(
      'not-found',
      `${selector} is not a key of ${domain}, or is gone and forgotten: see selkie status ${domain}`,
      { field: 'selector' },
    );
  return { domain, ...keyDetail(row, key) };
};

/** Every rotation that the domain's row remembers, oldest first. @throws not-found */
export const rotationsStatus = async (world: World, session: Session, domain: string) => {
  const { row } = await openDomain(world, session, domain);
  return { domain, rotations: row.rotations.map((rotation) => rotationStatus(row, rotation)) };
};

/** One rotation, its keys and what it waits for. @throws not-found */
export const rotationStatusOf = async (world: World, session: Session, domain: string, id: string) => {
  const work = await openDomain(world, session, domain);
  const { row } = work;
  const rotation = row.rotations.find((each) => each.id === id);
  if (rotation === undefined)
    throw new SelkieError('not-found', `${id} is no rotation of ${domain}, or is over and forgotten`, {
      field: 'rotation',
    });
  const status = rotationStatus(row, rotation);
  const keys = keysOf(row, rotation).map((key) => keyStatus(row, key));
  const isOver = status.state === 'done' || status.state === 'aborted';
  if (isOver) return { domain, ...status, keys, blockedBy: [] };
  const { blockedBy, wakeAt } = plan(work.situation());
  return {
    domain,
    ...status,
    keys,
    blockedBy: blockedBy
      .filter(({ selector }) => selector === undefined || rotation.selectors.includes(selector))
      .map(blockedStatus),
    ...(wakeAt === undefined ? {} : { wakeAt: formatInstant(wakeAt) }),
  };
};

/** What would be done for a domain at this moment, and what it waits for. @throws not-found */
export const planOf = async (world: World, session: Session, domain: string) => {
  const work = await openDomain(world, session, domain);
  const [keys, policies] = [plan(work.situation()), policyPlan(work)];
  const wakeAt = earliest(keys.wakeAt, policies.wakeAt);
  return {
    domain,
    actions: [
      ...keys.actions.map((action) => ({
        do: action.do,
        step: stepOf(action),
        ...('selector' in action ? { selector: action.selector } : {}),
      })),
      ...policies.actions.map((action) => ({
        do: action.do,
        step: policyStep(action),
        record: action.record.name,
      })),
    ],
    blockedBy: [...keys.blockedBy, ...policies.blockedBy].map(blockedStatus),
    ...(wakeAt === undefined ? {} : { wakeAt: formatInstant(wakeAt) }),
  };
};

/** A page of what was published of a domain's keys. @throws not-found */
export const disclosedOf = async (
  world: World,
  session: Session,
  domain: string,
  options: { readonly after?: string; readonly limit: number },
): ReturnType<Disclosure['list']> => {
  await openDomain(world, session, domain);
  return world.disclosure.list(domain, options);
};

export interface TrailPage {
  readonly events: readonly AuditEvent[];
  /** The last event of the trail, as the subject's row names it: so that one missing at the end is seen. */
  readonly last?: AuditTail;
  /** The number behind which the next page begins. */
  readonly next?: number;
}

interface TrailOptions {
  readonly after?: number;
  readonly limit: number;
}

const trailOf = async (
  world: World,
  subject: string,
  last: AuditTail | undefined,
  { after, limit }: TrailOptions,
): Promise<TrailPage> => {
  const events = await world.ledger.audit(subject, { limit, ...(after === undefined ? {} : { after }) });
  const end = events.at(-1)?.n;
  return {
    events,
    ...(last === undefined ? {} : { last }),
    ...(end !== undefined && last !== undefined && end < last.n ? { next: end } : {}),
  };
};

/** A page of a domain's audit trail, from its beginning on. @throws not-found */
export const domainTrail = async (
  world: World,
  session: Session,
  domain: string,
  options: TrailOptions,
): Promise<TrailPage> =>
  trailOf(world, domain, (await openDomain(world, session, domain)).row.audit, options);

/** As `domainTrail`, of a mail host. @throws not-found */
export const hostTrail = async (world: World, name: string, options: TrailOptions): Promise<TrailPage> =>
  trailOf(world, hostSubject(name), (await hostRow(world, fleetHost(world, name))).audit, options);

/** As `domainTrail`, of what was ordered of the fleet, a zone or a pool. */
export const fleetTrail = async (world: World, options: TrailOptions): Promise<TrailPage> =>
  trailOf(world, fleetSubject, (await world.ledger.trail(fleetSubject))?.audit, options);
