// Thousands of simulated worlds in each run of the tests, a few with real ciphers, and the worlds that failed once.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { alone, cohortOf } from '../../core/key/cohorts.ts';
import { instant, milliseconds, minutes } from '../../core/time.ts';
import { createDns, createResolver } from './dns.ts';
import { createLoop } from './loop.ts';
import { stream } from './random.ts';
import { createRealCryptography } from './real.ts';
import { regressions } from './regressions.ts';
import { scenarioOf } from './scenario-records.ts';
import { shrink } from './shrink.ts';
import { runSeeds, type Tally, unmet } from './summary.ts';
import { runScenario } from './world.ts';

const main = fileURLToPath(new URL('main.ts', import.meta.url));

/** Runs `npm run sim` as a person would. */
const sim = async (
  ...args: readonly string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> => {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => {
    texts.stdout += String(text);
  });
  child.stderr.on('data', (text) => {
    texts.stderr += String(text);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...texts };
};

describe('simulated worlds', () => {
  test('2,000 of them keep every invariant, and every fault strikes', { timeout: 600_000 }, async () => {
    const { code, stdout, stderr } = await sim('--seeds', '2000', '--jobs', '2', '--json', '--quiet');
    expect(stderr).toBe('');
    const tally = JSON.parse(stdout) as Tally;
    expect(tally.failures).toEqual([]);
    expect(code).toBe(0);
    expect(tally.worlds).toBe(2_000);
    expect(tally.figures.rotations).toBeGreaterThan(20_000);
    expect(tally.figures.verified).toBeGreaterThan(500_000);
    // Each kind of fault has struck while keys were in each state of their lives.
    expect(unmet(tally)).toEqual([]);
  });

  test('with real keys and ciphers it is the same world', { timeout: 120_000 }, async () => {
    const real = await createRealCryptography();
    const tally = await runSeeds(
      Array.from({ length: 30 }, (_, n) => n + 1),
      { real },
    );
    expect(tally.failures).toEqual([]);
    expect(tally.figures.rotations).toBeGreaterThan(100);
  });

  test('one seed gives one world, to the last line', { timeout: 60_000 }, async () => {
    const once = await runScenario(scenarioOf(23), { trace: true });
    const twice = await runScenario(scenarioOf(23), { trace: true });
    expect(twice.timeline).toEqual(once.timeline);
    expect(once.timeline.length).toBeGreaterThan(50);
    const other = await runScenario(scenarioOf(24), { trace: true });
    expect(other.timeline).not.toEqual(once.timeline);
  });
});

test('in three worlds of ten zones rotate together: a unit of work has domains of several', () => {
  const cohort = (zone: string): number => cohortOf({ domain: zone, zone, fellows: alone });
  const worlds = Array.from({ length: 200 }, (_, n) => scenarioOf(n + 1)).filter(({ zones, domains }) => {
    const used = zones.filter(({ name }) => domains.some(({ zone }) => zone === name));
    return used.length > 1 && new Set(used.map(({ name }) => cohort(name))).size === 1;
  });
  expect(worlds.length).toBeGreaterThan(40);
  for (const { domains } of worlds)
    expect(new Set(domains.map(({ policy }) => policy.rotateEvery)).size).toBe(1);
});

describe('worlds that failed once', () => {
  test.each(regressions)('$found', { timeout: 60_000 }, async ({ scenario }) => {
    expect((await runScenario(scenario)).violations).toEqual([]);
  });
});

describe('npm run sim', () => {
  test.each([
    [['--seeds', 'many'], '--seeds is "many": a whole number from 1 on is needed.'],
    [['--seeds', '0'], '--seeds is "0"'],
    [['--trace'], '--trace is for one world: say --seed N as well.'],
    [['--colour'], "Unknown option '--colour'"],
  ])('%j is refused with what to do', async (args, says) => {
    const { code, stderr, stdout } = await sim(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(says);
    expect(stderr).toContain('npm run sim -- --help says what there is.');
  });

  test('replays one world with its timeline', async () => {
    const { code, stdout } = await sim('--seed', '23', '--trace');
    expect(code).toBe(0);
    expect(stdout).toContain('every ready host signs with');
    expect(stdout).toMatch(/no violation; \d+ rotations, \d+ verifications\n$/);
  });
});

describe('making a failing world smaller', () => {
  test('leaves what the failure needs, and nothing else', { timeout: 120_000 }, async () => {
    // A host that is taken out of the fleet and never brought back signs for nobody: a world that must fail.
    const scenario = scenarioOf(31);
    const broken = {
      ...scenario,
      hosts: scenario.hosts.map((host) => ({ ...host, pulls: false, pushed: true })),
      items: [...scenario.items, { at: 1_000, do: 'host-off', host: 'nobody.example', for: 1_000 } as const],
      zones: scenario.zones.map((zone) => ({ ...zone, servers: 0 })),
    };
    const [violation] = (await runScenario(broken)).violations;
    if (violation === undefined)
      throw new Error('a zone without name servers proves nothing: this world must fail');
    const shrunk = await shrink(broken, violation);
    expect(shrunk.violation.invariant).toBe(violation.invariant);
    expect(shrunk.scenario.items).toEqual([]);
    expect(shrunk.scenario.domains).toHaveLength(1);
  });
});

describe('the simulated DNS', () => {
  const set = (value: string) => ({ ttl: minutes(5), values: [value] });
  const make = () => {
    const loop = createLoop(instant(0), () => {});
    const seen: string[] = [];
    const dns = createDns({
      loop,
      random: stream(1, 'dns'),
      zones: [{ zone: { name: 'a.example', id: 'Z1' }, servers: 2, negativeTtl: minutes(15) }],
      lags: { server: minutes(10), sync: minutes(2) },
      watch: {
        written: () => {},
        shown: (_zone, server, _name, _before, after) => void seen.push(`${server.name} ${after?.values[0]}`),
      },
    });
    const zone = dns.zones.get('a.example');
    if (zone === undefined) throw new Error('unreachable');
    return { loop, dns, zone, seen };
  };

  test('a stuck server shows everything in order once it is loose', async () => {
    const { loop, dns, zone, seen } = make();
    const [stuck] = zone.servers;
    if (stuck === undefined) throw new Error('unreachable');
    stuck.stuckUntil = minutes(60);
    for (const value of ['one', 'two', 'three']) dns.put(zone, 'x.a.example', set(value));
    await loop.run(instant(minutes(59)));
    expect(seen).toEqual(['one', 'two', 'three'].map((value) => `ns2.a.example ${value}`));
    await loop.run(instant(minutes(60)));
    expect(seen.slice(3)).toEqual(['one', 'two', 'three'].map((value) => `ns1.a.example ${value}`));
  });

  test('CREATE over what stands there is refused, and nothing of the batch is done', async () => {
    const { dns, zone } = make();
    dns.put(zone, 'x.a.example', set('theirs'));
    const create = (name: string) => ({ do: 'create', name, set: set('ours') }) as const;
    await expect(dns.submit(zone.zone, [create('y.a.example'), create('x.a.example')])).rejects.toMatchObject(
      {
        code: 'rejected',
      },
    );
    expect([...zone.standing.keys()]).toEqual(['x.a.example']);
  });

  test('a resolver holds a denial for the negative TTL, and an answer for its TTL', async () => {
    const { loop, dns, zone } = make();
    const resolver = createResolver(loop, stream(1, 'resolver'));
    expect(resolver.ask(zone, 'x.a.example')).toBeUndefined();
    dns.put(zone, 'x.a.example', set('here'));
    await loop.run(instant(minutes(14)));
    expect(resolver.ask(zone, 'x.a.example')).toBeUndefined();
    await loop.run(instant(minutes(15)));
    expect(resolver.ask(zone, 'x.a.example')).toEqual(set('here'));
    dns.put(zone, 'x.a.example', undefined);
    await loop.run(instant(minutes(19)));
    expect(resolver.ask(zone, 'x.a.example')).toEqual(set('here'));
    await loop.run(instant(minutes(26)));
    expect(resolver.ask(zone, 'x.a.example')).toBeUndefined();
  });
});

describe('the loop', () => {
  test('events come in the order of their time, and of their making', async () => {
    const loop = createLoop(instant(0), () => {});
    const seen: string[] = [];
    const times = [5, 1, 3, 1, 4, 9, 2, 6, 5, 3, 5].entries();
    for (const [n, time] of times) loop.at(time, () => void seen.push(`${time} ${n}`));
    loop.begin(4, () => void loop.sleep(milliseconds(1)).then(() => seen.push('5 slept')));
    await loop.run(instant(8));
    expect(seen).toEqual(['1 1', '1 3', '2 6', '3 2', '3 9', '4 4', '5 0', '5 8', '5 10', '5 slept', '6 7']);
  });
});
