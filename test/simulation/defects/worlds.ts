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
