// The planner: what a domain's keys need now, as data. Pure. It performs nothing and remembers nothing; called again
// with the same situation it says the same. "Perform the actions, save what you observed, and ask again; if there are
// none, ask again at wakeAt."

import { formatInstant, latest } from '../time.ts';
import {
  type Action,
  act,
  blockedByTrouble,
  nothing,
  type Plan,
  type Situation,
  stepOf,
  together,
  wait,
} from './actions.ts';
import { adoptable } from './adoption.ts';
import { alone, type Slot } from './cohorts.ts';
import type { Key, Rotation, Trouble } from './evidence.ts';
import { gate, unusable } from './gate.ts';
import { adoptedMend, planKey, planPublication } from './plan-key.ts';
import { isServing, keysOf, pendingRotation, servingKeys, servingRotation, turnOf } from './state.ts';
import { adoptedDue, negativeCacheEnds, nextTry, rotationDue } from './waits.ts';

const slotOf = ({ row: { domain, zone }, fellows = alone }: Situation): Slot => ({ domain, zone, fellows });

/** When the next scheduled rotation starts: known once every key of the serving set is active, or was adopted. */
export const nextRotation = (s: Situation) => {
  const serving = servingRotation(s.row);
  if (serving === undefined || s.policy.rotateEvery === undefined || s.leaving) return undefined;
  // Whether every host has them or not: the rotation is what gives all of them the same key.
  if (serving.kind === 'adopted') return adoptedDue(slotOf(s), serving.at, s.policy.rotateEvery);
  const since = keysOf(s.row, serving).map((key) => turnOf(key).active?.at);
  if (!since.every((at) => at !== undefined)) return undefined;
  const [first, ...rest] = since;
  return first === undefined
    ? undefined
    : rotationDue(slotOf(s), latest(first, ...rest), s.policy.rotateEvery);
};

const planStart = (s: Situation): Plan => {
  if (adoptable(s.row) && (s.adopted ?? []).length > 0) return act({ do: 'adopt' });
  if (servingKeys(s.row).length === 0) {
    const last = s.row.rotations.at(-1);
    // What an operator aborted starts again only when somebody asks.
    return last === undefined || last.aborted?.by !== 'operator'
      ? act({ do: 'start', kind: 'first' })
      : nothing;
  }
  const due = nextRotation(s);
  if (due === undefined) return nothing;
  return s.now >= due ? act({ do: 'start', kind: 'scheduled' }) : { ...nothing, wakeAt: due };
};

/** A key that nobody signs with yet may be denied by caches; a rollback's record was there all the time. */
const waitsForCaches = (rotation: Rotation): boolean =>
  rotation.kind !== 'emergency' && rotation.kind !== 'rollback';

const planPublished = (s: Situation, rotation: Rotation, keys: readonly Key[]): Plan => {
  if (waitsForCaches(rotation))
    for (const key of keys) {
      const { proved } = turnOf(key);
      const until = proved === undefined ? undefined : negativeCacheEnds(proved, s.policy);
      if (until !== undefined && s.now < until)
        return wait(until, {
          by: 'wait',
          selector: key.selector,
          until,
          says: `caches may deny ${key.selector} until ${formatInstant(until)}`,
        });
    }
  return act({ do: 'offer', rotation: rotation.id });
};

/** The keys that stop when this rotation signs: whatever signs and is not of it. */
const predecessors = (s: Situation, rotation: Rotation): readonly string[] =>
  servingKeys(s.row)
    .filter((key) => !rotation.selectors.includes(key.selector))
    .map((key) => key.selector);

