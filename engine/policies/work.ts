// The part of a cohort unit that sees to policy records: SPF, DMARC, and the word of report receivers (docs/adr/0011). It shares
// with keys the row, the round and the troubles, and nothing else.

import { SelkieError } from '../../core/errors.ts';
import { withoutTrouble } from '../../core/key/row.ts';
import { nextTelling } from '../../core/key/waits.ts';
import type { FleetZone } from '../../core/policy.ts';
import { latePolicies } from '../../core/policy-records/deadlines.ts';
import type { PolicyRecord } from '../../core/policy-records/evidence.ts';
import { sameRecord } from '../../core/policy-records/evidence.ts';
import {
  type PolicyAction,
  type PolicyPlan,
  type PolicySituation,
  planPolicies,
  policyStep,
} from '../../core/policy-records/plan.ts';
import { recordOf, withoutRecord, withRecord } from '../../core/policy-records/row.ts';
import { type WantedRecord, wantedRecords } from '../../core/policy-records/wanted.ts';
import { earliest, formatInstant, type Instant } from '../../core/time.ts';
import { failStep, settle } from '../change-records.ts';
import { inParallel } from '../parallel.ts';
import { submitAll, type Wish } from '../submit.ts';
import type { Work } from '../work.ts';
import type { World } from '../world.ts';
import { deleted, deletion, kindName, publication, written } from './change.ts';
import { check } from './check.ts';
import { proveGone, provePolicy } from './prove.ts';

/** Domains worked on at once, and zones. */
const width = 8;

const idle: PolicyPlan = { actions: [], blockedBy: [] };

export const wantedOf = ({ world, row }: Pick<Work, 'world' | 'row'>): readonly WantedRecord[] => {
  const entry = world.fleet.domains.get(row.domain);
  return entry === undefined ? [] : wantedRecords(entry, world.fleet.zones);
};

/** When to look again at what a plan leaves: what failed without a time of its own, in a minute. */
export const policyRest = (work: Work): Instant | undefined => {
  const { actions, wakeAt } = policyPlan(work);
  const waits = actions.every(({ do: what }) => what === 'ask' || what === 'prove' || what === 'forget');
  return earliest(
    wakeAt,
    waits && wakeAt !== undefined ? undefined : actions.length > 0 ? nextTelling(work.now()) : undefined,
  );
};

/** Undefined: there are none, and none are wanted. */
const situationOf = (work: Work): PolicySituation | undefined => {
  const wanted = wantedOf(work);
  if (wanted.length === 0 && work.row.records === undefined) return undefined;
  const { leaving, now } = work.situation();
  return { row: work.row, wanted, leaving, now };
};

export const policyPlan = (work: Work): PolicyPlan => {
  const s = situationOf(work);
  return s === undefined ? idle : planPolicies(s);
};

/** What is past its deadline, a sentence each. */
export const lateRecords = (work: Work): readonly string[] => {
  const s = situationOf(work);
  if (s === undefined) return [];
  const isByHand = (zone: string): boolean => work.world.fleet.zones.get(zone)?.provider === 'manual';
  return latePolicies(s, isByHand).map(
    ({ record: { kind, name }, phase, deadline }) =>
      `the ${kindName[kind]} at ${name} was to be ${phase === 'show' ? 'shown' : 'gone'} by ${formatInstant(deadline)}`,
  );
};

/** @throws not-found: the zone is no longer in the fleet */
const zoneOf = (work: Work, { zone = '', name }: PolicyAction['record']): FleetZone => {
  const found = work.world.fleet.zones.get(zone);
  if (found === undefined)
    throw new SelkieError(
      'not-found',
      `zone ${zone} of ${name} is not in fleet.yaml: put it back until the record is removed`,
    );
  return found;
};

const ask = async (work: Work, record: PolicyRecord): Promise<void> => {
  const leaves = record.removalIntended !== undefined;
  const change = leaves ? record.deleted : record.created;
  if (change === undefined) return;
  const status = await work.world.writer.status(zoneOf(work, record), change.changeId);
  if (status === 'pending') return;
  const now = { at: work.now() };
  await work.save(
    withRecord(work.row, record, (old) => {
      if (status === 'in-sync') return leaves ? { ...old, deletionInSync: now } : { ...old, inSync: now };
      // The provider does not know the change: it is looked at what stands there, and made again where it is missing.
      const { created, deleted: gone, ...rest } = old;
      return leaves
        ? { ...rest, ...(created === undefined ? {} : { created }) }
        : { ...rest, ...(gone === undefined ? {} : { deleted: gone }) };
    }),
  );
};

