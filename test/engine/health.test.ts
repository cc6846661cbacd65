// What is counted, in a world that the real engine drives: nothing while all is well, and each thing that is wrong by name.
import { afterEach, describe, expect, test } from 'vitest';
import { add, days, hours, minutes } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { silence } from '../../engine/health.ts';
import type { Metric } from '../../engine/ports.ts';
import { tick } from '../../engine/tick.ts';
import { newHostRow, openSession, type World } from '../../engine/world.ts';
import { t } from '../core/key/made.ts';
import { type Simulation, simulate } from '../world/world.ts';

const mx1 = 'mx1.example.com';
let open: Simulation | undefined;

afterEach(() => {
  open?.close();
  open = undefined;
});

/** The same world with a reporter that counts. */
const counting = (simulation: Simulation) => {
  const counts: [Metric, number, readonly string[]][] = [];
  const { reporter } = simulation.world;
  Object.assign(reporter, {
    count: (metric: Metric, n: number, what: readonly string[] = []) => void counts.push([metric, n, what]),
  });
  return {
    /** The most that was counted of each since the last time. */
    taken: (): Readonly<Partial<Record<Metric, number>>> => {
      const most: Partial<Record<Metric, number>> = {};
      for (const [metric, n] of counts.splice(0)) most[metric] = Math.max(most[metric] ?? 0, n);
      return most;
    },
    named: (): readonly string[] => counts.splice(0).flatMap(([, , what]) => what),
  };
};

const begin = async (policy = {}): Promise<{ simulation: Simulation } & ReturnType<typeof counting>> => {
  const simulation = await simulate('2024-01-28T09:00:00Z', policy, [mx1]);
  open = simulation;
  return { simulation, ...counting(simulation) };
};

describe('while all is well', () => {
  test('a year of rotations counts nothing late', async () => {
    const { simulation, taken } = await begin({ rotateEvery: days(90) });
    await simulation.run(days(365));
    const { HostsSilent: _told, ...rest } = taken();
    expect(simulation.timeline().match(/scheduled rotation begins/g)?.length).toBeGreaterThan(2);
    expect(Object.values(rest).filter((n) => n > 0)).toEqual([]);
  });
});

describe('what is wrong is counted by name', () => {
  test('a host that is down while a key waits for it', async () => {
    const { simulation, taken, named } = await begin();
    await simulation.run(hours(2));
    taken();
    simulation.host(mx1).down = true;
    await requestRotation(simulation.world, await openSession(simulation.world), 'example.com', {});
    await simulation.run(hours(2));
    expect(taken().PhasesPastDeadline ?? 0).toBe(0);
    await simulation.run(hours(1));
    const says = named();
    expect(says).toContainEqual(
      expect.stringMatching(/^example.com: 240128e-2 was to hold by 2024-01-28T13:\d\d/),
    );
    await simulation.run(days(1));
    expect(taken()).toMatchObject({ PhasesPastDeadline: 1, RotationsOverdue: 1 });
    simulation.host(mx1).down = false;
    await simulation.run(hours(1));
    taken();
    await simulation.run(hours(1));
    expect(taken().PhasesPastDeadline ?? 0).toBe(0);
  });

  test('a key that no rotation replaced', async () => {
    const { simulation, taken } = await begin({ rotateEvery: days(1) });
    await simulation.run(hours(2));
    simulation.host(mx1).down = true;
    await simulation.run(days(2));
    expect(taken().KeysOlderThanPolicy ?? 0).toBe(0);
    await simulation.run(days(1));
    expect(taken()).toMatchObject({ KeysOlderThanPolicy: 1, RotationsOverdue: 1, PhasesPastDeadline: 1 });
  });

  test('domains that nobody looked at', async () => {
    const { simulation, taken, named } = await begin({ rotateEvery: days(90) });
    await simulation.run(hours(2));
    const { world } = simulation;
    const row = await world.ledger.domain('example.com');
    if (row === undefined) throw new Error('no row');
    taken();
    const idle: World = { ...world, fleet: world.fleet, queue: { send: async () => {} } };
    await world.ledger.commit({ domains: [{ ...row, wakeAt: add(simulation.now(), minutes(0)) }] });
    await tick(idle);
    expect(taken()).toMatchObject({ RotationsOverdue: 0 });
    await world.ledger.commit({
      domains: [{ ...row, version: row.version + 1, wakeAt: t }],
    });
    // The clock stands still here, so what is due long ago is: its turn came two days ago.
    const late: World = {
      ...idle,
      fleet: world.fleet,
      clock: { now: () => add(simulation.now(), days(2)) },
      ledger: {
        ...world.ledger,
        head: async () => ({ ...(await world.ledger.head()), at: add(simulation.now(), days(2)) }),
      },
    };
    await tick(late);
    expect(named()).toContain('example.com: nobody has looked at it for a day');
  });
});

describe('a host is silent', () => {
  const row = newHostRow(mx1, 'mx');
  const silent = (more: Partial<typeof row>, after: number): boolean =>
    silence({ ...row, ...more }, add(t, minutes(after)), t) !== undefined;

  test.each([
    ['that pulls, after a quarter of an hour', { lastPull: t }, 15],
    [
      'that pulls, however long it acknowledged nothing',
      { lastPull: t, lastSeen: add(t, minutes(-600)) },
      15,
    ],
    ['that acknowledged after it pulled', { lastPull: add(t, minutes(-60)), lastSeen: t }, 15],
    ['that never pulls, after it was asked in vain', { lastSeen: t }, 75],
    ['that was never heard of, after a day', {}, 24 * 60],
  ] as const)('%s', (_what, more, limit) => {
    expect([silent(more, limit), silent(more, limit + 1)]).toEqual([false, true]);
  });

  test('not where an operator set it aside', () => {
    expect(silent({ lastPull: t, excluded: { at: t, reason: 'under repair' } }, 600)).toBe(false);
  });

  test('and says since when', () => {
    expect(silence({ ...row, lastSeen: t }, add(t, days(1)), t)).toBe(
      `${mx1} was last heard of 2024-01-28T09:00:00.000Z`,
    );
    expect(silence(row, add(t, days(2)), t)).toContain('was never heard of: enrol it');
  });
});
