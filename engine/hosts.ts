// A mail host's row: its standing with the pool (excluded, fenced) and what its acknowledgements say.

import type { Acknowledgement } from '../contract/acknowledgement.ts';
import { hostSubject, selkieItself } from '../core/audit.ts';
import { describe, hasCode, SelkieError } from '../core/errors.ts';
import { samePlace } from '../core/key/evidence.ts';
import { type FleetHost, hostsOf } from '../core/policy.ts';
import { add, days, type Instant, minutes } from '../core/time.ts';
import { auditedHost, type Order } from './audit.ts';
import { heardUses, usesThatCount } from './last-use.ts';
import type { Commit, HostRow, Unit } from './ports.ts';
import { usedForAnother } from './remember.ts';
import { cohortUnits, type Lying } from './units.ts';
import { smallPool } from './wake-hosts.ts';
import { lyingOf, newHostRow, report, type Session, type World } from './world.ts';

/** How far a host's clock may be off in what it signs. */
const hostClockSkew = minutes(5);

/** What a host's signed words must satisfy. */
export const proofBy = (host: FleetHost, session: Session) => ({
  host: host.name,
  signingKey: host.signingKey,
  now: session.now(),
  skew: hostClockSkew,
});

/** @throws not-found */
export const fleetHost = (world: World, name: string): FleetHost => {
  const host = world.fleet.hosts.get(name);
  if (host === undefined)
    throw new SelkieError(
      'not-found',
      `host ${name} is not one of the ${world.fleet.hosts.size} hosts in fleet.yaml`,
    );
  return host;
};

export const hostRow = async (world: World, host: FleetHost): Promise<HostRow> =>
  (await world.ledger.host(host.name)) ?? newHostRow(host.name, host.pool);

/** Tries of a conditional write of a host's row, from what it is at that moment. */
const tries = 5;

/** What is written together with a host's row. */
type Written = Pick<Commit, 'audit' | 'request'> & { readonly row: HostRow };

/**
 * Writes what `change` makes of the present row; undefined: leaves it. Returns the row as it then is.
 * @param written what else is written, made anew for each try
 */
export const changeHost = async (
  world: World,
  host: FleetHost,
  change: (row: HostRow) => HostRow | undefined,
  written: (before: HostRow, after: HostRow) => Written = (_, row) => ({ row }),
): Promise<HostRow> => {
  for (let n = 1; ; n += 1) {
    const before = await hostRow(world, host);
    const next = change(before);
    if (next === undefined) return before;
    const { row, ...rest } = written(before, next);
    try {
      await world.ledger.commit({ ...rest, hosts: [{ ...row, version: before.version }] });
      return { ...row, version: before.version + 1 };
    } catch (error) {
      if (!hasCode(error, 'conflict') || n >= tries) throw error;
    }
  }
};

/** Units of domains; one that the ledger does not know is passed over. */
const unitsOf = async (world: World, domains: readonly string[]): Promise<readonly Unit[]> => {
  const found: Lying[] = [];
  for (const domain of new Set(domains)) {
    const lying = await lyingOf(world, domain);
    if (lying !== undefined) found.push(lying);
  }
  return cohortUnits(world.fleet, found);
};

/** A host that is silent in an emergency no longer counts, until it acknowledges a full snapshot again. */
export const fenceHosts = async (
  world: World,
  session: Session,
  names: readonly string[],
  reason: string,
): Promise<void> => {
  for (const name of names) {
    const at = session.now();
    await changeHost(
      world,
      fleetHost(world, name),
      (row) => ({ ...row, complete: false, fenced: { at, reason } }),
      (before, after) =>
        auditedHost(session, { what: 'fence', by: selkieItself, why: reason }, before, after),
    );
    report(world, session, 'alarm', `host ${name} is fenced: ${reason}`, { host: name });
  }
};

/** Who orders it, and the key under which the order is answered but once. */
export interface HostOrder {
  readonly by?: string;
  readonly idempotencyKey?: string;
}

