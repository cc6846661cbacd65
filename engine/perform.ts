// Performs one action of a plan on one domain: intent, effect, result. Each may run again at any time, by two workers
// at once, and after a crash at any point: it looks at what is, and does what is missing. Changes of records are not
// here but in change-records.ts, because those of many domains share a request.

import { hasCode } from '../core/errors.ts';
import { type Action, type Gate, stepOf } from '../core/key/actions.ts';
import { reminder } from '../core/key/deadlines.ts';
import type { DomainRow, Duty, Key } from '../core/key/evidence.ts';
import { handWish } from '../core/key/hand-wish.ts';
import {
  inSyncFact,
  recordName,
  withEvidence,
  withoutAccepted,
  withRotation,
  withTrouble,
  withTurn,
} from '../core/key/row.ts';
import { selectorFor } from '../core/key/selector.ts';
import { dutyTurn, keysOf, stateOf } from '../core/key/state.ts';
import { queuesOf } from '../core/key/waits.ts';
import { calendarDate, type Duration, days, hours, type Instant } from '../core/time.ts';
import { adopt } from './adopt.ts';
import { disclose } from './disclose.ts';
import type { DutyChange } from './ports.ts';
import { proveAbsence, proveKey, proveTombstone } from './prove.ts';
import type { Telling } from './tell.ts';
import { theKey, type Work } from './work.ts';

type RecordAction = 'publish' | 'entomb' | 'delete';
/** Actions on one domain by itself; what many domains do together is the unit's. */
export type DomainAction = Exclude<
  Action,
  { do: RecordAction | TellAction['do'] | 'store' | 'tell' | 'fence' }
>;

const dutyChange = (work: Work, key: Key, duty: Duty): DutyChange[] => {
  const { stored, adopted } = key.evidence;
  const publicKey = stored?.publicKey ?? adopted?.publicKey;
  const { selector, algorithm } = key;
  return publicKey === undefined
    ? []
    : [
        {
          domain: work.row.domain,
          selector,
          algorithm,
          duty,
          publicKey,
          ...(stored === undefined ? {} : { secret: stored.secret }),
        },
      ];
};

const start = async (work: Work, kind: 'first' | 'scheduled'): Promise<void> => {
  const { algorithms } = work.policy;
  const id = work.world.randomness.id();
  await work.save({
    ...work.row,
    rotations: [...work.row.rotations, { id, kind, at: work.now(), algorithms, selectors: [] }],
  });
  work.report(
    'step',
    `${kind === 'first' ? 'first key set' : 'scheduled rotation'} begins: ${algorithms.join(' + ')}`,
  );
};

const reserve = async (work: Work, action: Extract<Action, { do: 'reserve' }>): Promise<void> => {
  const { row, policy, world } = work;
  const known = [...row.keys, ...row.taken].map((used) => used.selector);
  const selector = selectorFor(calendarDate(work.now(), policy.timeZone), action.algorithm, known);
  const name = recordName(row, selector);
  // A CREATE is refused over a name that is taken, which asks the same. To ask before saves a key that comes to nothing.
  const foreign = work.situation().sparing === true ? undefined : await world.writer.lookup(work.zone, name);
  const at = work.now();
  const take = async (reason: string, forEver: boolean): Promise<void> => {
    const taken = [...row.taken, { selector, at, reason }];
    await work.save({ ...row, taken }, forEver ? { reserve: [{ domain: row.domain, selector }] } : {});
    work.report('trouble', `selector ${selector} is passed over: ${reason}`, selector);
  };
  try {
    if (foreign !== undefined) return await take(`a record that is not ours stands at ${name}`, true);
    const key: Key = {
      selector,
      algorithm: action.algorithm,
      rotation: action.rotation,
      evidence: { reserved: { at } },
      turns: [{ begun: { at } }],
    };
    const next = withRotation({ ...row, keys: [...row.keys, key] }, action.rotation, (rotation) => ({
      ...rotation,
      selectors: [...rotation.selectors, selector],
    }));
    await work.save(next, { reserve: [{ domain: row.domain, selector }] });
    work.report('step', `selector ${selector} reserved`, selector);
  } catch (error) {
    if (!hasCode(error, 'exists')) throw error;
    await take('it was used before', false);
  }
};

const madeBy = { created: 'publish', tombstoned: 'entomb', deleted: 'delete' } as const;

