// Golden timelines: what the engine does in a whole life of keys, with its times. `UPDATE_GOLDEN=1` writes them anew;
// each is then to be read against docs/lifecycle.md.

import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { days, hours } from '../../core/time.ts';
import { domain, type Simulation, simulate } from './world.ts';

const start = '2024-01-28T09:00:00Z';
const hosts = ['mx1.example.com', 'mx2.example.com'];
let open: Simulation | undefined;

afterEach(() => {
  open?.close();
  open = undefined;
});

const begin = async (...args: Parameters<typeof simulate>): Promise<Simulation> => {
  open = await simulate(...args);
  return open;
};

const expectGolden = (name: string, world: Simulation): void => {
  const file = new URL(`../golden/${name}.txt`, import.meta.url);
  const timeline = world.timeline();
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, timeline);
  expect(timeline).toBe(readFileSync(file, 'utf8'));
};

const keys = async ({ world }: Simulation) => (await world.ledger.domain(domain))?.keys ?? [];

describe('golden timelines', () => {
  test('first key: the negative TTL is waited for', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(hours(2));
    expect((await keys(world)).map(({ turns }) => turns[0].active !== undefined)).toEqual([true]);
    expectGolden('first-key', world);
  });

  test('scheduled rotation: the first key lives until nothing is left of it', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(days(150));
    const [first] = await keys(world);
    expect(first?.evidence.destroyed).toBeDefined();
    expect([...world.vault.destroyed][0]).toBe(first?.evidence.stored?.secret);
    expectGolden('scheduled-rotation', world);
  });
});
