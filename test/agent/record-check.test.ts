// When records are looked at, and what follows, in virtual time; then real servers: BIND, and the embedded one.
import { afterEach, describe, expect, it } from 'vitest';
import { createAuthority, type ServerAnswer } from '../../adapters/dns/authority.ts';
import { startDnsServer } from '../../adapters/dns/server.ts';
import { type RecordCheck, startRecordCheck } from '../../agent/record-check.ts';
import { buildTombstone } from '../../core/dkim/key-record.ts';
import { type Duration, hours, milliseconds, minutes, seconds } from '../../core/time.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import { startNamed } from '../tools/named.ts';
import { makeKey } from '../tools/sealed.ts';
import { createVirtualTimer } from '../tools/virtual-timer.ts';

const key = makeKey('example.com', '240128e', 'signing');
const name = 'example.com/240128e';
const record = '240128e._domainkey.example.com';
const value = `v=DKIM1; k=ed25519; p=${key.publicKey}`;

const answered = (answer: ServerAnswer['answer']): ServerAnswer => ({
  server: 'ns1',
  address: '192.0.2.1#53',
  answer,
});
const sound = answered({ kind: 'txt', set: { ttl: seconds(300), values: [value] } });
const revoked = answered({ kind: 'txt', set: { ttl: seconds(300), values: [buildTombstone('ed25519')] } });
const absent = answered({ kind: 'no-such-name' });
const silent = answered({ kind: 'failed', why: 'no answer within 2 s' });

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

