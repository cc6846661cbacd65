// The contract of the port Ledger (engine/ports.ts), sentence by sentence. Every adapter passes it.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256, verifyAuditChain } from '../../contract/audit.ts';
import {
  type AuditEvent,
  type AuditTail,
  fleetSubject,
  hostSubject,
  nextEvent,
  tailOf,
  trailPlace,
} from '../../core/audit.ts';
import { hasCode } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import { add, days, formatInstant, milliseconds, minutes } from '../../core/time.ts';
import type { Commit, Ledger, LogEntry, TrailRow } from '../../engine/ports.ts';
import {
  domainRow,
  hostRow,
  logEntry,
  requestRow,
  t,
  wholeDomain,
  wholeDrift,
  wholeHost,
  wholeKey,
  wholeReport,
} from './ledger-rows.ts';

/** A ledger on an empty store. */
export interface LedgerUnderTest {
  readonly ledger: Ledger;
  /** Another worker on the same store. */
  second(): Promise<Ledger>;
  close(): Promise<void>;
}

const conflict = { code: 'conflict', retry: 'later' };
const exists = { code: 'exists', retry: 'never' };

const append = (pool: string, entry: LogEntry): Commit => ({ append: { pool, ...entry } });
const numbers = async (ledger: Ledger, pool: string, after = 0): Promise<number[]> =>
  (await ledger.log(pool, after)).map(({ place }) => place.n);

/** Of attempts made at once: how many were taken, and that each other one was refused with `code`. */
const taken = async (attempts: readonly Promise<unknown>[], code: 'conflict' | 'exists'): Promise<number> => {
  const results = await Promise.allSettled(attempts);
  const refusals = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason);
  for (const reason of refusals) expect(reason).toMatchObject({ code });
  return results.length - refusals.length;
};

/** Loads, changes and commits, again until it is taken. */
const insist = async (attempt: () => Promise<void>): Promise<void> => {
  for (let tries = 0; tries < 1_000; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!hasCode(error, 'conflict')) throw error;
    }
  }
  throw new Error('never taken');
};

