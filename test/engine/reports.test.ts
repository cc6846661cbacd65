// Aggregate reports in the engine's world: what is kept, and that a retired key which a receiver still meets drains longer, within
// the policy's bound, and never shorter.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Key } from '../../core/key/evidence.ts';
import { stateOf, turnOf } from '../../core/key/state.ts';
import { mostReportsOfDay, reportsKept } from '../../core/reports/report.ts';
import { add, days, formatInstant, hours, type Instant, instant } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { reportsOf, reportsOfAll } from '../../engine/report-rates.ts';
import { importReport, importReports } from '../../engine/reports.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { record, report } from '../reports/made.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let simulation: Simulation;
beforeEach(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
  await simulation.run(hours(2));
});
afterEach(() => simulation.close());

const session = () => openSession(simulation.world);
const bring = async (...given: Parameters<typeof report>) =>
  importReport(simulation.world, await session(), report(...given));
const keys = async (): Promise<readonly Key[]> => (await simulation.world.ledger.domain(domain))?.keys ?? [];
const keyNamed = async (selector: string): Promise<Key> => {
  const key = (await keys()).find((each) => each.selector === selector);
  if (key === undefined) throw new Error(`no key ${selector}`);
  return key;
};
const signedBy = (selector: string, result: 'pass' | 'fail' = 'pass') =>
  record({ signatures: [{ domain, selector, result }] });
/** A report of the day that ends now. */
const ofToday = (selector: string, more: Parameters<typeof report>[1] = {}) => {
  const now = simulation.now();
  return [[signedBy(selector)], { begin: instant(now - hours(20)), end: now, ...more }] as const;
};

/** Rotates, and gives the selector of the key that drains. */
const retire = async (): Promise<{ selector: string; stopped: Instant }> => {
  const { selector } = (await keys())[0] ?? { selector: '' };
  await requestRotation(simulation.world, await session(), domain, {});
  await simulation.run(hours(2));
  const stopped = turnOf(await keyNamed(selector)).stopped?.at;
  if (stopped === undefined) throw new Error(`${selector} was not stopped`);
  return { selector, stopped };
};

describe('what is kept', () => {
  it('is written once, however often the report comes', async () => {
    const first = await bring();
    expect(first.domains).toEqual([{ domain, messages: 10, passed: 10, kept: 'saved' }]);
    expect((await bring()).domains).toEqual([{ domain, messages: 10, passed: 10, kept: 'known' }]);
    expect((await bring([record({ count: 7 })])).domains[0]?.kept).toBe('known');
    const { messages, reports } = await reportsOf(simulation.world, await session(), domain, 30);
    expect([messages, reports]).toEqual([10, 1]);
  });

  it('counts a sub-domain for the domain above it that the fleet has, and leaves others out', async () => {
    const found = await bring([
      record({ from: 'news.example.com', count: 1 }),
      record({ from: 'example.net', count: 2 }),
      record({ from: 'example.com', count: 4, dkim: false, spf: false }),
    ]);
    // A report about us counts whole: the receiver went by our record.
    expect(found.domains).toEqual([{ domain, messages: 7, passed: 3, kept: 'saved' }]);
    const foreign = await bring(
      [record({ count: 5 }), record({ from: 'other.example', count: 3, signatures: [] })],
      { domain: 'other.example', id: '2' },
    );
    expect(foreign.domains).toEqual([{ domain, messages: 5, passed: 5, kept: 'saved' }]);
    expect(foreign.ignored).toBe(3);
  });

  it.each([
    [
      'about nobody of ours',
      () => bring([record({ from: 'other.example', signatures: [] })], { domain: 'other.example' }),
      /about other\.example, which is no domain of fleet\.yaml/,
    ],
    [
      'of a time to come',
      () => bring([record()], { begin: add(simulation.now(), days(2)), end: add(simulation.now(), days(3)) }),
      /is of a time to come: 2024-01-30/,
    ],
    [
      'older than what is kept',
      () =>
        bring([record()], {
          begin: instant(simulation.now() - reportsKept),
          end: instant(simulation.now() - reportsKept + 1),
        }),
      /reports are kept for 400 days/,
    ],
  ])('refuses one that is %s', async (_, attempt, says) => {
    await expect(attempt()).rejects.toThrow(says);
  });

  it('takes no more of a day than there may be, and says so', async () => {
    const { ledger } = simulation.world;
    const full = { ...ledger, saveReport: async () => 'full' as const };
    Object.assign(simulation.world, { ledger: full });
    expect((await bring()).domains[0]?.kept).toBe('full');
    expect(mostReportsOfDay).toBe(500);
  });

  it('adds up by day, selector, source and reporter', async () => {
    await bring([record(), record({ source: '192.0.2.2', dkim: false, count: 5, signatures: [] })]);
    await bring([record({ count: 1, dkim: false, spf: false, disposition: 'reject', signatures: [] })], {
      id: '2',
      reporter: 'other.example',
      begin: instant(Date.parse('2024-01-27T00:00:00Z')),
      end: instant(Date.parse('2024-01-27T23:59:59Z')),
    });
    const found = await reportsOf(simulation.world, await session(), domain, 30);
    expect(found).toMatchObject({ reports: 2, messages: 16, passed: 15, dkim: 10, spf: 15 });
    expect(found.days.map(({ day, messages, passed }) => [day, messages, passed])).toEqual([
      ['2024-01-27', 1, 0],
      ['2024-01-28', 15, 15],
    ]);
    expect(found.selectors).toEqual([
      {
        selector: '240128',
        messages: 10,
        passed: 10,
        first: '2024-01-28',
        last: '2024-01-28',
        reporters: ['receiver.example'],
      },
    ]);
    expect(found.sources.map(({ source, messages }) => [source, messages])).toEqual([
      ['192.0.2.1', 11],
      ['192.0.2.2', 5],
    ]);
    expect(found.reporters.map(({ reporter, messages }) => [reporter, messages])).toEqual([
      ['receiver.example', 15],
      ['other.example', 1],
    ]);
    expect(await reportsOf(simulation.world, await session(), domain, 1)).toMatchObject({ messages: 15 });
    const all = await reportsOfAll(simulation.world, await session(), { limit: 10, length: 30 });
    expect(all.domains).toMatchObject([{ domain, reports: 2, messages: 16, passed: 15, last: '2024-01-28' }]);
  });
});

