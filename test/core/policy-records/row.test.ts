// Writing facts of policy records into a row: one record changes, and nothing else.
import { describe, expect, it } from 'vitest';
import { emptyRow } from '../../../core/key/row.ts';
import type { PolicyRecord } from '../../../core/policy-records/evidence.ts';
import { intending, recordOf, withoutRecord, withRecord } from '../../../core/policy-records/row.ts';
import { add, hours } from '../../../core/time.ts';
import {
  at,
  begun,
  checked,
  dmarcId,
  other,
  proved,
  refusal,
  reportId,
  spf,
  spfId,
  t,
  value,
} from './made.ts';

const bare = { ...emptyRow('example.com', 'example.com', 'mx'), version: 3 };
const theirs: PolicyRecord = { ...dmarcId, ours: ['v=DMARC1; p=none'] };
const two = { ...bare, records: [theirs, proved] };

describe('a record', () => {
  it('is found by its kind, name and zone', () => {
    expect(recordOf(two, spfId)).toBe(proved);
    expect(recordOf(two, dmarcId)).toBe(theirs);
    expect(recordOf(two, { ...spfId, zone: 'com' })).toBeUndefined();
    expect(recordOf(bare, spfId)).toBeUndefined();
  });

  it('is changed in its place, and the others are as they were', () => {
    const next = withRecord(two, spfId, (record) => ({ ...record, ours: [other] }));
    expect(next).toStrictEqual({ ...two, records: [theirs, { ...proved, ours: [other] }] });
    expect(next.records?.[0]).toBe(theirs);
    expect(two.records[1], 'a row is never changed itself').toBe(proved);
  });

  it('that is not there yet is begun, behind the others, with nothing that is ours', () => {
    const same = (record: PolicyRecord): PolicyRecord => record;
    expect(withRecord({ ...bare, records: [theirs] }, spf, same)).toStrictEqual({
      ...bare,
      records: [theirs, { kind: 'spf', name: 'example.com', zone: 'example.com', ours: [] }],
    });
    expect(withRecord(bare, reportId, same)).toStrictEqual({
      ...bare,
      records: [{ kind: 'report', name: 'example.com._report._dmarc.example.net', ours: [] }],
    });
    expect(withRecord(bare, spf, () => checked).records).toEqual([checked]);
  });

  it('is forgotten, and with the last of them the list', () => {
    expect(withoutRecord(two, spfId)).toStrictEqual({ ...bare, records: [theirs] });
    expect(withoutRecord({ ...bare, records: [proved] }, spfId)).toStrictEqual(bare);
    expect(withoutRecord(bare, spfId)).toStrictEqual(bare);
    expect(withoutRecord(two, { ...spfId, zone: 'com' })).toStrictEqual(two);
  });
});

describe('an intent', () => {
  const now = { at: add(t, hours(1)), value: other };

  it('forgets what became of the value before, and that it was to go', () => {
    expect(intending({ ...proved, removalIntended: at }, now, [])).toStrictEqual({
      kind: 'spf',
      name: 'example.com',
      zone: 'example.com',
      checked: { ...at, value },
      intended: now,
      ours: [value, other],
    });
  });

  it('keeps where the zone lay, what was found, and since when it is ours', () => {
    const kept = { hostedZone: { id: 'Z1' }, refused: refusal, owned: at };
    expect(intending({ ...checked, ...kept }, now, [])).toStrictEqual({
      ...checked,
      ...kept,
      intended: now,
      ours: [other],
    });
  });

  it('adds nothing to a record of which nothing is known, in another’s zone either', () => {
    expect(intending(begun, now, [])).toStrictEqual({ ...begun, intended: now, ours: [other] });
    expect(intending({ ...reportId, ours: [] }, now, [])).toStrictEqual({
      ...reportId,
      intended: now,
      ours: [other],
    });
  });

  it('makes ours what is taken over, each value once', () => {
    const taken = intending({ ...begun, ours: [value] }, now, ['v=spf1 a -all', value]);
    expect(taken.ours).toEqual([value, 'v=spf1 a -all', other]);
    expect(intending({ ...begun, ours: [other] }, now, []).ours).toEqual([other]);
  });
});
