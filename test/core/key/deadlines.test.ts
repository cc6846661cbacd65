// A key in each phase of its life: in time up to its bound, late one millisecond behind it.
import { describe, expect, it } from 'vitest';
import {
  bounds,
  olderThanPolicy,
  overdue,
  type Phase,
  pastDeadline,
  tooOld,
} from '../../../core/key/deadlines.ts';
import type { DomainRow, Key } from '../../../core/key/evidence.ts';
import { drainEnds, holdEnds, negativeCacheEnds, storingEnds } from '../../../core/key/waits.ts';
import { add, days, type Instant, milliseconds, minutes } from '../../../core/time.ts';
import { at, duty, evidenceUpTo, host, key, rotation, row, situation, t, turnUpTo } from './made.ts';

const name = '240128e';
const alone = (one: Key): DomainRow => row([one]);
const { policy } = situation(row([]));
const stopped = key(name, 'stopped');

const cases: readonly (readonly [Phase, DomainRow, Instant])[] = [
  ['store', alone(key(name, 'begun', { evidence: { reserved: at } })), t],
  ['create', alone(key(name, 'begun', { evidence: evidenceUpTo('stored') })), t],
  ['prove', alone(key(name, 'begun')), t],
  ['offer', alone(key(name, 'proved')), negativeCacheEnds(duty.proved, policy)],
  ['hold', alone(key(name, 'offered')), t],
  ['switch', alone(key(name, 'standby')), t],
  ['sign', alone(key(name, 'signIntended')), t],
  ['stop', alone(key(name, 'stopIntended')), t],
  ['revoke', alone(stopped), drainEnds('example.com', stopped, [host()], policy) ?? t],
  ['revoke', alone(key(name, 'stopped', { facts: { revocationIntended: at } })), t],
  [
    'remove',
    alone(key(name, 'stopped', { evidence: evidenceUpTo('revoked') })),
    holdEnds(stopped, t, policy),
  ],
  ['remove', alone(key(name, 'stopped', { evidence: evidenceUpTo('removalIntended') })), t],
  ['erase', alone(key(name, 'stopped', { evidence: evidenceUpTo('removed') })), t],
  [
    'withdraw',
    {
      ...alone(key(name, 'proved', { facts: { abandoned: { at: t, reason: 'aborted' } } })),
      rotations: [rotation(name, { aborted: { at: t, reason: 'aborted', by: 'operator' } })],
    },
    storingEnds(t),
  ],
];

describe.each(cases)('the step "%s"', (phase, of, since) => {
  const deadline = add(since, bounds[phase]);

  it('is in time up to its bound, and late behind it', () => {
    expect(pastDeadline(situation(of, { now: deadline }))).toEqual([]);
    expect(pastDeadline(situation(of, { now: add(deadline, milliseconds(1)) }))).toEqual([
      { phase, since, selector: name, deadline },
    ]);
  });
});

it.each([
  ['that signs', alone(key(name, 'active'))],
  ['of which nothing is left', alone(key(name, 'stopped', { evidence: evidenceUpTo('destroyed') }))],
])('a key %s has no deadline', (_what, of) => {
  expect(pastDeadline(situation(of, { now: add(t, days(3_000)) }))).toEqual([]);
});

describe('in an emergency', () => {
  const emergency = [rotation(name, { kind: 'emergency' })];
  const half = add(t, minutes(30));
  const after = add(half, milliseconds(1));

  it('each step has half an hour', () => {
    const of = { ...alone(key(name, 'signIntended')), rotations: emergency };
    expect(pastDeadline(situation(of, { now: half }))).toEqual([]);
    expect(pastDeadline(situation(of, { now: after }))).toHaveLength(1);
  });

  it('a compromised key that hosts stopped signing with is to be revoked at once', () => {
    const of = alone(key(name, 'stopped', { facts: { compromised: { at: t, reason: 'stolen' } } }));
    expect(pastDeadline(situation(of, { now: after }))).toMatchObject([{ phase: 'revoke', deadline: half }]);
  });

  it('erasing copies has its day', () => {
    const of = {
      ...alone(key(name, 'stopped', { evidence: evidenceUpTo('removed') })),
      rotations: emergency,
    };
    expect(pastDeadline(situation(of, { now: after }))).toEqual([]);
  });
});

it('a rollback proves again from its beginning, not from the record’s', () => {
  const begun = add(t, days(3));
  const back: Key = { ...key(name, 'stopped'), turns: [turnUpTo('stopped'), { begun: { at: begun } }] };
  const of = { ...alone(back), rotations: [rotation('back', { kind: 'rollback', selectors: [name] })] };
  expect(pastDeadline(situation(of, { now: add(begun, bounds.prove) }))).toEqual([]);
  expect(pastDeadline(situation(of, { now: add(begun, bounds.prove, milliseconds(1)) }))).toMatchObject([
    { phase: 'prove', since: begun },
  ]);
});

it('keys of one domain are judged one by one', () => {
  const of = row([key('240127e', 'stopped'), key(name, 'signIntended')]);
  const late = pastDeadline(situation(of, { now: add(t, days(1)) }));
  expect(late.map(({ selector }) => selector)).toEqual([name]);
});

describe('a rotation', () => {
  const rotateEvery = days(90);
  const every = { ...policy, rotateEvery };
  const active = alone(key(name, 'active'));

  it('is overdue a day after its time, and not where the policy wants none, or the domain leaves', () => {
    const now = add(t, days(113), days(1));
    expect(overdue(situation(active, { policy: every, now: add(t, days(22)) }))).toBeUndefined();
    expect(overdue(situation(active, { policy: every, now }))).toMatch(
      /^a rotation was due 2024-.* has not begun$/,
    );
    const { rotateEvery: _never, ...never } = policy;
    expect(overdue(situation(active, { policy: never, now }))).toBeUndefined();
    expect(overdue(situation(active, { policy: every, now, leaving: true }))).toBeUndefined();
  });

  it('is overdue a day after its beginning where it has not switched', () => {
    const of = alone(key(name, 'offered'));
    expect(overdue(situation(of, { now: add(t, days(1)) }))).toBeUndefined();
    expect(overdue(situation(of, { now: add(t, days(1), milliseconds(1)) }))).toBe(
      `rotation ${name} began 2024-01-28T09:00:00.000Z and has not switched`,
    );
  });

  it('that got no key at all is overdue too', () => {
    const of = { ...row([]), rotations: [rotation('r', { selectors: [] })] };
    expect(overdue(situation(of, { now: add(t, days(2)) }))).toContain('rotation r began');
  });

  it('has left a key too old after one and a half periods and a day', () => {
    const limit = tooOld(t, rotateEvery);
    expect(limit).toBe(add(t, days(136)));
    expect(olderThanPolicy(situation(active, { policy: every, now: limit }))).toEqual([]);
    const now = add(limit, milliseconds(1));
    expect(olderThanPolicy(situation(active, { policy: every, now }))).toEqual([name]);
    expect(olderThanPolicy(situation(alone(key(name, 'stopped')), { policy: every, now }))).toEqual([]);
    expect(olderThanPolicy(situation(active, { policy: every, now, leaving: true }))).toEqual([]);
  });
});
