// The safety rules, each by one mutation of a valid write. The numbers are those of the invariants.
import { describe, expect, it } from 'vitest';
import type { Situation } from '../../../core/key/actions.ts';
import { adopted } from '../../../core/key/adoption.ts';
import type { DomainRow, HostView, Key } from '../../../core/key/evidence.ts';
import { emptyRow, withEvidence, withNewTurn, withTurn } from '../../../core/key/row.ts';
import { assertSafe } from '../../../core/key/safety.ts';
import { defaultPolicy } from '../../../core/policy.ts';
import { add, days, instant, minutes } from '../../../core/time.ts';

const t = instant(Date.parse('2024-01-28T09:00:00Z'));
const at = { at: t };
const place = { epoch: 1, n: 5 };

const host = (cursor: number): HostView => ({
  name: 'mx1',
  ready: true,
  excluded: false,
  epoch: 1,
  cursor,
  failed: new Map(),
  lastUse: new Map(),
});

const context = (cursor = 5, now = add(t, days(30))): Omit<Situation, 'row'> => ({
  policy: defaultPolicy,
  leaving: false,
  hosts: [host(cursor)],
  epoch: 1,
  now,
});

const proved = { ...at, servers: 2, negativeTtl: minutes(15) };
const signing = { begun: at, proved, offered: { ...at, place }, standby: at, signIntended: { ...at, place } };
const key = (selector: string, turn: Partial<Key['turns'][0]>): Key => ({
  selector,
  algorithm: 'ed25519',
  rotation: 'r',
  evidence: {
    reserved: at,
    stored: { ...at, secret: 's', fingerprint: 'f', publicKey: 'p' },
    publishIntended: { ...at, value: 'v', ttl: minutes(60) },
  },
  turns: [{ begun: at, ...turn }],
});
const row = (...keys: Key[]): DomainRow => ({ ...emptyRow('example.com', 'example.com', 'mx'), keys });

const active = key('240128e-2', { ...signing, active: at });
const retired = key('240128e', { ...signing, active: at, stopIntended: { ...at, place }, stopped: at });
const before = row(retired, active);
const revoked = withEvidence(before, '240128e', { revocationIntended: at });

const removed = withEvidence(revoked, '240128e', { revoked: at, removalIntended: at, removed: at });
const erased = withEvidence(revoked, '240128e', { revoked: at, removalIntended: at, erased: at });
const gone = withEvidence(removed, '240128e', { erased: at });
const discloses = { ...context(), policy: { ...defaultPolicy, disclose: 'after-removal' } as const };

it('a key of which nothing is left may be published where the policy says so', () => {
  const told = withEvidence(gone, '240128e', { disclosureIntended: at });
  expect(() => assertSafe(gone, told, discloses)).not.toThrow();
  expect(() => assertSafe(told, withEvidence(told, '240128e', { disclosed: at }), discloses)).not.toThrow();
});

it('what was published stays so when the policy changes', () => {
  const told = withEvidence(gone, '240128e', { disclosureIntended: at, disclosed: at });
  expect(() => assertSafe(told, withEvidence(told, '240128e', { destroyed: at }), context())).not.toThrow();
});

it('a retired key may be revoked when its mail has drained and every ready host stopped', () => {
  expect(() => assertSafe(before, revoked, context())).not.toThrow();
});

