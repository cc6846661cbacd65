// The host unit: brings one mail host up to its pool's log. What it lacks is sealed to it and pushed, or handed over
// when it pulls: the same object. Keys are read from the vault for the moment of sealing, and nowhere else kept.

import { base64Of } from '../contract/base64.ts';
import { type KeyChange, mostRoom, splitBySize } from '../contract/manifest.ts';
import type { StagedParts } from '../contract/pull.ts';
import { snapshotId } from '../contract/snapshot.ts';
import { hasCode, SelkieError } from '../core/errors.ts';
import { hostKeyName, type Place, samePlace } from '../core/key/evidence.ts';
import { canSign, type FleetHost } from '../core/policy.ts';
import { add, type Instant, instant, latest, milliseconds, minutes, seconds } from '../core/time.ts';
import {
  changeHost,
  fleetHost,
  hostRow,
  notePull,
  noteTrouble,
  proofBy,
  takeAcknowledgement,
} from './hosts.ts';
import { inParallel } from './parallel.ts';
import type { DutyChange, HostRow, LogEntry, Unit } from './ports.ts';
import { comeBack, openSession, type Session, type World } from './world.ts';

/** How long a bundle may be under way. */
const bundleLife = minutes(10);
/** Bundles that one unit delivers to a host before it yields. */
const mostBundles = 200;
/** Secrets read at once. */
const width = 8;

/** When a host that lacks nothing is asked where it stands. */
const silenceEnds = ({ lastSeen }: HostRow): Instant => add(lastSeen ?? instant(0), minutes(55));

interface Lack {
  /** Null: a snapshot. */
  readonly from: Place | null;
  readonly upTo: Place;
  /** A snapshot as of an earlier place, which the host has parts of. */
  readonly resumed?: true;
  readonly changes: readonly Word[];
}

/** What the host is told of one key. */
interface Word {
  readonly change: DutyChange;
  readonly withKey: boolean;
  /** Of a snapshot of an earlier place: the key has gone since, and its secret perhaps too. */
  readonly gone?: boolean;
}

/** The last word on each key, in the log's order. */
const lastWords = (entries: readonly LogEntry[]): readonly DutyChange[] => {
  const last = new Map<string, DutyChange>();
  for (const change of entries.flatMap(({ changes }) => changes)) {
    const name = hostKeyName(change.domain, change.selector);
    last.delete(name);
    last.set(name, change);
  }
  return [...last.values()];
};

/**
 * Everything, as of the end of the log; or as of an earlier place, for a host that has parts of that snapshot already: while
 * a long one is under way the log goes on, and the host would begin again for ever.
 */
const snapshotOf = async (world: World, session: Session, host: FleetHost, at?: Place): Promise<Lack> => {
  const { epoch } = session.head;
  const entries = await world.ledger.log(host.pool, 0);
  const end = { epoch, n: entries.at(-1)?.place.n ?? 0 };
  const upTo = at !== undefined && at.epoch === epoch && at.n < end.n ? at : end;
  const changes = lastWords(entries.filter(({ place }) => place.n <= upTo.n)).filter(
    // A host that was away all the time may still hold an adopted key, which no snapshot brought: it is told that it ended.
    ({ duty, algorithm, secret }) => (duty === 'none' ? secret === undefined : canSign(host, algorithm)),
  );
  if (upTo.n === end.n)
    return { from: null, upTo, changes: changes.map((change) => ({ change, withKey: true })) };
  const nameOf = (change: DutyChange): string => hostKeyName(change.domain, change.selector);
  const gone = new Set(lastWords(entries).flatMap((last) => (last.duty === 'none' ? [nameOf(last)] : [])));
  return {
    from: null,
    upTo,
    resumed: true,
    changes: changes.map((change) => ({ change, withKey: true, gone: gone.has(nameOf(change)) })),
  };
};

/**
 * What a host lacks; undefined: nothing. A host that is new, wiped, fenced or of another epoch gets everything that it can
 * sign with. Where the log goes on with a key that it cannot sign with, it is told to have none of it: it may have had one
 * before its fleet entry said so.
 */
