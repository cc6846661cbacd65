import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatShard, mostBytes, parseShard, shardsOf } from '../../../adapters/aws/shard-form.ts';
import { createShardReader } from '../../../adapters/aws/shard-reader.ts';

const key = (name: string, length = 100) => {
  const [domain = '', selector = ''] = name.split('/');
  return { domain, selector, privateKey: new Uint8Array(randomBytes(length)) };
};

describe('the form of a shard', () => {
  const keys = [key('a.example/240128', 1_218), key('a.example/240128e', 48), key('b.a.example/x.y', 0)];

  test('gives back every key by its name', () => {
    const found = parseShard(formatShard(keys));
    expect([...(found ?? [])]).toEqual(
      keys.map(({ domain, selector, privateKey }) => [`${domain}/${selector}`, privateKey]),
    );
  });

  test('cut anywhere but between two keys, it is none', () => {
    const whole = formatShard(keys);
    const read = Array.from({ length: whole.length }, (_, n) => parseShard(whole.subarray(0, n))?.size);
    expect(read.filter((size) => size !== undefined)).toEqual([0, 1, 2]);
  });

  test('whatever bytes it is given, it does not throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        parseShard(bytes);
        parseShard(Uint8Array.from([1, ...bytes]));
      }),
    );
  });

  test('as few as fit, none too large, all in their order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30_000 }), { maxLength: 60 }), (lengths) => {
        const all = lengths.map((length, n) => key(`d${n}.example/240128`, length));
        const shards = shardsOf(all);
        expect(shards.flat()).toEqual(all);
        for (const [n, shard] of shards.entries()) {
          expect(formatShard(shard).length).toBeLessThanOrEqual(mostBytes);
          const [next] = shards[n + 1] ?? [];
          if (next !== undefined) expect(formatShard([...shard, next]).length).toBeGreaterThan(mostBytes);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('a reader of shards', () => {
  const pause = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const start = () => {
    const given: Uint8Array[] = [];
    const reader = createShardReader(async () => {
      const bytes = formatShard([key('a.example/one'), key('a.example/two')]);
      given.push(bytes);
      return bytes;
    });
    return { reader, given };
  };

  test('asks once for reads that follow each other, and again after a pause', async () => {
    const { reader, given } = start();
    const chain = async () => {
      for (let n = 0; n < 20; n += 1) await reader.read('s', n % 2 === 0 ? 'a.example/one' : 'a.example/two');
    };
    await Promise.all([chain(), chain(), chain()]);
    expect(given).toHaveLength(1);
    await pause();
    await reader.read('s', 'a.example/one');
    expect(given).toHaveLength(2);
  });

  test('wipes what it has read; the caller has its own copy', async () => {
    const { reader, given } = start();
    const one = await reader.read('s', 'a.example/one');
    await pause();
    expect(given[0]?.every((byte) => byte === 0)).toBe(true);
    expect(one?.some((byte) => byte !== 0)).toBe(true);
    expect(await reader.read('s', 'a.example/three')).toBeUndefined();
  });

  test('what failed is asked again', async () => {
    let asked = 0;
    const reader = createShardReader(async () => {
      asked += 1;
      throw new Error('not now');
    });
    await expect(reader.read('s', 'a.example/one')).rejects.toThrow('not now');
    await pause();
    await expect(reader.names('s')).rejects.toThrow('not now');
    expect(asked).toBe(2);
  });
});
