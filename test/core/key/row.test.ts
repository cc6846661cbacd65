// Writing facts into a row: each fact once, in its place, and nothing else changes.
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../core/key/evidence.ts';
import {
  emptyRow,
  inSyncFact,
  keyOf,
  tidied,
  withEvidence,
  withNewTurn,
  withoutAccepted,
  withoutTrouble,
  withReported,
  withRotation,
  withTrouble,
  withTurn,
} from '../../../core/key/row.ts';
import { dutyTurn } from '../../../core/key/state.ts';
import { add, instant, minutes } from '../../../core/time.ts';
import { at, evidenceUpTo, key, later, rotation, row, t, turnUpTo } from './made.ts';

const first = key('240127e', 'stopped');
const second = key('240128e', 'proved');
const two = row([first, second]);
const now = { at: later };

it('a row that is not yet written is empty', () => {
  expect(emptyRow('a.example', 'example', 'mx')).toEqual({
    domain: 'a.example',
    zone: 'example',
    pool: 'mx',
    version: 0,
    keys: [],
    rotations: [],
    taken: [],
    troubles: [],
  });
});

it('a key is found by its selector', () => {
  expect(keyOf(two, '240128e')).toBe(second);
  expect(keyOf(two, '240129e')).toBeUndefined();
});

describe('evidence', () => {
  it('is added to its key, and to no other', () => {
    const next = withEvidence(two, '240128e', { compromised: { ...now, reason: 'stolen' } });
    expect(next.keys).toEqual([
      first,
      { ...second, evidence: { ...second.evidence, compromised: { ...now, reason: 'stolen' } } },
    ]);
    expect({ ...next, keys: [] }).toEqual({ ...two, keys: [] });
  });

  it('stays as it was first observed', () => {
    expect(withEvidence(two, '240128e', { inSync: now })).toEqual(two);
  });

  it.each(['created', 'tombstoned', 'deleted'] as const)(
    'of an accepted change (%s) is taken back where the provider knows it no more, or others undid it',
    (which) => {
      const all = { ...second, evidence: evidenceUpTo('deletionInSync') };
      const { [which]: _gone, [inSyncFact[which]]: _seen, ...rest } = all.evidence;
      expect(Object.keys(rest)).toHaveLength(Object.keys(all.evidence).length - 2);
      expect(withoutAccepted(row([first, all]), '240128e', which)).toEqual(
        row([first, { ...all, evidence: rest }]),
      );
    },
  );
});

describe('a turn', () => {
  it('has its facts added, in the present one unless said', () => {
    expect(withTurn(two, '240128e', { offered: { ...now, place: { epoch: 1, n: 9 } } }).keys).toEqual([
      first,
      key('240128e', { ...turnUpTo('proved'), offered: { ...now, place: { epoch: 1, n: 9 } } }),
    ]);
  });

  it('begins anew, and leaves the one before as it was', () => {
    const [called] = withNewTurn(two, '240127e', later).keys;
    expect(called?.turns).toEqual([turnUpTo('stopped'), { begun: now }]);
    const again = withTurn(withNewTurn(two, '240127e', later), '240127e', { standby: now }).keys[0];
    expect(again?.turns).toEqual([turnUpTo('stopped'), { begun: now, standby: now }]);
  });

  it('may be an earlier one: that in which hosts were last told to sign', () => {
    const switching = row([key('240127e', 'stopIntended'), second]);
    const called = withNewTurn(switching, '240127e', later);
    const [stopped] = withTurn(called, '240127e', { stopped: now }, dutyTurn).keys;
    expect(stopped?.turns).toEqual([{ ...turnUpTo('stopIntended'), stopped: now }, { begun: now }]);
  });
});

it('a rotation is changed, and no other', () => {
  const next = withRotation(two, '240128e', (each) => ({ ...each, reason: 'a drill' }));
  expect(next.rotations).toEqual([rotation('240127e'), rotation('240128e', { reason: 'a drill' })]);
});

