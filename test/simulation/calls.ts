// The way from a worker to its ports, where everything may go wrong: an error before the effect, an error after it, the effect
// after the error, a crash on either side, time that passes. A crashed worker's calls never return.

import { type ErrorCode, SelkieError } from '../../core/errors.ts';
import { milliseconds } from '../../core/time.ts';
import type { Ledger } from '../../engine/ports.ts';
import type { World } from '../../engine/world.ts';
import type { Loop } from './loop.ts';
import type { Random } from './random.ts';
import type { CallFault, CallPort } from './scenario.ts';

/** One run of one piece of work. */
export interface Process {
  dead: boolean;
  /** Its clock has been off by more than waits allow for since it began: it must change nothing (invariant 10). */
  readonly skewed: boolean;
  /** Ends it, as SIGKILL would. */
  crash(): void;
}

export interface CallWindow {
  readonly port: CallPort | 'any';
  readonly fault: CallFault;
  readonly code: ErrorCode;
  readonly rate: number;
  readonly random: Random;
}

export interface Weather {
  /** Fault windows that are open. */
  readonly windows: Set<CallWindow>;
  readonly slowness: number;
  readonly random: Random;
  /** A process whose clock is off has changed something. */
  readonly trespassed: (port: CallPort) => void;
  readonly met: (fault: CallFault | 'busy', port: CallPort) => void;
}

const never = new Promise<never>(() => {});

/** Which ports can be struck after the fact, so that an effect comes late. */
const canBeLate: ReadonlySet<CallPort> = new Set([
  'writer.submit',
  'transport.push',
  'vault.store',
  'disclosure.publish',
  'queue.send',
]);

const effects: ReadonlySet<CallPort> = new Set([
  'ledger.commit',
  'vault.store',
  'vault.destroy',
  'disclosure.publish',
  'writer.submit',
  'transport.push',
]);

export const through = (
  loop: Loop,
  process: Process,
  weather: Weather,
): (<R>(port: CallPort, call: () => Promise<R>) => Promise<R>) => {
  const struck = (port: CallPort): CallWindow | undefined => {
    for (const window of weather.windows)
      if ((window.port === port || window.port === 'any') && window.random.chance(window.rate)) return window;
    return undefined;
  };
  return async (port, call) => {
    if (process.dead) return never;
    if (process.skewed && effects.has(port)) weather.trespassed(port);
    if (weather.slowness > 0 && weather.random.chance(weather.slowness)) {
      await loop.sleep(milliseconds(weather.random.int(1, 3_000)));
      if (process.dead) return never;
    }
    if (weather.windows.size === 0) return call();
    const window = struck(port);
    if (window === undefined) return call();
    const { fault } = window;
    weather.met(fault, port);
    const error = new SelkieError(window.code, `${port} failed: ${fault}, ${window.code}`);
    switch (fault) {
      case 'slow':
        await loop.sleep(milliseconds(window.random.int(1_000, 200_000)));
        return process.dead ? never : call();
      case 'refused':
        throw error;
      case 'late':
        if (canBeLate.has(port))
          loop.begin(loop.now() + window.random.int(1_000, 400_000), () => void call().catch(() => {}));
        throw error;
      case 'lost':
        await call();
        throw process.dead ? await never : error;
      case 'crash-before':
        process.crash();
        return never;
      case 'crash-after':
        await call();
        process.crash();
        return never;
    }
  };
};

/** The world as one process sees it: every call of a port that leaves the process goes through the weather. */
export const inWeather = (world: World, process: Process, loop: Loop, weather: Weather): World => {
  const go = through(loop, process, weather);
  const { ledger, vault, disclosure, writer, observer, resolver, transport, queue, keys } = world;
  const guarded: Ledger = {
    head: () => go('ledger.head', () => ledger.head()),
    installFleet: (version) => go('ledger.commit', () => ledger.installFleet(version)),
    beginRestore: () => go('ledger.commit', () => ledger.beginRestore()),
    endRestore: () => go('ledger.commit', () => ledger.endRestore()),
    domain: (domain) => go('ledger.read', () => ledger.domain(domain)),
    host: (name) => go('ledger.read', () => ledger.host(name)),
    request: (domain, key) => go('ledger.read', () => ledger.request(domain, key)),
    domains: (options) => go('ledger.read', () => ledger.domains(options)),
    hostRows: (options) => go('ledger.read', () => ledger.hostRows(options)),
    saveDrift: (found) => go('ledger.commit', () => ledger.saveDrift(found)),
    driftOf: (subject) => go('ledger.read', () => ledger.driftOf(subject)),
    drift: (options) => go('ledger.read', () => ledger.drift(options)),
    saveReport: (row, most) => go('ledger.commit', () => ledger.saveReport(row, most)),
    reports: (domain, options) => go('ledger.read', () => ledger.reports(domain, options)),
    commit: (commit) => go('ledger.commit', () => ledger.commit(commit)),
    nextPlace: (pool) => go('ledger.read', () => ledger.nextPlace(pool)),
    trail: (subject) => go('ledger.read', () => ledger.trail(subject)),
    audit: (subject, options) => go('ledger.read', () => ledger.audit(subject, options)),
    newestEvents: (options) => go('ledger.read', () => ledger.newestEvents(options)),
    log: (pool, after) => go('ledger.read', () => ledger.log(pool, after)),
    due: (now, limit) => go('ledger.due', () => ledger.due(now, limit)),
    lease: (name, holder, now, length) => go('ledger.commit', () => ledger.lease(name, holder, now, length)),
    release: (name, holder) => go('ledger.commit', () => ledger.release(name, holder)),
  };
  return {
    ...world,
    ledger: guarded,
    vault: {
      store: (keys) => go('vault.store', () => vault.store(keys)),
      read: (secret) => go('vault.read', () => vault.read(secret)),
      find: (domain, selector) => go('vault.read', () => vault.find(domain, selector)),
      destroy: (secret) => go('vault.destroy', () => vault.destroy(secret)),
      list: (options) => go('vault.read', () => vault.list(options)),
    },
    disclosure: {
      publish: (key) => go('disclosure.publish', () => disclosure.publish(key)),
      list: (domain, options) => disclosure.list(domain, options),
    },
    writer: {
      lookup: (zone, name) => go('writer.lookup', () => writer.lookup(zone, name)),
      submit: (zone, changes) => go('writer.submit', () => writer.submit(zone, changes)),
      status: (zone, id) => go('writer.status', () => writer.status(zone, id)),
      fits: (changes) => writer.fits(changes),
      list: (zone, options) => go('writer.lookup', () => writer.list(zone, options)),
    },
    ...(resolver === undefined
      ? {}
      : {
          resolver: {
            resolve: (question) => go('resolver.resolve', () => resolver.resolve(question)),
          },
        }),
    observer: { observe: (zone, name) => go('observer.observe', () => observer.observe(zone, name)) },
    transport: { push: (host, bundle) => go('transport.push', () => transport.push(host, bundle)) },
    queue: { send: (units, delay) => go('queue.send', () => queue.send(units, delay)) },
    keys: { ...keys, generate: (algorithm) => go('keys.generate', () => keys.generate(algorithm)) },
  };
};
