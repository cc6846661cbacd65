// The quota that all workers share: its buckets on moto and in memory, how much is spent in a time, and what a writer makes of it.
import { Agent } from 'node:http';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createDynamoBuckets,
  createLedgerQuota,
  defaultShare,
  raised,
  route53Allowances,
} from '../../../adapters/aws/quota.ts';
import { createQuotaWriter } from '../../../adapters/aws/quota-writer.ts';
import { type ErrorCode, SelkieError } from '../../../core/errors.ts';
import { add, type Duration, type Instant, instant, minutes, seconds } from '../../../core/time.ts';
import type { Bucket, Change, DnsWriter } from '../../../engine/ports.ts';
import { bucketsContract } from '../../contracts/buckets.ts';
import { createMemoryBuckets } from '../../fakes/memory-buckets.ts';
import { createTable } from '../../tools/ledger-table.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

describeWith(['moto_server'], 'on moto', () => {
  // moto looks and writes in two steps, DynamoDB in one: over one connection they are one after the other.
  const httpAgent = new Agent({ keepAlive: true, maxSockets: 1 });
  let moto: Moto;
  let tables = 0;
  const clients: DynamoDBClient[] = [];
  beforeAll(async () => {
    moto = await startMoto();
  }, 60_000);
  afterAll(async () => {
    for (const client of clients) client.destroy();
    httpAgent.destroy();
    await moto?.stop();
  });
  bucketsContract('DynamoDB', async () => {
    tables += 1;
    const table = `buckets-${tables}`;
    const connect = () => new DynamoDBClient({ ...motoClient(moto.url), requestHandler: { httpAgent } });
    const [one, other] = [connect(), connect()];
    clients.push(one, other);
    await createTable(one, table);
    return [createDynamoBuckets({ client: one, table }), createDynamoBuckets({ client: other, table })];
  });
});

bucketsContract('memory', async () => {
  const buckets = createMemoryBuckets();
  return [buckets, buckets];
});

const start = instant(Date.parse('2026-11-24T12:00:00Z'));

/** Time that passes where somebody waits for it. */
const timeline = () => {
  let at: Instant = start;
  const waits: number[] = [];
  return {
    now: () => at,
    pass: (length: Duration) => {
      at = add(at, length);
    },
    pause: async (length: Duration) => {
      waits.push(length);
      at = add(at, length);
    },
    waits,
  };
};

describe('a worker’s quota', () => {
  const quotaOn = (
    time = timeline(),
    more: { share?: number; ahead?: Duration; allowances?: typeof route53Allowances } = {},
  ) => {
    const { ahead = seconds(0), ...options } = more;
    const quota = createLedgerQuota({
      buckets: createMemoryBuckets(),
      account: 'own',
      clock: { now: () => add(time.now(), ahead) },
      ledger: { head: async () => ({ at: time.now(), epoch: 1, fleetVersion: 1 }) },
      pause: time.pause,
      ...options,
    });
    return { quota, time };
  };
  /** How many of a bucket are had within a time by one who takes as fast as he is let. */
  const had = async (
    bucket: Bucket,
    count: number,
    length: Duration,
    more: { share?: number; allowances?: typeof route53Allowances } = {},
  ): Promise<number> => {
    const { quota, time } = quotaOn(timeline(), more);
    let taken = 0;
    for (;;) {
      await quota.take(bucket, count);
      if (time.now() > add(start, length)) return taken;
      taken += count;
    }
  };

  it.each<[Bucket, number]>([
    ['requests', 1],
    ['changes', 60],
  ])('is at most 80 %% of what Route 53 gives of %s, and not much less', async (bucket, count) => {
    const { perSecond, burst } = route53Allowances[bucket];
    const most = (perSecond * 600 + burst) * defaultShare;
    const taken = await had(bucket, count, minutes(10));
    expect(taken).toBeLessThanOrEqual(most + count);
    expect(taken).toBeGreaterThan(most * 0.98);
  });

  it('is another share where somebody says so', async () => {
    expect(await had('requests', 1, minutes(1), { share: 0.5 })).toBeLessThanOrEqual(
      (10 * 60 + 50) * 0.5 + 1,
    );
  });

  it('is more where AWS has granted more requests', async () => {
    const most = (50 * 60 + 50) * defaultShare;
    const taken = await had('requests', 1, minutes(1), { allowances: raised(50) });
    expect(taken).toBeLessThanOrEqual(most + 1);
    expect(taken).toBeGreaterThan(most * 0.98);
  });

  it.each([0, -1, 1.1, Number.NaN])('is never a share of %d', (share) => {
    expect(() => quotaOn(timeline(), { share })).toThrow(/more than 0 and at most 1/);
  });

  it('goes by the ledger’s time, however the worker’s clock is set', async () => {
    const buckets = createMemoryBuckets();
    const time = timeline();
    const make = (ahead: number) =>
      createLedgerQuota({
        buckets,
        account: 'own',
        clock: { now: () => instant(time.now() + ahead) },
        ledger: { head: async () => ({ at: time.now(), epoch: 1, fleetVersion: 1 }) },
        pause: time.pause,
      });
    const [fast, slow] = [make(240_000), make(-240_000)];
    for (let n = 0; n < 15; n += 1) {
      await fast.take('requests', 1);
      await slow.take('requests', 1);
    }
    expect(time.waits).toEqual([]);
    await slow.take('requests', 1);
    await fast.take('requests', 1);
    expect(time.waits).toEqual([125, 125]);
  });

  it('is short once more than a quarter of it is gone, for half a minute', async () => {
    const { quota, time } = quotaOn();
    for (let n = 0; n < 7; n += 1) await quota.take('requests', 1);
    expect(quota.isShort()).toBe(false);
    await quota.take('requests', 1);
    expect(quota.isShort()).toBe(true);
    time.pass(seconds(31));
    expect(quota.isShort()).toBe(false);
  });

  it('refuses who would have to wait for longer than is of use, and takes nothing then', async () => {
    const { quota } = quotaOn();
    const outcomes = await Promise.allSettled(Array.from({ length: 400 }, () => quota.take('requests', 1)));
    const refused = outcomes.filter((each) => each.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.reason).toMatchObject({ code: 'throttled', retry: 'later' });
  });
});