const lackOf = async (
  world: World,
  session: Session,
  host: FleetHost,
  row: HostRow,
  staged?: StagedParts,
): Promise<Lack | undefined> => {
  const { epoch } = session.head;
  const { pool, cursor } = row;
  if (!row.complete || cursor?.epoch !== epoch)
    return snapshotOf(world, session, { ...host, pool }, staged?.place);
  // Keys that it could not use come again, and it tests them again; an adopted one, which is in no bundle, does not.
  const failed = new Set(Object.keys(row.failed));
  const entries = await world.ledger.log(pool, failed.size === 0 ? cursor.n : 0);
  const fresh = entries.filter(({ place }) => place.n > cursor.n).flatMap(({ changes }) => changes);
  const nameOf = (change: DutyChange): string => hostKeyName(change.domain, change.selector);
  const told = new Set(fresh.map(nameOf));
  const offered = new Set(fresh.filter(({ duty }) => duty === 'standby').map(nameOf));
  const changes = lastWords(entries).filter(
    (change) => told.has(nameOf(change)) || (failed.has(nameOf(change)) && change.secret !== undefined),
  );
  if (changes.length === 0) return undefined;
  return {
    from: cursor,
    upTo: { epoch, n: entries.at(-1)?.place.n ?? cursor.n },
    changes: changes.map((change) =>
      canSign(host, change.algorithm)
        ? {
            change,
            withKey: change.duty !== 'none' && (offered.has(nameOf(change)) || failed.has(nameOf(change))),
          }
        : { change: { ...change, duty: 'none' }, withKey: false },
    ),
  };
};

const withoutKey = ({ domain, selector, algorithm, duty, publicKey, secret }: DutyChange): KeyChange => ({
  domain,
  selector,
  algorithm,
  duty,
  publicKey,
  ...(secret === undefined ? { adopted: true } : {}),
});

const keyChange = async (world: World, { change, withKey, gone }: Word): Promise<KeyChange> => {
  const base = withoutKey(change);
  if (gone === true) return { ...base, duty: 'none' };
  return withKey && change.secret !== undefined
    ? { ...base, privateKey: base64Of(await world.vault.read(change.secret)) }
    : base;
};

/**
 * Whether another worker sealed a bundle that leads further than this snapshot, which was read before it. The host takes the
 * newest manifest's word, so that an older state that leaves later would take back what it was told since: invariant 3.
 */
const isOutrun = ({ manifest }: HostRow, { from, upTo, resumed }: Lack): boolean =>
  from === null &&
  resumed !== true &&
  manifest !== undefined &&
  manifest.upTo.epoch === upTo.epoch &&
  manifest.upTo.n > upTo.n;

/**
 * Seals one bundle; the intent, its manifest's nonce, is saved before it leaves.
 * @throws conflict: it was outrun
 */
const seal = async (
  world: World,
  session: Session,
  host: FleetHost,
  changes: readonly KeyChange[],
  lack: Lack,
  snapshot: { id: string; part: number; parts: number },
  completes: boolean,
): Promise<string> => {
  const nonce = world.randomness.id();
  // Two sessions' times may go back by a second, which is as fine as the ledger tells time; a host refuses what is
  // older than the newest that it saw, so each manifest is later than the one before.
  let at = session.now();
  await changeHost(world, host, (row) => {
    if (isOutrun(row, lack))
      throw new SelkieError('conflict', `host ${host.name} was sent a newer snapshot meanwhile`);
    at = row.manifest === undefined ? at : latest(at, add(row.manifest.at, milliseconds(1)));
    return { ...row, manifest: { nonce, at, upTo: lack.upTo, completes } };
  });
  return world.seals.seal({
    host,
    manifest: {
      place: lack.upTo,
      from: lack.from,
      nonce,
      iat: at / seconds(1),
      exp: (at + bundleLife) / seconds(1),
      ...(lack.from === null ? { snapshot } : {}),
    },
    payload: { changes },
  });
};

/** A bundle that changes nothing: the host's answer says where it really stands, which a restored disk may have moved. */
const question = ({ cursor }: HostRow): Lack | undefined =>
  cursor === undefined ? undefined : { from: cursor, upTo: cursor, changes: [] };

interface Standing {
  /** Whether the host is asked where it stands, where it lacks nothing. */
  readonly asks?: (row: HostRow) => boolean | Promise<boolean>;
  /** What it says that it has of a snapshot. */
  readonly staged?: StagedParts;
}

/**
 * The next bundles that a host lacks, in order; none where it lacks nothing, unless it is to be asked where it stands.
 * A delta is one bundle or becomes a snapshot. Of a snapshot that it has parts of, the others. Keys are read when their
 * bundle is sealed, so that one payload of them is in memory at a time.
 */
