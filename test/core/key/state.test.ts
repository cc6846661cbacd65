// From evidence to state, and what a row says of its rotations.
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../core/key/evidence.ts';
import {
  dutyTurn,
  isServing,
  keysOf,
  mayHaveSigned,
  pendingRotation,
  rotationState,
  type State,
  servingKeys,
  servingRotation,
  stateOf,
  turnOf,
} from '../../../core/key/state.ts';
import { at, duty, evidenceUpTo, type facts, key, rotation, row, turnUpTo } from './made.ts';

/** A key that has all facts up to one of a turn, or of the record. */
const atFact = (fact: keyof typeof facts | keyof typeof duty): Key =>
  fact in duty
    ? key('240128e', turnUpTo(fact as keyof typeof duty))
    : key(
        '240128e',
        ['reserved', 'stored', 'publishIntended', 'created', 'inSync'].includes(fact) ? 'begun' : 'stopped',
        {
          evidence: evidenceUpTo(fact as keyof typeof facts),
        },
      );

/** Called back, and nothing proved yet. */
const calledBack = (last: keyof typeof duty): Key => ({
  ...key('240128e', last),
  turns: [turnUpTo(last), { begun: at }],
});

describe('the state of a key', () => {
  it.each<[keyof typeof facts | keyof typeof duty, State]>([
    ['reserved', 'reserved'],
    ['stored', 'stored'],
    ['publishIntended', 'stored'],
    ['created', 'publishing'],
    ['inSync', 'publishing'],
    ['proved', 'published'],
    ['offered', 'published'],
    ['standby', 'standby'],
    ['signIntended', 'standby'],
    ['active', 'active'],
    ['stopIntended', 'active'],
    ['stopped', 'draining'],
    ['revocationIntended', 'draining'],
    ['tombstoned', 'draining'],
    ['revoked', 'revoked'],
    ['removalIntended', 'revoked'],
    ['deleted', 'revoked'],
    ['removed', 'removed'],
    ['destroyed', 'removed'],
  ])('that is %s: %s', (fact, state) => expect(stateOf(atFact(fact))).toBe(state));

  it('that is called back: draining, and then as far as the new turn came', () => {
    expect(stateOf(calledBack('stopped'))).toBe('draining');
    expect(stateOf(calledBack('stopIntended'))).toBe('draining');
    expect(stateOf({ ...key('240128e', 'stopped'), turns: [turnUpTo('stopped'), turnUpTo('proved')] })).toBe(
      'published',
    );
    expect(stateOf({ ...key('240128e', 'stopped'), turns: [turnUpTo('stopped'), turnUpTo('active')] })).toBe(
      'active',
    );
  });
});

describe('turns of duty', () => {
  it('the last is the present one', () => {
    expect(turnOf(calledBack('stopped'))).toEqual({ begun: at });
  });

  it('hosts were last told to sign in the last with that intent; in the present one where in none', () => {
    expect(dutyTurn(calledBack('stopped'))).toEqual(turnUpTo('stopped'));
    expect(
      dutyTurn({ ...key('240128e', 'stopped'), turns: [turnUpTo('stopped'), turnUpTo('active')] }),
    ).toEqual(turnUpTo('active'));
    expect(dutyTurn(key('240128e', 'standby'))).toEqual(turnUpTo('standby'));
  });

  it('some host may have signed where any turn told them to', () => {
    expect(mayHaveSigned(calledBack('stopped'))).toBe(true);
    expect(mayHaveSigned(key('240128e', 'standby'))).toBe(false);
    expect(mayHaveSigned(key('240128e', 'signIntended'))).toBe(true);
  });

  it('a key serves from the intent to sign to the intent to stop', () => {
    const served = (['standby', 'signIntended', 'active', 'stopIntended', 'stopped'] as const).map((last) =>
      isServing(key('240128e', last)),
    );
    expect(served).toEqual([false, true, true, false, false]);
  });
});

describe('rotations of a row', () => {
  const old = key('240127e', 'stopIntended', { rotation: 'old' });
  const pair = [
    key('240128', 'active', { algorithm: 'rsa2048', rotation: 'new' }),
    key('240128e', 'active', { rotation: 'new' }),
  ] as const;
  const both = rotation('new', { algorithms: ['rsa2048', 'ed25519'], selectors: ['240128', '240128e'] });
  const older = rotation('old', { selectors: ['240127e'] });
  const dual = row([old, ...pair], { rotations: [older, both] });

  it('have their keys', () => {
    expect(keysOf(dual, both)).toEqual(pair);
    expect(keysOf(dual, older)).toEqual([old]);
  });

  it('the serving one has a key that serves', () => {
    expect(servingKeys(dual)).toEqual(pair);
    expect(servingRotation(dual)).toBe(both);
    expect(servingRotation(row([old], { rotations: [older] }))).toBeUndefined();
  });

  it('serves still while one of its keys does, and an empty one never', () => {
    const half = row([old, key('240128', 'stopped', { rotation: 'new' }), pair[1]], {
      rotations: [older, both, rotation('next', { selectors: [] })],
    });
    expect(servingRotation(half)).toBe(both);
  });

  it('the last is pending until each of its keys has the intent to sign', () => {
    const pending = (...keys: readonly Key[]) =>
      pendingRotation(row([old, ...keys], { rotations: [older, both] }));
    expect(pending(...pair)).toBeUndefined();
    expect(pending(pair[0], key('240128e', 'standby'))).toBe(both);
    expect(pending(key('240128', 'standby'), key('240128e', 'standby'))).toBe(both);
  });

  it('is pending where an algorithm has no key yet, and never where it was aborted, or there is none', () => {
    const begun = { ...both, selectors: ['240128'] };
    expect(pendingRotation(row([pair[0]], { rotations: [begun] }))).toBe(begun);
    const aborted = { ...begun, aborted: { ...at, reason: 'why', by: 'operator' as const } };
    expect(pendingRotation(row([pair[0]], { rotations: [aborted] }))).toBeUndefined();
    expect(pendingRotation(row([]))).toBeUndefined();
  });

  it.each<[string, readonly Key[], string]>([
    ['waits for its hosts', [pair[0], key('240128e', 'standby')], 'under-way'],
    ['has told its hosts', [pair[0], key('240128e', 'signIntended')], 'switching'],
    ['is active', pair, 'done'],
    [
      'was told to stop before it was active',
      [pair[0], key('240128e', { ...turnUpTo('signIntended'), stopIntended: duty.stopIntended })],
      'done',
    ],
    ['is retired', [key('240128', 'stopped'), key('240128e', 'stopped')], 'done'],
  ])('one that %s', (_, keys, state) => {
    expect(rotationState(row([old, ...keys], { rotations: [older, both] }), both)).toBe(state);
  });

  it('an earlier one is done, an aborted one aborted', () => {
    expect(rotationState(dual, older)).toBe('done');
    const aborted = { ...both, aborted: { ...at, reason: 'why', by: 'operator' as const } };
    expect(rotationState(row([...pair], { rotations: [aborted] }), aborted)).toBe('aborted');
  });

  it('is not held to be under way because another is', () => {
    const switching = rotation('first', { selectors: ['240127e'] });
    const next = rotation('next', { selectors: [] });
    const present = row([key('240127e', 'signIntended')], { rotations: [switching, next] });
    expect(rotationState(present, switching)).toBe('switching');
    expect(rotationState(present, next)).toBe('under-way');
  });
});
