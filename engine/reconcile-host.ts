// The host unit: brings one mail host up to its pool's log. What it lacks is sealed to it and pushed, or handed over
// when it pulls: the same object. Keys are read from the vault for the moment of sealing, and nowhere else kept.

import { base64Of } from '../contract/base64.ts';
import { type KeyChange, splitChanges } from '../contract/manifest.ts';
import { hasCode, SelkieError } from '../core/errors.ts';
import { hostKeyName, type Place, samePlace } from '../core/key/evidence.ts';
import type { FleetHost } from '../core/policy.ts';
import { add, type Instant, instant, latest, milliseconds, minutes, seconds } from '../core/time.ts';
import { changeHost, fleetHost, hostRow, noteTrouble, proofBy, takeAcknowledgement } from './hosts.ts';
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
  readonly changes: readonly { readonly change: DutyChange; readonly withKey: boolean }[];
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

/** What a host lacks; undefined: nothing. A host that is new, wiped, fenced or of another epoch gets everything. */
const lackOf = async (world: World, session: Session, row: HostRow): Promise<Lack | undefined> => {
  const { epoch } = session.head;
  const { pool, cursor } = row;
  if (!row.complete || cursor?.epoch !== epoch) {
    const entries = await world.ledger.log(pool, 0);
    return {
      from: null,
      upTo: { epoch, n: entries.at(-1)?.place.n ?? 0 },
      changes: lastWords(entries)
        .filter(({ duty }) => duty !== 'none')
        .map((change) => ({ change, withKey: true })),
    };
  }
  // Keys that it could not use come again, and it tests them again.
  const failed = new Set(Object.keys(row.failed));
  const entries = await world.ledger.log(pool, failed.size === 0 ? cursor.n : 0);
  const fresh = entries.filter(({ place }) => place.n > cursor.n).flatMap(({ changes }) => changes);
  const nameOf = (change: DutyChange): string => hostKeyName(change.domain, change.selector);
  const told = new Set(fresh.map(nameOf));
  const offered = new Set(fresh.filter(({ duty }) => duty === 'standby').map(nameOf));
  const changes = lastWords(entries).filter(
    (change) => told.has(nameOf(change)) || failed.has(nameOf(change)),
  );
  if (changes.length === 0) return undefined;
  return {
    from: cursor,
    upTo: { epoch, n: entries.at(-1)?.place.n ?? cursor.n },
    changes: changes.map((change) => ({
      change,
      withKey: change.duty !== 'none' && (offered.has(nameOf(change)) || failed.has(nameOf(change))),
    })),
  };
};

const keyChange = async (world: World, { change, withKey }: Lack['changes'][number]): Promise<KeyChange> => {
  const { domain, selector, algorithm, duty, publicKey } = change;
  const base = { domain, selector, algorithm, duty, publicKey };
  return withKey ? { ...base, privateKey: base64Of(await world.vault.read(change.secret)) } : base;
};

/** Seals one bundle; the intent, its manifest's nonce, is saved before it leaves. */
const seal = async (
  world: World,
  session: Session,
  host: FleetHost,
  changes: readonly KeyChange[],
  lack: Lack,
  snapshot: { id: string; part: number; parts: number },
): Promise<string> => {
  const nonce = world.randomness.id();
  const completes = lack.from === null && snapshot.part === snapshot.parts;
  // Two sessions' times may go back by a second, which is as fine as the ledger tells time; a host refuses what is
  // older than the newest that it saw, so each manifest is later than the one before.
  let at = session.now();
  await changeHost(world, host, (row) => {
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

/**
 * The next bundles that a host lacks, in order; none where it lacks nothing, unless it is to be asked where it stands.
 * A delta is one bundle or becomes a snapshot.
 */
const nextBundles = async (
  world: World,
  session: Session,
  host: FleetHost,
  asks: (row: HostRow) => boolean = () => false,
): Promise<readonly (() => Promise<string>)[]> => {
  const row = await hostRow(world, host);
  const found = (await lackOf(world, session, row)) ?? (asks(row) ? question(row) : undefined);
  if (found === undefined) return [];
  const groups = splitChanges(await inParallel(width, found.changes, (change) => keyChange(world, change)));
  if (groups.length > 1 && found.from !== null) {
    await changeHost(world, host, (present) => ({ ...present, complete: false }));
    return nextBundles(world, session, host);
  }
  const id = world.randomness.id();
  return groups.map(
    (changes, index) => () =>
      seal(world, session, host, changes, found, { id, part: index + 1, parts: groups.length }),
  );
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
      const bundles = await nextBundles(world, session, host, (row) => silenceEnds(row) <= session.now());
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
    if (!hasCode(error, 'host.unreachable', 'host.refused', 'untrusted', 'invalid')) throw error;
    await noteTrouble(world, session, host, error);
  } finally {
    // The work is done whether or not this is heard: a lease ends by itself.
    await world.ledger.release(lease, world.worker).catch(() => {});
  }
};

/**
 * Answers a host's pull: the next bundle, or undefined where it lacks nothing.
 * @throws untrusted, invalid; not-found; unavailable where the host's next snapshot does not fit one answer
 */
export const answerPull = async (
  world: World,
  session: Session,
  name: string,
  jws: string,
): Promise<string | undefined> => {
  const host = fleetHost(world, name);
  const pull = await world.seals.pull(jws, proofBy(host, session));
  // A replayed pull may say an old cursor, or that of another key store, so it sets none: it only has the host asked.
  const [first, ...more] = await nextBundles(
    world,
    session,
    host,
    (row) => !samePlace(row.cursor ?? null, pull.cursor),
  );
  if (more.length > 0)
    throw new SelkieError('unavailable', `the snapshot for ${name} is larger than one answer: it is pushed`);
  return first?.();
};