describe('a trouble', () => {
  const once = withTrouble(two, 'store a', t, 'no answer');
  it('says since when, how often, and what it was the last time', () => {
    expect(once.troubles).toEqual([{ step: 'store a', since: t, last: t, times: 1, message: 'no answer' }]);
    const other = withTrouble(once, 'store b', t, 'denied');
    expect(withTrouble(other, 'store a', later, 'denied').troubles).toEqual([
      { step: 'store b', since: t, last: t, times: 1, message: 'denied' },
      { step: 'store a', since: t, last: later, times: 2, message: 'denied' },
    ]);
  });

  it('ends alone; a row without it is the same row', () => {
    const both = withTrouble(once, 'store b', t, 'denied');
    expect(withoutTrouble(both, 'store a').troubles.map(({ step }) => step)).toEqual(['store b']);
    expect(withoutTrouble(both, 'store c')).toBe(both);
    expect(withoutTrouble(both, 'store b').troubles.map(({ step }) => step)).toEqual(['store a']);
  });
});

describe('a tidied row', () => {
  const gone = (n: number): Key => key(`old-${n}`, 'stopped', { evidence: evidenceUpTo('destroyed') });
  const taken = Array.from({ length: 15 }, (_, n) => ({ ...at, selector: `taken-${n}`, reason: 'theirs' }));

  it('with twelve keys that are gone is the same row', () => {
    const twelve = row([...Array.from({ length: 12 }, (_, n) => gone(n)), second], { taken });
    expect(tidied(twelve, instant(0))).toBe(twelve);
  });

  it('drops the oldest beyond twelve, with their rotations, and keeps every key that is not gone', () => {
    const keys = [second, ...Array.from({ length: 14 }, (_, n) => gone(n))];
    const rotations = [
      rotation('dropped', { selectors: ['old-0', 'old-1'] }),
      rotation('half', { selectors: ['old-1', 'old-2'] }),
      rotation('empty', { selectors: [] }),
      rotation('kept', { selectors: ['old-3'] }),
      rotation('present', { selectors: [] }),
    ];
    const next = tidied(row(keys, { rotations, taken }), instant(0));
    expect(next.keys).toEqual([second, ...keys.slice(3)]);
    expect(next.rotations.map(({ id }) => id)).toEqual(['half', 'kept', 'present']);
    expect(next.taken).toEqual(taken.slice(3));
  });
});

it('times are of whoever says them', () => {
  expect(withTrouble(two, 'a', add(t, minutes(1)), '').troubles[0]?.since).toBe(add(t, minutes(1)));
});

describe('that a receiver still meets mail of a key', () => {
  const seen = (until: typeof t) => ({ at: later, until, by: 'google.com', messages: 3 });
  const reportedOf = (of: typeof two, selector: string) => {
    const found = keyOf(of, selector);
    return found === undefined ? undefined : dutyTurn(found).reported;
  };

  it('is noted in the turn that it stopped in, and only what is later than what is known', () => {
    const once = withReported(two, '240127e', seen(add(t, minutes(10))));
    expect(reportedOf(once, '240127e')).toEqual(seen(add(t, minutes(10))));
    expect(withReported(once, '240127e', seen(add(t, minutes(10)))).keys).toEqual(once.keys);
    expect(reportedOf(withReported(once, '240127e', seen(add(t, minutes(5)))), '240127e')?.until).toBe(
      add(t, minutes(10)),
    );
    expect(reportedOf(withReported(once, '240127e', seen(add(t, minutes(15)))), '240127e')?.until).toBe(
      add(t, minutes(15)),
    );
  });

  it('is nothing new up to the stop, nor of a key that has not stopped', () => {
    expect(withReported(two, '240127e', seen(t)).keys).toEqual(two.keys);
    expect(withReported(two, '240128e', seen(later)).keys).toEqual(two.keys);
  });

  it('is of the last turn of duty, where it was called back and stopped again', () => {
    const again = key('240127e', 'stopped', { turns: [turnUpTo('stopped'), turnUpTo('stopped')] });
    const { turns } = keyOf(withReported(row([again]), '240127e', seen(later)), '240127e') ?? again;
    expect(turns).toEqual([turnUpTo('stopped'), { ...turnUpTo('stopped'), reported: seen(later) }]);
  });
});