it.each([
  ['before the drain ends', 1, before, revoked, context(5, add(t, days(3)))],
  [
    'removed without a tombstone',
    1,
    before,
    withEvidence(before, '240128e', { removalIntended: at }),
    context(),
  ],
  [
    'told to sign before its record is proved',
    2,
    row(active, key('240129e', {})),
    withTurn(row(active, key('240129e', {})), '240129e', { signIntended: { ...at, place } }),
    context(),
  ],
  [
    'told to sign before every host holds it',
    2,
    row(active, key('240129e', { proved })),
    withTurn(row(active, key('240129e', { proved })), '240129e', { signIntended: { ...at, place } }),
    context(),
  ],
  [
    'the last key stops',
    3,
    before,
    withTurn(before, '240128e-2', { stopIntended: { ...at, place } }),
    context(),
  ],
  ['a selector twice', 4, before, row(retired, active, active), context()],
  [
    'published before it is stored',
    5,
    before,
    row(retired, active, {
      ...key('240129e', {}),
      evidence: { reserved: at, publishIntended: { ...at, value: 'v', ttl: minutes(60) } },
    }),
    context(),
  ],
  [
    'destroyed before its record is gone',
    5,
    before,
    withEvidence(before, '240128e', { destroyed: at }),
    context(),
  ],
  [
    'published before its record is gone',
    9,
    erased,
    withEvidence(erased, '240128e', { disclosureIntended: at }),
    discloses,
  ],
  [
    'published before hosts erased their copies',
    9,
    removed,
    withEvidence(removed, '240128e', { disclosed: at }),
    discloses,
  ],
  [
    'published where the policy does not say so',
    9,
    gone,
    withEvidence(gone, '240128e', { disclosureIntended: at }),
    context(),
  ],
  [
    'published after the policy ceased to say so, though it was meant before',
    9,
    withEvidence(gone, '240128e', { disclosureIntended: at }),
    withEvidence(gone, '240128e', { disclosureIntended: at, disclosed: at }),
    context(),
  ],
  ['a ready host has gone back behind the stop', 6, before, revoked, context(4)],
])('refused: %s (invariant %i)', (_, invariant, from, to, situation) => {
  expect(() => assertSafe(from, to, situation)).toThrow(`(invariant ${invariant})`);
});

