// The contract of `HandChanges`, for every store.
import { beforeEach, describe, expect, test } from 'vitest';
import { hours, instant } from '../../core/time.ts';
import type { HandChange, HandChanges, HandItem } from '../../engine/ports.ts';

const t = instant(Date.parse('2026-11-24T12:00:00Z'));
const item: HandItem = {
  name: '240128._domainkey.example.jp',
  to: { ttl: hours(1), values: [`v=DKIM1; p=${'A'.repeat(392)}`] },
  since: t,
  state: 'open',
};
const change = (id: string, about: Partial<HandChange> = {}): HandChange => ({
  zone: 'example.jp',
  id,
  version: 0,
  items: [item],
  ...about,
});

/** @param make an empty store, which two workers share */
export const handChangesContract = (
  name: string,
  make: () => Promise<readonly [HandChanges, HandChanges]>,
): void => {
  describe(`${name} as HandChanges`, () => {
    let one: HandChanges;
    let other: HandChanges;
    beforeEach(async () => {
      [one, other] = await make();
    });

    test('an empty one has nothing', async () => {
      expect(await one.of('example.jp')).toEqual([]);
      expect(await one.find('example.jp', 'a')).toBeUndefined();
    });

    test('what is saved is there whole, in the order of the ids, in its zone alone', async () => {
      await one.save(change('b'));
      await one.save(change('a', { items: [item, { name: 'x.example.jp', since: t, state: 'done' }] }));
      await one.save(change('a', { zone: 'example.com' }));
      expect((await other.of('example.jp')).map(({ id }) => id)).toEqual(['a', 'b']);
      expect(await other.find('example.jp', 'a')).toEqual(
        change('a', { version: 1, items: [item, { name: 'x.example.jp', since: t, state: 'done' }] }),
      );
      expect(await other.find('example.com', 'a')).toEqual(change('a', { zone: 'example.com', version: 1 }));
      expect(await other.find('example.jp', 'c')).toBeUndefined();
    });

    test('of two that write the same version one wins', async () => {
      await one.save(change('a'));
      await expect(other.save(change('a'))).rejects.toMatchObject({ code: 'conflict' });
      await one.save(change('a', { version: 1, items: [{ ...item, state: 'done' }] }));
      await expect(other.save(change('a', { version: 1, items: [] }))).rejects.toMatchObject({
        code: 'conflict',
      });
      expect(await other.find('example.jp', 'a')).toEqual(
        change('a', { version: 2, items: [{ ...item, state: 'done' }] }),
      );
    });

    test('a version that was never there is a conflict', async () => {
      await expect(one.save(change('a', { version: 3 }))).rejects.toMatchObject({ code: 'conflict' });
      expect(await one.of('example.jp')).toEqual([]);
    });

    test('what is removed is gone, again too', async () => {
      await one.save(change('a'));
      await one.save(change('b'));
      await other.remove('example.jp', 'a');
      await one.remove('example.jp', 'a');
      expect((await one.of('example.jp')).map(({ id }) => id)).toEqual(['b']);
    });

    test('many, of the largest size', async () => {
      const items = Array.from({ length: 60 }, (_, n) => ({ ...item, name: `k${n}.example.jp` }));
      for (let n = 10; n < 60; n += 1) await one.save(change(`c${n}`, { items }));
      const all = await other.of('example.jp');
      expect(all.map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, n) => `c${n + 10}`));
      expect(all.every((each) => each.items.length === 60)).toBe(true);
    });
  });
};
