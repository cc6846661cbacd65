// The contract of `DnsWriter`, for every adapter.
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { FleetZone } from '../../core/policy.ts';
import { hours, milliseconds, minutes, seconds } from '../../core/time.ts';
import type { Change, DnsWriter, TxtSet } from '../../engine/ports.ts';

export interface DnsWriterHarness {
  readonly writer: DnsWriter;
  /** Empty but for SOA and NS; a new one for each call. */
  zone(): Promise<FleetZone>;
  /** Of the right form, and not there. */
  readonly goneZone: FleetZone;
  /** Lets time pass until what was accepted is in sync. */
  settle(): Promise<void>;
}

export interface DnsWriterOptions {
  /**
   * False leaves out what the service behind the adapter imitates wrongly. moto judges by its journal and not by what
   * stands there: it takes a CREATE over another record and a DELETE of what is gone, and refuses to replace a record by
   * itself. It keeps the first changes of a batch whose later one it refuses, and knows every change id. The strict fake
   * covers these.
   */
  readonly strict: boolean;
}

const set = (...values: string[]): TxtSet => ({ ttl: hours(1), values });
const create = (name: string, ...values: string[]): Change => ({ do: 'create', name, set: set(...values) });

/** As long as an RSA-2048 key record's: two strings. */
const long = (fill: string): string => `v=DKIM1; k=rsa; p=${fill.repeat(392)}`;

