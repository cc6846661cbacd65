// How long a key's next step may take, once whatever it has to wait for is over: beyond that, a person should look. No wait of
// a key's life depends on these; they only say when to complain. Pure.

import type { Policy } from '../policy.ts';
import {
  add,
  between,
  type Duration,
  days,
  formatInstant,
  hours,
  type Instant,
  milliseconds,
  minutes,
} from '../time.ts';
import type { Situation } from './actions.ts';
import type { Key } from './evidence.ts';
import { nextRotation } from './plan.ts';
import { dutyTurn, isServing, keysOf, mayHaveSigned, pendingRotation, turnOf } from './state.ts';
import { drainEnds, holdEnds, negativeCacheEnds, storingEnds } from './waits.ts';

/** What has to happen to a key next. */
export type Phase =
  | 'store'
  | 'create'
  | 'prove'
  | 'offer'
  | 'hold'
  | 'switch'
  | 'sign'
  | 'stop'
  | 'revoke'
  | 'remove'
  | 'erase'
  | 'withdraw';

export const bounds: Readonly<Record<Phase, Duration>> = {
  store: minutes(30),
  create: minutes(30),
  /** Route 53 has a change everywhere in a minute; other name servers transfer zones when they are told, or by their refresh. */
  prove: hours(2),
  offer: minutes(30),
  /** A host that is down for longer is to be excluded. */
  hold: hours(2),
  switch: minutes(30),
  /** OpenDKIM signs with the old key until its longest SMTP session is over. */
  sign: hours(6),
  stop: hours(6),
  revoke: hours(2),
  remove: hours(2),
  /** Hosts sign with other keys by then: nothing is in danger. */
  erase: days(1),
  withdraw: hours(2),
};

/** No step of an emergency may take longer. */
const emergencyBound = minutes(30);

/** What a person has to do in a panel: people have weekends. Until then they are reminded, and nothing has failed. */
const handBound = days(3);
const byHand: ReadonlySet<Phase> = new Set(['create', 'prove', 'revoke', 'remove', 'withdraw']);

/** How often a person is reminded of what was asked for, also the first time. */
const remindEvery = days(1);
const remindUrgentlyEvery = hours(1);

/** Where a person is to be reminded of a key's record: how long they have been asked, and when the next reminder is due. */
export const reminder = (
  s: Situation,
  key: Key,
  since: Instant,
): { readonly every: Duration; readonly waited: Duration } | undefined => {
  const every = isUrgent(s, key) ? remindUrgentlyEvery : remindEvery;
  const waited = between(since, s.now);
  return waited < every ? undefined : { every, waited };
};

/** A rotation that has not begun so long after its time, or not switched so long after its beginning, is overdue. */
const rotationGrace = days(1);

/** Of a zone that people change: twice what they are given for one record, and the rotation's own time. */
const handGrace = days(7);

const graceOf = (s: Situation): Duration => (s.byHand === true ? handGrace : rotationGrace);

/** When a signing key is older than its policy wants: its slot comes after at most five quarters of a period. */
export const tooOld = (activeSince: Instant, rotateEvery: Duration): Instant =>
  add(activeSince, milliseconds(rotateEvery * 1.5), rotationGrace);

interface Step {
  readonly phase: Phase;
  /** From when on nothing but the step itself is to be done. */
  readonly since: Instant;
}

const publicationStep = (key: Key, policy: Policy): Step => {
  const { evidence: e } = key;
  const turn = turnOf(key);
  if (e.stored === undefined && e.adopted === undefined) return { phase: 'store', since: e.reserved.at };
  if (e.stored !== undefined && e.created === undefined) return { phase: 'create', since: e.stored.at };
  if (turn.proved === undefined) {
    const created = key.turns.length === 1 ? e.created?.at : undefined;
    return { phase: 'prove', since: created ?? turn.begun.at };
  }
  if (turn.offered === undefined) return { phase: 'offer', since: negativeCacheEnds(turn.proved, policy) };
  if (turn.standby === undefined) return { phase: 'hold', since: turn.offered.at };
  return { phase: 'switch', since: turn.standby.at };
};

/** Undefined: nothing has to happen to it, as far as can be told. */
const stepOfKey = (s: Situation, key: Key): Step | undefined => {
  const { evidence: e } = key;
  const turn = dutyTurn(key);
  const pending = pendingRotation(s.row);
  if (e.destroyed !== undefined) return undefined;
  if (e.removalIntended !== undefined)
    return e.removed === undefined
      ? { phase: 'remove', since: e.removalIntended.at }
      : { phase: 'erase', since: e.removed.at };
  if (e.revocationIntended !== undefined)
    return e.revoked === undefined
      ? { phase: 'revoke', since: e.revocationIntended.at }
      : { phase: 'remove', since: holdEnds(key, e.revoked.at, s.policy) };
  if (e.abandoned !== undefined && !mayHaveSigned(key))
    return { phase: 'withdraw', since: storingEnds(e.abandoned.at) };
  if (pending !== undefined && keysOf(s.row, pending).includes(key)) return publicationStep(key, s.policy);
  if (turn.stopped !== undefined) {
    const ends = drainEnds(s.row.domain, key, s.hosts, s.policy);
    const since = e.compromised === undefined ? ends : turn.stopped.at;
    return since === undefined ? undefined : { phase: 'revoke', since };
  }
  if (turn.stopIntended !== undefined) return { phase: 'stop', since: turn.stopIntended.at };
  if (turn.signIntended !== undefined && turn.active === undefined)
    return { phase: 'sign', since: turn.signIntended.at };
  return undefined;
};

const isUrgent = (s: Situation, key: Key): boolean =>
  key.evidence.compromised !== undefined ||
  s.row.rotations.find(({ id }) => id === key.rotation)?.kind === 'emergency';

export interface Late extends Step {
  readonly selector: string;
  readonly deadline: Instant;
}

/** The keys whose next step is past its deadline. */
export const pastDeadline = (s: Situation): readonly Late[] =>
  s.row.keys.flatMap((key) => {
    const step = stepOfKey(s, key);
    if (step === undefined) return [];
    const bound = s.byHand === true && byHand.has(step.phase) ? handBound : bounds[step.phase];
    const urgent = isUrgent(s, key) && step.phase !== 'erase' && bound > emergencyBound;
    const deadline = add(step.since, urgent ? emergencyBound : bound);
    return s.now > deadline ? [{ ...step, selector: key.selector, deadline }] : [];
  });

/** Why the domain's rotation is overdue; undefined: it is not. */
export const overdue = (s: Situation): string | undefined => {
  if (s.leaving) return undefined;
  const pending = pendingRotation(s.row);
  if (pending !== undefined)
    return s.now > add(pending.at, graceOf(s))
      ? `rotation ${pending.id} began ${formatInstant(pending.at)} and has not switched`
      : undefined;
  const due = nextRotation(s);
  return due !== undefined && s.now > add(due, graceOf(s))
    ? `a rotation was due ${formatInstant(due)} and has not begun`
    : undefined;
};

/** The keys that hosts sign with, though the policy wanted them replaced long ago. */
export const olderThanPolicy = (s: Situation): readonly string[] => {
  const { rotateEvery } = s.policy;
  if (rotateEvery === undefined || s.leaving) return [];
  return s.row.keys
    .filter((key) => {
      const { active } = dutyTurn(key);
      return isServing(key) && active !== undefined && s.now > tooOld(active.at, rotateEvery);
    })
    .map(({ selector }) => selector);
};
