// All trails together: what fits a wish, page by page, and that no answer reads more of it than it may.
import { expect, it } from 'vitest';
import { sha256 } from '../../contract/audit.ts';
import { type AuditEvent, nextEvent, tailOf, trailPlace } from '../../core/audit.ts';
import { formatInstant, instant } from '../../core/time.ts';
import { newestOrders, type OrdersWish } from '../../engine/newest-orders.ts';
import type { World } from '../../engine/world.ts';
import { domainRow, t } from '../contracts/ledger-rows.ts';
import { createMemoryLedger } from '../simulation/ledger.ts';

const count = 2_500;

/** Orders of three domains, of which one in a thousand is an abort by bob. */
const made = async (): Promise<{
  world: Pick<World, 'ledger'>;
  all: readonly AuditEvent[];
  asked: number[];
}> => {
  const ledger = createMemoryLedger(() => t(0));
  const rows = new Map(['a', 'b', 'c'].map((name) => [name, domainRow(`${name}.example.com`)]));
  const all: AuditEvent[] = [];
  for (let n = 0; n < count; n += 1) {
    const name = 'abc'[n % 3] ?? 'a';
    const row = rows.get(name) ?? domainRow(name);
    const rare = n % 1_000 === 7;
    const event = nextEvent(
      row.audit,
      {
        subject: row.domain,
        at: formatInstant(instant(t(0) + n)),
        who: rare ? 'arn:aws:iam::123456789012:user/Bob' : 'ada',
        what: rare ? 'abort' : 'rotate',
        before: null,
        after: null,
      },
      sha256,
    );
    await ledger.commit({ domains: [{ ...row, audit: tailOf(event) }], audit: [event] });
    rows.set(name, { ...row, version: row.version + 1, audit: tailOf(event) });
    all.push(event);
  }
  const asked: number[] = [];
  const counting = {
    ...ledger,
    newestEvents: async (options: Parameters<typeof ledger.newestEvents>[0]) => {
      const found = await ledger.newestEvents(options);
      asked.push(found.length);
      return found;
    },
  };
  return { world: { ledger: counting }, all: all.toReversed(), asked };
};

it('answers what fits, and leads on where it stopped to look', async () => {
  const { world, all, asked } = await made();
  const collect = async (wish: Omit<OrdersWish, 'after'>) => {
    const pages: (readonly AuditEvent[])[] = [];
    for (let after: string | undefined; ; ) {
      asked.length = 0;
      const page = await newestOrders(world, { ...wish, ...(after === undefined ? {} : { after }) });
      // No answer reads for ever.
      expect(asked.reduce((sum, n) => sum + n, 0)).toBeLessThanOrEqual(1_000);
      pages.push(page.events);
      if (page.next === undefined) return pages;
      after = page.next;
    }
  };
  const everything = await collect({ limit: 400 });
  expect(everything.flat()).toEqual(all);
  expect(everything.map(({ length }) => length)).toEqual([400, 400, 400, 400, 400, 400, 100]);
  const ofB = await collect({ subject: 'b.example.com', limit: 300 });
  expect(ofB.flat()).toEqual(all.filter(({ subject }) => subject === 'b.example.com'));
  const rare = all.filter(({ what }) => what === 'abort');
  for (const wish of [{ who: 'user/bob' }, { what: 'abort' }, { who: 'BOB', what: 'abort' }]) {
    const found = await collect({ ...wish, limit: 5 });
    expect(found.flat()).toEqual(rare);
    expect(found.length).toBeGreaterThan(1);
  }
  expect((await collect({ who: 'bob', limit: 1 })).flat()).toEqual(rare);
  expect((await collect({ who: 'carol', limit: 5 })).flat()).toEqual([]);
  const [after = ''] = all.slice(9).map(trailPlace);
  expect((await newestOrders(world, { limit: 3, after })).events).toEqual(all.slice(10, 13));
});