export const dnsWriterContract = (
  name: string,
  start: () => Promise<DnsWriterHarness>,
  { strict }: DnsWriterOptions,
): void => {
  const strictly = strict ? test : test.skip;

  describe(`${name} as DnsWriter`, () => {
    let harness: DnsWriterHarness;
    let zone: FleetZone;
    let key: (selector: string) => string;
    beforeAll(async () => {
      harness = await start();
    });
    beforeEach(async () => {
      zone = await harness.zone();
      key = (selector) => `${selector}._domainkey.${zone.name}`;
    });
    const there = (at: string) => harness.writer.lookup(zone, at);
    const submit = (...changes: Change[]) => harness.writer.submit(zone, changes);

    // Policy records: one value of a set that others share.
    describe("the set at the zone's own name", () => {
      const theirs = 'some-service-verification=0123456789';
      const first = 'v=spf1 mx -all';
      const next = 'v=spf1 mx ip4:192.0.2.10 -all';

      test('one value of several is replaced, and the others stay', async () => {
        await submit(create(zone.name, theirs, first));
        await submit({
          do: 'replace',
          name: zone.name,
          old: set(theirs, first),
          set: set(theirs, next),
        });
        const found = await there(zone.name);
        expect({ ...found, values: found?.values.toSorted() }).toEqual(set(theirs, next));
      });

      strictly('where somebody added a value meanwhile, nothing is changed', async () => {
        await submit(create(zone.name, theirs, first, 'another'));
        await expect(
          submit({ do: 'replace', name: zone.name, old: set(theirs, first), set: set(theirs, next) }),
        ).rejects.toMatchObject({ code: 'rejected' });
        expect((await there(zone.name))?.values.toSorted()).toEqual([theirs, first, 'another'].toSorted());
      });
    });

    describe('lookup', () => {
      test('finds nothing in an empty zone', async () => {
        expect(await there(key('240128'))).toBeUndefined();
        expect(await there(zone.name)).toBeUndefined();
      });

      test('finds exactly what was written', async () => {
        await submit({
          do: 'create',
          name: key('240128'),
          set: { ttl: minutes(5), values: [long('A')] },
        });
        expect(await there(key('240128'))).toEqual({ ttl: minutes(5), values: [long('A')] });
      });

      test('takes no neighbour for it', async () => {
        await submit(create(key('240128'), 'one'), create(key('a.240129'), 'two'), create(key('z'), 'three'));
        for (const other of ['240127', '240128-2', '240128e', '24012', '240129', 'a'])
          expect(await there(key(other))).toBeUndefined();
        expect(await there(`_domainkey.${zone.name}`)).toBeUndefined();
        expect(await there(`x.${key('240128')}`)).toBeUndefined();
      });

      test('takes no wildcard for it', async () => {
        await submit(create(key('*'), 'v=DKIM1; p='), create(`*.${zone.name}`, 'wild'));
        expect(await there(key('240128'))).toBeUndefined();
        expect((await there(key('*')))?.values).toEqual(['v=DKIM1; p=']);
      });

      test('takes names in any case, with or without a final dot', async () => {
        await submit(create(key('240128').toUpperCase(), 'one'));
        expect((await there(`${key('240128')}.`))?.values).toEqual(['one']);
        expect((await there(key('240128').toUpperCase()))?.values).toEqual(['one']);
      });

      test('finds each of several values', async () => {
        const values = ['v=spf1 include:_spf.example.com -all', 'site-verification=abc', long('B')];
        await submit(create(zone.name, ...values));
        expect((await there(zone.name))?.values.toSorted()).toEqual(values.toSorted());
      });

      test.each([
        ['quotes and backslashes', 'a "quoted" \\ and \\" and \\\\'],
        ['semicolons and tags', 'v=DMARC1; p=reject; rua=mailto:a@example.org!10m'],
        ['every octet', Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('')],
        ['digits behind a backslash', '\\101 \\065'],
        ['spaces at the ends', '  a  '],
        ['markup', '<a href="x">&amp;</a>'],
        ['exactly one string', 'x'.repeat(255)],
        ['one octet more', 'x'.repeat(256)],
        ['a quote where the string is cut', `${'x'.repeat(254)}"\\"y`],
        ['nothing', ''],
      ])('keeps %s', async (_, value) => {
        await submit(create(key('240128'), value));
        expect((await there(key('240128')))?.values).toEqual([value]);
      });
    });

    describe('list', () => {
      const all = async (limit: number) => {
        const sets: { name: string; set: TxtSet }[] = [];
        let after: string | undefined;
        for (let pages = 0; pages < 500; pages += 1) {
          const page = await harness.writer.list(zone, { limit, ...(after === undefined ? {} : { after }) });
          expect(page.sets.length).toBeLessThanOrEqual(limit);
          sets.push(...page.sets);
          after = page.next;
          if (after === undefined) return sets;
        }
        throw new Error('the list has no end');
      };
      const byName = (sets: readonly { name: string; set: TxtSet }[]) =>
        sets.toSorted((a, b) => (a.name < b.name ? -1 : 1));

      test('nothing in an empty zone', async () => {
        expect(await all(10)).toEqual([]);
      });

      test.each([1, 2, 3, 100])('all there is, each once, %i at a time', async (limit) => {
        const names = ['240128', '240128e', '240128-2', '240129', '*', 'a.b', 'z'].map(key);
        const wild = `*.${zone.name}`;
        const written = [zone.name, wild, ...names].map((name) => ({ name, set: set(`at ${name}`) }));
        await submit(...written.map(({ name, set: each }): Change => ({ do: 'create', name, set: each })));
        expect(byName(await all(limit))).toEqual(byName(written));
      });

      test('many: 700 sets', async () => {
        const names = Array.from({ length: 700 }, (_, n) => key(`s${n}`));
        const changes = names.map((name) => create(name, 'v=DKIM1; p='));
        for (let done = 0; done < changes.length; ) {
          const count = harness.writer.fits(changes.slice(done));
          await submit(...changes.slice(done, done + count));
          done += count;
        }
        expect((await all(300)).map(({ name }) => name).toSorted()).toEqual(names.toSorted());
        expect(await all(1_000)).toHaveLength(700);
      });

      test('as lookup has it', async () => {
        const value = `${'x'.repeat(254)}"\\"y`;
        await submit({ do: 'create', name: key('240128'), set: { ttl: minutes(5), values: ['one', value] } });
        const [found] = await all(10);
        expect(found?.set.ttl).toBe(minutes(5));
        expect(found?.set.values.toSorted()).toEqual(['one', value].toSorted());
      });

      test('what was removed while it is listed does not end it', async () => {
        await submit(create(key('a'), 'a'), create(key('b'), 'b'), create(key('c'), 'c'));
        let page = await harness.writer.list(zone, { limit: 1 });
        const seen = page.sets.map(({ name }) => name);
        const gone = ['a', 'b', 'c'].find((each) => !seen.includes(key(each))) ?? '';
        await submit({ do: 'delete', name: key(gone), set: set(gone) });
        while (page.next !== undefined) {
          page = await harness.writer.list(zone, { limit: 1, after: page.next });
          seen.push(...page.sets.map(({ name }) => name));
        }
        const left = ['a', 'b', 'c'].filter((each) => each !== gone).map(key);
        expect(seen.toSorted()).toEqual(left);
      });
    });

    describe('submit', () => {
      test('replaces a record by its tombstone', async () => {
        await submit(create(key('240128'), long('A')));
        await submit({ do: 'replace', name: key('240128'), old: set(long('A')), set: set('v=DKIM1; p=') });
        expect(await there(key('240128'))).toEqual(set('v=DKIM1; p='));
      });

      strictly('replaces a record by itself, for a new id', async () => {
        const first = await submit(create(key('240128'), long('A')));
        const second = await submit({
          do: 'replace',
          name: key('240128'),
          old: set(long('A')),
          set: set(long('A')),
        });
        expect(second).not.toBe(first);
        expect(await there(key('240128'))).toEqual(set(long('A')));
      });

      test('deletes, and the name is free again', async () => {
        await submit(create(key('240128'), 'one'), create(key('240129'), 'two'));
        await submit({ do: 'delete', name: key('240128'), set: set('one') });
        expect(await there(key('240128'))).toBeUndefined();
        expect((await there(key('240129')))?.values).toEqual(['two']);
        await submit(create(key('240128'), 'three'));
        expect((await there(key('240128')))?.values).toEqual(['three']);
      });

      strictly('a set to delete has no order', async () => {
        await submit(create(zone.name, 'one', 'two', 'three'));
        await submit({ do: 'delete', name: zone.name, set: set('three', 'one', 'two') });
        expect(await there(zone.name)).toBeUndefined();
      });

      test('does all of a mixed batch', async () => {
        await submit(create(key('a'), 'a'), create(key('b'), 'b'));
        await submit(
          { do: 'delete', name: key('a'), set: set('a') },
          { do: 'replace', name: key('b'), old: set('b'), set: set('B') },
          create(key('c'), 'c'),
        );
        expect(await there(key('a'))).toBeUndefined();
        expect((await there(key('b')))?.values).toEqual(['B']);
        expect((await there(key('c')))?.values).toEqual(['c']);
      });

      // A batch that would fit but for one change: nothing of it is done.
      const base = (): readonly Change[] => [create(key('new'), 'new')];
      const refused = async (...bad: Change[]): Promise<void> => {
        await expect(submit(...base(), ...bad)).rejects.toMatchObject({ code: 'rejected', retry: 'never' });
        await expect(submit(...bad, ...base())).rejects.toMatchObject({ code: 'rejected' });
        await expect(submit(...bad)).rejects.toMatchObject({ code: 'rejected' });
        expect(await there(key('new'))).toBeUndefined();
      };

      describe('refuses the whole batch for', () => {
        beforeEach(async () => {
          await submit(create(key('old'), 'old'), create(key('pair'), 'one', 'two'));
        });

        strictly('a CREATE over what is there, the same or another', async () => {
          await refused(create(key('old'), 'old'));
          await refused(create(key('old'), 'other'));
          await refused(create(key('OLD'), 'other'));
          expect((await there(key('old')))?.values).toEqual(['old']);
        });
        strictly('a CREATE twice', () => refused(create(key('twice'), 'a'), create(key('twice'), 'b')));
        strictly('a DELETE of what is not there', () =>
          refused({ do: 'delete', name: key('none'), set: set('old') }),
        );
        strictly('a DELETE of another value', async () => {
          await refused({ do: 'delete', name: key('old'), set: set('other') });
          await refused({ do: 'delete', name: key('old'), set: set('old', 'other') });
          await refused({ do: 'delete', name: key('pair'), set: set('one') });
          expect((await there(key('pair')))?.values.toSorted()).toEqual(['one', 'two']);
        });
        strictly('a DELETE with another TTL', () =>
          refused({ do: 'delete', name: key('old'), set: { ttl: minutes(1), values: ['old'] } }),
        );
        strictly('a replacement of another value', async () => {
          await refused({ do: 'replace', name: key('old'), old: set('other'), set: set('new') });
          await refused({ do: 'replace', name: key('none'), old: set('old'), set: set('new') });
          expect((await there(key('old')))?.values).toEqual(['old']);
        });

        test.each([
          'example.com',
          '240128._domainkey.example.com',
          'not-below-ZONE',
          'a..ZONE',
          'white space.ZONE',
          '',
        ])('a name that is none of the zone: %s', async (bad) => {
          await refused(create(bad.replace('ZONE', zone.name), 'x'));
        });

        test.each<[string, TxtSet]>([
          ['no value', set()],
          ['a value twice', set('a', 'a')],
          ['a value over 4,000 characters', set('a'.repeat(4_001))],
          ['a value that is not octets', set('\u20ac')],
          ['a TTL that is no whole second', { ttl: milliseconds(1_500), values: ['a'] }],
          ['a TTL over 31 bits', { ttl: seconds(2 ** 31), values: ['a'] }],
        ])('a set with %s', async (_, bad) => {
          await refused({ do: 'create', name: key('bad'), set: bad });
          await refused({ do: 'replace', name: key('old'), old: set('old'), set: bad });
          expect((await there(key('old')))?.values).toEqual(['old']);
        });
      });

      test('takes a value of almost 4,000 characters', async () => {
        const value = 'a'.repeat(3_900);
        await submit(create(key('long'), value));
        expect((await there(key('long')))?.values).toEqual([value]);
      });

      test('no change at all is invalid', async () => {
        await expect(submit()).rejects.toMatchObject({ code: 'invalid' });
      });
    });

    test('a zone that is gone is not found', async () => {
      const { writer, goneZone } = harness;
      await expect(writer.lookup(goneZone, `x.${goneZone.name}`)).rejects.toMatchObject({
        code: 'not-found',
      });
      await expect(writer.list(goneZone, { limit: 1 })).rejects.toMatchObject({ code: 'not-found' });
      await expect(writer.submit(goneZone, [create(`x.${goneZone.name}`, 'x')])).rejects.toMatchObject({
        code: 'not-found',
      });
    });

    test('zones are apart', async () => {
      const other = await harness.zone();
      await submit(create(key('240128'), 'one'));
      expect(await harness.writer.lookup(other, key('240128'))).toBeUndefined();
    });

    describe('status', () => {
      test('what was accepted is in sync at last', async () => {
        const id = await submit(create(key('240128'), 'one'));
        expect(['pending', 'in-sync']).toContain(await harness.writer.status(zone, id));
        await harness.settle();
        expect(await harness.writer.status(zone, id)).toBe('in-sync');
      });

      strictly.each(['C2682N5HXP0BZ9', 'local-999999', 'absent', 'no id at all'])(
        'does not know %s',
        async (id) => {
          expect(await harness.writer.status(zone, id)).toBe('unknown');
        },
      );

      strictly('what was refused has no id, what was accepted keeps its own', async () => {
        const ids = [
          await submit(create(key('a'), 'a')),
          await submit(create(key('b'), 'b')),
          await submit({ do: 'delete', name: key('a'), set: set('a') }),
        ];
        expect(new Set(ids).size).toBe(3);
        await harness.settle();
        for (const id of ids) expect(await harness.writer.status(zone, id)).toBe('in-sync');
      });
    });

    describe('fits', () => {
      const many = (count: number, value: string): Change[] =>
        Array.from({ length: count }, (_, i) => create(key(`k${i}`), value));

      test('at least one, whatever its size', () => {
        expect(harness.writer.fits(many(1, 'a'.repeat(100_000)))).toBe(1);
        expect(
          harness.writer.fits([create(key('a'), ...Array.from({ length: 2_000 }, (_, i) => `${i}`))]),
        ).toBe(1);
      });

      test('a few fit at once', () => {
        expect(harness.writer.fits(many(7, long('A')))).toBe(7);
      });

      test('what fits is taken: many short ones', async () => {
        const changes = many(1_200, 'v=DKIM1; p=');
        const count = harness.writer.fits(changes);
        expect(count).toBeGreaterThan(100);
        await submit(...changes.slice(0, count));
        expect((await there(key(`k${count - 1}`)))?.values).toEqual(['v=DKIM1; p=']);
      });

      test('what fits is taken: RSA-2048 records, then their tombstones', async () => {
        const changes = many(100, long('A'));
        const count = harness.writer.fits(changes);
        expect(count).toBeGreaterThan(60);
        await submit(...changes.slice(0, count));
        const tombstones = changes
          .slice(0, count)
          .map(({ name, set: old }): Change => ({ do: 'replace', name, old, set: set('v=DKIM1; p=') }));
        const first = harness.writer.fits(tombstones);
        expect(first).toBeGreaterThan(60);
        await submit(...tombstones.slice(0, first));
        expect((await there(key('k0')))?.values).toEqual(['v=DKIM1; p=']);
      });
    });
  });
};
