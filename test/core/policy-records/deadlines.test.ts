// When a policy record is late: after three hours; after three days where a person has to do something (docs/spf-dmarc.md).
import { describe, expect, it } from 'vitest';
import { latePolicies } from '../../../core/policy-records/deadlines.ts';
import type { PolicyRecord } from '../../../core/policy-records/evidence.ts';
import type { PolicySituation } from '../../../core/policy-records/plan.ts';
import { add, days, hours, type Instant, milliseconds, minutes } from '../../../core/time.ts';
import { key } from '../key/made.ts';
import {
  at,
  begun,
  change,
  checked,
  created,
  dmarc,
  dmarcId,
  inSync,
  intended,
  later,
  leaving,
  other,
  proved,
  refusal,
  refused,
  report,
  reportId,
  situation,
  spf,
  spfId,
  t,
  value,
} from './made.ts';

const byProvider = (_zone: string): boolean => false;
const byHand = (zone: string): boolean => zone === 'example.com';
const soon = hours(3);
const trouble = (step: string, since: Instant) => ({ step, since, last: since, times: 1, message: 'why' });

/** In time until `deadline`, and late a moment after it. */
const expectLate = (
  s: PolicySituation,
  deadline: Instant,
  phase: 'show' | 'go',
  record: object = spfId,
  isByHand = byProvider,
): void => {
  expect(latePolicies({ ...s, now: deadline }, isByHand)).toEqual([]);
  expect(latePolicies({ ...s, now: add(deadline, milliseconds(1)) }, isByHand)).toStrictEqual([
    { record, phase, deadline },
  ]);
};

describe('a record that is wanted', () => {
  it.each<[string, PolicyRecord]>([
    ['was checked', checked],
    ['was intended', intended],
    ['was accepted', created],
    ['is in sync', inSync],
  ])('is late three hours after it %s, where it is not shown', (_, record) =>
    expectLate(situation([record]), add(t, soon), 'show'),
  );

  it('is late three days after another’s was found in its way, however often that is seen since', () => {
    const again = { ...refused, refused: { ...refusal, at: add(t, days(2)) } };
    expectLate(situation([again]), add(t, days(3)), 'show');
    // It was checked before that.
    expectLate(situation([{ ...again, checked: { ...at, value } }]), add(t, days(3)), 'show');
  });

  it('is late three days after it was begun, where people change the zone', () => {
    expectLate(situation([intended]), add(t, days(3)), 'show', spfId, byHand);
    const moved = { ...spfId, zone: 'com' };
    expectLate(
      situation([{ ...intended, zone: 'com' }], { wanted: [{ ...spf, zone: 'com' }] }),
      add(t, soon),
      'show',
      moved,
      byHand,
    );
  });

  it('is counted from its intent, not from a look before it', () => {
    const record = { ...intended, intended: { at: add(t, hours(1)), value } };
    expectLate(situation([record]), add(t, hours(1), soon), 'show');
  });

  it('is counted from the look for a new value, while the old one stands', () => {
    const wanted = [{ ...spf, value: other }];
    expect(latePolicies(situation([proved], { wanted, now: later }), byProvider)).toEqual([]);
    const next = { ...proved, checked: { at: later, value: other } };
    expectLate(situation([next], { wanted }), add(later, soon), 'show');
  });

  it('is not late at once where it was to go, and is wanted after all', () => {
    const back = { ...leaving, removalIntended: { at: later } };
    const now = add(later, minutes(1));
    expect(latePolicies(situation([back], { now }), byProvider)).toEqual([]);
    expectLate(situation([{ ...back, checked: { at: now, value } }]), add(now, soon), 'show');
  });

  it('is not late when every name server shows it, or none of ours is needed', () => {
    const settled: PolicyRecord = { ...begun, checked: { ...at, value, settled: 'authorized' } };
    for (const record of [proved, settled])
      expect(latePolicies(situation([record], { now: later }), byProvider)).toEqual([]);
    const asked = { ...settled, refused: { ...refusal, at: add(t, milliseconds(-1)) } };
    expect(latePolicies(situation([asked], { now: later }), byProvider)).toEqual([]);
  });

  it('of which no step is done is counted from the first failure of one', () => {
    expect(latePolicies(situation([], { now: later }), byProvider)).toEqual([]);
    expect(latePolicies(situation([begun], { now: later }), byProvider)).toEqual([]);
    const since = add(t, hours(1));
    const failing = (step: string, records: readonly PolicyRecord[]): PolicySituation => ({
      ...situation(records, { now: later }),
      row: { keys: [], records, troubles: [trouble('prove 240127', t), trouble(step, since)] },
    });
    for (const records of [[], [begun]])
      expectLate(failing('check spf example.com', records), add(since, soon), 'show');
    expect(latePolicies(failing('check dmarc _dmarc.example.com', []), byProvider)).toEqual([]);
    // What was done counts, and not what failed since.
    expectLate(failing('publish spf example.com', [checked]), add(t, soon), 'show');
  });

  it('in another’s zone is asked of its administrator, and is no work of ours', () => {
    const record = { ...reportId, ours: [], refused: { ...refusal, value: 'v=DMARC1' } };
    expect(latePolicies(situation([record], { wanted: [report], now: later }), byProvider)).toEqual([]);
  });
});

