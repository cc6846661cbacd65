// Torture on AWS: whole lives of keys, rotation after rotation, while everything between the functions and AWS misbehaves.
// moto_server plays AWS, made as strict as AWS is (strict-account.ts), behind a proxy that is out to do harm
// (hostile-proxy.ts); a watcher (aws-watch.ts) sees what takes effect, in order, and says what must never be.
import { appendFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DomainRow } from '../../core/key/evidence.ts';
import { isServing, rotationState } from '../../core/key/state.ts';
import { keyRecordName } from '../../core/names.ts';
import {
  add,
  days,
  earliest,
  formatDuration,
  formatInstant,
  hours,
  type Instant,
  instant,
  milliseconds,
  minutes,
  seconds,
} from '../../core/time.ts';
import { stream } from '../simulation/random.ts';
import { createDriver, type Driver, isOver, type OrderKind } from './aws-drive.ts';
import { makePlace, type Place, secretPrefix } from './aws-place.ts';
import type { Outcome } from './outcome.ts';
import { weighted } from './weighted.ts';

export interface TortureAwsOptions {
  readonly seed: number;
  /** How often a worker is made to die before no more is asked for. */
  readonly kills?: number;
  /** Rotations to ask for, over all domains; 60 where neither this nor `kills` is said. */
  readonly rotations?: number;
  /** Minutes after which it asks for no more. */
  readonly forMinutes?: number;
  readonly progress: (line: string) => void;
  /** File for what happened, line by line; where absent, a new one, and only if something was violated. */
  readonly evidence?: string;
}

/** Everything that the faults held up is done within this, once they stop: of virtual time, and of real time. */
const settling = { virtual: days(45), real: 300_000 } as const;

const kinds: readonly (readonly [OrderKind, number])[] = [
  ['rotate', 76],
  ['emergency', 7],
  ['unsigned emergency', 3],
  ['rollback', 9],
  ['abort', 5],
];

/** No rotation under way, and nothing left of any key but those that serve. */
const isSettled = (row: DomainRow): boolean =>
  row.rotations.length > 0 &&
  row.rotations.every((rotation) => isOver(row, rotation)) &&
  row.keys.every((key) => isServing(key) || key.evidence.destroyed !== undefined);

/** Whether each host has all that the ledger holds for it: then time may pass quickly. */
const isCaughtUp = ({ watch, milters }: Place, newest: number): boolean =>
  [...milters.keys()].every(
    (host) => watch.isReady(host) && (watch.hosts.get(host)?.cursor?.n ?? 0) >= newest,
  );

const newestPlace = ({ watch }: Place): number =>
  Math.max(
    0,
    ...[...watch.domains.values()].flatMap((row) =>
      row.keys.flatMap((key) => [
        key.evidence.eraseTold?.place.n ?? 0,
        ...key.turns.flatMap((turn) => [
          turn.offered?.place.n ?? 0,
          turn.signIntended?.place.n ?? 0,
          turn.stopIntended?.place.n ?? 0,
        ]),
      ]),
    ),
  );

/** Lets time pass to the next thing that is due, though never over a host that lags: it would look as if it slept for days. */
const passTime = (place: Place, quiet: boolean, soonest: Instant | undefined): void => {
  const wakes = [...place.watch.domains.values()].map((row) => row.wakeAt);
  const next = earliest(soonest, ...wakes) ?? add(place.now(), hours(1));
  const calm = quiet && isCaughtUp(place, newestPlace(place));
  // What is overdue waits for somebody's lease, or for its next try: sweeps come each minute.
  const length = Math.min(
    Math.max(next - place.now(), calm ? minutes(1) : seconds(5)),
    calm ? days(2) : seconds(15),
  );
  place.pass(milliseconds(length));
};

