// What a plan is made of: steps have names, and plans come together.
import { expect, it } from 'vitest';
import { type Action, act, nothing, stepOf, together, wait } from '../../../core/key/actions.ts';
import { add, minutes } from '../../../core/time.ts';
import { t } from './made.ts';

it.each<[string, Action]>([
  ['start', { do: 'start', kind: 'scheduled' }],
  ['switch', { do: 'switch', rotation: 'r', stop: ['240128'] }],
  ['reserve rsa2048', { do: 'reserve', rotation: 'r', algorithm: 'rsa2048' }],
  ['store 240128', { do: 'store', selector: '240128' }],
  ['publish 240128', { do: 'publish', selector: '240128' }],
  ['entomb 240128', { do: 'entomb', selector: '240128' }],
  ['delete 240128', { do: 'delete', selector: '240128' }],
  ['ask tombstoned 240128', { do: 'ask', selector: '240128', change: 'tombstoned' }],
  ['prove absence 240128', { do: 'prove', selector: '240128', shows: 'absence' }],
  ['offer r', { do: 'offer', rotation: 'r' }],
  ['latch stopped 240128', { do: 'latch', selector: '240128', gate: 'stopped' }],
  ['revoke 240128', { do: 'revoke', selector: '240128' }],
  ['remove 240128', { do: 'remove', selector: '240128' }],
  ['erase 240128', { do: 'erase', selector: '240128' }],
  ['destroy 240128', { do: 'destroy', selector: '240128' }],
  ['abort r', { do: 'abort', rotation: 'r', reason: 'why' }],
  ['tell mx1 mx2', { do: 'tell', hosts: ['mx1', 'mx2'] }],
  ['fence mx1 mx2', { do: 'fence', hosts: ['mx1', 'mx2'], reason: 'why' }],
])('the step "%s" has the name by which its troubles are known', (name, action) => {
  expect(stepOf(action)).toBe(name);
});

it('plans together do all, say all that stands in the way, and wake at the earliest', () => {
  const blocked = (says: string) => ({ by: 'wait' as const, says });
  const [first, second]: Action[] = [
    { do: 'store', selector: 'a' },
    { do: 'store', selector: 'b' },
  ];
  if (first === undefined || second === undefined) throw new Error('two actions');
  expect(
    together([
      wait(add(t, minutes(2)), blocked('two'), first),
      act(second),
      wait(add(t, minutes(1)), blocked('one')),
    ]),
  ).toEqual({
    actions: [first, second],
    wakeAt: add(t, minutes(1)),
    blockedBy: [blocked('two'), blocked('one')],
  });
});

it('plans that never wake have no time to wake at', () => {
  expect(Object.keys(together([nothing, act()])).toSorted()).toEqual(['actions', 'blockedBy']);
});
