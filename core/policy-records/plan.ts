// What a domain's policy records need now: SPF, DMARC, and the word of report receivers. As the planner of keys (core/key/plan.ts)
// it is pure, performs nothing and says the same when asked again; unlike it, it knows no hosts and no drain. One record is
// checked, written beside what others have at its name, seen in sync and proved; another value takes its place at once.

import { type Blocked, blockedByTrouble } from '../key/actions.ts';
import type { DomainRow } from '../key/evidence.ts';
import { mayHaveSigned } from '../key/state.ts';
import { nextLook, nextTry } from '../key/waits.ts';
import { earliest, type Instant } from '../time.ts';
import { isChecked, isRefused, type PolicyRecord, type RecordId, sameRecord, stands } from './evidence.ts';
import { askedAgain, refusalEnds } from './waits.ts';
import type { WantedRecord } from './wanted.ts';

export type PolicyAction = {
  readonly do: /** Count lookups, walk to the organisation, see whether others take our reports. */
    | 'check'
    /** Save the intent, write the value into the set. */
    | 'publish'
    /** Ask the provider whether the change is in sync. */
    | 'ask'
    /** Look at every name server. */
    | 'prove'
    /** Save the intent to remove what is ours. */
    | 'withdraw'
    /** Take it out of the set. */
    | 'delete'
    /** Look at every name server whether it is gone, and forget it. */
    | 'forget';
  readonly record: RecordId;
};

export interface PolicyPlan {
  readonly actions: readonly PolicyAction[];
  readonly wakeAt?: Instant;
  readonly blockedBy: readonly Blocked[];
}

export interface PolicySituation {
  readonly row: Pick<DomainRow, 'keys' | 'records' | 'troubles'>;
  readonly wanted: readonly WantedRecord[];
  /** The domain leaves the fleet, or vanished from it. */
  readonly leaving: boolean;
  readonly now: Instant;
}

/** The name of a step, for its troubles. */
export const policyStep = ({ do: what, record }: PolicyAction): string =>
  `${what} ${record.kind} ${record.name}`;

const stepKinds: readonly PolicyAction['do'][] = [
  'check',
  'publish',
  'ask',
  'prove',
  'withdraw',
  'delete',
  'forget',
];

/** The names of all steps that a record may need. */
export const policySteps = (record: RecordId): readonly string[] =>
  stepKinds.map((what) => policyStep({ do: what, record }));

const nothing: PolicyPlan = { actions: [], blockedBy: [] };

const act = (what: PolicyAction['do'], { kind, name, zone }: RecordId): PolicyPlan => ({
  actions: [{ do: what, record: { kind, name, ...(zone === undefined ? {} : { zone }) } }],
  blockedBy: [],
});

const wait = (plan: PolicyPlan, wakeAt: Instant, says: string): PolicyPlan => ({
  ...plan,
  wakeAt,
  blockedBy: [{ by: 'dns', says }],
});

/** An accepted change, until it is in sync and seen. */
const untilSeen = (
  s: PolicySituation,
  record: PolicyRecord,
  accepted: Instant,
  inSync: Instant | undefined,
  then: 'prove' | 'forget',
): PolicyPlan =>
  inSync === undefined
    ? wait(
        act('ask', record),
        nextLook(accepted, s.now),
        `waiting for the provider to have ${record.name} on all its servers`,
      )
    : wait(
        act(then, record),
        nextLook(inSync, s.now),
        `waiting for every name server to show ${then === 'prove' ? 'the record' : 'no longer the record'} at ${record.name}`,
      );

/** A record that the fleet file no longer names: what is ours of it goes. */
const planGoing = (s: PolicySituation, record: PolicyRecord): PolicyPlan => {
  if (record.zone === undefined || record.ours.length === 0) return act('forget', record);
  if (record.removalIntended === undefined) return act('withdraw', record);
  if (record.deleted === undefined) return act('delete', record);
  return untilSeen(s, record, record.deleted.at, record.deletionInSync?.at, 'forget');
};

/** What a look found in the way, until it is time to look again. */
const refusal = (s: PolicySituation, record: PolicyRecord, value: string): PolicyPlan | undefined => {
  const { refused } = record;
  if (refused === undefined || !isRefused(record, value)) return undefined;
  const until = record.zone === undefined ? askedAgain(refused) : refusalEnds(refused);
  return s.now < until ? wait(nothing, until, refused.reason) : undefined;
};

const planWanted = (
  s: PolicySituation,
  wanted: WantedRecord,
  record: PolicyRecord | undefined,
): PolicyPlan => {
  const { value } = wanted;
  if (record === undefined) return act('check', wanted);
  if (stands(record, value) && record.created !== undefined)
    return record.proved === undefined
      ? untilSeen(s, record, record.created.at, record.inSync?.at, 'prove')
      : nothing;
  const inTheWay = refusal(s, record, value);
  if (inTheWay !== undefined) return inTheWay;
  if (!isChecked(record, value)) return act('check', wanted);
  if (record.checked?.settled !== undefined) return record.ours.length === 0 ? nothing : planGoing(s, record);
  return wanted.zone === undefined ? nothing : act('publish', wanted);
};

/** Whether mail of the domain may still be under way that was signed with a key: its policies stay as long. */
export const hasMail = ({ keys }: PolicySituation['row']): boolean =>
  keys.some((key) => mayHaveSigned(key) && key.evidence.revocationIntended === undefined);

const together = (plans: readonly PolicyPlan[]): PolicyPlan => {
  const wakeAt = earliest(...plans.map((plan) => plan.wakeAt));
  return {
    actions: plans.flatMap(({ actions }) => actions),
    blockedBy: plans.flatMap(({ blockedBy }) => blockedBy),
    ...(wakeAt === undefined ? {} : { wakeAt }),
  };
};

/** A step that failed lately waits for its time. */
const withPatience = (s: PolicySituation, plan: PolicyPlan): PolicyPlan => {
  const troubleOf = (action: PolicyAction) =>
    s.row.troubles.find((trouble) => trouble.step === policyStep(action) && s.now < nextTry(trouble));
  return together([
    { ...plan, actions: plan.actions.filter((action) => troubleOf(action) === undefined) },
    ...plan.actions.flatMap((action): PolicyPlan[] => {
      const trouble = troubleOf(action);
      if (trouble === undefined) return [];
      const blocked = blockedByTrouble(trouble, action.do === 'prove' || action.do === 'forget');
      return [{ actions: [], wakeAt: nextTry(trouble), blockedBy: [blocked] }];
    }),
  ]);
};

export const planPolicies = (s: PolicySituation): PolicyPlan => {
  const records = s.row.records ?? [];
  if (s.leaving && hasMail(s.row)) return nothing;
  const wanted = s.leaving ? [] : s.wanted;
  const going = records.filter((record) => !wanted.some((one) => sameRecord(one, record)));
  return withPatience(
    s,
    together([
      ...wanted.map((one) =>
        planWanted(
          s,
          one,
          records.find((record) => sameRecord(record, one)),
        ),
      ),
      ...going.map((record) => planGoing(s, record)),
    ]),
  );
};
