// Golden timelines of SPF and DMARC records: what the engine does, with its times, and what stands in the zone after it.
// `UPDATE_GOLDEN=1` writes them anew; each is then to be read against docs/spf-dmarc.md.

import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SelkieError } from '../../core/errors.ts';
import { days, hours, minutes, seconds } from '../../core/time.ts';
import type { TxtSet } from '../../engine/ports.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from './world.ts';

const spf = { value: 'v=spf1 mx ip4:192.0.2.10 -all' };
const dmarc = { value: `v=DMARC1; p=none; rua=mailto:dmarc@${domain}` };
const verification = 'some-service-verification=0123456789';
const zone = { name: domain, id: 'Z1' };
const name = `_dmarc.${domain}`;
let world: Simulation;

beforeEach(async () => {
  world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
  world.dns.elsewhere.set(`MX ${domain}`, ['mail.example.com']);
  // The keys' own life is told in timelines.test.ts.
  await world.run(hours(1));
});
afterEach(() => world.close());

const expectGolden = (file: string): void => {
  const path = new URL(`../golden/policy-records/${file}.txt`, import.meta.url);
  const timeline = world
    .timeline()
    .split(/(?<=\n)/)
    .filter((line) => /SPF|DMARC|spf |dmarc |to be revoked/.test(line))
    .join('');
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(path, timeline);
  expect(timeline).toBe(readFileSync(path, 'utf8'));
};

const standing = (at: string): Promise<TxtSet | undefined> => world.dns.lookup(zone, at);
const values = async (at: string): Promise<readonly string[]> =>
  (await standing(at))?.values.toSorted() ?? [];
const status = async () => statusOf(world.world, await openSession(world.world), domain);
const records = async () => (await world.world.ledger.domain(domain))?.records ?? [];

