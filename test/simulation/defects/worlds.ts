// Worlds made for defects that need several things to come together at their minutes: chance alone takes thousands of
// worlds to do that.

import { days, hours, minutes } from '../../../core/time.ts';
import type { Item, Scenario } from '../scenario.ts';

/** One domain that rotates only when asked, one zone, two hosts that are pushed to and pull; nothing is slow. */
const quiet = (items: readonly Item[]): Scenario => ({
  seed: 1,
  start: '2024-01-28T09:00:00Z',
  length: days(4),
  workers: 1,
  serverLag: 1_000,
  syncDelay: 1_000,
  slowness: 0,
  zones: [{ name: 'zone.example', servers: 2, negativeTtl: 0 }],
  domains: [
    {
      domain: 'zone.example',
      zone: 'zone.example',
      pool: 'mx',
      policy: {
        algorithms: ['ed25519'],
        ttl: minutes(5),
        downstreamQueue: hours(4),
        drainMargin: hours(1),
        hold: hours(6),
      },
      from: 0,
    },
  ],
  hosts: ['mx1.example', 'mx2.example'].map((name) => ({
    name,
    pool: 'mx',
    pulls: true,
    pushed: true,
    from: 0,
  })),
  items: items.toSorted((a, b) => a.at - b.at),
  messages: 10,
});

const rotate = (at: number): Item => ({ at, do: 'rotate', domain: 'zone.example' });

/**
 * A host comes back with a disk from before the switch, and says so; the keys that it lacks cannot be read, and the drain of
 * the key that it signs with ends.
 */
export const restoredAsTheDrainEnds = quiet([
  rotate(days(1)),
  {
    at: days(1) + hours(4.8),
    do: 'calls',
    port: 'vault.read',
    fault: 'refused',
    code: 'unavailable',
    rate: 1,
    for: hours(24),
  },
  { at: days(1) + hours(5), do: 'host-restored', host: 'mx2.example', age: hours(6) },
]);

/** A key is given up while a worker that has given up waiting still stores it. */
export const storedTooLate = quiet(
  [1, 2, 3, 4, 5].flatMap((n): Item[] => [
    {
      at: n * hours(12) - 1_000,
      do: 'calls',
      port: 'vault.store',
      fault: 'late',
      code: 'unavailable',
      rate: 1,
      for: minutes(2),
    },
    rotate(n * hours(12)),
    { at: n * hours(12) + 20_000, do: 'abort', domain: 'zone.example' },
  ]),
);

const inZones = (names: readonly string[]): Pick<Scenario, 'zones' | 'domains'> => {
  const base = quiet([]);
  return {
    zones: base.zones.flatMap((zone) => names.map((name) => ({ ...zone, name, servers: 1 }))),
    domains: base.domains.flatMap((plan) => names.map((name) => ({ ...plan, domain: name, zone: name }))),
  };
};

/** Four zones of one pool rotate at the same moments, and calls take their time: their workers take numbers of one log. */
export const zonesThatRotateTogether: Scenario = (() => {
  const names = [0, 1, 2, 3].map((n) => `zone${n}.example`);
  const moments = Array.from({ length: 39 }, (_, n) => hours(3 * (n + 1)));
  return {
    ...quiet(moments.flatMap((at) => names.map((domain): Item => ({ at, do: 'rotate', domain })))),
    ...inZones(names),
    length: days(6),
    workers: 3,
    slowness: 0.8,
  };
})();

/** Domains of one zone, each from its own moment on. */
const domainsOfOneZone = (from: readonly number[]): Scenario['domains'] =>
  quiet([]).domains.flatMap((plan) =>
    from.map((at, n) => ({ ...plan, domain: `d${n}.zone.example`, from: at })),
  );

/** Domains leave the fleet for some minutes and come back, each day, while workers take up fleets at different times. */
export const domainsThatComeAndGo: Scenario = {
  ...quiet(
    Array.from({ length: 96 }, (_, n) => ({
      at: days(1) + hours(2.5 * n),
      do: 'vanish',
      domain: `d${n % 4}.zone.example`,
      // Shorter and longer than it takes to install a fleet.
      for: minutes(1 + ((n * 7) % 27)),
    })),
  ),
  domains: domainsOfOneZone([0, 0, 0, 0]),
  length: days(12),
  workers: 3,
  slowness: 0.5,
};

/** Each seven hours a domain gets its first keys, and one of two hosts loses its disk every forty seconds meanwhile. */
export const wipedWhileDomainsBegin: Scenario = (() => {
  const from = Array.from({ length: 16 }, (_, n) => hours(7 * (n + 1)));
  return {
    ...quiet(
      from.flatMap((begins) =>
        Array.from(
          { length: 40 },
          (_, n): Item => ({ at: begins + minutes(n * 0.63), do: 'host-wiped', host: 'mx1.example' }),
        ),
      ),
    ),
    domains: domainsOfOneZone(from),
    length: days(6),
    workers: 3,
    slowness: 0.8,
  };
})();