/**
 * Carries out an order once under its Idempotency-Key, with its event in the host's audit trail.
 * @throws not-found; conflict: the Idempotency-Key was used for another order
 */
const orderHost = async (
  world: World,
  session: Session,
  name: string,
  order: Order & HostOrder,
  change: (row: HostRow) => HostRow | undefined,
): Promise<HostRow> => {
  const host = fleetHost(world, name);
  const { idempotencyKey, what: fingerprint } = order;
  const subject = hostSubject(name);
  if (idempotencyKey === undefined)
    return changeHost(world, host, change, (before, after) => auditedHost(session, order, before, after));
  const answered = await world.ledger.request(subject, idempotencyKey);
  if (answered !== undefined) {
    if (answered.fingerprint === fingerprint) return hostRow(world, host);
    throw usedForAnother();
  }
  return changeHost(
    world,
    host,
    // What is so already is written too, with the answer: else a late repetition would undo what was ordered since.
    (row) => change(row) ?? row,
    (before, after) => ({
      ...auditedHost(session, order, before, after),
      request: { domain: subject, idempotencyKey, fingerprint, rotation: '', at: session.now() },
    }),
  ).catch(async (error: unknown) => {
    // The same order, sent twice at once.
    const twin = await world.ledger.request(subject, idempotencyKey);
    if (!hasCode(error, 'conflict') || twin?.fingerprint !== fingerprint) throw error;
    return hostRow(world, host);
  });
};

/** Takes a host out of every gate, by an operator's word. @throws as `orderHost` */
export const excludeHost = (
  world: World,
  session: Session,
  name: string,
  reason: string,
  order: HostOrder = {},
): Promise<HostRow> =>
  orderHost(world, session, name, { ...order, what: 'exclude', why: reason }, (row) =>
    row.excluded === undefined ? { ...row, excluded: { at: session.now(), reason } } : undefined,
  );

/** Lets a host count again once it holds a full snapshot. @throws as `orderHost` */
export const returnHost = async (
  world: World,
  session: Session,
  name: string,
  { reason, ...order }: HostOrder & { readonly reason?: string } = {},
): Promise<HostRow> => {
  const said = { ...order, what: 'return', ...(reason === undefined ? {} : { why: reason }) };
  const row = await orderHost(world, session, name, said, (before) => {
    if (before.excluded === undefined) return undefined;
    const { excluded: _over, ...rest } = before;
    return { ...rest, complete: false };
  });
  await world.queue.send([{ kind: 'host', host: name }]);
  report(world, session, 'step', `host ${name} is called back: it counts once it holds a full snapshot`, {
    host: name,
  });
  return row;
};

/** Uses that some drain may still count from; a row does not grow with the years. */
const stillOfUse = (lastUse: HostRow['lastUse'], now: Instant): HostRow['lastUse'] =>
  Object.fromEntries(Object.entries(lastUse).filter(([, at]) => now < add(at, days(90))));

/** The row after an acknowledgement of its newest manifest. */
const acknowledged = (
  row: HostRow,
  ack: Acknowledgement,
  session: Session,
  lastUse: HostRow['lastUse'],
): HostRow => {
  const now = session.now();
  const { manifest, cursor: _cursor, trouble: _trouble, queueLifetime: _queues, fenced, ...rest } = row;
  // Which parts of a snapshot it had before, a pull said, which may be a replayed one: the cursor shows that it has them all.
  const snapshot = manifest?.completes === true && samePlace(manifest.upTo, ack.cursor);
  // Only an answer to a snapshot makes a host complete; what it said before a fence or another key store does not count.
  const complete = ack.complete && (snapshot || (row.complete && row.incarnation === ack.incarnation));
  return {
    ...rest,
    incarnation: ack.incarnation,
    complete,
    failed: ack.failed,
    lastUse: { ...stillOfUse(row.lastUse, now), ...lastUse },
    lastSeen: now,
    ...(ack.cursor === null ? {} : { cursor: ack.cursor }),
    ...(ack.queueLifetime === undefined ? {} : { queueLifetime: ack.queueLifetime }),
    ...(ack.trusts === undefined ? {} : { trusts: ack.trusts }),
    ...(manifest === undefined ? {} : { manifest }),
    ...(fenced === undefined || complete ? {} : { fenced }),
  };
};

