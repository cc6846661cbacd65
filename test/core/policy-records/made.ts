// Made-up policy records for tests: an SPF record that is proved, to be changed in one thing.

import type { Accepted } from '../../../core/facts.ts';
import type { PolicyRecord } from '../../../core/policy-records/evidence.ts';
import type { PolicySituation } from '../../../core/policy-records/plan.ts';
import type { WantedRecord } from '../../../core/policy-records/wanted.ts';
import { add, days, type Instant, instant } from '../../../core/time.ts';

export const t = instant(Date.parse('2024-01-28T09:00:00Z'));
/** Long after. */
export const later = add(t, days(30));
export const at = { at: t };
export const change: Accepted = { ...at, changeId: 'C1' };

export const domain = 'example.com';
export const value = 'v=spf1 mx -all';
export const other = 'v=spf1 mx a:www.example.com -all';

export const spfId = { kind: 'spf', name: domain, zone: domain } as const;
export const dmarcId = { kind: 'dmarc', name: '_dmarc.example.com', zone: domain } as const;
/** In a zone that is another's. */
export const reportId = { kind: 'report', name: 'example.com._report._dmarc.example.net' } as const;

export const spf: WantedRecord = { ...spfId, value, adopt: false };
export const dmarc: WantedRecord = { ...dmarcId, value: 'v=DMARC1; p=none', adopt: false };
export const report: WantedRecord = { ...reportId, value: 'v=DMARC1', adopt: false, host: 'example.net' };

/** What is known of a record that is there, in the order in which it comes to be known. */
const known = {
  ...spfId,
  ours: [],
  checked: { ...at, value },
  intended: { ...at, value },
  created: change,
  inSync: at,
  proved: { ...at, servers: 2 },
} as const satisfies PolicyRecord;

/** Nothing is known of it yet. */
export const begun: PolicyRecord = { ...spfId, ours: [] };
export const checked: PolicyRecord = { ...begun, checked: known.checked };
export const intended: PolicyRecord = { ...checked, ours: [value], intended: known.intended };
export const created: PolicyRecord = { ...intended, created: known.created };
export const inSync: PolicyRecord = { ...created, inSync: known.inSync };
export const proved: PolicyRecord = { ...inSync, proved: known.proved };
export const leaving: PolicyRecord = { ...proved, removalIntended: at };
export const deleted: PolicyRecord = { ...leaving, deleted: { ...at, changeId: 'C2' } };

/** Found in its way, since `t`. */
export const refusal = { ...at, since: t, value, reason: 'example.com has an SPF record that is not ours' };
export const refused: PolicyRecord = { ...begun, refused: refusal };

/** A domain without keys, that wants the SPF record and has what is given. */
export const situation = (
  records: readonly PolicyRecord[],
  more: Partial<PolicySituation> & { readonly now?: Instant } = {},
): PolicySituation => ({
  row: { keys: [], records, troubles: [] },
  wanted: [spf],
  leaving: false,
  now: t,
  ...more,
});