describe('what each rule says', () => {
  const place4 = { ...at, place: { epoch: 1, n: 4 } };
  const told = { ...at, place };
  const [called, gone] = [
    key('240127e', { ...signing, active: at, stopIntended: told, stopped: at }),
    active,
  ];

  /** @returns what is said of the write, undefined where it may be */
  const refusal = (from: DomainRow, to: DomainRow, situation = context()): string | undefined => {
    try {
      assertSafe(from, to, situation);
      return undefined;
    } catch (error) {
      expect(error).toMatchObject({ name: 'SelkieError', code: 'unsafe', retry: 'never' });
      return error instanceof Error ? error.message : '';
    }
  };

  it('1: names every key that would be revoked too early', () => {
    const both = row(called, retired, active);
    const next = withEvidence(withEvidence(both, '240127e', { revocationIntended: at }), '240128e', {
      revocationIntended: at,
    });
    expect(refusal(both, next, context(5, add(t, days(3))))).toBe(
      'refused: 240127e, 240128e of example.com would be revoked before mail signed with it had drained (invariant 1)',
    );
  });

  it('1: a key that has not stopped has not drained', () => {
    const stopping = row(key('240127e', { ...signing, active: at, stopIntended: told }), active);
    expect(refusal(stopping, withEvidence(stopping, '240127e', { revocationIntended: at }))).toContain(
      '240127e of example.com would be revoked before mail signed with it had drained',
    );
  });

  it('1: a key that never signed is not waited for, and needs no tombstone', () => {
    const never = row(key('240127e', { proved }), active);
    expect(refusal(never, withEvidence(never, '240127e', { removalIntended: at }))).toBeUndefined();
    expect(refusal(never, withEvidence(never, '240127e', { revocationIntended: at }))).toBeUndefined();
    expect(refusal(before, withEvidence(before, '240128e', { removalIntended: at }))).toBe(
      'refused: 240128e of example.com would be removed without a tombstone though hosts may have signed with it (invariant 1)',
    );
    expect(
      refusal(before, withEvidence(revoked, '240128e', { revoked: at, removalIntended: at })),
    ).toBeUndefined();
  });

  it('2: in every turn, both the proof and the hosts’ standby', () => {
    const says =
      'refused: 240127e of example.com would be told to sign before its record was proved and every ready host held it (invariant 2)';
    const again = (turn: Partial<Key['turns'][0]>): DomainRow =>
      row({ ...called, turns: [called.turns[0], { begun: at, ...turn }] }, active);
    const sign = (turn: Partial<Key['turns'][0]>): string | undefined =>
      refusal(again(turn), again({ ...turn, signIntended: told }));
    expect(sign({ proved, standby: at })).toBeUndefined();
    expect(sign({ proved })).toBe(says);
    expect(sign({ standby: at })).toBe(says);
    expect(sign({})).toBe(says);
  });

  it('3: never none, whatever other keys there are; a domain that leaves may', () => {
    const stopped = (of: DomainRow): DomainRow => withTurn(of, '240128e-2', { stopIntended: told });
    const successor = row(retired, active, key('240129e', { proved }));
    expect(refusal(successor, stopped(successor))).toBe(
      'refused: example.com of example.com would be left without a key to sign with (invariant 3)',
    );
    expect(refusal(successor, stopped(successor), { ...context(), leaving: true })).toBeUndefined();
    const first = row(key('240129e', { proved }));
    expect(refusal(row(), first)).toBeUndefined();
  });

  it('3: a domain without a key may get one again', () => {
    const none = withTurn(before, '240128e-2', { stopIntended: told });
    expect(refusal(none, { ...none, keys: [...none.keys, key('240129e', signing)] })).toBeUndefined();
  });

  it('3: where the operator chose unsigned of all keys that stop, and only then', () => {
    const choose = (of: DomainRow, selector: string): DomainRow =>
      withEvidence(of, selector, { compromised: { ...at, reason: 'stolen' }, unsigned: at });
    const stop = (of: DomainRow, ...selectors: string[]): DomainRow =>
      selectors.reduce(
        (next, selector) => withTurn(next, selector, { stopIntended: { ...at, place: { epoch: 1, n: 6 } } }),
        of,
      );
    const pair = row(retired, active, key('240128', { ...signing, active: at }));
    const one = choose(pair, '240128e-2');
    expect(refusal(one, stop(one, '240128e-2', '240128'))).toContain('left without a key to sign with');
    const two = choose(one, '240128');
    expect(refusal(two, stop(two, '240128e-2', '240128'))).toBeUndefined();
    // What stopped before does not matter, even where it was unsigned.
    const old = choose(before, '240128e');
    expect(refusal(old, stop(old, '240128e-2'))).toContain('left without a key to sign with');
  });

  it('4: names the selector that has two keys', () => {
    expect(refusal(before, row(retired, gone, active))).toBe(
      'refused: 240128e-2 of example.com would be a selector with two keys (invariant 4)',
    );
  });

  it('5: stored before published', () => {
    const { stored: _never, ...evidence } = active.evidence;
    expect(refusal(before, row(retired, active, { ...key('240129e', {}), evidence }))).toBe(
      'refused: 240129e of example.com would be published before it was stored (invariant 5)',
    );
  });

  it('5: destroyed last, when its record and every host’s copy are gone', () => {
    const says =
      'refused: 240129e of example.com would be destroyed before its record and its copies on hosts were gone (invariant 5)';
    const destroy = (evidence: Partial<Key['evidence']>, ...turns: Key['turns']): string | undefined => {
      const from = row(active, { ...key('240129e', {}), evidence: { reserved: at, ...evidence }, turns });
      return refusal(from, withEvidence(from, '240129e', { destroyed: at }));
    };
    const { stored, publishIntended } = active.evidence;
    if (stored === undefined || publishIntended === undefined) throw new Error('an active key is published');
    const published = { stored, publishIntended };
    const offered = { begun: at, offered: told };
    expect(destroy({ stored }, { begun: at })).toBeUndefined();
    expect(destroy(published, { begun: at })).toBe(says);
    expect(destroy({ ...published, removed: at }, { begun: at })).toBeUndefined();
    expect(destroy({ ...published, removed: at }, offered)).toBe(says);
    expect(destroy({ ...published, removed: at }, offered, { begun: at })).toBe(says);
    expect(destroy({ ...published, removed: at, erased: at }, offered)).toBeUndefined();
    expect(destroy({ ...published, erased: at }, offered)).toBe(says);
  });

  const stolen = { compromised: { ...at, reason: 'stolen' } };
  const revokes = (turn: Partial<Key['turns'][0]>, chosen: Partial<Key['evidence']>, cursor = 5) => {
    const from = withEvidence(
      row(key('240127e', { ...signing, active: at, ...turn }), active),
      '240127e',
      chosen,
    );
    return refusal(from, withEvidence(from, '240127e', { revocationIntended: at }), context(cursor));
  };

  it('6: a compromised key too has stopped on every ready host', () => {
    const says =
      'refused: 240127e of example.com would be revoked while a ready host may sign with it (invariant 6)';
    expect(revokes({ stopIntended: told, stopped: at }, stolen)).toBeUndefined();
    expect(revokes({ stopIntended: told }, stolen)).toBe(says);
    expect(revokes({}, stolen)).toBe(says);
    expect(revokes({ stopIntended: told, stopped: at }, stolen, 4)).toBe(says);
    expect(revokes({ stopIntended: place4, stopped: at }, stolen, 4)).toBeUndefined();
  });

  it('6: unless the operator chose unsigned', () => {
    expect(revokes({ stopIntended: told }, { ...stolen, unsigned: at }, 4)).toBeUndefined();
  });

  it('6: a key that is revoked already is no longer asked of', () => {
    const done = withEvidence(revoked, '240128e', { ...stolen, revoked: at });
    expect(refusal(row(active), done, context(4))).toBeUndefined();
    const { revoked: _not, ...evidence } = done.keys[0]?.evidence ?? active.evidence;
    expect(refusal(row(active), row({ ...retired, evidence }, active), context(4))).toContain(
      '(invariant 6)',
    );
  });
});