const finalChecks = async (place: Place, driver: Driver): Promise<Readonly<Record<string, number>>> => {
  const { watch } = place;
  const held = await place.audit();
  const rows = held.items
    .filter((item) => item.pk?.S === 'domain')
    .map((item): DomainRow => JSON.parse(item.body?.S ?? '{}'));
  for (const row of rows)
    if (JSON.stringify(row) !== JSON.stringify(watch.domains.get(row.domain)))
      watch.violate(`the ledger's row of ${row.domain} is not the last one that it took`);

  const keys = rows.flatMap((row) => row.keys.map((key) => ({ ...key, domain: row.domain })));
  const alive = keys.filter((key) => key.evidence.destroyed === undefined);
  const names = new Set(alive.map(({ selector, domain }) => keyRecordName(selector, domain)));
  for (const name of names)
    if (!held.txt.includes(name)) watch.violate(`${name} serves, and Route 53 does not hold it`);
  const strays = held.txt.filter((name) => !names.has(name));
  for (const name of strays) watch.violate(`Route 53 holds ${name}, and the ledger does not`);
  const wanted = new Set(alive.map(({ selector, domain }) => `${secretPrefix}/${domain}/${selector}`));
  for (const name of wanted)
    if (!held.secrets.includes(name)) watch.violate(`the secret ${name} is gone, and its key serves`);
  const orphans = held.secrets.filter((name) => !wanted.has(name));

  const ordered = [...watch.rotations.values()].filter(({ kind }) => kind !== 'first');
  const answered = new Set([...driver.answers.values()].flatMap((ids) => [...ids]));
  for (const { id, domain } of ordered)
    if (!answered.has(id)) watch.violate(`7: the rotation ${id} of ${domain} answers no order`);
  for (const id of answered)
    if (!watch.rotations.has(id)) watch.violate(`7: an order is answered with ${id}, which no row has`);
  const requests = held.items.filter((item) => item.pk?.S?.startsWith('request#') === true);
  const keysAnswered = [...driver.answers.values()].filter((ids) => ids.size > 0).length;
  if (requests.length < keysAnswered)
    watch.violate(`7: ${keysAnswered} orders are answered, and the ledger remembers ${requests.length}`);
  return {
    'orphaned secrets': orphans.length,
    'troubles that stayed in rows': rows.reduce((sum, row) => sum + row.troubles.length, 0),
  };
};

interface Run {
  readonly place: Place;
  readonly driver: Driver;
  readonly options: TortureAwsOptions;
}

const noteDone = ({ watch }: Place, done: Set<string>): void => {
  for (const row of watch.domains.values())
    for (const rotation of row.rotations) if (rotationState(row, rotation) === 'done') done.add(rotation.id);
};

/** Orders and faults, until enough was asked for. Returns how many orders of each kind were taken. */
const storm = async ({ place, driver, options }: Run, done: Set<string>): Promise<Map<string, number>> => {
  const random = stream(options.seed, 'orders');
  const taken = new Map<string, number>();
  const dueAt = new Map([...place.domains.keys()].map((domain) => [domain, place.now()]));
  const asking = new Map<string, Promise<void>>();
  let accepted = 0;
  const choose = (): OrderKind => weighted(random, kinds) ?? 'rotate';
  const ends =
    options.forMinutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + options.forMinutes * 60_000;
  place.hostile(true);
  const { kills = Number.POSITIVE_INFINITY } = options;
  const rotations = options.rotations ?? (options.kills === undefined ? 60 : Number.POSITIVE_INFINITY);
  const deaths = (): number => place.proxy.figures.get('death') ?? 0;
  for (let rounds = 0; accepted < rotations && deaths() < kills && Date.now() < ends; rounds += 1) {
    await driver.sweep();
    const quiet = await driver.quiet(2_500);
    await driver.mail();
    noteDone(place, done);
    for (const [domain, at] of dueAt) {
      const row = place.watch.domains.get(domain);
      if (place.now() < at || asking.has(domain) || row === undefined) continue;
      const pending = row.rotations.some((rotation) => !isOver(row, rotation));
      const kind = choose();
      // Mostly one after the other; an emergency or an abort takes the place of one that is under way, another joins it.
      const joins = kind === 'rotate' || kind === 'rollback';
      if (pending ? joins && !random.chance(0.2) : kind === 'abort') continue;
      if (!done.size || !row.keys.some(isServing)) continue;
      const order = driver.order(domain, kind).then((status) => {
        const name = status === 202 ? kind : `refused ${kind} (${status})`;
        taken.set(name, (taken.get(name) ?? 0) + 1);
        if (status === 202) accepted += 1;
        // The next one comes soon, while this one is under way, or days later.
        const pause = random.chance(0.3) ? random.between(0, minutes(8)) : random.between(hours(1), days(3));
        dueAt.set(domain, instant(Math.round(place.now() + pause)));
        asking.delete(domain);
      });
      asking.set(domain, order);
    }
    passTime(place, quiet && asking.size === 0, earliest(...dueAt.values()));
    if (rounds % 25 === 0)
      options.progress(
        `aws: ${formatInstant(place.now()).slice(0, 16)}: ${accepted} orders, ${done.size} rotations done, ${place.proxy.figures.get('requests') ?? 0} requests, ${place.births} workers, ${place.watch.violations.length} violations`,
      );
  }
  await Promise.all(asking.values());
  return taken;
};

