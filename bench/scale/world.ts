// A fleet in virtual time: the real engine on fakes that keep the services' limits, in the hands of as many workers as the
// stack lets run at once. What a worker waits for passes in virtual time, and so does its CPU time for RSA keys.
//
// Mail hosts are a model: a host applies what it is told a second later, all of it, and says so in its row. What crosses the
// wire is counted with the real sizes (wire.ts), and sealed for nobody: 300 hosts × 100,000 keys would take a day.

import { createLedgerQuota } from '../../adapters/aws/quota.ts';
import { createQuotaWriter } from '../../adapters/aws/quota-writer.ts';
import { buildKeyRecord } from '../../core/dkim/key-record.ts';
import { SelkieError } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import { emptyRow } from '../../core/key/row.ts';
import { rotationDue } from '../../core/key/waits.ts';
import { defaultPolicy, type Fleet } from '../../core/policy.ts';
import { add, type Duration, days, type Instant, instant, milliseconds, minutes } from '../../core/time.ts';
import type { Commit, HostRow, Keys, NewSecret, Unit } from '../../engine/ports.ts';
import { tick, workOn } from '../../engine/tick.ts';
import { cohortUnits, fellowsOf } from '../../engine/units.ts';
import type { World } from '../../engine/world.ts';
import { createMemoryBuckets } from '../../test/fakes/memory-buckets.ts';
import { createLoop } from '../../test/simulation/loop.ts';
import { stream } from '../../test/simulation/random.ts';
import { createSymbolicKeys, symbolicSeals } from '../../test/simulation/symbols.ts';
import { createScaleLedger, type ScaleLedger } from './ledger.ts';
import { createScaleRoute53, type ScaleRoute53 } from './route53.ts';
import { createScaleSecrets, type ScaleSecrets } from './secrets.ts';

export interface FleetShape {
  readonly domains: number;
  /** A zone for each domain, or so many in all. */
  readonly zones: number | 'own';
  readonly hosts: number;
}

export interface ScaleCounts {
  units: number;
  ticks: number;
  messages: number;
  hostUnits: number;
  /** Milliseconds that workers ran. */
  lambda: number;
  keysMade: number;
  /** Changes in the pool's log, with the private key and without: each host is sent them. */
  sentWithKey: number;
  sentWithout: number;
  unexpected: string[];
}

export interface ScaleWorld {
  readonly fleet: Fleet;
  readonly ledger: ScaleLedger;
  readonly route53: ScaleRoute53;
  readonly secrets: ScaleSecrets;
  readonly counts: ScaleCounts;
  readonly start: Instant;
  now(): Instant;
  /** Somebody's order, given by the API. */
  call<T>(work: (world: World) => Promise<T>): Promise<T>;
  /** Runs until `done`, at most so long. */
  run(length: Duration, done?: () => boolean): Promise<void>;
  /** As the world's own services take their time. */
  sleep(length: Duration): Promise<void>;
  /** Told of each row that is written. */
  watch: (row: DomainRow) => void;
}

const pool = 'mx';
const placeAtStart = { epoch: 1, n: 0 };
/** Of RSA-2048, on one arm64 vCPU. */
const keyTime = 150;

const fleetOf = ({ domains, zones, hosts }: FleetShape): Fleet => {
  const names = Array.from({ length: domains }, (_, n) => n);
  const zoneName = (n: number): string => (zones === 'own' ? `d${n}.example` : `z${n % zones}.example`);
  const domainName = (n: number): string =>
    zones === 'own' ? `d${n}.example` : `d${n}.z${n % zones}.example`;
  const count = zones === 'own' ? domains : zones;
  return {
    version: 1,
    pools: [pool],
    zones: new Map(
      Array.from({ length: count }, (_, n) => [zoneName(n), { name: zoneName(n), id: `Z${n}` }]),
    ),
    domains: new Map(
      names.map((n) => [
        domainName(n),
        { domain: domainName(n), zone: zoneName(n), pool, policy: defaultPolicy, leaving: false },
      ]),
    ),
    hosts: new Map(
      Array.from({ length: hosts }, (_, n) => [
        `mx${n}.example`,
        { name: `mx${n}.example`, pool, endpoint: 'https://mx', encryptionKey: '', signingKey: '' },
      ]),
    ),
  };
};