describe('a writer within a quota', () => {
  const zone = { name: 'example.org', id: 'Z1' };
  const set = { ttl: minutes(60), values: ['v=DKIM1; p='] };
  const changes: readonly Change[] = [
    { do: 'create', name: 'a.example.org', set },
    { do: 'replace', name: 'b.example.org', old: set, set },
    { do: 'delete', name: 'c.example.org', set },
  ];
  /** @param refusals what the first calls are answered with */
  const writerWith = (refusals: ErrorCode[], leased = true) => {
    const time = timeline();
    const spent: string[] = [];
    const calls: string[] = [];
    const leases: string[] = [];
    const answer = async <T>(call: string, value: T): Promise<T> => {
      calls.push(call);
      const code = refusals.shift();
      if (code !== undefined) throw new SelkieError(code, `refused: ${code}`);
      return value;
    };
    const inner: DnsWriter = {
      lookup: () => answer('lookup', set),
      submit: () => answer('submit', 'C1'),
      status: () => answer('status', 'in-sync' as const),
      list: () => answer('list', { sets: [] }),
      fits: (wanted) => wanted.length,
    };
    const writer = createQuotaWriter({
      writer: inner,
      quotaOf: () => ({
        take: async (bucket, count) => void spent.push(`${count} ${bucket}`),
        isShort: () => spent.length > 3,
      }),
      ledger: {
        lease: async (name) => {
          leases.push(name);
          return leased;
        },
        release: async (name) => void leases.push(`end of ${name}`),
      },
      clock: { now: time.now },
      randomness: { bytes: () => new Uint8Array([128, 0]), id: () => 'w' },
      pause: time.pause,
    });
    return { writer, spent, calls, leases, time };
  };

  it('pays for each request, and for each record that it changes', async () => {
    const { writer, spent, leases } = writerWith([]);
    expect(await writer.submit(zone, changes)).toBe('C1');
    expect(await writer.lookup(zone, 'a.example.org')).toBe(set);
    expect(await writer.status(zone, 'C1')).toBe('in-sync');
    expect(spent).toEqual(['1 requests', '4 changes', '1 requests', '1 requests']);
    expect(leases).toEqual(['turn/Z1', 'end of turn/Z1']);
    expect(writer.isShort?.()).toBe(true);
    expect(writer.fits(changes)).toBe(3);
  });

  it.each<ErrorCode>(['throttled', 'busy'])(
    'tries again with jitter what is %s, and pays again',
    async (code) => {
      const { writer, spent, calls, time } = writerWith([code, code]);
      expect(await writer.submit(zone, changes)).toBe('C1');
      expect(calls.length).toBe(3);
      expect(spent.length).toBe(6);
      // Half of 0.5 s and of 1 s: the fake's chance is always a half.
      expect(time.waits).toEqual([250, 500]);
    },
  );

  it('gives up after six tries, and says what the provider said', async () => {
    const { writer, calls, time } = writerWith(Array.from({ length: 9 }, () => 'throttled'));
    await expect(writer.lookup(zone, 'a.example.org')).rejects.toMatchObject({ code: 'throttled' });
    expect(calls.length).toBe(6);
    expect(Math.max(...time.waits)).toBeLessThanOrEqual(8_000);
  });

  it.each<ErrorCode>(['rejected', 'denied', 'unavailable', 'not-found'])(
    'does not repeat what is %s',
    async (code) => {
      const { writer, calls } = writerWith([code]);
      await expect(writer.submit(zone, changes)).rejects.toMatchObject({ code });
      expect(calls).toEqual(['submit']);
    },
  );

  it('goes on without a turn that nobody gives it: Route 53 has the last word', async () => {
    const { writer, calls, time } = writerWith([], false);
    await writer.submit(zone, changes);
    expect(calls).toEqual(['submit']);
    expect(time.waits.length).toBe(60);
  });
});