/**
 * Takes a host's acknowledgement. Only the newest manifest's sets the cursor, forwards or back (a host restored from a
 * backup says where it really is); any other is heard and changes nothing. Wakes the domains that waited for it.
 * @throws untrusted, invalid; not-found
 */
export const takeAcknowledgement = async (
  world: World,
  session: Session,
  name: string,
  jws: string,
): Promise<HostRow> => {
  const host = fleetHost(world, name);
  const ack = await world.seals.acknowledgement(jws, proofBy(host, session));
  const seen = await hostRow(world, host);
  const counts =
    seen.manifest?.nonce === ack.nonce
      ? await usesThatCount(world, seen, ack, session.now(), hostClockSkew)
      : {};
  let before: HostRow | undefined;
  const after = await changeHost(world, host, (row) => {
    before = row;
    if (row.manifest?.nonce !== ack.nonce) return undefined;
    // Judged from another row: rather too many are kept.
    const uses = row.version === seen.version ? counts : heardUses(row, ack, session.now());
    return acknowledged(row, ack, session, uses);
  });
  if (before !== undefined && after !== before) await wakeWaiting(world, session, before, after);
  return after;
};

const wakeWaiting = async (
  world: World,
  session: Session,
  before: HostRow,
  after: HostRow,
): Promise<void> => {
  // The last host's answer is what counts. Where hosts are many, domains look for themselves each minute, instead of once for
  // each host that did what it was told.
  const few = hostsOf(world.fleet, after.pool).length <= smallPool;
  const reached = after.cursor?.n ?? 0;
  const from = before.complete ? (before.cursor?.n ?? 0) : reached;
  const changed = (few ? await world.ledger.log(after.pool, from) : [])
    .filter(({ place }) => place.n <= reached)
    .flatMap(({ changes }) => changes.map(({ domain }) => domain));
  // Only where something changed: a key that goes on failing would have its domain and its host wake each other for ever.
  const failing = [...Object.keys(before.failed), ...Object.keys(after.failed)]
    .filter((key) => before.failed[key] !== after.failed[key])
    .map((key) => key.split('/')[0] ?? '');
  for (const [key, why] of Object.entries(after.failed))
    if (before.failed[key] !== why)
      report(world, session, 'alarm', `host ${after.name} cannot use ${key}: ${why}`, { host: after.name });
  await world.queue.send(await unitsOf(world, [...changed, ...failing]));
};

/** A host that pulls each minute writes a row so often, and not each time. */
const pullNoted = minutes(5);

/** Notes that a host pulled: only for whoever asks which hosts are silent. */
export const notePull = async (world: World, session: Session, host: FleetHost): Promise<void> => {
  const now = session.now();
  try {
    await changeHost(world, host, (row) =>
      row.lastPull !== undefined && now < add(row.lastPull, pullNoted)
        ? undefined
        : { ...row, lastPull: now },
    );
  } catch (error) {
    // Others write the row: the host is not silent, and its next pull is noted.
    if (!hasCode(error, 'conflict')) throw error;
  }
};

/** Notes that a delivery failed: for status; the host's queue of work is its log, so nothing is lost. */
export const noteTrouble = async (
  world: World,
  session: Session,
  host: FleetHost,
  error: unknown,
): Promise<void> => {
  const message = describe(error);
  await changeHost(world, host, (row) =>
    row.trouble?.message === message && add(row.trouble.at, minutes(1)) > session.now()
      ? undefined
      : { ...row, trouble: { at: session.now(), message } },
  );
  report(world, session, 'trouble', `host ${host.name}: ${message}`, { host: host.name });
};