/** A domain whose key has been signing for some time. */
const servingRow = (
  keys: Keys,
  privateKey: Uint8Array,
  row: DomainRow,
  since: Instant,
  wakeAt: Instant,
): DomainRow => {
  const { publicKey, fingerprint } = keys.publicOf(privateKey);
  const at = { at: since };
  const value = buildKeyRecord({ algorithm: 'rsa2048', publicKey, tags: defaultPolicy.tags });
  return {
    ...row,
    keys: [
      {
        selector: 'first',
        algorithm: 'rsa2048',
        rotation: 'first',
        evidence: {
          reserved: at,
          stored: { ...at, secret: `${row.domain}/first`, fingerprint, publicKey },
          publishIntended: { ...at, value, ttl: defaultPolicy.ttl },
          created: { ...at, changeId: 'C0' },
          inSync: at,
        },
        turns: [
          {
            begun: at,
            proved: { ...at, servers: 4, negativeTtl: minutes(15) },
            offered: { ...at, place: placeAtStart },
            standby: at,
            signIntended: { ...at, place: placeAtStart },
            active: at,
          },
        ],
      },
    ],
    rotations: [{ ...at, id: 'first', kind: 'first', algorithms: ['rsa2048'], selectors: ['first'] }],
    wakeAt,
  };
};