const nextBundles = async (
  world: World,
  session: Session,
  host: FleetHost,
  { asks = () => false, staged }: Standing,
): Promise<readonly (() => Promise<string>)[]> => {
  const row = await hostRow(world, host);
  const found =
    (await lackOf(world, session, host, row, staged)) ?? ((await asks(row)) ? question(row) : undefined);
  if (found === undefined) return [];
  const groups = splitBySize(found.changes, ({ change, withKey }) =>
    mostRoom(withoutKey(change), withKey && change.secret !== undefined),
  );
  if (groups.length > 1 && found.from !== null) {
    await changeHost(world, host, (present) => ({ ...present, complete: false }));
    return nextBundles(world, session, host, {});
  }
  const parts = groups.length;
  const id = snapshotId(
    found.upTo,
    groups.map((group) => group.map(({ change }) => change)),
  );
  const received = new Set(staged?.id === id && staged.parts === parts ? staged.received : []);
  const missing = groups.flatMap((words, index) =>
    received.has(index + 1) ? [] : [{ words, part: index + 1 }],
  );
  // Another snapshot than the one that it has parts of, or it claims to have all of it: from the beginning.
  if (staged !== undefined && found.from === null && (received.size === 0 || missing.length === 0))
    return nextBundles(world, session, host, { asks });
  return missing.map(({ words, part }, index) => async () => {
    const changes = await inParallel(width, words, (word) => keyChange(world, word));
    const completes = found.from === null && index + 1 === missing.length;
    return seal(world, session, host, changes, found, { id, part, parts }, completes);
  });
};

/** @throws stale-fleet, unavailable, throttled: the unit is to be tried again; a silent host is no error */
export const reconcileHost = async (world: World, unit: Extract<Unit, { kind: 'host' }>): Promise<void> => {
  const session = await openSession(world);
  if (!world.fleet.hosts.has(unit.host)) return; // it left the fleet while the message was under way
  const host = fleetHost(world, unit.host);
  if (host.endpoint === undefined) return; // it pulls
  const lease = `host/${host.name}`;
  if (!(await world.ledger.lease(lease, world.worker, session.now(), minutes(1)))) {
    return comeBack(world, session, lease, unit, seconds(1));
  }
  try {
    for (let sent = 0; sent < mostBundles; ) {
      const bundles = await nextBundles(world, session, host, {
        // Once: a host may have a reason to trust what it trusts.
        asks: (row) => silenceEnds(row) <= session.now() || (sent === 0 && mustHearOfKeys(world, row.trusts)),
      });
      if (bundles.length === 0) return;
      let row: HostRow | undefined;
      for (const bundle of bundles) {
        const ack = await world.transport.push(host, await bundle());
        row = await takeAcknowledgement(world, session, host.name, ack);
        sent += 1;
      }
      // Keys that the host cannot use stay failed: they are sent again when somebody tells it to look again.
      if (row === undefined || Object.keys(row.failed).length > 0) return;
    }
    await world.queue.send([unit]);
  } catch (error) {
    if (hasCode(error, 'conflict')) return await world.queue.send([unit]);
    if (!hasCode(error, 'host.unreachable', 'host.refused', 'untrusted', 'invalid')) throw error;
    await noteTrouble(world, session, host, error);
  } finally {
    // The work is done whether or not this is heard: a lease ends by itself.
    await world.ledger.release(lease, world.worker).catch(() => {});
  }
};

/** Whether a host is to hear of bundle keys; those of a host that does not say which ones it trusts come with other news. */
const mustHearOfKeys = async ({ seals }: World, trusts: readonly string[] | undefined): Promise<boolean> => {
  if (trusts === undefined) return false;
  const known = new Set(trusts);
  const keys = await seals.bundleKeys();
  return keys.some(({ kid }) => !known.has(kid)) || (seals.retired ?? []).some((kid) => known.has(kid));
};

/**
 * Answers a host's pull: the next bundle, or undefined where it lacks nothing.
 * @throws untrusted, invalid; not-found
 */
export const answerPull = async (
  world: World,
  session: Session,
  name: string,
  jws: string,
): Promise<string | undefined> => {
  const host = fleetHost(world, name);
  const pull = await world.seals.pull(jws, proofBy(host, session));
  await notePull(world, session, host);
  // A replayed pull may say an old cursor, or that of another key store, so it sets none: it only has the host asked.
  const news = await mustHearOfKeys(world, pull.trusts);
  const [next] = await nextBundles(world, session, host, {
    asks: (row) => news || !samePlace(row.cursor ?? null, pull.cursor),
    ...(pull.staged === undefined ? {} : { staged: pull.staged }),
  });
  try {
    return await next?.();
  } catch (error) {
    // What outran it is on its way; the next pull says whether it came.
    if (hasCode(error, 'conflict')) return undefined;
    throw error;
  }
};
