// From evidence to state: the states of docs/spf-dmarc.md.
import { describe, expect, it } from 'vitest';
import {
  isChecked,
  isRefused,
  type PolicyRecord,
  recordState,
  sameRecord,
  stands,
} from '../../../core/policy-records/evidence.ts';
import { add, milliseconds, minutes } from '../../../core/time.ts';
import {
  at,
  begun,
  checked,
  created,
  deleted,
  inSync,
  intended,
  leaving,
  other,
  proved,
  refusal,
  refused,
  spfId,
  t,
  value,
} from './made.ts';

const soon = add(t, milliseconds(1));
const settled: PolicyRecord = { ...begun, checked: { ...at, value, settled: 'authorized' } };

describe('a record', () => {
  it.each<[string, PolicyRecord, string]>([
    ['of which nothing is known', begun, 'checking'],
    ['that was looked at', checked, 'checking'],
    ['with something in its way', refused, 'refused'],
    ['whose intent is saved', intended, 'publishing'],
    ['that the provider accepted', created, 'publishing'],
    ['that is on all servers of the provider', inSync, 'publishing'],
    ['that every name server shows', proved, 'published'],
    ['that is to go', leaving, 'removing'],
    ['that the provider deleted', deleted, 'removing'],
    ['of which none of ours is needed', settled, 'settled'],
    ['that is to go, and has something in its way', { ...leaving, refused: refusal }, 'removing'],
  ])('%s', (_, record, state) => expect(recordState(record, value)).toBe(state));

  it('is replaced where another value of ours may still stand', () => {
    const both = { ...intended, ours: [other, value] };
    expect(recordState(both, value)).toBe('replacing');
    expect(recordState({ ...both, created: { ...at, changeId: 'C1' } }, value)).toBe('replacing');
    // Seen everywhere: the other one is gone.
    expect(recordState(proved, value)).toBe('published');
  });

  it('is not published where the fleet file wants another value, or none', () => {
    expect(recordState(proved, other)).toBe('publishing');
    expect(recordState(proved, undefined)).toBe('publishing');
  });

  it('is refused for one value only', () => {
    expect(recordState(refused, other)).toBe('checking');
    expect(recordState(refused, undefined)).toBe('checking');
    expect(recordState({ ...proved, refused: { ...refusal, value: other } }, value)).toBe('published');
    expect(recordState({ ...proved, refused: { ...refusal, value: other } }, other)).toBe('refused');
  });

  it('is settled, and no longer refused, once its receiver says that it takes the reports', () => {
    const asked = { ...refused, checked: { at: soon, value, settled: 'authorized' as const } };
    expect(recordState(asked, value)).toBe('settled');
    expect(isRefused(asked, value)).toBe(false);
  });
});

describe('a value', () => {
  it.each<[string, PolicyRecord, boolean]>([
    ['nobody wrote', checked, false],
    ['of which only the intent is saved', intended, false],
    ['the provider accepted', created, true],
    ['every name server shows', proved, true],
    ['is to go', leaving, false],
  ])('that %s', (_, record, does) => expect(stands(record, value)).toBe(does));

  it('stands where it is the one that was written', () => {
    expect(stands(proved, other)).toBe(false);
    expect(stands(proved, undefined)).toBe(false);
    expect(stands({ ...begun, created: { ...at, changeId: 'C1' } }, value)).toBe(false);
  });

  it('has nothing in its way once it is written', () => {
    expect(isRefused(refused, value)).toBe(true);
    expect(isRefused({ ...intended, refused: { ...refusal, at: soon } }, value)).toBe(true);
    expect(isRefused({ ...created, refused: { ...refusal, at: soon } }, value)).toBe(false);
  });

  it('has nothing in its way where no look found anything', () => {
    for (const record of [begun, checked, proved, settled]) expect(isRefused(record, value)).toBe(false);
    expect(isRefused(begun, undefined)).toBe(false);
  });

  it('is checked by a look that found nothing in its way, and is for no other value', () => {
    expect(isChecked(checked, value)).toBe(true);
    expect(isChecked(checked, other)).toBe(false);
    expect(isChecked(checked, undefined)).toBe(false);
    expect(isChecked(begun, value)).toBe(false);
    expect(isChecked(begun, undefined)).toBe(false);
  });

  it('is to be checked again after it was refused: an included record may have changed', () => {
    expect(isChecked({ ...checked, refused: refusal }, value)).toBe(false);
    expect(isChecked({ ...checked, refused: { ...refusal, at: soon } }, value)).toBe(false);
    expect(isChecked({ ...refused, checked: { at: soon, value } }, value)).toBe(true);
    expect(isChecked({ ...checked, refused: { ...refusal, at: soon, value: other } }, value)).toBe(true);
  });

  it('is to be checked again after it was to go: what was counted then is long ago', () => {
    const month = { ...leaving, removalIntended: { at: add(t, minutes(1)) } };
    expect(isChecked(month, value)).toBe(false);
    expect(isChecked({ ...month, checked: { at: add(t, minutes(1)), value } }, value)).toBe(true);
    expect(isChecked({ ...month, checked: { at: add(t, minutes(2)), value } }, value)).toBe(true);
  });
});

describe('two ids', () => {
  it('are of one record where kind, name and zone are the same', () => {
    expect(sameRecord(spfId, { ...proved })).toBe(true);
    expect(sameRecord({ kind: 'spf', name: 'a.example' }, { kind: 'spf', name: 'a.example' })).toBe(true);
  });

  it.each([
    ['kind', { ...spfId, kind: 'dmarc' }],
    ['name', { ...spfId, name: 'www.example.com' }],
    ['zone: a name that moved is in both for a while', { ...spfId, zone: 'com' }],
    ['zone, which is another’s', { kind: 'spf', name: 'example.com' }],
  ] as const)('are not with another %s', (_, id) => {
    expect(sameRecord(spfId, id)).toBe(false);
    expect(sameRecord(id, spfId)).toBe(false);
  });
});
