// The contract of `Buckets` (adapters/aws/quota.ts), for every store.
import { beforeEach, describe, expect, test } from 'vitest';
import type { Buckets } from '../../adapters/aws/quota.ts';
import { add, instant, seconds } from '../../core/time.ts';

const t = instant(Date.parse('2026-11-24T12:00:00Z'));
const full = seconds(5);
const cost = seconds(1);

/** @param make an empty store, which two workers share */
export const bucketsContract = (name: string, make: () => Promise<readonly [Buckets, Buckets]>): void => {
  describe(`${name} as Buckets`, () => {
    let one: Buckets;
    let other: Buckets;
    beforeEach(async () => {
      [one, other] = await make();
    });
    const draw = (from: Buckets, at = t, patience = seconds(0), bucket = 'own/requests') =>
      from.draw({ bucket, now: at, cost, full, patience });

    test('a full bucket gives what it holds, and no more', async () => {
      const taken = [];
      for (let n = 0; n < 7; n += 1) taken.push(await draw(n % 2 === 0 ? one : other));
      expect(taken).toEqual([...[1, 2, 3, 4, 5].map((n) => add(t, seconds(n))), undefined, undefined]);
    });

    test('what comes in is given again; a bucket never holds more than when it is full', async () => {
      for (let n = 0; n < 5; n += 1) await draw(one);
      expect(await draw(one, add(t, seconds(1)))).toBe(add(t, seconds(6)));
      expect(await draw(other, add(t, seconds(1)))).toBeUndefined();
      const later = add(t, seconds(1_000));
      const taken = [];
      for (let n = 0; n < 6; n += 1) taken.push(await draw(one, later));
      expect(taken.filter((paid) => paid !== undefined).length).toBe(5);
    });

    test('who has patience takes in turn what is yet to come in', async () => {
      const taken = [];
      for (let n = 0; n < 9; n += 1) taken.push(await draw(n % 2 === 0 ? one : other, t, seconds(2)));
      expect(taken.slice(4)).toEqual([
        add(t, seconds(5)),
        add(t, seconds(6)),
        add(t, seconds(7)),
        undefined,
        undefined,
      ]);
    });

    test('those who take at once take each a part of their own', async () => {
      const taken = await Promise.all(Array.from({ length: 8 }, (_, n) => draw(n % 2 === 0 ? one : other)));
      const had = taken.filter((paid) => paid !== undefined);
      expect(new Set(had).size).toBe(had.length);
      expect(had.length).toBeLessThanOrEqual(5);
    });

    test('buckets do not know of each other', async () => {
      for (let n = 0; n < 5; n += 1) await draw(one);
      expect(await draw(one)).toBeUndefined();
      expect(await draw(one, t, seconds(0), 'own/changes')).toBe(add(t, cost));
      expect(await draw(one, t, seconds(0), '123456789012/requests')).toBe(add(t, cost));
    });
  });
};
