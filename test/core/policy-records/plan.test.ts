// The planner of policy records on made-up rows: each a valid one, changed in one thing. Whole lives are in
// test/world/policy-records.test.ts.
import { describe, expect, it } from 'vitest';
import type { PolicyRecord } from '../../../core/policy-records/evidence.ts';
import {
  hasMail,
  type PolicyAction,
  type PolicyPlan,
  planPolicies,
  policyStep,
  policySteps,
} from '../../../core/policy-records/plan.ts';
import { add, days, hours, type Instant, milliseconds, minutes, seconds } from '../../../core/time.ts';
import { key } from '../key/made.ts';
import {
  at,
  begun,
  checked,
  created,
  deleted,
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

const nothing: PolicyPlan = { actions: [], blockedBy: [] };
const does = (...steps: readonly PolicyAction['do'][]): PolicyPlan => ({
  actions: steps.map((step) => ({ do: step, record: spfId })),
  blockedBy: [],
});
const waits = (step: PolicyAction['do'], wakeAt: Instant, says: string): PolicyPlan => ({
  actions: [{ do: step, record: spfId }],
  wakeAt,
  blockedBy: [{ by: 'dns', says }],
});
const plan = (records: readonly PolicyRecord[], more: Parameters<typeof situation>[1] = {}): PolicyPlan =>
  planPolicies(situation(records, more));

const onProvider = 'waiting for the provider to have example.com on all its servers';
const shown = 'waiting for every name server to show the record at example.com';
const gone = 'waiting for every name server to show no longer the record at example.com';

describe('a record that the fleet file names', () => {
  it.each<[string, readonly PolicyRecord[], PolicyPlan]>([
    ['is checked before anything is known of it', [], does('check')],
    ['is checked where nobody looked yet', [begun], does('check')],
    ['is published when it was checked', [checked], does('publish')],
    ['is published again where the answer of the provider was lost', [intended], does('publish')],
    ['is asked for at the provider', [created], waits('ask', add(t, seconds(1)), onProvider)],
    ['is proved when the provider has it', [inSync], waits('prove', add(t, seconds(1)), shown)],
    ['has nothing to do when it is proved', [proved], nothing],
  ])('%s', (_, records, expected) => expect(plan(records)).toStrictEqual(expected));

  it('is looked for soon at first, then each minute, counted from the step before', () => {
    const now = add(t, seconds(40));
    expect(plan([created], { now }).wakeAt).toBe(add(now, seconds(20)));
    expect(plan([{ ...inSync, inSync: { at: add(t, seconds(20)) } }], { now }).wakeAt).toBe(
      add(now, seconds(10)),
    );
    expect(plan([created], { now: later }).wakeAt).toBe(add(later, minutes(1)));
  });

  it('is checked for its new value while the old one stands, which is then replaced', () => {
    const wanted = [{ ...spf, value: other }];
    expect(plan([proved], { wanted })).toStrictEqual(does('check'));
    const next = { ...proved, checked: { at: later, value: other } };
    expect(plan([next], { wanted })).toStrictEqual(does('publish'));
    const written: PolicyRecord = {
      ...intended,
      ours: [value, other],
      intended: { at: later, value: other },
    };
    expect(
      plan([{ ...written, created: { at: later, changeId: 'C2' } }], { wanted, now: later }),
    ).toStrictEqual(waits('ask', add(later, seconds(1)), onProvider));
  });

  it('is checked again where it was to go and is wanted after all, then written anew', () => {
    const away = { ...leaving, removalIntended: { at: add(t, days(29)) } };
    expect(plan([away], { now: later })).toStrictEqual(does('check'));
    expect(plan([{ ...away, checked: { at: later, value } }], { now: later })).toStrictEqual(does('publish'));
  });

  it('has each its own steps', () => {
    expect(plan([inSync], { wanted: [spf, dmarc] })).toStrictEqual({
      actions: [
        { do: 'prove', record: spfId },
        { do: 'check', record: dmarcId },
      ],
      wakeAt: add(t, seconds(1)),
      blockedBy: [{ by: 'dns', says: shown }],
    });
  });

  it('moves with its name to another zone: written there, taken out here', () => {
    const moved = { ...spf, zone: 'com' };
    expect(plan([proved], { wanted: [moved] }).actions).toEqual([
      { do: 'check', record: { ...spfId, zone: 'com' } },
      { do: 'withdraw', record: spfId },
    ]);
  });
});

describe('a record with something in its way', () => {
  const held = (until: Instant) => ({
    actions: [],
    wakeAt: until,
    blockedBy: [{ by: 'dns', says: 'example.com has an SPF record that is not ours' }],
  });

  it('is left alone, and looked at again after as long as it was so', () => {
    const seen = { ...refused, refused: { ...refusal, at: add(t, minutes(10)) } };
    const until = add(t, minutes(20));
    expect(plan([seen], { now: add(t, minutes(10)) })).toStrictEqual(held(until));
    expect(plan([seen], { now: add(until, milliseconds(-1)) })).toStrictEqual(held(until));
    expect(plan([seen], { now: until })).toStrictEqual(does('check'));
  });

  it('is published when the next look finds nothing', () => {
    const now = add(t, minutes(1));
    expect(plan([{ ...refused, checked: { at: now, value } }], { now })).toStrictEqual(does('publish'));
    // What was checked before it was refused says nothing any more.
    expect(plan([{ ...refused, checked: { at: t, value } }], { now })).toStrictEqual(does('check'));
  });

  it('is not held up for another value', () => {
    expect(plan([refused], { wanted: [{ ...spf, value: other }] })).toStrictEqual(does('check'));
    const changed = { ...checked, refused: { ...refusal, value: other } };
    expect(plan([changed])).toStrictEqual(does('publish'));
  });
});

describe('the word of another organisation (RFC 9990 §4)', () => {
  const wanted = [report];
  const asked = { ...reportId, ours: [] };
  const word = 'v=DMARC1';
  const check = { actions: [{ do: 'check', record: reportId }], blockedBy: [] };

  it('is asked for in DNS, and never written', () => {
    expect(plan([], { wanted })).toStrictEqual(check);
    expect(plan([{ ...asked, checked: { ...at, value: word } }], { wanted })).toStrictEqual(nothing);
  });

  it('is asked for again after an hour, then ever more seldom: its administrator needs time', () => {
    const reason = 'ask its administrator';
    const refused = { ...asked, refused: { ...at, since: t, value: word, reason } };
    const until = add(t, hours(1));
    expect(plan([refused], { wanted, now: add(until, milliseconds(-1)) })).toStrictEqual({
      actions: [],
      wakeAt: until,
      blockedBy: [{ by: 'dns', says: reason }],
    });
    expect(plan([refused], { wanted, now: until })).toStrictEqual(check);
  });

  it.each(['same-organization', 'authorized'] as const)('is settled where it is %s', (settled) => {
    const done = { ...asked, checked: { ...at, value: word, settled } };
    expect(plan([done], { wanted })).toStrictEqual(nothing);
    // As it was asked for at first.
    const before = { ...at, since: t, value: word, reason: 'why' };
    expect(
      plan([{ ...done, checked: { ...done.checked, at: later }, refused: before }], { wanted }),
    ).toStrictEqual(nothing);
  });

  it('that lies in a zone of ours, and needs none of ours any more, goes', () => {
    const id = { ...reportId, zone: 'example.net' };
    const ours: PolicyRecord = {
      ...id,
      ours: [word],
      checked: { ...at, value: word, settled: 'authorized' },
    };
    expect(plan([ours], { wanted: [{ ...report, zone: 'example.net' }] })).toStrictEqual({
      actions: [{ do: 'withdraw', record: id }],
      blockedBy: [],
    });
    expect(plan([{ ...ours, ours: [] }], { wanted: [{ ...report, zone: 'example.net' }] })).toStrictEqual(
      nothing,
    );
  });
});

describe('a record that the fleet file no longer names', () => {
  const wanted: [] = [];
  it.each<[string, PolicyRecord, PolicyPlan]>([
    ['is to go', proved, does('withdraw')],
    ['is to go from wherever it is on its way', intended, does('withdraw')],
    ['is deleted', leaving, does('delete')],
    ['is gone at the provider first', deleted, waits('ask', add(t, seconds(1)), onProvider)],
    [
      'is then gone on every name server',
      { ...deleted, deletionInSync: at },
      waits('forget', add(t, seconds(1)), gone),
    ],
    ['is forgotten at once where nothing was written', refused, does('forget')],
  ])('%s', (_, record, expected) => expect(plan([record], { wanted })).toStrictEqual(expected));

  it('is forgotten at once where it lies in another’s zone', () => {
    expect(plan([{ ...reportId, ours: ['v=DMARC1'] }], { wanted })).toStrictEqual({
      actions: [{ do: 'forget', record: reportId }],
      blockedBy: [],
    });
  });

  it('is looked for as one that comes', () => {
    const now = add(t, seconds(40));
    expect(plan([deleted], { wanted, now }).wakeAt).toBe(add(now, seconds(20)));
    const seen = { ...deleted, deletionInSync: { at: add(t, seconds(20)) } };
    expect(plan([seen], { wanted, now }).wakeAt).toBe(add(now, seconds(10)));
  });
});

describe('a domain', () => {
  const withKeys = (...keys: Parameters<typeof key>[]) => ({
    row: { keys: keys.map((one) => key(...one)), records: [proved], troubles: [] },
  });

  it('of which nothing is wanted and nothing known has nothing to do', () => {
    expect(planPolicies({ ...situation([]), row: { keys: [], troubles: [] }, wanted: [] })).toStrictEqual(
      nothing,
    );
    expect(planPolicies({ ...situation([]), row: { keys: [], troubles: [] } })).toStrictEqual(does('check'));
  });

  it('that leaves has its records removed, though the fleet file names them', () => {
    expect(plan([proved], { leaving: true })).toStrictEqual(does('withdraw'));
    expect(plan([], { leaving: true })).toStrictEqual(nothing);
  });

  it.each<[string, Parameters<typeof key>, boolean]>([
    ['signs', ['240127', 'active'], true],
    ['stopped signing, and drains', ['240127', 'stopped'], true],
    ['was told to sign', ['240127', 'signIntended'], true],
    ['was never told to sign', ['240127', 'standby'], false],
    ['is to be revoked', ['240127', 'stopped', { facts: { revocationIntended: at } }], false],
  ])('has mail under way while a key %s', (_, one, has) => {
    const { row } = withKeys(one);
    expect(hasMail(row)).toBe(has);
    // Of several keys, one is enough.
    expect(hasMail(withKeys(['240101', 'standby'], one).row)).toBe(has);
    expect(planPolicies({ ...situation([]), row, leaving: true })).toStrictEqual(
      has ? nothing : does('withdraw'),
    );
  });

  it('that stays has them looked after, whether mail is under way or not', () => {
    const { row } = withKeys(['240127', 'active']);
    expect(planPolicies({ ...situation([]), row: { ...row, records: [checked] } })).toStrictEqual(
      does('publish'),
    );
    expect(hasMail({ ...row, keys: [] })).toBe(false);
  });
});

describe('a step that failed', () => {
  const trouble = { since: t, last: t, times: 3, message: 'no answer' };
  const troubled = (step: string, records: readonly PolicyRecord[], now: Instant, wanted = [spf]) =>
    planPolicies({
      ...situation(records, { wanted, now }),
      row: { keys: [], records, troubles: [{ ...trouble, step }] },
    });

  it('is tried again when its time comes, and says why it waits', () => {
    const until = add(t, seconds(8));
    expect(troubled('publish spf example.com', [checked], add(until, milliseconds(-1)))).toStrictEqual({
      actions: [],
      wakeAt: until,
      blockedBy: [
        {
          by: 'trouble',
          says: 'publish spf example.com: no answer (3 tries since 2024-01-28T09:00:00.000Z)',
        },
      ],
    });
    expect(troubled('publish spf example.com', [checked], until)).toStrictEqual(does('publish'));
  });

  it.each<[string, PolicyRecord, string]>([
    ['prove', inSync, shown],
    ['forget', { ...deleted, deletionInSync: at }, gone],
  ])('is no failure where name servers take their time: %s', (step, record, says) => {
    const wanted = step === 'prove' ? [spf] : [];
    expect(troubled(`${step} spf example.com`, [record], add(t, seconds(2)), wanted)).toStrictEqual({
      actions: [],
      // The look that was due anyway comes first.
      wakeAt: add(t, seconds(3)),
      blockedBy: [
        { by: 'dns', says },
        { by: 'dns', says: 'no answer (3 looks since 2024-01-28T09:00:00.000Z)' },
      ],
    });
  });

  it('holds up no other step, and no other record', () => {
    expect(troubled('check spf example.com', [checked], t)).toStrictEqual(does('publish'));
    expect(troubled('publish spf www.example.com', [checked], t)).toStrictEqual(does('publish'));
    const both = troubled('publish spf example.com', [checked, { ...proved, ...dmarcId }], t, [spf, dmarc]);
    expect(both.actions).toEqual([{ do: 'check', record: dmarcId }]);
    expect(both.blockedBy).toHaveLength(1);
  });

  it('is named by what is done, to which record', () => {
    expect(policyStep({ do: 'prove', record: dmarcId })).toBe('prove dmarc _dmarc.example.com');
    expect(policySteps(spfId)).toEqual([
      'check spf example.com',
      'publish spf example.com',
      'ask spf example.com',
      'prove spf example.com',
      'withdraw spf example.com',
      'delete spf example.com',
      'forget spf example.com',
    ]);
  });
});