describe('golden timelines of policy records', () => {
  test('publish: beside what others have, counted first, proved last; then nothing is asked any more', async () => {
    world.dns.put(domain, { ttl: minutes(5), values: [verification] });
    world.change({ spf, dmarc });
    await world.run(minutes(10));
    expect(await standing(domain)).toEqual({ ttl: minutes(5), values: [verification, spf.value] });
    expect(await values(name)).toEqual([dmarc.value]);
    expect((await records()).map(({ proved }) => proved?.servers)).toEqual([2, 2]);
    const asked: string[] = [];
    for (const call of ['lookup', 'submit', 'observe', 'resolve', 'status'] as const) {
      const before = world.dns[call] as (...args: unknown[]) => unknown;
      Object.assign(world.dns, {
        [call]: (...args: unknown[]) => {
          asked.push(call);
          return before(...args);
        },
      });
    }
    // The key is proved and at work: from here to the next rotation nothing is due.
    await world.run(days(10));
    expect(asked).toEqual([]);
    expectGolden('publish');
  });

  test('change: the new value takes the place of the old, and of nothing else', async () => {
    world.dns.put(domain, { ttl: minutes(5), values: [verification] });
    world.change({ spf, dmarc });
    await world.run(minutes(10));
    world.change({
      spf: { value: 'v=spf1 mx -all' },
      dmarc: { value: dmarc.value.replace('none', 'reject') },
    });
    await world.run(minutes(10));
    expect(await values(domain)).toEqual([verification, 'v=spf1 mx -all']);
    expect(await values(name)).toEqual([dmarc.value.replace('none', 'reject')]);
    expect((await records()).map(({ ours }) => ours.length)).toEqual([1, 1]);
    expectGolden('change');
  });

  test('foreign records are left exactly as they are, and said with the mend', async () => {
    const theirs = { ttl: hours(1), values: [verification, 'v=spf1 include:theirs.example ~all'] };
    world.dns.put(domain, theirs);
    world.dns.put(name, { ttl: hours(1), values: ['v=DMARC1; p=reject'] });
    world.change({ spf, dmarc });
    await world.run(hours(12));
    expect(await standing(domain)).toEqual(theirs);
    expect(await values(name)).toEqual(['v=DMARC1; p=reject']);
    expect((await status()).blockedBy.map(({ says }) => says)).toEqual([
      expect.stringContaining('write adopt: true under spf of example.com'),
      expect.stringContaining('write adopt: true under dmarc of example.com'),
    ]);
    // Somebody deletes theirs: within the hour, ours are there.
    world.dns.put(name, undefined);
    await world.run(hours(2));
    expect(await values(name)).toEqual([dmarc.value]);
    expectGolden('foreign');
  });

  test('a set with a value that cannot be read is not written: it would be another value then', async () => {
    const odd = { ttl: hours(1), values: ['"with a quote that is not closed'] };
    world.dns.put(domain, odd);
    world.change({ spf });
    await world.run(minutes(30));
    expect(await standing(domain)).toEqual(odd);
    expect((await status()).blockedBy.map(({ says }) => says)).toEqual([
      expect.stringContaining('rewrite that value'),
    ]);
  });

  test('adopt: what stands is taken over, and from then on is ours', async () => {
    world.dns.put(domain, { ttl: hours(1), values: ['v=spf1 a -all', verification] });
    world.dns.put(name, { ttl: hours(1), values: ['v=DMARC1; p=none; pct=50', 'not a policy'] });
    world.change({ spf: { ...spf, adopt: true }, dmarc: { ...dmarc, adopt: true } });
    await world.run(hours(1));
    expect(await standing(domain)).toEqual({ ttl: hours(1), values: [verification, spf.value] });
    expect(await values(name)).toEqual(['not a policy', dmarc.value]);
    expectGolden('adopt');
  });

  test('two SPF records of others: refused even where one would be taken over', async () => {
    const theirs = { ttl: hours(1), values: ['v=spf1 a -all', 'v=spf1 mx -all'] };
    world.dns.put(domain, theirs);
    world.change({ spf: { ...spf, adopt: true } });
    await world.run(hours(3));
    expect(await standing(domain)).toEqual(theirs);
    expectGolden('two-records');
  });

  test('late: what is not shown after three hours, or stands in the way for three days, is said and counted', async () => {
    const counted: (readonly string[])[] = [];
    Object.assign(world.world.reporter, {
      count: (metric: string, n: number, what: readonly string[] = []) => {
        if (metric === 'PhasesPastDeadline' && n > 0) counted.push(what);
      },
    });
    const late = async () => (await status()).late ?? [];
    const { observe } = world.dns;
    Object.assign(world.dns, {
      observe: async () => {
        throw new SelkieError('unavailable', 'no server answers');
      },
    });
    world.dns.put(name, { ttl: hours(1), values: ['v=DMARC1; p=reject'] });
    world.change({ spf, dmarc });
    await world.run(hours(2.9));
    expect([await late(), counted]).toEqual([[], []]);
    await world.run(hours(1));
    const says = expect.stringMatching(/^the SPF record at example\.com was to be shown by 2024-01-28T13:0/);
    expect(await late()).toEqual([says]);
    expect(counted.at(-1)).toEqual([
      expect.stringMatching(/^example\.com: the SPF record at example\.com was/),
    ]);
    await world.run(days(3));
    expect(await late()).toEqual([
      says,
      expect.stringMatching(/^the DMARC record at _dmarc\.example\.com was to be/),
    ]);
    Object.assign(world.dns, { observe });
    world.dns.put(name, undefined);
    await world.run(hours(2));
    expect(await late()).toEqual([]);
    // It is taken out of the file, and the zone cannot be changed.
    const { submit } = world.dns;
    Object.assign(world.dns, {
      submit: async () => {
        throw new SelkieError('unavailable', 'the provider does not answer');
      },
    });
    world.drop('spf');
    await world.run(hours(2.9));
    expect(await late()).toEqual([]);
    await world.run(hours(1));
    expect(await late()).toEqual([
      expect.stringMatching(/^the SPF record at example\.com was to be gone by/),
    ]);
    Object.assign(world.dns, { submit });
    await world.run(hours(2));
    expect(await late()).toEqual([]);
  });

  test('removal: exactly what is ours goes, from the set too', async () => {
    world.dns.put(domain, { ttl: minutes(5), values: [verification] });
    world.change({ spf, dmarc });
    await world.run(minutes(10));
    world.drop('spf');
    world.drop('dmarc');
    await world.run(minutes(10));
    expect(await standing(domain)).toEqual({ ttl: minutes(5), values: [verification] });
    expect(await standing(name)).toBeUndefined();
    expect(await records()).toEqual([]);
    expectGolden('removal');
  });

  test('a domain that leaves keeps them while its mail is under way', async () => {
    world.change({ spf, dmarc });
    await world.run(hours(1));
    world.change({ leaving: true });
    await world.run(days(5));
    expect(await values(domain)).toEqual([spf.value]);
    await world.run(days(20));
    expect(await standing(domain)).toBeUndefined();
    expect(await standing(name)).toBeUndefined();
    expect((await world.world.ledger.domain(domain))?.records).toBeUndefined();
    expectGolden('leaving');
  });

  test('a record that every receiver would refuse is not published until it is mended', async () => {
    const includes = Array.from({ length: 6 }, (_, n) => `s${n}.example.net`);
    for (const one of includes) world.dns.elsewhere.set(`TXT ${one}`, ['v=spf1 a mx ~all']);
    world.change({ spf: { value: `v=spf1 ${includes.map((one) => `include:${one}`).join(' ')} -all` } });
    await world.run(hours(5));
    expect(await standing(domain)).toBeUndefined();
    for (const one of includes) {
      world.dns.elsewhere.set(`TXT ${one}`, ['v=spf1 ip4:192.0.2.1 ~all']);
    }
    await world.run(hours(2));
    expect(await values(domain)).toHaveLength(1);
    expectGolden('limits');
  });

  test('a name server lags: the proof waits for it', async () => {
    world.dns.lags = [seconds(0), minutes(20)];
    world.change({ spf });
    await world.run(hours(1));
    expect((await records())[0]?.proved?.at).toBeGreaterThan(
      minutes(20) + ((await records())[0]?.created?.at ?? 0) - 1,
    );
    expectGolden('server-lags');
  });

  test('reports to others: our zone says that it takes them; of another, the record to ask for is shown', async () => {
    world.addZone('reports.example');
    world.change({
      dmarc: {
        value:
          'v=DMARC1; p=none; rua=mailto:a@reports.example,mailto:b@elsewhere.example,mailto:c@mail.example.com',
      },
    });
    await world.run(hours(3));
    expect(await values(`${domain}._report._dmarc.reports.example`)).toEqual(['v=DMARC1']);
    expect((await status()).blockedBy.map(({ says }) => says)).toEqual([
      expect.stringContaining(`${domain}._report._dmarc.elsewhere.example. IN TXT "v=DMARC1"`),
    ]);
    world.dns.elsewhere.set(`TXT ${domain}._report._dmarc.elsewhere.example`, ['v=DMARC1;']);
    await world.run(days(2));
    const { blockedBy, records: shown = [] } = await status();
    expect(blockedBy).toEqual([]);
    // What was asked for at first is said no more.
    const theirs = shown.find(({ record }) => record.endsWith('elsewhere.example'));
    expect(theirs).toMatchObject({ state: 'settled', settled: 'authorized' });
    expect(theirs).not.toHaveProperty('refused');
    expectGolden('reports');
  });
});