describe('a retired key that a receiver still meets', () => {
  /** When the key's tombstone was intended. */
  const revokedAt = async (selector: string): Promise<Instant | undefined> =>
    (await keyNamed(selector)).evidence.revocationIntended?.at;

  it('drains longer, says by whom, and is revoked then', async () => {
    const { selector, stopped } = await retire();
    await simulation.run(days(5));
    const found = await bring(...ofToday(selector));
    const until = add(simulation.now(), days(7), hours(1), instant(5 * 60_000) as never);
    expect(found.stillSeen).toEqual([{ domain, selector, messages: 10, drainsUntil: formatInstant(until) }]);
    const { keys: shown, blockedBy } = await statusOf(simulation.world, await session(), domain);
    expect(shown.find((key) => key.selector === selector)?.stillSeen).toEqual({
      by: 'receiver.example',
      messages: 10,
      until: formatInstant(simulation.now()),
    });
    expect(blockedBy.map(({ says }) => says).join()).toMatch(
      /drains until .*, and not only until .*: receiver\.example reports that it still received some, up to 2024-02-02/,
    );
    await simulation.run(days(7));
    expect(await revokedAt(selector)).toBeUndefined();
    await simulation.run(hours(3));
    expect(await revokedAt(selector)).toBeGreaterThanOrEqual(until);
    expect(await revokedAt(selector)).toBeGreaterThan(add(stopped, days(12)));
  });

  it('however late and however many they are, by no more than the policy allows', async () => {
    const { selector, stopped } = await retire();
    for (let day = 1; day <= 24; day += 1) {
      await simulation.run(days(1));
      await bring(...ofToday(selector, { id: `day ${day}` }));
    }
    const at = await revokedAt(selector);
    expect(at).toBeGreaterThanOrEqual(add(stopped, days(21)));
    expect(at).toBeLessThan(add(stopped, days(21), hours(3)));
  });

  it('is noted once for the same sight, and an older one changes nothing', async () => {
    const { selector } = await retire();
    await simulation.run(days(3));
    await bring(...ofToday(selector));
    const before = await simulation.world.ledger.domain(domain);
    await bring(...ofToday(selector));
    await bring([signedBy(selector)], {
      id: 'older',
      begin: instant(simulation.now() - days(2)),
      end: instant(simulation.now() - days(1)),
    });
    expect((await simulation.world.ledger.domain(domain))?.version).toBe(before?.version);
  });

  it.each<[string, (selector: string, stopped: Instant) => Parameters<typeof report>]>([
    [
      'a period that began before the stop: the mail may have come before it too',
      (selector, stopped) => [
        [signedBy(selector)],
        { begin: instant(stopped - 1), end: add(stopped, days(1)) },
      ],
    ],
    [
      'a signature that did not verify: anybody can write our selector into one',
      (selector, stopped) => [
        [signedBy(selector, 'fail')],
        { begin: add(stopped, hours(1)), end: add(stopped, days(1)) },
      ],
    ],
    [
      'another domain’s selector of the same name',
      (selector, stopped) => [
        [record({ signatures: [{ domain: 'example.net', selector, result: 'pass' }] })],
        { begin: add(stopped, hours(1)), end: add(stopped, days(1)) },
      ],
    ],
    [
      'a selector that is none of ours',
      (_, stopped) => [[signedBy('google')], { begin: add(stopped, hours(1)), end: add(stopped, days(1)) }],
    ],
  ])('nothing is made of %s', async (_, given) => {
    const { selector, stopped } = await retire();
    await simulation.run(days(3));
    const before = await simulation.world.ledger.domain(domain);
    expect((await bring(...given(selector, stopped))).stillSeen).toEqual([]);
    expect((await simulation.world.ledger.domain(domain))?.version).toBe(before?.version);
  });

  it('is revoked in time where the policy gives reports no say', async () => {
    const { selector, stopped } = await retire();
    simulation.change({
      policy: {
        ...(await import('../../core/policy.ts')).defaultPolicy,
        algorithms: ['ed25519'],
        reportedDrain: days(0),
      },
    });
    await simulation.run(days(5));
    await bring(...ofToday(selector));
    await simulation.run(days(3));
    expect(await revokedAt(selector)).toBeLessThan(add(stopped, days(8)));
  });

  it('once its revocation is intended, nothing keeps it', async () => {
    const { selector } = await retire();
    await simulation.run(days(8));
    expect(stateOf(await keyNamed(selector))).toBe('revoked');
    expect((await bring(...ofToday(selector))).stillSeen).toEqual([]);
  });

  it('is told where it is seen on a day after its revocation, and not for what came before', async () => {
    const { selector } = await retire();
    await bring(...ofToday(selector));
    while (stateOf(await keyNamed(selector)) !== 'revoked') await simulation.run(days(1));
    const seen = async () =>
      (await reportsOf(simulation.world, await session(), domain, 60)).selectors.find(
        (one) => one.selector === selector,
      );
    expect(await seen()).toMatchObject({ state: 'revoked' });
    expect(await seen()).not.toHaveProperty('afterRevocation');
    await simulation.run(days(2));
    await bring(...ofToday(selector, { id: 'late' }));
    expect(await seen()).toMatchObject({ state: 'revoked', afterRevocation: true });
  });

  it('a write that another got before is tried again, from what the row is then', async () => {
    const { selector } = await retire();
    await simulation.run(days(3));
    const { ledger } = simulation.world;
    let raced = false;
    Object.assign(simulation.world, {
      ledger: {
        ...ledger,
        commit: async (commit: Parameters<typeof ledger.commit>[0]) => {
          const row = await ledger.domain(domain);
          if (!raced && row !== undefined) {
            raced = true;
            await ledger.commit({ domains: [row] });
          }
          return ledger.commit(commit);
        },
      },
    });
    expect((await bring(...ofToday(selector))).stillSeen).toHaveLength(1);
    expect(turnOf(await keyNamed(selector)).reported?.messages).toBe(10);
  });
});

