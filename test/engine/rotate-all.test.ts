// An order for many domains: who rotates when, what is refused, and that it may be given again.
import { describe, expect, it } from 'vitest';
import { createScaleWorld } from '../../bench/scale/world.ts';
import { between, type Instant, minutes } from '../../core/time.ts';
import { requestMany, startsOf } from '../../engine/rotate-all.ts';
import { openSession } from '../../engine/world.ts';

const begin = (domains: number, zones: number | 'own') =>
  createScaleWorld({ domains, zones, hosts: 1 }, { workers: 2, share: 0.8 });
const order = { kind: 'emergency', reason: 'a drill' } as const;

/** Seconds after the order at which so many domains begin. */
const byTime = (
  starts: ReadonlyMap<string, Instant>,
  from: Instant,
): readonly (readonly [number, number])[] =>
  [...Map.groupBy(starts.values(), (at) => between(from, at) / 1_000)].map(([at, of]) => [at, of.length]);

describe('an order for many domains', () => {
  it('begins zones of one domain as fast as two requests for each are allowed', async () => {
    const world = await begin(5, 'own');
    const starts = await world.call(async (by) => startsOf(by, by.fleet.domains.keys(), world.start));
    expect(byTime(starts, world.start)).toEqual([
      [0, 1],
      [0.25, 1],
      [0.5, 1],
      [0.75, 1],
      [1, 1],
    ]);
  });

  it('begins a zone’s cohorts one after the other, as fast as their records may be changed', async () => {
    const world = await begin(600, 1);
    const starts = await world.call(async (by) => startsOf(by, by.fleet.domains.keys(), world.start));
    const cohorts = byTime(starts, world.start);
    expect(cohorts.length).toBe(10);
    let expected = 0;
    for (const [at, domains] of cohorts) {
      expect(at).toBeCloseTo(expected, 1);
      expected += domains / 80;
    }
    expect(starts.size).toBe(600);
  });

  it('is written at once, is joined when it is given again, and names what it cannot do', async () => {
    const world = await begin(300, 1);
    const names = [...world.fleet.domains.keys(), 'elsewhere.example'];
    const first = await world.call(async (by) => requestMany(by, await openSession(by), names, order));
    expect(first.ordered).toBe(300);
    expect([...first.refused]).toEqual([['elsewhere.example', 'elsewhere.example is not in fleet.yaml']]);
    const rows = [...world.ledger.rows.values()];
    expect(rows.every(({ rotations }) => rotations.length === 2)).toBe(true);
    expect(Math.max(...rows.map(({ wakeAt }) => wakeAt ?? 0))).toBe(first.until);
    expect(world.counts.messages).toBe(0);

    const again = await world.call(async (by) => requestMany(by, await openSession(by), names, order));
    expect(again.ordered).toBe(300);
    expect([...world.ledger.rows.values()].every(({ rotations }) => rotations.length === 2)).toBe(true);
  });

  it('is done: every domain signs with a new key, each cohort’s records in one request, nothing throttled', async () => {
    const world = await begin(600, 1);
    await world.call(async (by) =>
      requestMany(by, await openSession(by), by.fleet.domains.keys(), { reason: 'a drill' }),
    );
    await world.run(minutes(60));
    const signing = [...world.ledger.rows.values()].filter(
      (row) => row.keys[1]?.turns[0].active !== undefined,
    );
    expect(signing.length).toBe(600);
    expect(world.route53.counts.creating).toBeLessThanOrEqual(13);
    expect(world.route53.counts.throttled).toBe(0);
    expect(world.route53.over).toEqual({ requests: 0, changes: 0 });
  });
});
