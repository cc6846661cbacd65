// What the engine does with hosts beyond the golden timelines: those that stand elsewhere than believed, units that find
// a lease taken, keys that a host cannot use.

import { afterEach, describe, expect, test } from 'vitest';
import { add, days, hours, minutes } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { fenceHosts, returnHost } from '../../engine/hosts.ts';
import type { Unit } from '../../engine/ports.ts';
import { reconcileHost } from '../../engine/reconcile-host.ts';
import { tick, workOn } from '../../engine/tick.ts';
import { openSession, type World } from '../../engine/world.ts';
import { type Simulation, simulate } from '../world/world.ts';

const mx1 = 'mx1.example.com';
const unit = { kind: 'host', host: mx1 } as const;
let open: Simulation | undefined;

afterEach(() => {
  open?.close();
  open = undefined;
});

const begin = async (...[start = '2024-01-28T09:00:00Z']: readonly string[]): Promise<Simulation> => {
  open = await simulate(start, {}, [mx1]);
  await open.run(hours(2));
  return open;
};

/** The same world, with a queue that only notes what it is sent. */
const noting = ({ world }: Simulation): { world: World; sent: Unit[] } => {
  const sent: Unit[] = [];
  const queue = { send: async (units: readonly Unit[]) => void sent.push(...units) };
  return { world: { ...world, fleet: world.fleet, queue }, sent };
};

describe('a host', () => {
  test('that lacks nothing hears of an announced bundle key in its next unit, once', async () => {
    const { world } = await begin();
    const pushed: string[] = [];
    const [signer] = await world.seals.bundleKeys();
    if (signer === undefined) throw new Error('no bundle key');
    const announcing = (trusts: readonly string[]): World => ({
      ...world,
      fleet: world.fleet,
      seals: { ...world.seals, bundleKeys: async () => [signer, { ...signer, kid: 'next' }] },
      // What the host says that it trusts, as the engine keeps it.
      ledger: {
        ...world.ledger,
        host: async (name) => {
          const row = await world.ledger.host(name);
          return row === undefined ? undefined : { ...row, trusts };
        },
        commit: async () => {},
      },
      transport: {
        push: (host, bundle) => {
          pushed.push(host.name);
          return world.transport.push(host, bundle);
        },
      },
    });
    await reconcileHost(world, unit);
    await reconcileHost(announcing([signer.kid, 'next']), unit);
    expect(pushed).toEqual([]);
    await reconcileHost(announcing([signer.kid]), unit).catch(() => {});
    expect(pushed).toEqual([mx1]);
  });

  test('that lacks nothing is asked where it stands after an hour of silence, and not before', async () => {
    const simulation = await begin();
    const { world } = simulation;
    const pushed: string[] = [];
    const listening: World = {
      ...world,
      fleet: world.fleet,
      transport: {
        push: (host, bundle) => {
          pushed.push(host.name);
          return world.transport.push(host, bundle);
        },
      },
    };
    await reconcileHost(listening, unit);
    const seen = (await world.ledger.host(mx1))?.lastSeen;
    expect([pushed, seen]).toEqual([[mx1], simulation.now()]);
    await reconcileHost(listening, unit);
    expect(pushed).toEqual([mx1]);
    await simulation.run(hours(1));
    await reconcileHost(listening, unit);
    expect(pushed).toEqual([mx1, mx1]);
  });

  test('is looked after at each full hour', async () => {
    const simulation = await begin('2024-01-28T09:30:00Z');
    const { world, sent } = noting(simulation);
    await tick(world);
    expect(sent.filter(({ kind }) => kind === 'host')).toEqual([]);
    await simulation.run(minutes(30));
    await tick(world);
    expect(sent.filter(({ kind }) => kind === 'host')).toEqual([unit]);
  });

  test('whose lease is taken gets one unit that comes back, however many found it so', async () => {
    const simulation = await begin();
    const { world, sent } = noting(simulation);
    const now = simulation.now();
    expect(await world.ledger.lease(`host/${mx1}`, 'another', now, minutes(1))).toBe(true);
    for (let n = 0; n < 20; n += 1) await reconcileHost(world, unit);
    expect(sent).toEqual([unit]);
  });

  // Two workers at a wiped host: the slower had read the log before it went on, sealed its snapshot after the other, and so
  // took back what the host was told since. It signed with nothing until the next bundle.
  test('is not sent a snapshot that was read before a newer one was sent', async () => {
    const simulation = await begin();
    const { world, sent } = noting(simulation);
    let hasRead = (): void => {};
    const read = new Promise<void>((resolve) => {
      hasRead = resolve;
    });
    let goOn = (): void => {};
    const paused = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const pushed: string[] = [];
    const slow: World = {
      ...world,
      fleet: world.fleet,
      ledger: {
        ...world.ledger,
        log: async (pool, after) => {
          const entries = await world.ledger.log(pool, after);
          hasRead();
          await paused;
          return entries;
        },
      },
      transport: {
        push: (host, bundle) => {
          pushed.push(host.name);
          return world.transport.push(host, bundle);
        },
      },
    };
    await fenceHosts(world, await openSession(world), [mx1], 'silent');
    const late = reconcileHost(slow, unit);
    await read;
    const [domain = ''] = world.fleet.domains.keys();
    await requestRotation(simulation.world, await openSession(simulation.world), domain, {});
    await simulation.run(hours(1));
    const after = await world.ledger.host(mx1);
    expect(after?.complete).toBe(true);
    goOn();
    await late;
    expect(pushed).toEqual([]);
    expect(await world.ledger.host(mx1)).toEqual(after);
    expect(sent).toEqual([unit]);
  });

  test('is not called back by a worker whose clock is off', async () => {
    const { world } = await begin();
    const off: World = {
      ...world,
      fleet: world.fleet,
      clock: { now: () => add(world.clock.now(), days(1)) },
    };
    await expect(openSession(off).then((session) => returnHost(off, session, mx1))).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});

describe('a cohort unit', () => {
  // A worker of the newest deployment began a key set that a worker of the one before, whose fleet file had the domain
  // leave, took away again at once: its mail had no signature.
  test('of a fleet that is not installed yet waits for that', async () => {
    const simulation = await begin();
    const { world, sent } = noting(simulation);
    const { domains } = world.fleet;
    const [name, entry] = [...domains][0] ?? [];
    if (name === undefined || entry === undefined) throw new Error('no domain');
    const leaving = new Map([[name, { ...entry, leaving: true }]]);
    const newer: World = { ...world, fleet: { ...world.fleet, version: 2, domains: leaving } };
    const cohort: Unit = { kind: 'cohort', domains: [name] };
    const before = await world.ledger.domain(name);
    await workOn(newer, cohort);
    expect(await world.ledger.domain(name)).toEqual(before);
    expect(sent).toEqual([]);
    await workOn(newer, { kind: 'fleet' });
    expect(sent).toContainEqual(cohort);
    await workOn(newer, cohort);
    expect((await world.ledger.domain(name))?.version).toBeGreaterThan((before?.version ?? 0) + 1);
  });
});
