// An order for many domains: who rotates when, what is refused, and that it may be given again.
import { describe, expect, it } from 'vitest';
import { createScaleWorld } from '../../bench/scale/world.ts';
import { between, type Instant, minutes } from '../../core/time.ts';
import { orderMany } from '../../engine/order-many.ts';
import type { Unit } from '../../engine/ports.ts';
import { requestMany, type Turn, turnsFor } from '../../engine/rotate-all.ts';
import { workOn } from '../../engine/tick.ts';
import { openSession } from '../../engine/world.ts';

const begin = (domains: number, zones: number | 'own') =>
  createScaleWorld({ domains, zones, hosts: 1 }, { workers: 2, share: 0.8 });
const order = { kind: 'emergency', reason: 'a drill' } as const;

/** Seconds after the order at which so many domains begin. */
const byTime = (turns: readonly Turn[], from: Instant): readonly (readonly [number, number])[] =>
  turns.map(({ unit, start }) => [between(from, start) / 1_000, unit.domains.length]);

describe('an order for many domains', () => {
  it('begins zones of one domain as fast as two requests for each are allowed', async () => {
    const world = await begin(52, 'own');
    const starts = await world.call(async (by) => turnsFor(by, by.fleet.domains.keys(), world.start));
    const cohorts = byTime(starts, world.start);
    // Twelve seconds’ worth at once, then four domains a second, whether or not they share a unit.
    let expected = -12;
    for (const [at, domains] of cohorts) {
      expect(at).toBeCloseTo(Math.max(0, expected), 2);
      expected += domains / 4;
    }
    expect(expected).toBe(1);
    expect(cohorts.length).toBeLessThan(52);
  });

  it('begins a zone’s cohorts one after the other, as fast as their records may be changed', async () => {
    const world = await begin(1_800, 1);
    const starts = await world.call(async (by) => turnsFor(by, by.fleet.domains.keys(), world.start));
    const cohorts = byTime(starts, world.start);
    expect(cohorts.length).toBe(30);
    let expected = -12;
    for (const [at, domains] of cohorts) {
      expect(at).toBeCloseTo(Math.max(0, expected), 1);
      expected += domains / 80;
    }
    expect(cohorts.reduce((sum, [, domains]) => sum + domains, 0)).toBe(1_800);
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
    // Those whose turn comes before the next sweep are woken by messages: a cohort each, and not a domain.
    expect(world.counts.messages).toBe(5);

    const again = await world.call(async (by) => requestMany(by, await openSession(by), names, order));
    expect(again.ordered).toBe(300);
    expect([...world.ledger.rows.values()].every(({ rotations }) => rotations.length === 2)).toBe(true);
  });

  it('is carried out by units, each of some cohorts, and goes on where one broke off', async () => {
    const world = await begin(4_500, 1);
    const sent: Unit[] = [];
    const ordered = await world.call(async (by) => {
      const kept = { ...by, queue: { send: async (units: readonly Unit[]) => void sent.push(...units) } };
      const asked = { all: true, kind: 'emergency', reason: 'a drill' } as const;
      const begun = await orderMany(kept, await openSession(kept), asked, 'k');
      // Whoever sends it again has it carried out again, and nothing is done twice.
      expect(await orderMany(kept, await openSession(kept), asked, 'k')).toEqual({ ...begun, joined: true });
      for (const unit of sent) if (unit.kind === 'order') await workOn(kept, unit);
      return begun;
    });
    expect(ordered.domains).toBe(4_500);
    const units = sent.filter(({ kind }) => kind === 'order');
    expect(units).toEqual(expect.arrayContaining([{ kind: 'order', id: 'k', turn: expect.any(Number) }]));
    // Twice three of them.
    expect(units).toHaveLength(6);
    const rows = [...world.ledger.rows.values()];
    expect(rows.every(({ rotations }) => rotations.length === 2)).toBe(true);
    expect(Math.max(...rows.map(({ wakeAt }) => wakeAt ?? 0))).toBe(ordered.until);
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
