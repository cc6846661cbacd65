// docs/lifecycle.md against the code: its tables of states, transitions, waits and rules say what the code does, no more
// and no less. Its transitions are compared with those of simulated lives, in which orders come after every write.

import { describe, expect, it } from 'vitest';
import type { Action } from '../../core/key/actions.ts';
import { safetyRules } from '../../core/key/safety.ts';
import { pendingRotation, servingKeys, states } from '../../core/key/state.ts';
import * as waits from '../../core/key/waits.ts';
import { domain } from '../world/world.ts';
import {
  adoptedLife,
  disclosing,
  forgotten,
  interrupted,
  orderNames,
  regretted,
  trespassed,
} from './lives.ts';
import { readPage } from './page.ts';
import type { RecordedLife } from './recorded-life.ts';

const { section, table, column } = readPage('lifecycle.md');

const actions = Object.keys({
  start: true,
  adopt: true,
  reserve: true,
  store: true,
  publish: true,
  entomb: true,
  delete: true,
  ask: true,
  prove: true,
  offer: true,
  switch: true,
  latch: true,
  revoke: true,
  remove: true,
  erase: true,
  disclose: true,
  destroy: true,
  abort: true,
  tell: true,
  fence: true,
} satisfies Record<Action['do'], true>);

const listed = (cell: string): readonly string[] => cell.split(', ').map((word) => word.replaceAll('`', ''));

/** `from | action | to | fact`, one for each combination that a row of the page's table stands for. */
const documented = (): readonly string[] =>
  table('Every transition').flatMap(([from = '', action = '', to = '', saves = '']) =>
    listed(from).flatMap((state) =>
      listed(action).flatMap((cause) =>
        listed(saves.startsWith('takes ') ? 'nothing' : saves).map((fact) =>
          [state, cause, to === 'the same' ? state : to, fact].join(' | '),
        ),
      ),
    ),
  );

/** However it was interrupted: nothing is under way or in trouble for ever, and the domain signs unless it leaves. */
const expectGoodEnd = async (life: RecordedLife, name: string): Promise<void> => {
  const row = await life.world.ledger.domain(domain);
  if (row === undefined) throw new Error('the domain is gone from the ledger');
  const leaves = life.world.fleet.domains.get(domain)?.leaving === true;
  expect(pendingRotation(row), name).toBeUndefined();
  expect(row.troubles, name).toEqual([]);
  const serving = servingKeys(row).map(({ turns }) => turns.at(-1)?.active !== undefined);
  expect(serving, name).toEqual(leaves ? [] : [true]);
};

/** More than twice the writes that a first key and its successor need, whatever comes in between. */
const mostWrites = 150;

/** What was seen to happen in all lives, as `documented` writes it. */
const observed = async (): Promise<readonly string[]> => {
  const seen = new Set<string>();
  const observe = (life: RecordedLife): void => {
    for (const { from, cause, to, saves } of life.steps)
      seen.add([from ?? '—', cause, to, saves ?? 'nothing'].join(' | '));
    life.close();
  };
  observe(await disclosing());
  observe(await forgotten());
  observe(await trespassed());
  for (let later = 1; later <= 9; later += 1) {
    const life = await regretted(later);
    await expectGoodEnd(life, `rollback called off after ${later} writes`);
    observe(life);
  }
  for (const order of orderNames)
    for (let [write, writes] = [1, 1]; write <= writes; write += 1) {
      const life = await interrupted(order, write);
      await expectGoodEnd(life, `"${order}" after write ${write}`);
      observe(life);
      writes = life.writes;
      expect(writes).toBeLessThan(mostWrites);
    }
  for (const order of orderNames)
    for (let [write, writes] = [1, 1]; write <= writes; write += 1) {
      const life = await adoptedLife(order, write);
      await expectGoodEnd(life, `adopted, "${order}" after write ${write}`);
      observe(life);
      writes = life.writes;
      expect(writes).toBeLessThan(mostWrites);
    }
  return [...seen];
};

describe('docs/lifecycle.md', () => {
  it('has a row for each state, in the order of a key’s life', () => {
    expect(column('States', 0)).toEqual(states);
  });

  it('names each action at the head of a transition, and no other', () => {
    const heads = [...section('Transitions').matchAll(/^\*\*.*?\*\* \((.*)\)\.$/gm)].flatMap(
      ([, names = '']) => listed(names),
    );
    expect([...new Set(heads)].toSorted()).toEqual(actions.toSorted());
  });

  it('has each wait in its table, with what it waits for and until when', () => {
    // What is remembered for a wait is none.
    const { queuesOf: _remembered, ...all } = waits;
    expect(
      column('Waits', 0)
        .map((cell) => cell.replaceAll('`', ''))
        .toSorted(),
    ).toEqual(Object.keys(all).toSorted());
    for (const [, what, until] of table('Waits')) expect([what, until]).not.toContain('');
  });

  it('says each rule that no write may break', () => {
    expect(table('What no write may do')).toEqual(
      safetyRules.map(({ invariant, says }) => [String(invariant), says]),
    );
  });

  it('numbers the invariants that rules have', () => {
    const numbers = [...section('Invariants').matchAll(/^(\d+)\. \*\*/gm)].map(([, n]) => Number(n));
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (const { invariant } of safetyRules) expect(numbers).toContain(invariant);
  });

  it('has every transition, and no other', { timeout: 120_000 }, async () => {
    const rows = documented();
    expect([...new Set(rows)]).toHaveLength(rows.length);
    expect((await observed()).toSorted()).toEqual(rows.toSorted());
  });
});