describe('an adopted key', () => {
  const wanted = { selector: 'mail', algorithm: 'rsa1024', publicKey: 'p' } as const;
  const found = { key: wanted, value: 'v', ttl: minutes(60), servers: 2, negativeTtl: minutes(15) };
  const empty = row();
  const signs = adopted(empty, 'r', [found], t, place);
  const refused = (from: DomainRow, to: DomainRow): unknown => {
    try {
      return assertSafe(from, to, context());
    } catch (error) {
      return error instanceof Error ? error.message : error;
    }
  };

  it('is told to sign without a standby, and is in no vault', () => {
    expect(refused(empty, signs)).toBeUndefined();
  });

  it('signs only when its record is proved', () => {
    const [mail] = signs.keys;
    if (mail === undefined) throw new Error('nothing was adopted');
    const { proved: _never, ...turn } = mail.turns[0];
    expect(refused(empty, { ...signs, keys: [{ ...mail, turns: [turn] }] })).toContain('(invariant 2)');
  });

  it('called back, passes standby like any other', () => {
    const back = withNewTurn(signs, 'mail', t);
    const told = withTurn(back, 'mail', { proved, signIntended: { ...at, place } });
    expect(refused(back, told)).toContain('(invariant 2)');
  });

  it('is never left without a successor, revoked before its drain, or forgotten before hosts erased it', () => {
    expect(refused(signs, withTurn(signs, 'mail', { stopIntended: { ...at, place } }))).toContain(
      '(invariant 3)',
    );
    expect(refused(signs, withEvidence(signs, 'mail', { revocationIntended: at }))).toContain(
      '(invariant 1)',
    );
    const gone = withEvidence(signs, 'mail', { revocationIntended: at, revoked: at, removed: at });
    expect(refused(gone, withEvidence(gone, 'mail', { destroyed: at }))).toContain('(invariant 5)');
  });
});

it('what is broken already may heal, and does not stop other writes', () => {
  const broken = row(retired, active, active);
  expect(() =>
    assertSafe(broken, withEvidence(broken, '240128e', { compromised: { ...at, reason: 'r' } }), context()),
  ).not.toThrow();
});