export const ledgerContract = (name: string, make: () => Promise<LedgerUnderTest>): void => {
  describe(name, () => {
    let under: LedgerUnderTest;
    let ledger: Ledger;
    let other: Ledger;
    beforeEach(async () => {
      under = await make();
      ledger = under.ledger;
      other = await under.second();
    });
    afterEach(() => under.close());

    describe('head', () => {
      test('an empty ledger: epoch 1, no fleet, a time near this machine’s', async () => {
        const before = Date.now();
        const { at, ...rest } = await ledger.head();
        expect(rest).toEqual({ epoch: 1, fleetVersion: 0 });
        // Of a service that tells whole seconds: up to one early.
        expect(at).toBeGreaterThan(before - 1_001);
        expect(at).toBeLessThanOrEqual(Date.now());
      });

      test('its time never goes back', async () => {
        let latest = 0;
        for (let n = 0; n < 20; n++) {
          const { at } = await ledger.head();
          expect(at).toBeGreaterThanOrEqual(latest);
          latest = at;
        }
      });
    });

    describe('installFleet', () => {
      test('a newer one, and the same again, for every worker', async () => {
        await ledger.installFleet(1_706_432_400_000);
        await other.installFleet(1_706_432_400_000);
        await other.installFleet(1_706_432_400_001);
        expect((await ledger.head()).fleetVersion).toBe(1_706_432_400_001);
      });

      test('an older one is refused, and changes nothing', async () => {
        await ledger.installFleet(8);
        await expect(other.installFleet(7)).rejects.toMatchObject({ code: 'stale-fleet' });
        expect((await ledger.head()).fleetVersion).toBe(8);
      });

      test('many at once: the newest stays', async () => {
        await Promise.allSettled([3, 9, 1, 7, 5].map((v, i) => (i % 2 ? ledger : other).installFleet(v)));
        expect((await other.head()).fleetVersion).toBe(9);
      });
    });

    describe('a restore', () => {
      test('begins the next epoch and stands still, again the same, until it ends; the fleet stays', async () => {
        await ledger.installFleet(5);
        const { at } = await ledger.head();
        const begun = await ledger.beginRestore();
        expect(begun.epoch).toBe(2);
        expect(begun.since).toBeGreaterThanOrEqual(at);
        expect(await other.beginRestore()).toEqual(begun);
        const { restored, ...head } = await other.head();
        expect(head).toMatchObject({ epoch: 2, fleetVersion: 5 });
        expect(restored).toEqual({ says: expect.any(String), since: begun.since });
        await other.endRestore();
        await ledger.endRestore();
        const { at: _, ...after } = await ledger.head();
        expect(after).toEqual({ epoch: 2, fleetVersion: 5 });
        expect((await ledger.beginRestore()).epoch).toBe(3);
      });

      test('in an empty ledger too, and a fleet may follow', async () => {
        expect((await ledger.beginRestore()).epoch).toBe(2);
        await ledger.installFleet(4);
        await ledger.endRestore();
        expect(await ledger.head()).toMatchObject({ epoch: 2, fleetVersion: 4 });
      });

      test('the next places bear it, and their numbers go on', async () => {
        await ledger.commit(append('main', logEntry(1)));
        await ledger.beginRestore();
        expect(await other.nextPlace('main')).toEqual({ epoch: 2, n: 2 });
        expect(await other.nextPlace('fresh')).toEqual({ epoch: 2, n: 1 });
        await other.commit(append('main', logEntry(2, 2)));
        expect((await ledger.log('main', 0)).map(({ place }) => place)).toEqual([
          { epoch: 1, n: 1 },
          { epoch: 2, n: 2 },
        ]);
      });

      test('a place of the epoch before is refused: its worker does not know of the restore', async () => {
        const place = await ledger.nextPlace('main');
        await other.beginRestore();
        await expect(ledger.commit(append('main', { ...logEntry(1), place }))).rejects.toMatchObject(
          conflict,
        );
        await expect(ledger.commit(append('main', logEntry(1, 3)))).rejects.toMatchObject(conflict);
        expect(await ledger.log('main', 0)).toEqual([]);
      });
    });

    describe('rows', () => {
      test('absent ones are undefined', async () => {
        expect(await ledger.domain('a.example.com')).toBeUndefined();
        expect(await ledger.host('mx1')).toBeUndefined();
        expect(await ledger.request('a.example.com', 'k')).toBeUndefined();
      });

      test('each is written with version + 1, on the condition of exactly its version', async () => {
        await ledger.commit({ domains: [domainRow('a.example.com')], hosts: [hostRow('mx1')] });
        expect(await other.domain('a.example.com')).toStrictEqual(domainRow('a.example.com', { version: 1 }));
        expect(await other.host('mx1')).toStrictEqual(hostRow('mx1', { version: 1 }));

        await other.commit({
          domains: [domainRow('a.example.com', { version: 1, pool: 'second' })],
          hosts: [hostRow('mx1', { version: 1, complete: true })],
        });
        expect(await ledger.domain('a.example.com')).toMatchObject({ version: 2, pool: 'second' });
        expect(await ledger.host('mx1')).toMatchObject({ version: 2, complete: true });
      });

      test.each([0, 1, 3])('version %i is refused where the ledger holds 2', async (version) => {
        for (const v of [0, 1])
          await ledger.commit({
            domains: [domainRow('a.example.com', { version: v })],
            hosts: [hostRow('mx1', { version: v })],
          });
        const row = domainRow('a.example.com', { version, pool: 'lost' });
        await expect(other.commit({ domains: [row] })).rejects.toMatchObject(conflict);
        const host = hostRow('mx1', { version, pool: 'lost' });
        await expect(other.commit({ hosts: [host] })).rejects.toMatchObject(conflict);
        expect(await ledger.domain('a.example.com')).toMatchObject({ version: 2, pool: 'main' });
        expect(await ledger.host('mx1')).toMatchObject({ version: 2, pool: 'main' });
      });

      test('a version where there is no row is refused', async () => {
        await expect(
          ledger.commit({ domains: [domainRow('a.example.com', { version: 1 })] }),
        ).rejects.toMatchObject(conflict);
        await expect(ledger.commit({ hosts: [hostRow('mx1', { version: 1 })] })).rejects.toMatchObject(
          conflict,
        );
        expect(await ledger.domain('a.example.com')).toBeUndefined();
        expect(await ledger.host('mx1')).toBeUndefined();
      });

      test('a host and a domain of one name are two rows', async () => {
        await ledger.commit({ domains: [domainRow('a.example.com')], hosts: [hostRow('a.example.com')] });
        expect(await ledger.domain('a.example.com')).toHaveProperty('keys');
        expect(await ledger.host('a.example.com')).not.toHaveProperty('keys');
      });

      test('every field comes back as it was, and absent ones stay absent', async () => {
        await ledger.commit({ domains: [wholeDomain], hosts: [wholeHost] });
        expect(await other.domain(wholeDomain.domain)).toStrictEqual({ ...wholeDomain, version: 1 });
        expect(await other.host(wholeHost.name)).toStrictEqual({ ...wholeHost, version: 1 });

        const { wakeAt: _w, vanished: _v, ...lessDomain } = wholeDomain;
        const { cursor: _c, manifest: _m, excluded: _e, ...lessHost } = wholeHost;
        await ledger.commit({
          domains: [{ ...lessDomain, version: 1 }],
          hosts: [{ ...lessHost, version: 1 }],
        });
        expect(await other.domain(wholeDomain.domain)).toStrictEqual({ ...lessDomain, version: 2 });
        expect(await other.host(wholeHost.name)).toStrictEqual({ ...lessHost, version: 2 });
      });

      test('a row of years of rotations fits', async () => {
        const keys = Array.from({ length: 60 }, (_, n) => ({ ...wholeKey, selector: `s${n}` }));
        await ledger.commit({ domains: [{ ...wholeDomain, keys }] });
        expect(await other.domain(wholeDomain.domain)).toStrictEqual({ ...wholeDomain, keys, version: 1 });
      });

      test('many workers on one row at once: exactly one is taken', async () => {
        const attempts = Array.from({ length: 12 }, (_, n) =>
          (n % 2 ? ledger : other).commit({ domains: [domainRow('a.example.com', { pool: `p${n}` })] }),
        );
        expect(await taken(attempts, 'conflict')).toBe(1);
        expect(await ledger.domain('a.example.com')).toMatchObject({ version: 1 });
      });
    });

    describe('a commit is whole or nothing', () => {
      const all: Commit = {
        domains: [domainRow('a.example.com', { wakeAt: t(0) }), domainRow('b.example.com')],
        hosts: [hostRow('mx1'), hostRow('mx2')],
        reserve: [
          { domain: 'a.example.com', selector: '240128' },
          { domain: 'b.example.com', selector: '240128' },
        ],
        append: { pool: 'main', ...logEntry(1) },
        request: requestRow('a.example.com', 'key-1'),
      };

      test('whole', async () => {
        await ledger.commit(all);
        expect((await other.domains({ limit: 9 })).rows.map(({ domain }) => domain)).toEqual([
          'a.example.com',
          'b.example.com',
        ]);
        expect(await other.host('mx2')).toMatchObject({ version: 1 });
        expect(await other.log('main', 0)).toStrictEqual([logEntry(1)]);
        expect(await other.request('a.example.com', 'key-1')).toStrictEqual(
          requestRow('a.example.com', 'key-1'),
        );
        await expect(
          other.commit({ reserve: [{ domain: 'b.example.com', selector: '240128' }] }),
        ).rejects.toMatchObject(exists);
      });

      test.each<[string, Commit, Commit, object]>([
        ['a domain', { domains: [domainRow('b.example.com')] }, {}, conflict],
        ['a host', { hosts: [hostRow('mx2')] }, {}, conflict],
        ['a place that is taken', append('main', logEntry(1)), {}, conflict],
        ['a place too far', {}, append('main', logEntry(2)), conflict],
        ['a request', { request: requestRow('a.example.com', 'key-1') }, {}, conflict],
        ['a selector', { reserve: [{ domain: 'b.example.com', selector: '240128' }] }, {}, exists],
        [
          'a selector and a domain: conflict counts, `exists` says that all else held',
          {
            reserve: [{ domain: 'a.example.com', selector: '240128' }],
            domains: [domainRow('b.example.com')],
          },
          {},
          conflict,
        ],
      ])('nothing, where what was not as expected is %s', async (_, before, change, code) => {
        await ledger.commit(before);
        await expect(other.commit({ ...all, ...change })).rejects.toMatchObject(code);

        expect(await ledger.domain('a.example.com')).toBeUndefined();
        expect((await ledger.domain('b.example.com')) === undefined).toBe(before.domains === undefined);
        expect(await ledger.host('mx1')).toBeUndefined();
        expect((await ledger.host('mx2')) === undefined).toBe(before.hosts === undefined);
        expect(await numbers(ledger, 'main')).toEqual(before.append === undefined ? [] : [1]);
        expect(await ledger.nextPlace('main')).toEqual({ epoch: 1, n: before.append === undefined ? 1 : 2 });
        expect((await ledger.request('a.example.com', 'key-1')) === undefined).toBe(
          before.request === undefined,
        );
        expect(await ledger.due(t(1), 9)).toEqual([]);
        // What was not reserved before may be reserved now.
        const free = all.reserve?.filter(
          ({ domain }) => !before.reserve?.some((reserved) => reserved.domain === domain),
        );
        if (free !== undefined) await ledger.commit({ reserve: free });
      });

      test('an empty commit is nothing', async () => {
        await ledger.commit({});
        await ledger.commit({ domains: [], hosts: [], reserve: [] });
      });

      test.each<[string, Commit]>([
        ['a domain twice', { domains: [domainRow('a.example.com'), domainRow('a.example.com')] }],
        ['a host twice', { hosts: [hostRow('mx1'), hostRow('mx1')] }],
        ['a selector twice', { reserve: Array(2).fill({ domain: 'a.example.com', selector: 's' }) }],
        ['the number 0', append('main', logEntry(0))],
        ['a version below 0', { domains: [domainRow('a.example.com', { version: -1 })] }],
        [
          'more than a transaction takes',
          { domains: Array.from({ length: 101 }, (_, n) => domainRow(`d${n}.example.com`)) },
        ],
      ])('%s is invalid', async (_, commit) => {
        await expect(ledger.commit(commit)).rejects.toMatchObject({ code: 'invalid' });
        expect((await ledger.domains({ limit: 1 })).rows).toEqual([]);
      });

      test('a hundred items go in one', async () => {
        const names = Array.from({ length: 48 }, (_, n) => `d${n}.example.com`);
        await ledger.commit({
          domains: names.map((name) => domainRow(name)),
          reserve: names.map((domain) => ({ domain, selector: '240128' })),
          append: { pool: 'main', ...logEntry(1) },
          request: requestRow('d0.example.com', 'key-1'),
        });
        expect((await other.domains({ limit: 100 })).rows).toHaveLength(48);
      });
    });

    describe('reserve', () => {
      const one = { domain: 'a.example.com', selector: '240128' };

      test('once, and for ever', async () => {
        await ledger.commit({ reserve: [one] });
        await expect(ledger.commit({ reserve: [one] })).rejects.toMatchObject(exists);
        await ledger.commit({ domains: [domainRow('a.example.com')] });
        await ledger.beginRestore();
        await expect(other.commit({ reserve: [one] })).rejects.toMatchObject(exists);
        await expect(other.commit({ reserve: [one] })).rejects.toThrow(/240128.*a\.example\.com/);
      });

      test('of this domain and this selector only', async () => {
        await ledger.commit({ reserve: [one] });
        await ledger.commit({
          reserve: [
            { ...one, selector: '240128e' },
            { ...one, domain: 'b.example.com' },
            { domain: 'example.com', selector: '240128.a' },
          ],
        });
      });

      test('many at once: exactly one is taken', async () => {
        const attempts = Array.from({ length: 12 }, (_, n) =>
          (n % 2 ? ledger : other).commit({ reserve: [one] }),
        );
        expect(await taken(attempts, 'exists')).toBe(1);
      });
    });

    describe('a pool’s log', () => {
      test('is empty at first, and its first place is 1', async () => {
        expect(await ledger.log('main', 0)).toEqual([]);
        expect(await ledger.nextPlace('main')).toEqual({ epoch: 1, n: 1 });
      });

      test('entries come back whole and in order, from behind a number', async () => {
        const entries = Array.from({ length: 12 }, (_, i) => logEntry(i + 1, 1, `s${i + 1}`));
        for (const entry of entries) await ledger.commit(append('main', entry));
        expect(await other.log('main', 0)).toStrictEqual(entries);
        expect(await numbers(other, 'main', 8)).toEqual([9, 10, 11, 12]);
        expect(await numbers(other, 'main', 12)).toEqual([]);
        expect(await numbers(other, 'main', 99)).toEqual([]);
        expect(await other.nextPlace('main')).toEqual({ epoch: 1, n: 13 });
      });

      test('each pool has its own', async () => {
        await ledger.commit(append('main', logEntry(1)));
        await ledger.commit(append('bulk', logEntry(1)));
        await ledger.commit(append('main', logEntry(2)));
        expect(await numbers(ledger, 'main')).toEqual([1, 2]);
        expect(await numbers(ledger, 'bulk')).toEqual([1]);
        expect(await ledger.nextPlace('bulk')).toEqual({ epoch: 1, n: 2 });
      });

      test.each([1, 2, 4, 5])('number %i is refused where 3 is next', async (n) => {
        for (const taken of [1, 2]) await ledger.commit(append('main', logEntry(taken)));
        await expect(other.commit(append('main', logEntry(n)))).rejects.toMatchObject(conflict);
        expect(await numbers(ledger, 'main')).toEqual([1, 2]);
        expect((await ledger.nextPlace('main')).n).toBe(3);
      });

      test('two workers at one place: exactly one is taken, with the rows that bear its number', async () => {
        const attempt = async (worker: Ledger, domain: string): Promise<void> => {
          const place = await worker.nextPlace('main');
          await worker.commit({
            domains: [domainRow(domain)],
            append: { pool: 'main', ...logEntry(place.n, place.epoch, domain) },
          });
        };
        expect(
          await taken([attempt(ledger, 'a.example.com'), attempt(other, 'b.example.com')], 'conflict'),
        ).toBe(1);
        const [entry, ...rest] = await ledger.log('main', 0);
        expect(rest).toEqual([]);
        const { rows } = await ledger.domains({ limit: 9 });
        expect(rows.map(({ domain }) => domain)).toEqual([entry?.changes[0]?.selector]);
      });

      test('a storm: no gap, no loss, each row as its entry says, and readers see only prefixes', async () => {
        const workers = 6;
        const each = 5;
        let done = false;
        const bump = (worker: Ledger, domain: string) =>
          insist(async () => {
            const row = (await worker.domain(domain)) ?? domainRow(domain);
            const place = await worker.nextPlace('main');
            const taken = [...row.taken, { at: t(0), selector: `n${place.n}`, reason: '' }];
            await worker.commit({
              domains: [{ ...row, taken }],
              append: { pool: 'main', ...logEntry(place.n, place.epoch, `${domain} v${row.version + 1}`) },
            });
          });
        const work = async (index: number) => {
          const worker = index % 2 ? ledger : other;
          for (let n = 0; n < each; n++)
            await bump(worker, n % 2 ? 'shared.example.com' : `d${index}.example.com`);
        };
        const read = async () => {
          let seen = 0;
          while (!done) {
            const log = await numbers(other, 'main');
            expect(log).toEqual(log.map((_, i) => i + 1));
            expect(log.length).toBeGreaterThanOrEqual(seen);
            seen = log.length;
            await new Promise((resolve) => setImmediate(resolve));
          }
        };
        const reader = read();
        try {
          await Promise.all(Array.from({ length: workers }, (_, index) => work(index)));
        } finally {
          done = true;
          await reader;
        }

        const log = await ledger.log('main', 0);
        expect(log.map(({ place }) => place.n)).toEqual(
          Array.from({ length: workers * each }, (_, i) => i + 1),
        );
        const { rows } = await ledger.domains({ limit: 99 });
        expect(rows.reduce((sum, row) => sum + row.version, 0)).toBe(workers * each);
        const told = rows.flatMap(({ domain, taken }) =>
          taken.map(({ selector }, i) => [selector, `${domain} v${i + 1}`]),
        );
        expect(new Set(told.map(([n, text]) => `${n} ${text}`))).toEqual(
          new Set(log.map(({ place, changes }) => `n${place.n} ${changes[0]?.selector}`)),
        );
      });
    });

    describe('an audit trail', () => {
      const domain = 'a.example.com';
      const event = (tail?: AuditTail, what = 'rotate', subject: string = domain): AuditEvent =>
        nextEvent(
          tail,
          {
            subject,
            at: '2024-01-28T09:00:00.000Z',
            who: 'arn:aws:iam::123456789012:user/ada',
            what,
            why: 'he said "no"\n ü 🦭',
            before: { keys: { '240128': 'active' }, rotation: null },
            after: { keys: {}, list: [1, true, ''] },
          },
          sha256,
        );
      const written = (one: AuditEvent, version: number): Commit => ({
        domains: [domainRow(domain, { version, audit: tailOf(one) })],
        audit: [one],
      });
      /** @returns them, written one after the other */
      const trail = async (length: number): Promise<readonly AuditEvent[]> => {
        const events: AuditEvent[] = [];
        for (let n = 0; n < length; n++) {
          const last = events.at(-1);
          const next = event(last === undefined ? undefined : tailOf(last), `order ${n}`);
          await ledger.commit(written(next, n));
          events.push(next);
        }
        return events;
      };

      test('is empty at first', async () => {
        expect(await ledger.audit(domain, { limit: 9 })).toEqual([]);
      });

      test('comes back whole and in order, page by page, and its chain holds', async () => {
        const events = await trail(12);
        expect(await other.audit(domain, { limit: 99 })).toStrictEqual(events);
        expect((await other.audit(domain, { limit: 5 })).map(({ n }) => n)).toEqual([1, 2, 3, 4, 5]);
        expect((await other.audit(domain, { after: 10, limit: 5 })).map(({ n }) => n)).toEqual([11, 12]);
        expect(await other.audit(domain, { after: 12, limit: 5 })).toEqual([]);
        expect(await other.audit(domain, { limit: 0 })).toEqual([]);
        expect(verifyAuditChain(await other.audit(domain, { limit: 99 }))).toEqual({ ok: true });
        expect((await ledger.domain(domain))?.audit).toEqual({ n: 12, hash: events.at(-1)?.hash });
      });

      test('a domain and a host of one name have each their own, and other domains have none of it', async () => {
        await trail(2);
        const hosts = event(undefined, 'exclude', hostSubject(domain));
        await ledger.commit({ hosts: [hostRow(domain, { audit: tailOf(hosts) })], audit: [hosts] });
        expect(await other.audit(hostSubject(domain), { limit: 9 })).toStrictEqual([hosts]);
        expect(await other.audit(domain, { limit: 9 })).toHaveLength(2);
        expect(await other.audit('a.example.co', { limit: 9 })).toEqual([]);
      });

      test('all trails together, the newest first, page by page; one alone by its numbers', async () => {
        const all: AuditEvent[] = [];
        for (let n = 0; n < 12; n++) {
          const name = `${'abc'[n % 3]}.example.com`;
          const row = (await ledger.domain(name)) ?? domainRow(name);
          // Two of each minute; the clocks of workers differ, so that the last is earlier than the one before.
          const at = formatInstant(t(n === 11 ? 4 : Math.floor(n / 2)));
          const { subject, who, what, before, after } = event(undefined, `order ${n}`, name);
          const next = nextEvent(row.audit, { subject, at, who, what, before, after }, sha256);
          await ledger.commit({ domains: [{ ...row, audit: tailOf(next) }], audit: [next] });
          all.push(next);
        }
        const newest = all.toSorted((a, b) => (trailPlace(a) < trailPlace(b) ? 1 : -1));
        // An index may be some moments late.
        await expect.poll(() => other.newestEvents({ limit: 99 })).toStrictEqual(newest);
        const pages: AuditEvent[] = [];
        for (let before: string | undefined; ; ) {
          const page = await other.newestEvents({ ...(before === undefined ? {} : { before }), limit: 5 });
          const last = page.at(-1);
          if (last === undefined) break;
          pages.push(...page);
          before = trailPlace(last);
        }
        expect(pages).toStrictEqual(newest);
        const own = all.filter(({ subject }) => subject === 'c.example.com').toReversed();
        expect(await other.newestEvents({ subject: 'c.example.com', limit: 99 })).toStrictEqual(own);
        const [last] = own;
        expect(
          await other.newestEvents({
            subject: 'c.example.com',
            before: last === undefined ? '' : trailPlace(last),
            limit: 2,
          }),
        ).toStrictEqual(own.slice(1, 3));
        expect(await other.newestEvents({ subject: 'd.example.com', limit: 9 })).toEqual([]);
        await expect(
          other.newestEvents({ subject: 'c.example.com', before: 'x', limit: 9 }),
        ).rejects.toMatchObject({
          code: 'invalid',
        });
        expect(await other.newestEvents({ limit: 0 })).toEqual([]);
      });

      test('an event is written with its row or not at all', async () => {
        const [first] = await trail(1);
        const next = event(first);
        await expect(other.commit(written(next, 0))).rejects.toMatchObject(conflict);
        await expect(
          other.commit({ ...written(next, 1), append: { pool: 'main', ...logEntry(5) } }),
        ).rejects.toMatchObject(conflict);
        expect(await ledger.audit(domain, { limit: 9 })).toStrictEqual([first]);
        await other.commit(written(next, 1));
        expect(await ledger.audit(domain, { limit: 9 })).toStrictEqual([first, next]);
      });

      test('a number that is taken is a conflict, whatever the row says', async () => {
        const [first] = await trail(1);
        await expect(other.commit(written(event(undefined, 'another past'), 1))).rejects.toMatchObject(
          conflict,
        );
        expect(await ledger.audit(domain, { limit: 9 })).toStrictEqual([first]);
        expect((await ledger.domain(domain))?.version).toBe(1);
      });

      test.each<readonly [string, (one: AuditEvent) => Commit]>([
        ['without its row', (one) => ({ audit: [one] })],
        ['with a row that names none', (one) => ({ domains: [domainRow(domain)], audit: [one] })],
        [
          'with a row that names another',
          (one) => ({
            domains: [domainRow(domain, { audit: { n: one.n, hash: '0'.repeat(64) } })],
            audit: [one],
          }),
        ],
        [
          'with another domain’s row',
          (one) => ({ domains: [domainRow('b.example.com', { audit: tailOf(one) })], audit: [one] }),
        ],
        ['of number 0', (one) => written({ ...one, n: 0 }, 0)],
        [
          'with a gap',
          (one) => {
            const third = { ...one, n: 3 };
            return { domains: [domainRow(domain, { audit: tailOf(third) })], audit: [one, third] };
          },
        ],
      ])('an event %s is invalid', async (_, commit) => {
        await expect(ledger.commit(commit(event()))).rejects.toMatchObject({ code: 'invalid' });
        expect(await ledger.audit(domain, { limit: 9 })).toEqual([]);
        expect(await ledger.domain(domain)).toBeUndefined();
      });

      describe('of the fleet', () => {
        const subject = fleetSubject;
        const row = (one: AuditEvent, version: number): TrailRow => ({
          subject,
          version,
          audit: tailOf(one),
        });

        test('has a row of its own, which names its last event', async () => {
          expect(await ledger.trail(subject)).toBeUndefined();
          const first = event(undefined, 'audit', subject);
          await ledger.commit({ trails: [row(first, 0)], audit: [first] });
          expect(await other.trail(subject)).toStrictEqual(row(first, 1));
          const next = event(tailOf(first), 'rotate', subject);
          await other.commit({
            trails: [row(next, 1)],
            audit: [next],
            request: requestRow('rotations', 'k'),
          });
          expect(await ledger.trail(subject)).toStrictEqual(row(next, 2));
          expect(await ledger.audit(subject, { limit: 9 })).toStrictEqual([first, next]);
          expect(await ledger.request('rotations', 'k')).toStrictEqual(requestRow('rotations', 'k'));
        });

        test.each([
          ['of another version', (one: AuditEvent) => ({ trails: [row(one, 1)], audit: [one] }), conflict],
          ['that is there', (one: AuditEvent) => ({ trails: [row(one, 0)], audit: [one] }), conflict],
          ['without its event’s row', (one: AuditEvent) => ({ audit: [one] }), { code: 'invalid' }],
          [
            'that is named twice',
            (one: AuditEvent) => ({ trails: [row(one, 1), row(one, 1)], audit: [one] }),
            { code: 'invalid' },
          ],
          [
            'of no version',
            (one: AuditEvent) => ({ trails: [row(one, -1)], audit: [one] }),
            { code: 'invalid' },
          ],
        ])('a row %s is refused, and nothing is written', async (how, commit, refused) => {
          const first = event(undefined, 'audit', subject);
          if (how === 'that is there') await ledger.commit({ trails: [row(first, 0)], audit: [first] });
          const before = await ledger.trail(subject);
          await expect(
            ledger.commit({ ...commit(first), request: requestRow('rotations', 'k') }),
          ).rejects.toMatchObject(refused);
          expect(await other.trail(subject)).toEqual(before);
          expect(await other.request('rotations', 'k')).toBeUndefined();
        });
      });

      test('many at once: each order has its event, and the chain holds', async () => {
        await Promise.all(
          Array.from({ length: 10 }, (_, n) =>
            insist(async () => {
              const worker = n % 2 ? ledger : other;
              const row = (await worker.domain(domain)) ?? domainRow(domain);
              const next = event(row.audit, `order ${n}`);
              await worker.commit({ domains: [{ ...row, audit: tailOf(next) }], audit: [next] });
            }),
          ),
        );
        const events = await ledger.audit(domain, { limit: 99 });
        expect(events).toHaveLength(10);
        expect(new Set(events.map(({ what }) => what)).size).toBe(10);
        expect(verifyAuditChain(events)).toEqual({ ok: true });
      });
    });

    describe('requests', () => {
      test('are found by domain and key', async () => {
        const row = requestRow('a.example.com', 'Ärger/#"1"');
        await ledger.commit({ request: row });
        expect(await other.request('a.example.com', 'Ärger/#"1"')).toStrictEqual(row);
        expect(await other.request('b.example.com', 'Ärger/#"1"')).toBeUndefined();
        expect(await other.request('a.example.com', 'ärger/#"1"')).toBeUndefined();
        await other.commit({ request: { ...row, domain: 'b.example.com' } });
        await other.commit({ request: { ...row, idempotencyKey: 'x'.repeat(2_000) } });
      });

      test('a second one under the same key is a conflict, and the first stays', async () => {
        const row = requestRow('a.example.com', 'k');
        await ledger.commit({ request: row });
        await expect(other.commit({ request: { ...row, rotation: 'another' } })).rejects.toMatchObject(
          conflict,
        );
        expect(await ledger.request('a.example.com', 'k')).toStrictEqual(row);
      });

      test('are known for 30 days', async () => {
        const row = requestRow('a.example.com', 'k');
        await ledger.commit({ request: row });
        await other.commit({
          request: { ...requestRow('b.example.com', 'k'), at: add(row.at, days(30)) },
        });
        expect(await ledger.request('a.example.com', 'k')).toStrictEqual(row);
      });

      test('many at once: one request, one successor (invariant 7)', async () => {
        const attempts = Array.from({ length: 10 }, (_, n) =>
          (n % 2 ? ledger : other).commit({
            request: { ...requestRow('a.example.com', 'k'), rotation: `r${n}` },
            domains: [domainRow(`d${n}.example.com`)],
          }),
        );
        expect(await taken(attempts, 'conflict')).toBe(1);
        const { rows } = await ledger.domains({ limit: 99 });
        expect(rows.map(({ domain }) => domain)).toEqual([
          `d${(await ledger.request('a.example.com', 'k'))?.rotation.slice(1)}.example.com`,
        ]);
      });
    });

    describe('domains', () => {
      const names = [
        '0.example.com',
        'a-b.example.com',
        'a.example.com',
        'a.example.net',
        'aa.example.com',
        'xn--bcher-kva.example',
        'z.example.com',
      ];
      const walk = async (limit: number): Promise<DomainRow[][]> => {
        const pages: DomainRow[][] = [];
        let after: string | undefined;
        do {
          const page = await other.domains(after === undefined ? { limit } : { after, limit });
          pages.push([...page.rows]);
          after = page.next;
        } while (after !== undefined);
        return pages;
      };

      test('an empty ledger has one empty page', async () => {
        expect(await ledger.domains({ limit: 3 })).toEqual({ rows: [] });
      });

      test('in the order of their names, page by page, each once', async () => {
        await ledger.commit({
          domains: names.toReversed().map((name) => domainRow(name)),
          hosts: [hostRow('b.example.com')],
        });
        expect((await walk(100)).map((page) => page.map(({ domain }) => domain))).toEqual([names]);
        const pages = await walk(3);
        expect(pages.map((page) => page.length)).toEqual([3, 3, 1]);
        expect(pages.flat().map(({ domain }) => domain)).toEqual(names);
        expect((await walk(7)).map((page) => page.length)).toEqual([7]);
        expect((await walk(1)).flat()).toStrictEqual(names.map((name) => domainRow(name, { version: 1 })));
      });

      test('`after` need not be a row’s name', async () => {
        await ledger.commit({ domains: names.map((name) => domainRow(name)) });
        const { rows, next } = await ledger.domains({ after: 'a.example.m', limit: 2 });
        expect(rows.map(({ domain }) => domain)).toEqual(['a.example.net', 'aa.example.com']);
        expect(next).toBeDefined();
        expect(await ledger.domains({ after: 'zz', limit: 2 })).toEqual({ rows: [] });
      });

      test('pages of rows larger than an answer of the store', async () => {
        const reason = 'x'.repeat(200_000);
        const big = names.map((name) => domainRow(name, { taken: [{ at: t(0), selector: 's', reason }] }));
        for (const row of big) await ledger.commit({ domains: [row] });
        const { rows } = await other.domains({ limit: 7 });
        expect(rows.map(({ domain, taken }) => [domain, taken[0]?.reason.length])).toEqual(
          names.map((name) => [name, 200_000]),
        );
      });
    });

    describe('rows of hosts', () => {
      test('in the order of their names, page by page, each once', async () => {
        expect(await ledger.hostRows({ limit: 10 })).toEqual({ rows: [] });
        const names = ['mx1.example.org', 'mx10.example.org', 'mx2.example.org', 'a', 'z'];
        for (const name of names) await ledger.commit({ hosts: [hostRow(name)] });
        await ledger.commit({ domains: [domainRow('b.example.org')] });
        for (const limit of [1, 2, 5, 6]) {
          const seen: string[] = [];
          let after: string | undefined;
          do {
            const page = await ledger.hostRows({ limit, ...(after === undefined ? {} : { after }) });
            expect(page.rows.length).toBeLessThanOrEqual(limit);
            seen.push(...page.rows.map(({ name }) => name));
            after = page.next;
          } while (after !== undefined);
          expect(seen).toEqual(names.toSorted());
        }
        const { rows } = await ledger.hostRows({ limit: 1, after: 'mx1' });
        expect(rows).toEqual([{ ...hostRow('mx1.example.org'), version: 1 }]);
      });
    });

    describe('what audits found', () => {
      test('nothing at first', async () => {
        expect(await ledger.driftOf('zone/example.org')).toBeUndefined();
        expect(await ledger.drift({ limit: 10 })).toEqual({ reports: [] });
      });

      test('the last report of a subject, every field as it was', async () => {
        await ledger.saveDrift(wholeDrift);
        expect(await ledger.driftOf(wholeDrift.subject)).toEqual(wholeDrift);
        const { known: _known, progress: _progress, ...ended } = wholeDrift;
        const next = { ...ended, complete: true, findings: [], found: 0, alarms: 0 };
        await ledger.saveDrift(next);
        expect(await ledger.driftOf(wholeDrift.subject)).toEqual(next);
        expect(await ledger.drift({ limit: 10 })).toEqual({ reports: [next] });
      });

      test('in the order of their subjects, page by page', async () => {
        const subjects = [
          'hosts',
          'domains',
          'secrets',
          'zone/a.example',
          'zone/b.example',
          'zone/a-b.example',
        ];
        for (const subject of subjects) await ledger.saveDrift({ ...wholeDrift, subject });
        for (const limit of [1, 4, 6, 7]) {
          const seen: string[] = [];
          let after: string | undefined;
          do {
            const page = await ledger.drift({ limit, ...(after === undefined ? {} : { after }) });
            expect(page.reports.length).toBeLessThanOrEqual(limit);
            seen.push(...page.reports.map(({ subject }) => subject));
            after = page.next;
          } while (after !== undefined);
          expect(seen).toEqual(subjects.toSorted());
        }
      });

      test('a hundred findings fit', async () => {
        const [finding] = wholeDrift.findings;
        const findings = Array.from({ length: 100 }, (_, n) => ({
          ...finding,
          name: `${n}`,
          says: 'x'.repeat(800),
        }));
        const report = { ...wholeDrift, findings: findings as typeof wholeDrift.findings };
        await ledger.saveDrift(report);
        expect(await ledger.driftOf(report.subject)).toEqual(report);
      });
    });

    describe('aggregate reports', () => {
      const at = { from: '2024-01-28', to: '2024-01-28' };
      const all = async (from: string, to: string, limit = 99) => {
        const seen: string[] = [];
        let after: string | undefined;
        do {
          const page = await other.reports('example.com', {
            from,
            to,
            limit,
            ...(after === undefined ? {} : { after }),
          });
          expect(page.rows.length).toBeLessThanOrEqual(limit);
          seen.push(...page.rows.map(({ day, id }) => `${day} ${id}`));
          after = page.next;
        } while (after !== undefined);
        return seen;
      };

      test('none at first', async () => {
        expect(await ledger.reports('example.com', { ...at, limit: 10 })).toEqual({ rows: [] });
      });

      test('every field as it was', async () => {
        expect(await ledger.saveReport(wholeReport, 10)).toBe('saved');
        expect(await other.reports('example.com', { ...at, limit: 10 })).toEqual({ rows: [wholeReport] });
      });

      test('written once: what is known by domain, day, reporter and id stays as it is', async () => {
        await ledger.saveReport(wholeReport, 10);
        expect(await other.saveReport({ ...wholeReport, policy: 'none', tallies: [] }, 10)).toBe('known');
        expect((await ledger.reports('example.com', { ...at, limit: 10 })).rows).toEqual([wholeReport]);
        const [first] = [wholeReport];
        for (const another of [
          { ...first, domain: 'example.org' },
          { ...first, day: '2024-01-29' },
          { ...first, reporter: 'receiver.example' },
          { ...first, id: '1235' },
        ])
          expect(await other.saveReport(another, 10)).toBe('saved');
        expect((await ledger.reports('example.org', { ...at, limit: 10 })).rows).toHaveLength(1);
      });

      test('of some days, both included, in their order, page by page', async () => {
        const days = ['2023-12-31', '2024-01-01', '2024-01-02', '2024-01-10'];
        for (const day of days.toReversed())
          for (const id of ['a', 'b', 'c']) await ledger.saveReport({ ...wholeReport, day, id }, 10);
        for (const limit of [1, 2, 3, 5, 12, 13]) {
          const seen = await all('2023-01-01', '2024-12-31', limit);
          expect(seen.map((each) => each.slice(0, 10))).toEqual(days.flatMap((day) => [day, day, day]));
          expect(new Set(seen).size).toBe(12);
        }
        expect(new Set(await all('2024-01-01', '2024-01-02', 2))).toEqual(
          new Set(['2024-01-01', '2024-01-02'].flatMap((day) => ['a', 'b', 'c'].map((id) => `${day} ${id}`))),
        );
        expect(await all('2024-01-03', '2024-01-09')).toEqual([]);
      });

      test('no more than so many of a domain and a day; what is known is known then too', async () => {
        for (const id of ['a', 'b']) expect(await ledger.saveReport({ ...wholeReport, id }, 2)).toBe('saved');
        expect(await other.saveReport({ ...wholeReport, id: 'c' }, 2)).toBe('full');
        expect(await other.saveReport({ ...wholeReport, id: 'a' }, 2)).toBe('known');
        expect(await other.saveReport({ ...wholeReport, id: 'c', day: '2024-01-29' }, 2)).toBe('saved');
        expect(await other.saveReport({ ...wholeReport, id: 'c', domain: 'example.org' }, 2)).toBe('saved');
      });

      test('many at once: each is kept once, and no more than so many', async () => {
        const ids = Array.from({ length: 12 }, (_, n) => String(n % 6));
        const answers = await Promise.all(
          ids.map((id, n) => (n % 2 ? ledger : other).saveReport({ ...wholeReport, id }, 4)),
        );
        expect(answers.filter((answer) => answer === 'saved')).toHaveLength(4);
        expect(await all('2024-01-28', '2024-01-28')).toHaveLength(4);
      });
    });

    describe('due', () => {
      // It may be some seconds behind.
      const soon = (read: () => Promise<unknown>) => expect.poll(read, { timeout: 10_000 });
      const due = (n: number, limit = 99) => other.due(t(n), limit);
      const names = async (n: number, limit?: number) => (await due(n, limit)).map(({ domain }) => domain);

      test('whose wakeAt has come, earliest first, with their zones', async () => {
        const rows = [3, 1, 5, 2, 4].map((n) =>
          domainRow(`d${n}.example.com`, { wakeAt: t(n * 1_000), zone: `z${n}.example.com` }),
        );
        await ledger.commit({ domains: rows });
        await soon(() => due(3_000)).toEqual([
          { domain: 'd1.example.com', zone: 'z1.example.com' },
          { domain: 'd2.example.com', zone: 'z2.example.com' },
          { domain: 'd3.example.com', zone: 'z3.example.com' },
        ]);
        expect(await names(999)).toEqual([]);
        expect(await names(2_999)).toEqual(['d1.example.com', 'd2.example.com']);
        expect(await names(9_000, 2)).toEqual(['d1.example.com', 'd2.example.com']);
        expect(await names(9_000)).toHaveLength(5);
        expect(await names(9_000, 0)).toEqual([]);
      });

      test('in time’s order also where the numbers have more digits', async () => {
        const at = (n: number) => add(t(-Date.UTC(2024, 0, 28, 9)), milliseconds(n));
        await ledger.commit({
          domains: [9, 10, 1e12, 1e13].map((n) => domainRow(`d${n}.example.com`, { wakeAt: at(n) })),
        });
        await soon(() => ledger.due(at(1e13), 9)).toHaveLength(4);
        expect((await ledger.due(at(1e12), 9)).map(({ domain }) => domain)).toEqual([
          'd9.example.com',
          'd10.example.com',
          'd1000000000000.example.com',
        ]);
      });

      test('a row without wakeAt is not; one that gets it is; one that loses it is no longer', async () => {
        await ledger.commit({
          domains: [domainRow('a.example.com'), domainRow('b.example.com', { wakeAt: t(0) })],
        });
        await soon(() => names(9_000)).toEqual(['b.example.com']);
        await ledger.commit({
          domains: [
            domainRow('a.example.com', { version: 1, wakeAt: t(5) }),
            domainRow('b.example.com', { version: 1 }),
          ],
        });
        await soon(() => names(9_000)).toEqual(['a.example.com']);
      });

      test('a wakeAt that changes, or a zone, takes effect, and leaves nothing behind', async () => {
        await ledger.commit({ domains: [domainRow('a.example.com', { wakeAt: t(1_000) })] });
        await soon(() => names(1_000)).toEqual(['a.example.com']);
        await ledger.commit({ domains: [domainRow('a.example.com', { version: 1, wakeAt: t(60_000) })] });
        await soon(() => names(59_999)).toEqual([]);
        await ledger.commit({
          domains: [domainRow('a.example.com', { version: 2, wakeAt: t(10), zone: 'a.example.com' })],
        });
        await soon(() => due(60_000)).toEqual([{ domain: 'a.example.com', zone: 'a.example.com' }]);
      });
    });

    describe('leases', () => {
      const length = minutes(1);

      test('one holder at a time; the same may take it again, and has it longer', async () => {
        expect(await ledger.lease('zone/a', 'w1', t(0), length)).toBe(true);
        expect(await other.lease('zone/a', 'w2', t(1), length)).toBe(false);
        expect(await other.lease('zone/b', 'w2', t(1), length)).toBe(true);
        expect(await ledger.lease('zone/a', 'w1', t(50_000), length)).toBe(true);
        expect(await other.lease('zone/a', 'w2', t(109_999), length)).toBe(false);
      });

      test('it ends by itself', async () => {
        await ledger.lease('zone/a', 'w1', t(0), length);
        expect(await other.lease('zone/a', 'w2', t(59_999), length)).toBe(false);
        expect(await other.lease('zone/a', 'w2', t(60_000), length)).toBe(true);
        expect(await ledger.lease('zone/a', 'w1', t(60_001), length)).toBe(false);
      });

      test('its holder releases it; another’s release has no effect', async () => {
        await ledger.release('zone/a', 'w1');
        await ledger.lease('zone/a', 'w1', t(0), length);
        await other.release('zone/a', 'w2');
        expect(await other.lease('zone/a', 'w2', t(1), length)).toBe(false);
        await ledger.release('zone/a', 'w1');
        await ledger.release('zone/a', 'w1');
        expect(await other.lease('zone/a', 'w2', t(2), length)).toBe(true);
      });

      test('many at once: one has it', async () => {
        const answers = await Promise.all(
          Array.from({ length: 12 }, (_, n) =>
            (n % 2 ? ledger : other).lease('zone/a', `w${n}`, t(0), length),
          ),
        );
        expect(answers.filter((had) => had)).toHaveLength(1);
      });
    });
  });
};