const withdraw = async (work: Work, record: PolicyRecord): Promise<void> => {
  await work.save(
    withRecord(work.row, record, ({ deleted: _before, deletionInSync: _seen, ...old }) => ({
      ...old,
      removalIntended: { at: work.now() },
    })),
  );
  work.report('step', `the ${kindName[record.kind]} at ${record.name} is to be removed`);
};

type Alone = Exclude<PolicyAction['do'], 'publish' | 'delete'>;

/** Does what concerns one record alone. */
const perform = async (work: Work, { do: what, record: id }: PolicyAction & { do: Alone }): Promise<void> => {
  const record = recordOf(work.row, id);
  if (what === 'check') {
    const wanted = wantedOf(work).find((one) => sameRecord(one, id));
    return wanted === undefined ? undefined : check(work, wanted);
  }
  if (record === undefined) return;
  switch (what) {
    case 'ask':
      return ask(work, record);
    case 'prove':
      return provePolicy(work, zoneOf(work, id), record);
    case 'withdraw':
      return withdraw(work, record);
    case 'forget':
      return id.zone === undefined || record.ours.length === 0
        ? work.save(withoutRecord(work.row, record))
        : proveGone(work, zoneOf(work, id), record);
  }
};

const isAlone = (action: PolicyAction): action is PolicyAction & { do: Alone } =>
  action.do !== 'publish' && action.do !== 'delete';

const asksProvider = ({ do: what }: PolicyAction): boolean =>
  what === 'ask' || !isAlone({ do: what } as PolicyAction);

/** What is to be submitted for a record; undefined: nothing. */
const wishOf = async (work: Work, action: PolicyAction): Promise<Omit<Wish, 'refused'> | undefined> => {
  const zone = zoneOf(work, action.record);
  if (action.do === 'publish') {
    const wanted = wantedOf(work).find((one) => sameRecord(one, action.record));
    const change = wanted === undefined ? undefined : await publication(work, zone, wanted);
    return wanted === undefined || change === undefined
      ? undefined
      : { change, accepted: (id) => written(work, wanted, id) };
  }
  const record = recordOf(work.row, action.record);
  const change = record === undefined ? undefined : await deletion(work, zone, record);
  return record === undefined || change === undefined
    ? undefined
    : { change, accepted: (id) => deleted(work, record, id) };
};

/** @param effect returns whether the step is done; else it goes on, and is told off later */
const recover = async (work: Work, action: PolicyAction, effect: () => Promise<boolean>): Promise<void> => {
  const step = policyStep(action);
  await settle(
    async () => {
      if (!(await effect())) return;
      const mended = withoutTrouble(work.row, step);
      if (mended !== work.row) await work.save(mended);
    },
    (error) => failStep(work, step, error, asksProvider(action)),
  );
};

const done = async (effect: Promise<void>): Promise<true> => {
  await effect;
  return true;
};

/** One round: does what the plans of these domains say. What is written is seen in their rows' versions. */
export const workOnPolicies = async (world: World, works: readonly Work[]): Promise<void> => {
  const wishes = new Map<string, Wish[]>();
  /** Zones answer at the same time, and one domain has records in several: its row is written once after the other. */
  const turns = new Map<Work, Promise<void>>();
  const inTurn = (work: Work, save: () => Promise<void>): Promise<void> => {
    const turn = (turns.get(work) ?? Promise.resolve()).then(save, save);
    turns.set(work, turn);
    return turn;
  };
  await inParallel(width, works, async (work) => {
    for (const action of policyPlan(work).actions) {
      if (isAlone(action)) {
        await recover(work, action, () => done(perform(work, action)));
        continue;
      }
      await recover(work, action, async () => {
        const wish = await wishOf(work, action);
        if (wish === undefined) return true;
        const zone = action.record.zone ?? '';
        const ofZone = wishes.get(zone) ?? [];
        wishes.set(zone, ofZone);
        ofZone.push({
          change: wish.change,
          accepted: (id) => inTurn(work, () => recover(work, action, () => done(wish.accepted(id)))),
          refused: (error) => inTurn(work, () => recover(work, action, () => Promise.reject(error))),
        });
        return false;
      });
    }
  });
  await inParallel(width, [...wishes], async ([name, ofZone]) => {
    const zone = world.fleet.zones.get(name);
    if (zone !== undefined) await submitAll(world, zone, ofZone);
  });
};