/** A person is told once a day what they were asked for; whoever comes next within that time says nothing. */
const remind = async (
  work: Work,
  { selector, change }: Extract<Action, { do: 'ask' }>,
  since: Instant,
): Promise<void> => {
  const s = work.situation();
  const key = theKey(work.row, selector);
  const due = s.byHand === true ? reminder(s, key, since) : undefined;
  if (due === undefined) return;
  const { ledger, randomness } = work.world;
  const lease = `remind/${work.row.domain}/${selector}/${change}`;
  if (!(await ledger.lease(lease, randomness.id(), work.now(), due.every))) return;
  work.report(
    'alarm',
    `asked ${inWords(due.waited)} ago, and not done yet: ${handWish(work.row, key, change)}`,
    selector,
  );
};

const inWords = (length: Duration): string => {
  const [n, unit] =
    length < days(1) ? [Math.floor(length / hours(1)), 'hour'] : [Math.floor(length / days(1)), 'day'];
  return `${n} ${unit}${n === 1 ? '' : 's'}`;
};

const ask = async (work: Work, action: Extract<Action, { do: 'ask' }>, statusOf: StatusOf): Promise<void> => {
  const { selector, change } = action;
  const accepted = theKey(work.row, selector).evidence[change];
  if (accepted === undefined) return;
  const status = await statusOf(work, accepted.changeId);
  if (status === 'pending') return remind(work, action, accepted.at);
  if (status === 'unknown') {
    // The step is troubled, so that it looks at what stands there before it writes again.
    const step = stepOf({ do: madeBy[change], selector });
    const lost = withoutAccepted(work.row, selector, change);
    await work.save(withTrouble(lost, step, work.now(), 'the provider does not know the change any more'));
    work.report(
      'trouble',
      `the provider does not know the change of ${selector} any more: it is made again`,
      selector,
    );
    return;
  }
  await work.save(withEvidence(work.row, selector, { [inSyncFact[change]]: { at: work.now() } }));
  work.report(
    'step',
    work.situation().byHand === true
      ? `what was asked for ${selector} is on all name servers`
      : `the provider has the change of ${selector} on all its servers`,
    selector,
  );
};

const offer = (work: Work, rotationId: string): Telling | undefined => {
  const rotation = work.row.rotations.find(({ id }) => id === rotationId);
  if (rotation === undefined) return undefined;
  const at = work.now();
  const keys = keysOf(work.row, rotation);
  const { row } = work;
  return {
    work,
    next: (place) =>
      keys.reduce((next, key) => withTurn(next, key.selector, { offered: { at, place } }), row),
    changes: keys.flatMap((key) => dutyChange(work, key, 'standby')),
    told: () => {
      for (const key of keys)
        work.report('step', `${key.selector} is sent to the hosts of pool ${row.pool}`, key.selector);
    },
  };
};

/** The intent to sign with the new and to stop with the old is saved, and told, in one transaction: invariant 3. */
const switchOver = (work: Work, action: Extract<Action, { do: 'switch' }>): Telling => {
  const { row } = work;
  const at = work.now();
  const rotation = row.rotations.find(({ id }) => id === action.rotation);
  const sign = rotation === undefined ? [] : keysOf(row, rotation);
  const stop = action.stop.map((selector) => theKey(row, selector));
  return {
    work,
    next: (place) => {
      const signing = sign.reduce(
        (next, key) => withTurn(next, key.selector, { signIntended: { at, place } }),
        row,
      );
      return stop.reduce(
        (next, key) => withTurn(next, key.selector, { stopIntended: { at, place } }, dutyTurn),
        signing,
      );
    },
    changes: [
      ...sign.flatMap((key) => dutyChange(work, key, 'signing')),
      // A retired key stays on its hosts as standby, so that a rollback finds it; a compromised one goes at once.
      ...stop.flatMap((key) =>
        dutyChange(work, key, key.evidence.compromised === undefined ? 'standby' : 'none'),
      ),
    ],
    told: () => {
      for (const key of sign)
        work.report('step', `hosts are told to sign with ${key.selector}`, key.selector);
      for (const key of stop)
        work.report('step', `hosts are told to stop signing with ${key.selector}`, key.selector);
    },
  };
};