export const createScaleWorld = async (
  shape: FleetShape,
  options: { readonly workers: number; readonly share: number; readonly seed?: number },
): Promise<ScaleWorld> => {
  const { workers, share, seed = 1 } = options;
  const start = instant(Date.UTC(2026, 10, 24));
  const loop = createLoop(start, () => {});
  const random = stream(seed, 'scale');
  const fleet = fleetOf(shape);
  const keys = createSymbolicKeys(stream(seed, 'keys'));
  const buckets = createMemoryBuckets();
  const counts: ScaleCounts = {
    units: 0,
    ticks: 0,
    messages: 0,
    hostUnits: 0,
    lambda: 0,
    keysMade: 0,
    sentWithKey: 0,
    sentWithout: 0,
    unexpected: [],
  };
  /** Time that the running worker has used and not yet waited for: ledger calls pass in one piece. */
  let debtor: { debt: number } | undefined;

  const world: { watch: (row: DomainRow) => void } = { watch: () => {} };
  const committed = (commit: Commit): void => {
    for (const row of commit.domains ?? []) world.watch(row);
    for (const change of commit.append?.changes ?? [])
      if (change.duty === 'standby' && change.selector !== 'first') counts.sentWithKey += 1;
      else counts.sentWithout += 1;
    scheduleSweep();
  };
  const ledger = createScaleLedger(
    loop.now,
    (length) => {
      if (debtor !== undefined) debtor.debt += length;
    },
    committed,
  );
  const route53 = createScaleRoute53({ now: loop.now, random, share, sleep: loop.sleep });

  const secrets = createScaleSecrets({
    now: loop.now,
    sleep: loop.sleep,
    busy: (length) => {
      if (debtor !== undefined) debtor.debt += length;
    },
  });

  // ---- workers ----
  const worlds = Array.from({ length: workers + 2 }, (_, n): { world: World; debt: number; cpu: number } => {
    const worker = { debt: 0, cpu: 0 };
    const clock = { now: (): Instant => instant(loop.now() + Math.floor(worker.debt)) };
    let ids = 0;
    const randomness = {
      bytes: (length: number) => Uint8Array.from({ length }, () => random.int(0, 255)),
      id: (): string => {
        ids += 1;
        return `w${n}-${ids}`;
      },
    };
    /** What goes on after a wait is this worker's. */
    const mine = <T extends object>(port: T): T =>
      new Proxy(port, {
        get: (target, method) => {
          const value: unknown = Reflect.get(target, method);
          if (typeof value !== 'function') return value;
          return (...parameters: unknown[]): unknown => {
            const answer: unknown = Reflect.apply(value, target, parameters);
            return answer instanceof Promise
              ? answer.finally(() => {
                  debtor = worker;
                })
              : answer;
          };
        },
      });
    /** Ledger calls and the like are waited for before anything else is. */
    const paid = async (): Promise<void> => {
      const { debt } = worker;
      worker.debt = 0;
      if (debt >= 1) await loop.sleep(milliseconds(debt));
      debtor = worker;
    };
    const quota = createLedgerQuota({
      buckets: {
        draw: async (draw) => {
          ledger.counts.writes += 1;
          await paid();
          return buckets.draw({ ...draw, now: loop.now() });
        },
      },
      account: 'own',
      clock,
      ledger,
      pause: mine(loop).sleep,
      share,
    });
    const made: World = {
      clock,
      randomness,
      keys: {
        ...keys,
        generate: async (algorithm) => {
          counts.keysMade += 1;
          worker.cpu = Math.max(worker.cpu, loop.now()) + keyTime;
          await loop.sleep(milliseconds(worker.cpu - loop.now()));
          debtor = worker;
          return keys.generate(algorithm);
        },
      },
      vault: mine(secrets.vault),
      disclosure: {
        publish: () => Promise.reject(new SelkieError('unsafe', 'no policy of this model discloses')),
        list: async () => ({ keys: [] }),
      },
      writer: createQuotaWriter({
        writer: mine(route53),
        quotaOf: () => quota,
        ledger,
        clock,
        randomness,
        pause: mine(loop).sleep,
      }),
      observer: route53,
      seals: symbolicSeals,
      transport: { push: () => Promise.reject(new SelkieError('host.unreachable', 'a model')) },
      queue: { send: async (units, delay = milliseconds(0)) => send(units, delay) },
      ledger,
      reporter: {
        report: ({ level, says }) => {
          if (level !== 'step' && counts.unexpected.length < 20) counts.unexpected.push(says);
        },
        count: () => {},
      },
      fleet,
      worker: `w${n}`,
    };
    return Object.assign(worker, { world: made });
  });
  const [forTicks, forCalls, ...free] = worlds;
  if (forTicks === undefined || forCalls === undefined) throw new Error('no workers');

  const waiting: Unit[] = [];
  let head = 0;
  const pump = (): void => {
    while (head < waiting.length) {
      const worker = free.pop();
      if (worker === undefined) return;
      const unit = waiting[head];
      head += 1;
      if (head > 50_000) {
        waiting.splice(0, head);
        head = 0;
      }
      if (unit === undefined) continue;
      counts.units += 1;
      const began = loop.now();
      worker.debt = 0;
      debtor = worker;
      const ended = (): void => {
        loop.begin(loop.now() + worker.debt, () => {
          counts.lambda += loop.now() - began;
          free.push(worker);
          pump();
        });
      };
      // The engine's own CPU time, about a millisecond a domain.
      worker.debt += unit.kind === 'cohort' ? unit.domains.length : 5;
      workOn(worker.world, unit).then(ended, (error: unknown) => {
        if (!(error instanceof SelkieError) || error.retry !== 'later') counts.unexpected.push(String(error));
        else send([unit], milliseconds(30_000));
        ended();
      });
    }
  };
  const send = (units: readonly Unit[], delay: Duration): void => {
    counts.messages += units.length;
    const cohorts = units.filter((unit) => unit.kind === 'cohort');
    const hosts = units.filter((unit) => unit.kind === 'host');
    if (hosts.length > 0) deliver(hosts.length, delay);
    if (cohorts.length === 0) return;
    loop.begin(loop.now() + delay, () => {
      for (const unit of cohorts) waiting.push(unit);
      pump();
    });
  };

  // ---- mail hosts ----
  let delivery = false;
  const deliver = (count: number, delay: Duration): void => {
    counts.hostUnits += count;
    if (delivery) return;
    delivery = true;
    loop.begin(loop.now() + delay + 1_000, () => {
      delivery = false;
      void acknowledge();
    });
  };
  const acknowledge = async (): Promise<void> => {
    const upTo = { epoch: 1, n: ledger.tail(pool) };
    debtor = undefined;
    let from = upTo.n;
    for (const { name } of fleet.hosts.values()) {
      const row = ledger.hosts.get(name);
      if (row === undefined || row.cursor === undefined || row.cursor.n >= upTo.n) continue;
      from = Math.min(from, row.cursor.n);
      // As the host unit: a lease, the manifest, the acknowledgement.
      ledger.counts.writes += 4;
      ledger.counts.reads += 6;
      counts.lambda += 150 + secrets.sign();
      await ledger.commit({ hosts: [{ ...row, cursor: upTo, lastSeen: loop.now() }] });
    }
    if (fleet.hosts.size > 10 || from >= upTo.n) return;
    const entries = (await ledger.log(pool, from)).filter(({ place }) => place.n <= upTo.n);
    const names = entries.flatMap(({ changes }) => changes.map(({ domain }) => domain));
    const named = [...new Set(names)].flatMap((domain) => {
      const zone = fleet.domains.get(domain)?.zone;
      return zone === undefined ? [] : [{ domain, zone }];
    });
    send(cohortUnits(fleet, named), milliseconds(0));
  };

  // ---- the schedule ----
  const minute = minutes(1);
  let sweepAt = Number.POSITIVE_INFINITY;
  let lastSweep = start as number;
  let sweeping = false;
  const scheduleSweep = (): void => {
    if (sweeping) return;
    const due = ledger.nextDue();
    if (due === undefined) return;
    // Minutes in which nothing is due are counted, and not run.
    const at = Math.max(Math.ceil(due / minute) * minute, lastSweep + minute);
    if (at >= sweepAt) return;
    sweepAt = at;
    loop.begin(at, () => {
      if (sweepAt !== at) return;
      sweepAt = Number.POSITIVE_INFINITY;
      sweeping = true;
      lastSweep = at;
      counts.ticks += 1;
      forTicks.debt = 0;
      debtor = forTicks;
      const began = loop.now();
      void tick(forTicks.world).then(() => {
        counts.lambda += loop.now() - began + forTicks.debt;
        sweeping = false;
        scheduleSweep();
      });
    });
  };

  // ---- the fleet as it stands ----
  const first: NewSecret[] = [];
  for (const { domain, zone } of fleet.domains.values()) {
    const { privateKey } = await keys.generate('rsa2048');
    first.push({ domain, selector: 'first', privateKey });
    const since = instant(start - days(1));
    const slot = { domain, zone, fellows: fellowsOf(fleet, domain) };
    const due = rotationDue(slot, since, defaultPolicy.rotateEvery ?? days(90));
    const row = servingRow(keys, privateKey, emptyRow(domain, zone, pool), since, due);
    await ledger.commit({ domains: [row] });
    const set = row.keys[0]?.evidence.publishIntended;
    if (set !== undefined) route53.put(`first._domainkey.${domain}`, { ttl: set.ttl, values: [set.value] });
  }
  secrets.put(first);
  for (const { name } of fleet.hosts.values()) {
    const host: HostRow = {
      name,
      pool,
      version: 0,
      complete: true,
      cursor: placeAtStart,
      incarnation: name,
      failed: {},
      lastUse: {},
      lastSeen: start,
    };
    await ledger.commit({ hosts: [host] });
  }
  await ledger.installFleet(1);
  Object.assign(ledger.counts, { commits: 0, writes: 0, reads: 0, leases: 0 });
  sweepAt = Number.POSITIVE_INFINITY;

  return {
    fleet,
    ledger,
    route53,
    secrets,
    counts,
    start,
    now: loop.now,
    sleep: loop.sleep,
    call: (work) => work(forCalls.world),
    run: async (length, done = () => false) => {
      scheduleSweep();
      const until = add(loop.now(), length);
      while (loop.now() < until && !done()) {
        const step = instant(
          Math.min(
            until,
            (ledger.nextDue() ?? until) > loop.now() + days(1) ? until : loop.now() + minute * 10,
          ),
        );
        await loop.run(step);
      }
    },
    get watch() {
      return world.watch;
    },
    set watch(watch) {
      world.watch = watch;
    },
  };
};
