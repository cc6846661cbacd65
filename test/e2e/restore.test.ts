// The ledger comes back from a backup while the world has gone on: rotations that it does not know, records and keys that it
// knows as they were. The whole simulation (test/simulation) judges it: each message signed at any time verifies, hosts come
// to the same keys, no selector is used twice, and nothing is left behind.
import { expect, test } from 'vitest';
import { hours } from '../../core/time.ts';
import { stream } from '../simulation/random.ts';
import { type Item, keyScenarioOf, type Scenario } from '../simulation/scenario.ts';
import { runScenario } from '../simulation/world.ts';

/** What operators said since the backup is forgotten with it, and has to be said again: those worlds have none of it. */
const forgettable = new Set<Item['do']>(['exclude', 'emergency']);

/** Keys alone: of SPF and DMARC records that are younger than the backup, the ledger knows nothing (docs/spf-dmarc.md). */
const withDrill = (seed: number): Scenario => {
  const scenario = keyScenarioOf(seed);
  const chance = stream(seed, 'ledger-restored');
  const at = Math.floor(chance.between(hours(12), scenario.length));
  const age = Math.floor(chance.next() ** 2 * Math.min(at, hours(35 * 24)));
  const items: readonly Item[] = [
    ...scenario.items.filter((item) => !forgettable.has(item.do)),
    { at, do: 'ledger-restored', age },
  ];
  return { ...scenario, items: items.toSorted((a, b) => a.at - b.at) };
};

/**
 * Worlds that once failed. 281: a host with a bad disk was told to sign with a key that it could not write. 460: a key that was
 * sent after the backup was destroyed while a host that was away held it.
 */
const failed = [281, 460];

const { SEED, SEEDS } = process.env;
const count = Number(SEEDS ?? 60);
const seeds = [
  ...Array.from({ length: count }, (_, n) => Number(SEED ?? 1) + n),
  ...(SEED === undefined ? failed : []),
];

test(`${seeds.length} worlds with a restored ledger break no invariant`, {
  timeout: Math.max(280_000, 1_000 * seeds.length),
}, async () => {
  const found: string[] = [];
  for (const seed of seeds) {
    const trace = SEED !== undefined && count === 1;
    const { violations, timeline } = await runScenario(withDrill(seed), { trace });
    if (trace) console.log(timeline.join('\n'));
    for (const { invariant, says } of violations) found.push(`seed ${seed}: ${invariant}: ${says}`);
  }
  expect(found).toEqual([]);
});