/** Faults stop: all that was begun must end. Returns the virtual time that it took. */
const settle = async ({ place, driver }: Run, done: Set<string>): Promise<string> => {
  place.hostile(false);
  place.proxy.calm();
  const since = place.now();
  const [until, realUntil] = [add(since, settling.virtual), Date.now() + settling.real];
  while (
    ![...place.watch.domains.values()].every(isSettled) ||
    place.watch.domains.size < place.domains.size
  ) {
    if (place.now() > until || Date.now() > realUntil) {
      for (const row of place.watch.domains.values())
        if (!isSettled(row))
          place.watch.violate(
            `8: ${row.domain} does not settle: ${JSON.stringify({ wakeAt: row.wakeAt, troubles: row.troubles, rotations: row.rotations.slice(-2) })}`,
          );
      break;
    }
    await driver.sweep();
    const quiet = await driver.quiet(5_000);
    await driver.mail();
    noteDone(place, done);
    passTime(place, quiet, undefined);
  }
  return formatDuration(seconds(Math.round((place.now() - since) / 1_000)));
};

export const tortureAws = async (options: TortureAwsOptions): Promise<Outcome> => {
  const began = Date.now();
  const evidence: string[] = [];
  const random = stream(options.seed, 'faults');
  let now = (): Instant => instant(0);
  const log = (line: string): void => {
    const timed = `${formatInstant(now())} ${line}`;
    evidence.push(timed);
    if (options.evidence !== undefined) appendFileSync(options.evidence, `${timed}\n`);
  };
  const place = await makePlace({
    random,
    negativeTtl: seconds(60),
    syncDelay: seconds(20),
    lags: [seconds(3), seconds(35)],
    skews: [41_000, -73_000, 12_000, -55_000, 88_000],
    pullEvery: 250,
    hosts: ['push', 'pull'],
    log,
  });
  now = place.now;
  const driver = createDriver(place, stream(options.seed, 'driver'), log);
  const run = { place, driver, options };
  const done = new Set<string>();
  const virtual = place.now();
  let taken = new Map<string, number>();
  let settled = '';
  let checks: Readonly<Record<string, number>> = {};
  try {
    taken = await storm(run, done);
    settled = await settle(run, done);
    checks = await finalChecks(place, driver);
  } finally {
    await driver.stop();
    await place.close();
  }
  const { requests = 0, ...faults } = Object.fromEntries(place.proxy.figures);
  const { watch } = place;
  let where = options.evidence;
  if (where === undefined && watch.violations.length > 0) {
    where = join(mkdtempSync(join(tmpdir(), 'selkie-torture-')), 'aws.log');
    writeFileSync(where, `${evidence.join('\n')}\n`);
  }
  return {
    name: 'aws',
    figures: {
      seed: options.seed,
      seconds: Math.round((Date.now() - began) / 1_000),
      'virtual days': Math.round((place.now() - virtual) / days(1)),
      'requests through the proxy': requests,
      faults: Object.values(faults).reduce((sum, n) => sum + n, 0),
      ...Object.fromEntries(Object.entries(faults).map(([kind, n]) => [`fault: ${kind}`, n])),
      'worker cold starts': place.births,
      units: driver.figures.units,
      'units that failed': driver.figures.failedUnits,
      'units lost to dead letters': driver.figures.lostToDeadLetters,
      ...Object.fromEntries([...taken].map(([kind, n]) => [`orders: ${kind}`, n])),
      'orders repeated': driver.figures.repeatedOrders,
      'rotations done': done.size,
      'whole lives of keys': watch.lives.size,
      'messages signed': driver.figures.messages,
      'signatures verified': driver.figures.signatures,
      ...checks,
      'settled after': settled,
    },
    violations: watch.violations.map((says) => `${says} (seed ${options.seed}, ${where})`),
  };
};
