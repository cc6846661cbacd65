// The changes of key records, those of many domains of a zone in as few requests as fit (submit.ts).
//
// A change is first tried as the ledger's evidence says that the zone is. Where that is refused, or its answer was lost,
// the next try looks at what stands there (exact RRset, asked of the provider) and makes up what is missing.

import { buildKeyRecord, buildTombstone } from '../core/dkim/key-record.ts';
import { describe, hasCode, SelkieError } from '../core/errors.ts';
import type { Action } from '../core/key/actions.ts';
import { stepOf } from '../core/key/actions.ts';
import type { Key } from '../core/key/evidence.ts';
import { handWish } from '../core/key/hand-wish.ts';
import { recordName, withEvidence, withoutTrouble, withRotation, withTrouble } from '../core/key/row.ts';
import { mayHaveSigned } from '../core/key/state.ts';
import { inParallel } from './parallel.ts';
import type { Change, TxtSet } from './ports.ts';
import { submitAll, type Wish } from './submit.ts';
import { holdsOnly } from './txt-set.ts';
import { theKey, type Work } from './work.ts';
import { type World, zoneOf } from './world.ts';

export type RecordAction = Extract<Action, { do: 'publish' | 'entomb' | 'delete' }>;

export const isRecordAction = (action: Action): action is RecordAction =>
  action.do === 'publish' || action.do === 'entomb' || action.do === 'delete';

/** Whether an earlier try went wrong: then what stands there is looked at. */
const wasTried = (work: Work, action: RecordAction): boolean =>
  work.row.troubles.some((trouble) => trouble.step === stepOf(action));

/** Somebody else's record stands at a name that was free when it was reserved: the key is given up, another selector is taken. */
const passOver = async (work: Work, selector: string): Promise<undefined> => {
  const at = work.now();
  const reason = `a record that is not ours stands at ${recordName(work.row, selector)}`;
  const key = theKey(work.row, selector);
  // Nobody is to paste it beside theirs.
  await work.world.writer.withdraw?.(work.zone, recordName(work.row, selector));
  const withdrawn = withEvidence(work.row, selector, { abandoned: { at, reason } });
  const next = withRotation(withdrawn, key.rotation, (rotation) => ({
    ...rotation,
    selectors: rotation.selectors.filter((other) => other !== selector),
  }));
  await work.save({ ...next, taken: [...next.taken, { selector, at, reason }] });
  work.report('alarm', `selector ${selector} is given up: ${reason}`, selector);
};

const wantedPublication = async (work: Work, action: RecordAction): Promise<Change | undefined> => {
  const { selector } = action;
  const { algorithm, evidence } = theKey(work.row, selector);
  if (evidence.stored === undefined || evidence.abandoned !== undefined) return undefined;
  const name = recordName(work.row, selector);
  if (evidence.publishIntended === undefined) {
    const { publicKey } = evidence.stored;
    const value = buildKeyRecord({ algorithm, publicKey, tags: work.policy.tags });
    await work.save(
      withEvidence(work.row, selector, { publishIntended: { at: work.now(), value, ttl: work.policy.ttl } }),
    );
  }
  const { publishIntended } = theKey(work.row, selector).evidence;
  if (publishIntended === undefined) return undefined;
  const set: TxtSet = { ttl: publishIntended.ttl, values: [publishIntended.value] };
  if (!wasTried(work, action)) return { do: 'create', name, set };

  const there = await work.world.writer.lookup(work.zone, name);
  if (there === undefined) return { do: 'create', name, set };
  // The answer with the change's id was lost: the same value again gives a new id. Never once somebody may sign.
  if (holdsOnly(there, publishIntended.value) && !mayHaveSigned(theKey(work.row, selector)))
    return { do: 'replace', name, old: there, set };
  return passOver(work, selector);
};

/** What the ledger believes to stand at a key's name. */
const believed = (key: Key): TxtSet | undefined => {
  const { publishIntended, tombstoned } = key.evidence;
  if (publishIntended === undefined) return undefined;
  const value = tombstoned === undefined ? publishIntended.value : buildTombstone(key.algorithm);
  return { ttl: publishIntended.ttl, values: [value] };
};

const wantedTombstone = async (work: Work, action: RecordAction): Promise<Change | undefined> => {
  const key = theKey(work.row, action.selector);
  const name = recordName(work.row, action.selector);
  const record = believed(key);
  if (record === undefined) return undefined;
  const set: TxtSet = { ttl: record.ttl, values: [buildTombstone(key.algorithm)] };
  // The name is ours from CREATE to removal, whatever others made of the record since: invariant 4.
  const old = wasTried(work, action) ? await work.world.writer.lookup(work.zone, name) : record;
  return old === undefined ? { do: 'create', name, set } : { do: 'replace', name, old, set };
};

