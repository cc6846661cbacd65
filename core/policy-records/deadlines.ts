// How long a policy record may take until every name server shows it, or shows it no more: beyond that, a person should look. As of
// keys (core/key/deadlines.ts), nothing waits for these; they only say when to complain. Pure.

import { add, type Duration, days, hours, type Instant } from '../time.ts';
import {
  isChecked,
  isRefused,
  type PolicyRecord,
  type RecordId,
  recordState,
  sameRecord,
} from './evidence.ts';
import { hasMail, type PolicySituation, policySteps } from './plan.ts';

/** Counted, written, in sync and proved: each step may be tried again some times. */
const bound: Duration = hours(3);
/** What a person has to do: in a panel, or with another's record that stands in the way. People have weekends. */
const handBound: Duration = days(3);

export interface LatePolicy {
  readonly record: RecordId;
  /** Every name server was to show it, or none. */
  readonly phase: 'show' | 'go';
  readonly deadline: Instant;
}

/** When the first of its steps that have failed since did so. */
const troubledSince = ({ row }: PolicySituation, id: RecordId): Instant | undefined =>
  row.troubles.find(({ step }) => policySteps(id).includes(step))?.since;

/** Since when it has been on its way, or another's stands in its way; undefined: no step of it is done yet. */
const begunAt = (record: PolicyRecord, value: string): Instant | undefined => {
  const { refused, intended, checked } = record;
  if (isRefused(record, value)) return refused?.since;
  if (intended?.value === value && record.removalIntended === undefined) return intended.at;
  return isChecked(record, value) ? checked?.at : undefined;
};

/** @param isByHand whether people change the zone */
export const latePolicies = (
  s: PolicySituation,
  isByHand: (zone: string) => boolean,
): readonly LatePolicy[] => {
  if (s.leaving && hasMail(s.row)) return [];
  const records = s.row.records ?? [];
  const wanted = s.leaving ? [] : s.wanted;
  const late = (
    { kind, name, zone }: RecordId,
    phase: LatePolicy['phase'],
    since: Instant | undefined,
    byOthers: boolean,
  ): readonly LatePolicy[] => {
    // What lies in another's zone is asked of its administrator, and no work of ours is late.
    if (since === undefined || zone === undefined) return [];
    const deadline = add(since, byOthers || isByHand(zone) ? handBound : bound);
    return s.now > deadline ? [{ record: { kind, name, zone }, phase, deadline }] : [];
  };
  return [
    ...wanted.flatMap((one) => {
      const record = records.find((each) => sameRecord(each, one));
      const state = record === undefined ? 'checking' : recordState(record, one.value);
      if (state === 'published' || state === 'settled') return [];
      const begun = record === undefined ? undefined : begunAt(record, one.value);
      return late(one, 'show', begun ?? troubledSince(s, one), state === 'refused');
    }),
    ...records
      .filter((record) => !wanted.some((one) => sameRecord(one, record)))
      .flatMap((record) => late(record, 'go', record.removalIntended?.at ?? troubledSince(s, record), false)),
  ];
};