/** Everything in virtual time: what is promised is done when the event loop has turned a few times. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 6; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

const mapOf = (keys: readonly (typeof key)[]) =>
  new Map(keys.map((one) => [`${one.domain}/${one.selector}`, one]));

const begin = (
  domains: readonly (typeof key)[] = [key],
  answers: () => ServerAnswer[] | Error = () => [sound],
) => {
  const timer = createVirtualTimer();
  const start = timer.now();
  const world = {
    held: mapOf(domains),
    answers,
    looks: [] as { readonly name: string; readonly at: number }[],
    mostAtOnce: 0,
    told: [] as ReadonlyMap<string, string>[],
    lines: [] as string[],
    pass: async (length: Duration, step: Duration = seconds(1)) => {
      for (let passed = 0; passed < length; passed += step) {
        timer.pass(step);
        await settle();
      }
    },
    check: undefined as unknown as RecordCheck,
  };
  let atOnce = 0;
  world.check = startRecordCheck({
    held: () => world.held,
    look: async (asked) => {
      world.looks.push({ name: asked, at: timer.now() - start });
      const answer = world.answers();
      atOnce += 1;
      world.mostAtOnce = Math.max(world.mostAtOnce, atOnce);
      await undefined;
      atOnce -= 1;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    stop: async (keys) => void world.told.push(keys),
    now: timer.now,
    timer,
    random: () => 0.5,
    log: (line) => world.lines.push(line),
  });
  open.push(world.check);
  return world;
};

describe('the record check', () => {
  it('looks at once, then hourly, and says nothing of what is sound', async () => {
    const world = begin();
    await world.check.settled;
    expect(world.looks).toEqual([{ name: record, at: 0 }]);
    await world.pass(minutes(121), seconds(10));
    expect(world.looks.map(({ at }) => Math.round(at / minutes(1)))).toEqual([0, 60, 120]);
    expect([world.told, world.lines]).toEqual([[], []]);
  });

  it('stops a revoked key, having looked twice, and lets it sign when the record is right again', async () => {
    const world = begin();
    world.answers = () => [revoked];
    await settle();
    await world.pass(hours(1), seconds(10));
    world.looks.length = 0;
    await world.pass(seconds(30));
    // Stopped within seconds of the look of the hour.
    expect(world.told.map((keys) => [...keys.keys()])).toEqual([[name]]);
    expect(world.told[0]?.get(name)).toMatch(
      /240128e\._domainkey\.example\.com is revoked .* ns1.*must not sign/,
    );
    // Then it is looked at each minute, later less often, and a timeout changes nothing.
    await world.pass(minutes(4));
    const often = world.looks.length;
    expect(often).toBeGreaterThanOrEqual(4);
    world.answers = () => [silent];
    await world.pass(hours(1), seconds(10));
    expect(world.looks.length - often).toBeLessThan(10);
    expect(world.told.length).toBe(1);
    world.answers = () => [sound];
    await world.pass(minutes(15), seconds(10));
    expect(world.told.map((keys) => keys.size)).toEqual([1, 0]);
    const last = world.looks.at(-1)?.at ?? 0;
    await world.pass(minutes(30), seconds(10));
    expect(world.looks.at(-1)?.at).toBe(last); // hourly again
  });

  it('does not stop by one bad answer', async () => {
    let looks = 0;
    const world = begin([key], () => {
      looks += 1;
      return looks === 1 ? [absent] : [sound];
    });
    await world.pass(minutes(3));
    expect(world.told).toEqual([]);
    expect(world.looks.length).toBeGreaterThanOrEqual(3);
    expect(world.lines.join()).toMatch(/on none of its name servers.*is that server behind/);
  });

  it.each([
    ['timeouts', () => [silent, silent]],
    ['no resolver', () => new Error('No resolver tells SOA of example.com')],
  ])('never stops by %s, and says it once', async (_, answers) => {
    const world = begin([key, { ...key, domain: 'example.net' }]);
    await world.check.settled;
    world.answers = answers;
    await world.pass(hours(5), seconds(10));
    expect(world.told).toEqual([]);
    expect(world.lines.length).toBe(1);
    world.answers = () => [sound];
    await world.pass(hours(2), seconds(10));
    expect(world.lines.at(-1)).toBe('record check: every record can be looked at again');
  });

  it('says what it finds at the start before it is settled', async () => {
    const world = begin([key], () => [absent]);
    const settled = world.check.settled.then(() => world.told.length);
    await settle();
    await world.pass(seconds(3));
    expect(await settled).toBe(1);
  });

  it('takes up a key that begins to sign, and lets go of one that ends', async () => {
    const world = begin([]);
    await world.check.settled;
    world.held = mapOf([key]);
    world.answers = () => [absent];
    await world.pass(seconds(30));
    expect(world.told.map((keys) => keys.size)).toEqual([1]);
    world.held = mapOf([]);
    await world.pass(seconds(30));
    expect(world.told.map((keys) => keys.size)).toEqual([1, 0]);
    const { length } = world.looks;
    await world.pass(hours(2), seconds(10));
    expect(world.looks.length).toBe(length);
  });

  it('looks at another key of the same name anew', async () => {
    const world = begin([key], () => [absent]);
    await world.pass(seconds(10));
    expect(world.told.at(-1)?.size).toBe(1);
    const next = makeKey('example.com', '240128e', 'signing');
    world.answers = () => [
      answered({
        kind: 'txt',
        set: { ttl: seconds(1), values: [`v=DKIM1; k=ed25519; p=${next.publicKey}`] },
      }),
    ];
    world.held = mapOf([next]);
    await world.pass(seconds(30));
    expect(world.told.at(-1)?.size).toBe(0);
  });

  it('stops nothing once it is closed', async () => {
    const world = begin([key], () => [absent]);
    world.check.close();
    await world.pass(minutes(5));
    expect(world.told).toEqual([]);
  });

  it('spreads 100,000 domains over the hour, never more than some dozens at once', async () => {
    const busy = process.cpuUsage();
    const world = begin(Array.from({ length: 100_000 }, (_, i) => ({ ...key, domain: `d${i}.example` })));
    await world.pass(minutes(60), seconds(10));
    await world.pass(seconds(20), seconds(10));
    expect(new Set(world.looks.map((one) => one.name)).size).toBe(100_000);
    const perMinute = Map.groupBy(world.looks, ({ at }) => Math.floor(at / minutes(1)));
    for (const looks of [...perMinute.values()].slice(1, -1)) {
      expect(looks.length).toBeGreaterThan(1_000);
      expect(looks.length).toBeLessThan(2_600);
    }
    expect(world.mostAtOnce).toBeLessThanOrEqual(64);
    expect(world.mostAtOnce).toBeGreaterThan(16);
    const { user } = process.cpuUsage(busy);
    expect(user / 1e6).toBeLessThan(60);
  }, 120_000);
});

const zone = (zoneName: string, ns: readonly string[], ...lines: readonly string[]): string =>
  [
    '$TTL 60',
    `@ SOA ns1.${zoneName}. hostmaster.${zoneName}. 1 3600 600 86400 0`,
    ...ns.map((server) => `@ NS ${server}`),
    ...lines,
    '',
  ].join('\n');

describeWith(['named'], 'records at real servers', () => {
  /** Two name servers of example.com on one port, and a resolver that knows them by their names. */
  const serve = async (records: readonly [string, string | 'dead']) => {
    const port = await freePort();
    const addresses = ['127.0.0.1', '127.0.0.2'] as const;
    const start = async (lines: string, address: string) => {
      const text = zone('example.com', ['ns1', 'ns2'], 'ns1 A 127.0.0.1', 'ns2 A 127.0.0.2', lines);
      const named = await startNamed({ port, address, zones: { 'example.com': text } });
      open.push(named);
      return named;
    };
    for (const [i, lines] of records.entries()) if (lines !== 'dead') await start(lines, addresses[i] ?? '');
    const resolver = await freePort();
    const forward = { address: records[0] === 'dead' ? '127.0.0.2' : '127.0.0.1', port };
    open.push(await startNamed({ port: resolver, zones: {}, forwards: { 'example.com': forward } }));
    return createAuthority({ resolvers: [`127.0.0.1:${resolver}`], port, timeout: milliseconds(300) });
  };
  const shows = `240128e._domainkey TXT "${value}"`;
  const dead = `240128e._domainkey TXT "${buildTombstone('ed25519')}"`;

  const verdict = async (records: readonly [string, string | 'dead']) => {
    const authority = await serve(records);
    const told: ReadonlyMap<string, string>[] = [];
    const lines: string[] = [];
    const held = mapOf([key]);
    const check = startRecordCheck({
      held: () => held,
      look: authority.look,
      stop: async (keys) => void told.push(keys),
      now: () => Date.now() as never,
      timer: {
        after(delay, run) {
          const timer = setTimeout(run, Math.min(delay, 200));
          return () => clearTimeout(timer);
        },
      },
      random: Math.random,
      log: (line) => lines.push(line),
    });
    open.push(check);
    await check.settled;
    return { stopped: told.at(-1)?.get(name), lines };
  };

  it('shown by both: goes on', async () => expect(await verdict([shows, shows])).toEqual({ lines: [] }));
  it('shown by one, the other is down: goes on', async () =>
    expect(await verdict([shows, 'dead'])).toEqual({ lines: [] }));
  it('shown by one, the other lags: goes on, and that is said', async () => {
    const { stopped, lines } = await verdict([shows, '']);
    expect(stopped).toBeUndefined();
    expect(lines.join()).toContain('ns2.example.com only');
  });
  it('revoked at one: stops', async () =>
    expect((await verdict([shows, dead])).stopped).toMatch(/is revoked .* at ns2\.example\.com/));
  it('gone from both: stops', async () =>
    expect((await verdict(['', ''])).stopped).toMatch(
      /on none of its name servers \(ns1\.example\.com, ns2/,
    ));
  it('gone from one, the other is down: goes on', async () => {
    const { stopped, lines } = await verdict(['', 'dead']);
    expect(stopped).toBeUndefined();
    expect(lines.join()).toContain('only 1 of 2 name servers tell');
  });
  it('follows a CNAME to the target, revoked there: stops', async () => {
    const { stopped } = await verdict([
      `240128e._domainkey CNAME key.example.com.\nkey TXT "${buildTombstone('ed25519')}"`,
      `240128e._domainkey CNAME key.example.com.\nkey TXT "${buildTombstone('ed25519')}"`,
    ]);
    expect(stopped).toMatch(/is revoked/);
  });
  it('a CNAME to where nobody answers: goes on', async () => {
    const alias = '240128e._domainkey CNAME key.nowhere.example.';
    const { stopped, lines } = await verdict([alias, alias]);
    expect(stopped).toBeUndefined();
    expect(lines.join()).toContain('not every record can be looked at');
  });
  it('CNAMEs in a circle end', async () => {
    const loop = '240128e._domainkey CNAME a.example.com.\na CNAME b.example.com.\nb CNAME a.example.com.';
    expect((await verdict([loop, loop])).stopped).toBeUndefined();
  });
});

