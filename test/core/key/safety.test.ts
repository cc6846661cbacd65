// The safety rules, each by one mutation of a valid write. The numbers are those of the invariants.
import { expect, it } from 'vitest';
import type { Situation } from '../../../core/key/actions.ts';
import type { DomainRow, HostView, Key } from '../../../core/key/evidence.ts';
import { emptyRow, withEvidence, withTurn } from '../../../core/key/row.ts';
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
  ['a ready host has gone back behind the stop', 6, before, revoked, context(4)],
])('refused: %s (invariant %i)', (_, invariant, from, to, situation) => {
  expect(() => assertSafe(from, to, situation)).toThrow(`(invariant ${invariant})`);
});

it('what is broken already may heal, and does not stop other writes', () => {
  const broken = row(retired, active, active);
  expect(() =>
    assertSafe(broken, withEvidence(broken, '240128e', { compromised: { ...at, reason: 'r' } }), context()),
  ).not.toThrow();
});