const wantedDeletion = async (work: Work, action: RecordAction): Promise<Change | undefined> => {
  const key = theKey(work.row, action.selector);
  const name = recordName(work.row, action.selector);
  const record = believed(key);
  // What nobody has pasted yet, nobody is asked to delete.
  const awaited = work.zone.provider === 'manual' && key.evidence.inSync === undefined;
  const set = wasTried(work, action) || awaited ? await work.world.writer.lookup(work.zone, name) : record;
  const now = { at: work.now() };
  if (set === undefined) {
    // Somebody may still be asked to put it there.
    await work.world.writer.withdraw?.(work.zone, name);
    await work.save(
      withEvidence(work.row, action.selector, {
        deleted: { ...now, changeId: 'absent' },
        deletionInSync: now,
      }),
    );
    return undefined;
  }
  const ours = key.evidence.created ?? key.evidence.adopted;
  if (ours === undefined && !holdsOnly(set, record?.values[0] ?? '')) {
    // Our CREATE was never accepted and another's record stands there: there is nothing of ours to remove.
    await work.world.writer.withdraw?.(work.zone, name);
    await work.save(
      withEvidence(work.row, action.selector, {
        deleted: { ...now, changeId: 'absent' },
        deletionInSync: now,
        removed: now,
      }),
    );
    return undefined;
  }
  return { do: 'delete', name, set };
};

const wanted = (work: Work, action: RecordAction): Promise<Change | undefined> => {
  switch (action.do) {
    case 'publish':
      return wantedPublication(work, action);
    case 'entomb':
      return wantedTombstone(work, action);
    case 'delete':
      return wantedDeletion(work, action);
  }
};

const accept = async (work: Work, action: RecordAction, changeId: string): Promise<void> => {
  const accepted = { at: work.now(), changeId };
  const fact = ({ publish: 'created', entomb: 'tombstoned', delete: 'deleted' } as const)[action.do];
  const row = withoutTrouble(work.row, stepOf(action));
  await work.save(withEvidence(row, action.selector, { [fact]: accepted }));
  if (work.zone.provider === 'manual')
    return work.report(
      'step',
      `asks somebody to ${handWish(work.row, theKey(work.row, action.selector), fact)}`,
      action.selector,
    );
  const says = { publish: 'created', entomb: 'replaced by its tombstone', delete: 'deleted' }[action.do];
  work.report(
    'step',
    `the record of ${action.selector} is ${says}; waiting for the name servers`,
    action.selector,
  );
};

const asksProvider = (action: Action): boolean =>
  isRecordAction(action) || action.do === 'ask' || action.do === 'reserve';

/** The failure stays in the row: the next try looks before it writes. */
export const fail = (work: Work, action: Action, error: unknown): Promise<void> =>
  failStep(work, stepOf(action), error, asksProvider(action));

/** As `fail`, of a step by its name. */
export const failStep = async (work: Work, step: string, error: unknown, asked: boolean): Promise<void> => {
  if (hasCode(error, 'conflict')) return; // another worker was first; the next round plans from what it wrote
  const message = describe(error);
  if (hasCode(error, 'throttled', 'busy') && asked)
    // Refused before it was read: nothing was changed, so there is nothing to look at before the next try, in a minute.
    return work.report('trouble', `${step}: ${message}`);
  await work.save(withTrouble(work.row, step, work.now(), message));
  work.report(
    error instanceof SelkieError && error.retry === 'later' ? 'trouble' : 'alarm',
    `${step}: ${message}`,
  );
};

/** Settles what happens to one domain's part without letting it touch the others. */
export const settle = async (
  effect: () => Promise<void>,
  failed: (error: unknown) => Promise<void>,
): Promise<void> => {
  try {
    await effect();
  } catch (error) {
    await failed(error).catch((again: unknown) => {
      if (!hasCode(again, 'conflict')) throw again;
    });
  }
};

interface RecordWork {
  readonly work: Work;
  readonly action: RecordAction;
}

const changeZone = async (world: World, actions: readonly RecordWork[]): Promise<void> => {
  const wishes: Wish[] = [];
  for (const { work, action } of actions) {
    const failed = (error: unknown): Promise<void> => fail(work, action, error);
    await settle(async () => {
      // Said to each of its domains where it is gone from the fleet.
      zoneOf(world, work.row);
      const change = await wanted(work, action);
      if (change !== undefined)
        wishes.push({
          change,
          accepted: (changeId) => settle(() => accept(work, action, changeId), failed),
          refused: (error) => settle(() => Promise.reject(error), failed),
        });
    }, failed);
  }
  const [first] = actions;
  if (first !== undefined && wishes.length > 0) await submitAll(world, first.work.zone, wishes);
};

/** Zones that are changed at once. In each, one request is in flight. */
const zonesAtOnce = 8;

/**
 * Makes the record changes of some domains: in each zone as few requests as fit, one after the other; zones beside each other,
 * so that one that fails or is slow holds up no other.
 * @param isLate whether no further zone is to be begun
 */
export const changeRecords = async (
  world: World,
  actions: readonly RecordWork[],
  isLate: () => boolean,
): Promise<void> => {
  const zones = [...Map.groupBy(actions, ({ work }) => work.row.zone).values()];
  await inParallel(zonesAtOnce, zones, async (some) => {
    if (!isLate()) await changeZone(world, some);
  });
};
