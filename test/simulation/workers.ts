// Who does the work: a queue that delivers at least once, in any order; workers that crash and come back; a sweep at whole
// minutes; hosts that pull.

import { SelkieError } from '../../core/errors.ts';
import { type Instant, instant, minutes, seconds } from '../../core/time.ts';
import { takeAcknowledgement } from '../../engine/hosts.ts';
import type { Unit } from '../../engine/ports.ts';
import { answerPull } from '../../engine/reconcile-host.ts';
import { tick, workOn } from '../../engine/tick.ts';
import { openSession, type World } from '../../engine/world.ts';
import { inWeather, type Process, type Weather } from './calls.ts';
import type { MailHost } from './hosts.ts';
import type { MemoryLedger } from './ledger.ts';
import type { Loop } from './loop.ts';
import type { Random } from './random.ts';

export interface Worker {
  name: string;
  /** Its clock is this much ahead of the true time, in milliseconds. */
  skew: number;
  downUntil: number;
  readonly busy: Set<Process>;
  /** The fleet that it carries: an index into the fleets that were deployed. */
  fleet: number;
}

export interface Crew {
  readonly workers: readonly Worker[];
  /** The queue's own behaviour until then: duplicates, and delays. */
  stormUntil: number;
  scheduleStopsUntil: number;
  /** A unit of the queue; as Queue.send. */
  send(units: readonly Unit[], delay: number): void;
  /** The ledger was written: there may be something to sweep for, or to pull. */
  written(wakeAt: number | undefined): void;
  /** A step was taken: the schedule is patient no more. */
  progressed(): void;
  /** Something happened that hosts, or the schedule, may act on: they look again soon. */
  stir(): void;
  /** A process of the API, which anybody may speak to. */
  call<T>(work: (world: World) => Promise<T>, crashed: () => void): Promise<T>;
  crashAll(): void;
}

/** Units that one worker has in its hands at once. */
const hands = 2;
/** Invariant 10: beyond this a worker does nothing. */
const tolerableSkew = minutes(5);
/** After which a message whose worker has fallen silent is delivered again. */
const visibility = minutes(3);
/** Receives after which a message is set aside: the sweep finds its domain again. */
const mostReceives = 8;

