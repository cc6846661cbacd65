// What the ledger remembers of a domain's policy records: SPF, DMARC, and the word of a report receiver. Facts with ledger-side
// times, as of keys (core/key/evidence.ts); what is to be done is derived (plan.ts).
//
// What is owned here is one VALUE in the set of TXT records at a name. Others may stand beside it: the verification strings of
// other services at a domain's own name.

import type { Accepted, At, HostedZone } from '../facts.ts';
import type { Instant } from '../time.ts';

/** `report`: that another domain's mailbox takes this domain's DMARC reports (RFC 9990 §4). */
export type PolicyKind = 'spf' | 'dmarc' | 'report';

/** What was found before it is written. */
export interface Checked extends At {
  /** The value that it is about. */
  readonly value: string;
  /** Of SPF: DNS lookups that receivers make, those that find nothing (RFC 7208 §4.6.4), and what each term costs. */
  readonly spf?: {
    readonly lookups: number;
    readonly voids: number;
    readonly strictVoids: number;
    readonly terms: readonly { readonly term: string; readonly lookups: number }[];
  };
  /** Of `report`: the mailbox is of the same organisation, or its domain says already that it takes them. */
  readonly settled?: 'same-organization' | 'authorized';
}

export interface PolicyRecord {
  readonly kind: PolicyKind;
  /** Where the TXT record is: the domain, `_dmarc.<domain>`, `<domain>._report._dmarc.<theirs>`. */
  readonly name: string;
  /** The zone of ours that holds the name; absent: it is another's, and only looked at. */
  readonly zone?: string;
  /** Where that zone lay when the record was written. */
  readonly hostedZone?: HostedZone;
  /** Values that are ours and may stand there: written, or about to be, and not yet seen to be gone. */
  readonly ours: readonly string[];
  readonly checked?: Checked;
  /** The last look said that this value may not be written, or is not there; looked at again later. */
  readonly refused?: At & { readonly since: Instant; readonly value: string; readonly reason: string };
  /** When the provider first took a value of ours: what somebody makes of it since is an edit, and no record of theirs. */
  readonly owned?: At;
  /** The intent to have this value there, in place of all that is ours. From here on it is ours. */
  readonly intended?: At & { readonly value: string };
  readonly created?: Accepted;
  readonly inSync?: At;
  /** Every name server shows it, and no other of its kind. */
  readonly proved?: At & { readonly servers: number };
  readonly removalIntended?: At;
  readonly deleted?: Accepted;
  readonly deletionInSync?: At;
}

/** Which of a domain's records: a name may move to another zone, and is then in both for a while. */
export type RecordId = Pick<PolicyRecord, 'kind' | 'name' | 'zone'>;

export const sameRecord = (a: RecordId, b: RecordId): boolean =>
  a.kind === b.kind && a.name === b.name && a.zone === b.zone;

export type PolicyRecordState =
  | 'checking'
  | 'refused'
  | 'publishing'
  | 'replacing'
  | 'published'
  | 'removing'
  | 'settled';

/**
 * Whether `value` was checked since it was last refused, and since it last was to go: an included record may have changed
 * meanwhile.
 */
export const isChecked = (record: PolicyRecord, value: string | undefined): boolean => {
  const { checked, refused, removalIntended } = record;
  if (checked === undefined || checked.value !== value) return false;
  if (removalIntended !== undefined && checked.at < removalIntended.at) return false;
  return refused?.value !== value || checked.at > refused.at;
};

/** Whether a look found that `value` may not be written, and none found otherwise since, nor was it written. */
export const isRefused = (record: PolicyRecord, value: string | undefined): boolean =>
  record.refused !== undefined &&
  record.refused.value === value &&
  !isChecked(record, value) &&
  !stands(record, value);

/** Whether the provider accepted `value`, and it is to stay. */
export const stands = (record: PolicyRecord, value: string | undefined): boolean =>
  record.intended?.value === value && record.created !== undefined && record.removalIntended === undefined;

/**
 * Derived, never stored. `settled`: none of ours is needed.
 * @param wanted the value that the fleet file wants; undefined: none
 */
export const recordState = (record: PolicyRecord, wanted: string | undefined): PolicyRecordState => {
  if (record.removalIntended !== undefined) return 'removing';
  if (isRefused(record, wanted)) return 'refused';
  if (record.checked?.settled !== undefined) return 'settled';
  if (stands(record, wanted) && record.proved !== undefined) return 'published';
  if (record.intended === undefined) return 'checking';
  return record.ours.length > 1 ? 'replacing' : 'publishing';
};
