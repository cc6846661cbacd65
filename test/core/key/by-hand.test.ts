// Keys of a zone that people change: what they are asked for, how patiently, and when they are reminded.
import { describe, expect, it } from 'vitest';
import { overdue, pastDeadline, reminder } from '../../../core/key/deadlines.ts';
import { plan } from '../../../core/key/plan.ts';
import { standingOf } from '../../../core/key/standing.ts';
import { nextVisit } from '../../../core/key/waits.ts';
import { add, days, hours, milliseconds, minutes, seconds } from '../../../core/time.ts';
import { at, evidenceUpTo, key, row, situation, t } from './made.ts';

const name = '240128e';
const cases = [
  ['created', key(name, 'begun', { evidence: evidenceUpTo('created') }), 'add in the DNS panel of zone'],
  ['tombstoned', key(name, 'stopped', { evidence: evidenceUpTo('tombstoned') }), 'change in the DNS panel'],
  ['deleted', key(name, 'stopped', { evidence: evidenceUpTo('deleted') }), 'delete in the DNS panel'],
] as const;

describe.each(cases)('what is %s', (change, one, asks) => {
  const s = (now = t) => situation(row([one]), { byHand: true, now });

  it('waits for somebody, and says for what', () => {
    const { actions, blockedBy, wakeAt } = plan(s(add(t, hours(3))));
    expect(actions).toContainEqual({ do: 'ask', selector: name, change });
    const record = `${name}._domainkey.example.com`;
    expect(blockedBy).toMatchObject([{ by: 'person', selector: name }]);
    expect(blockedBy[0]?.says).toContain(`waiting for somebody to ${asks}`);
    expect(blockedBy[0]?.says).toContain(record);
    expect(blockedBy[0]?.says).toContain('selkie paste example.com');
    expect(wakeAt).toBe(add(t, hours(3), minutes(5)));
  });

  it('is not late before three days, and a provider would be', () => {
    const inTime = add(t, days(3));
    expect(pastDeadline(s(inTime))).toEqual([]);
    expect(pastDeadline(s(add(inTime, milliseconds(1))))).toMatchObject([{ selector: name }]);
    expect(pastDeadline(situation(row([one]), { now: inTime }))).toMatchObject([{ selector: name }]);
  });
});

it('says the whole value, as strings that DNS can carry', () => {
  const [, one] = cases[0];
  const value = `v=DKIM1; k=rsa; p=${'A'.repeat(392)}`;
  const long = { ...one, evidence: { ...one.evidence, publishIntended: { ...at, value, ttl: hours(1) } } };
  const [blocked] = plan(situation(row([long]), { byHand: true })).blockedBy;
  expect(blocked?.says).toContain(`TTL 3600, value "${value.slice(0, 255)}" "${value.slice(255)}"`);
});

it('looks soon at first, and never more seldom than each five minutes', () => {
  expect(nextVisit(t, t)).toBe(add(t, seconds(5)));
  expect(nextVisit(t, add(t, minutes(4)))).toBe(add(t, minutes(6)));
  expect(nextVisit(t, add(t, days(2)))).toBe(add(t, days(2), minutes(5)));
});

it('reminds each day; each hour where a key is compromised', () => {
  const [, one] = cases[0];
  const due = (now: typeof t, of: typeof one = one) =>
    reminder(situation(row([of]), { byHand: true, now }), of, t);
  expect(due(add(t, hours(23)))).toBeUndefined();
  expect(due(add(t, days(2)))).toEqual({ every: days(1), waited: days(2) });
  const stolen = { ...one, evidence: { ...one.evidence, compromised: { ...at, reason: 'stolen' } } };
  expect(due(add(t, hours(1)), stolen)).toEqual({ every: hours(1), waited: hours(1) });
});

it('a rotation is overdue after a week, not after a day', () => {
  const [, one] = cases[0];
  const since = (now: typeof t, byHand: boolean) => overdue(situation(row([one]), { byHand, now }));
  expect(since(add(t, days(2)), false)).toContain('has not switched');
  expect(since(add(t, days(7)), true)).toBeUndefined();
  expect(since(add(t, days(7), milliseconds(1)), true)).toContain('has not switched');
});

it('what was asked for stands once it was seen, and not when it was asked', () => {
  const [[, created], [, tombstoned]] = cases;
  expect(standingOf(created, true)).toEqual({ is: 'changing' });
  expect(standingOf(created)).toMatchObject({ is: 'record', what: 'key' });
  expect(standingOf(key(name, 'begun', { evidence: evidenceUpTo('inSync') }), true)).toMatchObject({
    is: 'record',
    what: 'key',
  });
  expect(standingOf(tombstoned, true)).toEqual({ is: 'changing' });
  expect(standingOf(key(name, 'stopped', { evidence: evidenceUpTo('tombstoneInSync') }), true)).toMatchObject(
    {
      is: 'record',
      what: 'tombstone',
    },
  );
});