export const createCrew = (options: {
  readonly loop: Loop;
  readonly random: Random;
  readonly workers: number;
  readonly weather: Weather;
  readonly ledger: MemoryLedger;
  /** The world of a worker that carries this fleet, by its own clock. */
  readonly worldFor: (worker: Worker) => World;
  readonly newestFleet: () => number;
  readonly hosts: () => readonly MailHost[];
  readonly isEnrolled: (host: MailHost) => boolean;
  readonly failed: (error: unknown, doing: string) => void;
  readonly unitDomains: (unit: Unit) => readonly string[];
}): Crew => {
  const { loop, random, ledger, weather } = options;
  const workers: Worker[] = Array.from({ length: options.workers }, (_, n) => ({
    name: `worker-${n + 1}`,
    skew: 0,
    downUntil: 0,
    busy: new Set(),
    fleet: 0,
  }));
  let [sweepAt, sweepOrder, fruitless] = [Number.POSITIVE_INFINITY, 0, 0];
  let incarnation = 0;
  const pulling = new Map<MailHost, number>();

  const crash = (worker: Worker): void => {
    for (const process of worker.busy) process.dead = true;
    worker.busy.clear();
    worker.downUntil = loop.now() + random.int(0, 90_000);
    // On one machine a worker keeps its name over restarts; in a cloud each is another.
    incarnation += 1;
    if (workers.length > 1) worker.name = `worker-${incarnation}-${worker.name.split('-').at(-1)}`;
  };

  const begin = (worker: Worker, crashed: () => void): { process: Process; world: World } => {
    const isOff = (): boolean => Math.abs(worker.skew) > tolerableSkew;
    const began = isOff();
    const process: Process = {
      dead: false,
      // One that was set right between the first step and the look at the ledger's time is right.
      get skewed() {
        return began && isOff();
      },
      crash: () => {
        if (process.dead) return;
        crash(worker);
        crashed();
      },
    };
    worker.busy.add(process);
    return { process, world: inWeather(options.worldFor(worker), process, loop, weather) };
  };

  const free = (): Worker | undefined =>
    random.any(workers.filter((worker) => worker.downUntil <= loop.now() && worker.busy.size < hands));

  const waiting = new Set<string>();
  const deliver = (unit: Unit, receives: number): void => {
    const worker = free();
    if (worker === undefined) {
      // Where all hands are full, equal units wait as one: a cloud would have more hands.
      const name = JSON.stringify(unit);
      if (waiting.has(name)) return;
      waiting.add(name);
      const retry = (): void => {
        if (free() === undefined) {
          loop.begin(loop.now() + seconds(2), retry);
          return;
        }
        waiting.delete(name);
        deliver(unit, receives);
      };
      loop.begin(loop.now() + seconds(2), retry);
      return;
    }
    const again = (delay: number): void => {
      if (receives < mostReceives) loop.begin(loop.now() + delay, () => deliver(unit, receives + 1));
    };
    const { process, world } = begin(worker, () => again(visibility));
    workOn(world, unit).then(
      () => {
        worker.busy.delete(process);
      },
      (error: unknown) => {
        worker.busy.delete(process);
        if (process.dead) return;
        if (!(error instanceof SelkieError) || error.retry !== 'later')
          options.failed(error, `${unit.kind} unit ${options.unitDomains(unit).join(' ')}`);
        again(seconds(30));
      },
    );
  };

  const send = (units: readonly Unit[], delay: number): void => {
    for (const unit of units) {
      const storm = crew.stormUntil > loop.now();
      const copies = storm && random.chance(0.5) ? 2 + random.int(0, 1) : random.chance(0.02) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) {
        const jitter = storm ? random.int(0, 600_000) : random.int(0, copy * 5_000);
        loop.begin(loop.now() + delay + jitter, () => deliver(unit, 1));
      }
    }
  };

  const minute = minutes(1);
  /** A world that only waits is looked at ever more seldom: a schedule may skip, and weeks of silence would take hours. */
  const patience = (): number => Math.min(minutes(60), minute * 1.6 ** Math.max(0, fruitless - 5));

  const scheduleSweep = (wanted: number): void => {
    const earliest = Math.max(wanted, loop.now() + 1, crew.scheduleStopsUntil);
    const at = Math.ceil(Math.max(earliest, fruitless > 5 ? lastSweep + patience() : 0) / minute) * minute;
    if (at >= sweepAt) return;
    sweepAt = at;
    sweepOrder += 1;
    const mine = sweepOrder;
    loop.begin(at, () => {
      if (mine === sweepOrder) sweep();
    });
  };
  let lastSweep = 0;

  const nextWanted = (): number => {
    if (options.newestFleet() > ledger.fleetVersion()) return loop.now() + 1;
    let least = Number.POSITIVE_INFINITY;
    for (const { wakeAt } of ledger.rows.values()) if (wakeAt !== undefined && wakeAt < least) least = wakeAt;
    return least;
  };

  const sweep = (): void => {
    sweepAt = Number.POSITIVE_INFINITY;
    lastSweep = loop.now();
    fruitless += 1;
    const wanted = (): void => {
      const next = nextWanted();
      if (next !== Number.POSITIVE_INFINITY) scheduleSweep(next);
    };
    const worker = random.any(workers.filter((each) => each.downUntil <= loop.now()));
    if (worker === undefined) {
      scheduleSweep(loop.now() + minute);
      return;
    }
    const { process, world } = begin(worker, () => scheduleSweep(loop.now() + minute));
    tick(world).then(
      () => {
        worker.busy.delete(process);
        wanted();
      },
      (error: unknown) => {
        worker.busy.delete(process);
        if (!(error instanceof SelkieError) || error.retry !== 'later') options.failed(error, 'sweep');
        scheduleSweep(loop.now() + minute);
      },
    );
    // Even if the worker hangs: the schedule goes on.
    wanted();
  };

  /** Whether a pull would bring anything: what the host cannot know, and only saves events. */
  const lacks = (host: MailHost): boolean => {
    const row = ledger.hosts.get(host.name);
    const { cursor, incarnation: store } = host.state;
    return (
      row?.complete !== true ||
      Object.keys(row.failed).length > 0 ||
      row.incarnation !== store ||
      row.cursor?.n !== cursor?.n ||
      (cursor?.n ?? 0) < ledger.tail(host.pool)
    );
  };

  const schedulePull = (host: MailHost, delay: number): void => {
    const at = Math.ceil(loop.now() + delay);
    if (!host.pulls || (pulling.get(host) ?? Number.POSITIVE_INFINITY) <= at) return;
    pulling.set(host, at);
    loop.begin(at, () => {
      if (pulling.get(host) !== at) return; // an earlier one came between
      pulling.delete(host);
      void pull(host);
    });
  };
  let hourAt = 0;
  /** The sweep of the full hour looks after hosts; it is not simulated where it would find nothing. */
  const scheduleHour = (): void => {
    const hour = minutes(60);
    const at = Math.ceil((loop.now() + 1) / hour) * hour;
    if (hourAt >= at) return;
    hourAt = at;
    loop.begin(at, () => {
      if (!options.hosts().some((host) => options.isEnrolled(host) && lacks(host))) return;
      scheduleHour();
      if (crew.scheduleStopsUntil <= loop.now()) sweep();
    });
  };
  const failures = new Map<MailHost, number>();

  const pull = async (host: MailHost): Promise<void> => {
    if (!host.powered || !host.connected || !options.isEnrolled(host)) return;
    if (!lacks(host)) return;
    const again = (): void => {
      const times = (failures.get(host) ?? 0) + 1;
      failures.set(host, times);
      schedulePull(host, Math.min(minutes(30), minute * 1.3 ** Math.max(0, times - 10)));
    };
    try {
      const body = await host.ask(nonce());
      const bundle = await crew.call(
        async (world) => answerPull(world, await openSession(world), host.name, body),
        again,
      );
      if (bundle === undefined) return again();
      const before = host.state.cursor?.n;
      const ack = await host.receive(bundle);
      await crew.call(
        async (world) => takeAcknowledgement(world, await openSession(world), host.name, ack),
        again,
      );
      if (host.state.cursor?.n !== before) failures.delete(host);
      if (!lacks(host)) return;
      if (host.state.cursor?.n === before) again();
      else schedulePull(host, 100);
    } catch (error) {
      if (!(error instanceof SelkieError)) options.failed(error, `pull of ${host.name}`);
      again();
    }
  };
  let nonces = 0;
  const nonce = (): string => {
    nonces += 1;
    return `pull-${String(nonces).padStart(8, '0')}`;
  };

  const crew: Crew = {
    workers,
    stormUntil: 0,
    scheduleStopsUntil: 0,
    send,
    written: (wakeAt) => {
      if (wakeAt !== undefined) scheduleSweep(wakeAt);
      for (const host of options.hosts())
        if (lacks(host)) {
          schedulePull(host, random.int(100, 60_000));
          scheduleHour();
        }
    },
    progressed: () => {
      fruitless = 0;
    },
    stir: () => {
      fruitless = 0;
      failures.clear();
      const next = nextWanted();
      if (next !== Number.POSITIVE_INFINITY) scheduleSweep(next);
      for (const host of options.hosts()) if (lacks(host)) schedulePull(host, random.int(100, 60_000));
      scheduleHour();
    },
    call: async (work, crashed) => {
      const worker = random.any(workers.filter((each) => each.downUntil <= loop.now()));
      if (worker === undefined) throw new SelkieError('unavailable', 'the control plane does not answer');
      const { process, world } = begin(worker, crashed);
      try {
        return await work(world);
      } finally {
        worker.busy.delete(process);
      }
    },
    crashAll: () => {
      for (const worker of workers) for (const process of [...worker.busy]) process.crash();
    },
  };
  return crew;
};

export const clockOf = (loop: Loop, worker: Worker): Instant => instant(loop.now() + worker.skew);