describe('reports that somebody brings', () => {
  const events = () => simulation.world.ledger.audit('fleet', { limit: 10 });
  const named = (id: string) => report([record()], { id });

  it('stand in the fleet’s trail by their names, with who brought them', async () => {
    const order = { by: 'ann', idempotencyKey: 'k1' };
    const brought = await importReports(simulation.world, await session(), [named('17'), named('18')], order);
    expect(brought.map(({ id, domains }) => [id, domains[0]?.kept])).toEqual([
      ['17', 'saved'],
      ['18', 'saved'],
    ]);
    const { reporter } = named('17');
    expect(await events()).toMatchObject([
      {
        subject: 'fleet',
        who: 'ann',
        what: 'import reports',
        after: { reports: [`${reporter} 17`, `${reporter} 18`] },
      },
    ]);
    // Sent again under the same key, they are no other order; others are.
    const again = await importReports(simulation.world, await session(), [named('17'), named('18')], order);
    expect(again.map(({ domains }) => domains[0]?.kept)).toEqual(['known', 'known']);
    expect(await events()).toHaveLength(1);
    await importReports(simulation.world, await session(), [named('19')], order);
    expect((await events()).map(({ after }) => after)).toContainEqual({ reports: [`${reporter} 19`] });
  });

  it('are not in it where one of them is refused, nor where they come by mail', async () => {
    const old = report([record()], { id: '20', begin: instant(0), end: instant(days(1)) });
    await expect(importReports(simulation.world, await session(), [named('17'), old], {})).rejects.toThrow(
      'reports are kept for',
    );
    await bring();
    expect(await events()).toEqual([]);
  });

  it('are named up to fifty', async () => {
    const many = Array.from({ length: 53 }, (_, n) => named(`n${n}`));
    await importReports(simulation.world, await session(), many, {});
    const { reporter } = named('17');
    const first = Array.from({ length: 50 }, (_, n) => `${reporter} n${n}`);
    expect((await events()).map(({ after }) => after)).toEqual([{ reports: first, more: 3 }]);
  });
});