describe('a record that is to go', () => {
  const wanted: [] = [];
  it('is late three hours after that was intended; three days, where people change the zone', () => {
    const gone = { ...leaving, removalIntended: { at: later } };
    for (const record of [gone, { ...gone, deleted: change, deletionInSync: at }]) {
      expectLate(situation([record], { wanted }), add(later, soon), 'go');
      expectLate(situation([record], { wanted }), add(later, days(3)), 'go', spfId, byHand);
    }
  });

  it('is in no hurry for what was in its way', () => {
    const record = { ...leaving, refused: refusal };
    expectLate(situation([record], { wanted }), add(t, soon), 'go');
  });

  it('of which that is not even saved is counted from the first failure', () => {
    const s = situation([proved], { wanted, now: later });
    expect(latePolicies(s, byProvider)).toEqual([]);
    const troubles = [trouble('withdraw spf example.com', add(t, hours(1)))];
    expectLate({ ...s, row: { ...s.row, troubles } }, add(t, hours(1), soon), 'go');
  });

  it('is one that moved to another zone, beside the one that comes', () => {
    const moved = { ...intended, zone: 'com' };
    const both = situation([moved, leaving], { wanted: [{ ...spf, zone: 'com' }], now: later });
    expect(latePolicies(both, byProvider)).toStrictEqual([
      { record: { ...spfId, zone: 'com' }, phase: 'show', deadline: add(t, soon) },
      { record: spfId, phase: 'go', deadline: add(t, soon) },
    ]);
  });
});

describe('a domain', () => {
  const two = [intended, { ...intended, ...dmarcId, intended: { ...at, value: dmarc.value } }];

  it('has each of its records counted by itself', () => {
    const s = situation(two, { wanted: [spf, dmarc], now: later });
    expect(latePolicies(s, byProvider).map(({ record, phase }) => [record, phase])).toStrictEqual([
      [spfId, 'show'],
      [dmarcId, 'show'],
    ]);
    const one = situation([proved, two[1] ?? intended], { wanted: [spf, dmarc], now: later });
    expect(latePolicies(one, byProvider).map(({ record }) => record)).toEqual([dmarcId]);
  });

  it('that leaves has them late that are to go, and none while its mail is under way', () => {
    const s = situation([leaving], { leaving: true });
    expectLate(s, add(t, soon), 'go');
    const signing = { ...s, row: { ...s.row, keys: [key('240127', 'active')] }, now: later };
    expect(latePolicies(signing, byProvider)).toEqual([]);
    // One that stays signs too.
    expect(latePolicies({ ...signing, leaving: false, wanted: [] }, byProvider)).toHaveLength(1);
  });

  it('without records has none that is late', () => {
    const s: PolicySituation = { ...situation([], { now: later }), row: { keys: [], troubles: [] } };
    expect(latePolicies(s, byProvider)).toEqual([]);
    expect(latePolicies({ ...s, wanted: [] }, byProvider)).toEqual([]);
  });
});