describe('records at servers that are named', () => {
  it('are asked for there, the root holding all', async () => {
    const values = new Map([[record, value]]);
    const zones = {
      zones: () => ['example.com'],
      find: (_: string, asked: string) => {
        const found = values.get(asked);
        return found === undefined ? undefined : { ttl: seconds(60), values: [found] };
      },
      hasBelow: () => false,
    };
    const server = await startDnsServer({ host: '127.0.0.1', port: 0, zones });
    open.push(server);
    const authority = createAuthority({ nameServers: { '.': [`127.0.0.1:${server.port}`] } });
    const kinds = async () => (await authority.look(record)).map(({ answer }) => answer.kind);
    expect(await kinds()).toEqual(['txt']);
    values.clear();
    expect(await kinds()).toEqual(['no-such-name']);
    await server.close();
    open.pop();
    expect(await kinds()).toEqual(['failed']);
  });

  it('the deepest zone that is named counts, and nonsense is said at once', async () => {
    const authority = createAuthority({
      resolvers: [],
      nameServers: { 'example.com': ['127.0.0.1:2'], '_domainkey.example.com.': ['127.0.0.1:1'] },
      timeout: milliseconds(100),
    });
    const addresses = async (asked: string) => (await authority.look(asked)).map(({ address }) => address);
    expect(await addresses(record)).toEqual(['127.0.0.1#1']);
    expect(await addresses('x.example.com')).toEqual(['127.0.0.1#2']);
    await expect(authority.look('x.example.net')).rejects.toMatchObject({ code: 'unavailable' });
    expect(() => createAuthority({ resolvers: ['300.1.1.1'] })).toThrow(/"300\.1\.1\.1" is no name server/);
    expect(() => createAuthority({ nameServers: { '.': ['no such server'] } })).toThrow(/no name server/);
  });
});