const passed: Readonly<Record<Gate, string>> = {
  standby: 'every ready host holds',
  active: 'every ready host signs with',
  stopped: 'every ready host stopped signing with',
  erased: 'every ready host erased',
};

const latch = async (work: Work, selector: string, gate: Gate): Promise<void> => {
  const now = { at: work.now() };
  const { row } = work;
  await work.save(
    gate === 'erased'
      ? withEvidence(row, selector, { erased: now })
      : gate === 'stopped'
        ? withTurn(row, selector, { stopped: { ...now, ...queuesOf(work.situation().hosts) } }, dutyTurn)
        : withTurn(row, selector, { [gate]: now }, gate === 'standby' ? undefined : dutyTurn),
  );
  work.report('step', `${passed[gate]} ${selector}`, selector);
};

const erase = (work: Work, selector: string): Telling => {
  const { row } = work;
  const at = work.now();
  return {
    work,
    next: (place) => withEvidence(row, selector, { eraseTold: { at, place } }),
    changes: dutyChange(work, theKey(row, selector), 'none'),
    told: () => {},
  };
};

/** The steps that tell hosts something: those of many domains go together (tell.ts). */
export type TellAction = Extract<Action, { do: 'offer' | 'switch' | 'erase' }>;

export const isTellAction = (action: Action): action is TellAction =>
  action.do === 'offer' || action.do === 'switch' || action.do === 'erase';

/** What a step tells; undefined: it is no longer to be done. */
export const tellingOf = (work: Work, action: TellAction): Telling | undefined => {
  switch (action.do) {
    case 'offer':
      return offer(work, action.rotation);
    case 'switch':
      return switchOver(work, action);
    case 'erase':
      return erase(work, action.selector);
  }
};

const destroy = async (work: Work, selector: string): Promise<void> => {
  const { vault } = work.world;
  const { stored, adopted } = theKey(work.row, selector).evidence;
  if (adopted === undefined) {
    if (stored !== undefined) await vault.destroy(stored.secret);
    // A try whose end nobody saved may have left something behind, beside what was saved too.
    const left = await vault.find(work.row.domain, selector);
    if (left !== undefined) await vault.destroy(left);
  }
  await work.save(withEvidence(work.row, selector, { destroyed: { at: work.now() } }));
  work.report('step', `nothing is left of ${selector}`, selector);
};

/** Gives up a rotation that has not switched: its keys are withdrawn, but for those that signed before (of a rollback). */
export const abandoned = (
  row: DomainRow,
  rotationId: string,
  at: Instant,
  reason: string,
  by: 'operator' | 'leaving' | 'compromised',
): DomainRow => {
  const rotation = row.rotations.find(({ id }) => id === rotationId);
  if (rotation === undefined) return row;
  const aborted = withRotation(row, rotationId, (each) => ({ ...each, aborted: { at, reason, by } }));
  return keysOf(row, rotation)
    .filter((key) => key.turns.length === 1 && stateOf(key) !== 'removed')
    .reduce((next, key) => withEvidence(next, key.selector, { abandoned: { at, reason } }), aborted);
};

export type StatusOf = (work: Work, changeId: string) => Promise<'pending' | 'in-sync' | 'unknown'>;

export const perform = async (work: Work, action: DomainAction, statusOf: StatusOf): Promise<void> => {
  switch (action.do) {
    case 'start':
      return start(work, action.kind);
    case 'adopt':
      return adopt(work);
    case 'reserve':
      return reserve(work, action);
    case 'ask':
      return ask(work, action, statusOf);
    case 'prove':
      return { key: proveKey, tombstone: proveTombstone, absence: proveAbsence }[action.shows](
        work,
        action.selector,
      );
    case 'latch':
      return latch(work, action.selector, action.gate);
    case 'revoke':
      await work.save(withEvidence(work.row, action.selector, { revocationIntended: { at: work.now() } }));
      return work.report('step', `${action.selector} is to be revoked`, action.selector);
    case 'remove':
      await work.save(withEvidence(work.row, action.selector, { removalIntended: { at: work.now() } }));
      return work.report('step', `the record of ${action.selector} is to be removed`, action.selector);
    case 'disclose':
      return disclose(work, action.selector);
    case 'destroy':
      return destroy(work, action.selector);
    case 'abort':
      return work.save(abandoned(work.row, action.rotation, work.now(), action.reason, 'leaving'));
  }
};