const planPending = (s: Situation, rotation: Rotation): Plan => {
  const keys = keysOf(s.row, rotation);
  const absent = rotation.algorithms.filter((wanted) => !keys.some((key) => key.algorithm === wanted));
  if (absent.length > 0)
    return together([
      ...absent.map((algorithm) => act({ do: 'reserve', rotation: rotation.id, algorithm })),
      ...keys.map((key) => planPublication(s, key)),
    ]);

  if (keys.some((key) => turnOf(key).proved === undefined))
    return together(keys.map((key) => planPublication(s, key)));
  if (keys.some((key) => turnOf(key).offered === undefined)) return planPublished(s, rotation, keys);

  const mendOf = (key: Key) => (key.evidence.adopted === undefined ? {} : { mend: adoptedMend });
  const waiting = keys.filter((key) => turnOf(key).standby === undefined);
  if (waiting.length > 0)
    return together(
      waiting.map((key) => {
        const { offered } = turnOf(key);
        return offered === undefined
          ? nothing
          : gate(s, {
              selector: key.selector,
              place: offered.place,
              told: offered.at,
              what: `hold ${key.selector}`,
              passed: { do: 'latch', selector: key.selector, gate: 'standby' },
              usable: true,
              ...mendOf(key),
              emergency: rotation.kind === 'emergency',
            });
      }),
    );
  // Every host held them, and one may have lost them since (restored from a backup): switched, it would have none (invariant 3).
  const lost = keys.flatMap((key) => unusable(s, { selector: key.selector, ...mendOf(key) }) ?? []);
  return lost.length > 0
    ? together(lost)
    : act({ do: 'switch', rotation: rotation.id, stop: predecessors(s, rotation) });
};

/** A compromised key of an operator who chose unsigned over forged stops before its successor is ready. */
const planStopAtOnce = (s: Situation): Plan => {
  const stop = s.row.keys.filter((key) => key.evidence.unsigned !== undefined && isServing(key));
  return stop.length === 0 ? nothing : act({ do: 'switch', stop: stop.map((key) => key.selector) });
};

const planLeaving = (s: Situation): Plan => {
  const pending = pendingRotation(s.row);
  const stop = servingKeys(s.row).map((key) => key.selector);
  return together([
    pending === undefined
      ? nothing
      : act({ do: 'abort', rotation: pending.id, reason: 'the domain leaves the fleet' }),
    stop.length === 0 ? nothing : act({ do: 'switch', stop }),
  ]);
};

const planRotation = (s: Situation): Plan => {
  if (s.leaving) return planLeaving(s);
  const stop = planStopAtOnce(s);
  if (stop.actions.length > 0) return stop;
  const pending = pendingRotation(s.row);
  return pending === undefined ? planStart(s) : planPending(s, pending);
};

/** A step that failed lately is not tried again before its time. */
const withPatience = (s: Situation, plan: Plan): Plan => {
  const patient = (action: Action): Trouble | undefined => {
    const trouble = s.row.troubles.find((candidate) => candidate.step === stepOf(action));
    return trouble !== undefined && s.now < nextTry(trouble) ? trouble : undefined;
  };
  const held = plan.actions.flatMap((action) => {
    const trouble = patient(action);
    return trouble === undefined ? [] : [{ action, trouble }];
  });
  const proofs = held.flatMap(({ action }) => (action.do === 'prove' ? action.selector : []));
  return together([
    {
      ...plan,
      actions: plan.actions.filter((action) => patient(action) === undefined),
      // What was seen of a proof says more than that it is waited for.
      blockedBy: plan.blockedBy.filter(
        ({ by, selector }) => by !== 'dns' || selector === undefined || !proofs.includes(selector),
      ),
    },
    ...held.map(({ action, trouble }) =>
      wait(nextTry(trouble), {
        ...blockedByTrouble(trouble, action.do === 'prove'),
        ...(action.do === 'prove' ? { selector: action.selector } : {}),
      }),
    ),
  ]);
};

export const plan = (s: Situation): Plan => {
  const pending = pendingRotation(s.row);
  const last = s.row.rotations.at(-1);
  const emergency = last?.kind === 'emergency' && last.aborted === undefined;
  const keys = s.row.keys.filter((key) => pending === undefined || !pending.selectors.includes(key.selector));
  return withPatience(s, together([planRotation(s), ...keys.map((key) => planKey(s, key, emergency))]));
};
