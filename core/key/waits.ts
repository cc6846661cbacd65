// Every wait of a key's life is one named function of evidence and policy. No other file adds a length to a time.

import type { Policy } from '../policy.ts';
import {
  add,
  between,
  clamp,
  type Duration,
  days,
  hours,
  type Instant,
  instant,
  latest,
  longest,
  milliseconds,
  minutes,
  seconds,
} from '../time.ts';
import { phaseOf, type Slot } from './cohorts.ts';
import { type HostView, hostKeyName, type Key, type Trouble, type Turn } from './evidence.ts';
import { dutyTurn } from './state.ts';

/**
 * Until when some cache may deny the record because somebody asked for it before it existed: RFC 2308 §5.
 * Nothing to wait for where servers allow no negative caching.
 */
export const negativeCacheEnds = (proved: NonNullable<Turn['proved']>, policy: Policy): Instant =>
  proved.negativeTtl === 0 ? proved.at : add(proved.at, proved.negativeTtl, policy.skewBound);

const queueLifetimes = (hosts: readonly HostView[]): readonly Duration[] =>
  hosts.flatMap((host) => host.queueLifetime ?? []);

/** What is to be remembered of the hosts that stop signing with a key: {} where none says how long its queues hold mail. */
export const queuesOf = (hosts: readonly HostView[]): { readonly queues?: Duration } => {
  const [first, ...rest] = queueLifetimes(hosts);
  return first === undefined ? {} : { queues: longest(first, ...rest) };
};

/** When hosts last signed with it, those that say so after they stopped. */
const usesOf = (domain: string, key: Key, hosts: readonly HostView[]): readonly Instant[] => {
  const name = hostKeyName(domain, key.selector);
  return hosts.flatMap((host) => host.lastUse.get(name) ?? []);
};

/**
 * Until when mail signed with a retired key may still be verified, as far as hosts know: it lay in a queue for as long as queues
 * hold mail, then a verifier may use a record cached for its TTL. Undefined while some host may still sign.
 */
export const hostsDrainEnds = (
  domain: string,
  key: Key,
  hosts: readonly HostView[],
  policy: Policy,
): Instant | undefined => {
  const { stopped } = dutyTurn(key);
  if (stopped === undefined) return undefined;
  // Of each turn: a rollback ends one, and its mail is still on the way.
  const remembered = key.turns.flatMap((turn) => turn.stopped?.queues ?? []);
  const uses = usesOf(domain, key, hosts);
  return add(
    latest(stopped.at, ...uses),
    longest(policy.downstreamQueue, ...remembered, ...queueLifetimes(hosts)),
    longest(policy.ttl, key.evidence.publishIntended?.ttl ?? policy.ttl),
    policy.drainMargin,
    policy.skewBound,
  );
};

/**
 * The same, as far as receivers know too: mail that one still met may have been signed as late as that. Who wrote a report is not
 * proved, so it moves the end by no more than `reportedDrain`, and never forward.
 */
export const drainEnds = (
  domain: string,
  key: Key,
  hosts: readonly HostView[],
  policy: Policy,
): Instant | undefined => {
  const known = hostsDrainEnds(domain, key, hosts, policy);
  const { stopped, reported } = dutyTurn(key);
  if (known === undefined || stopped === undefined || reported === undefined) return known;
  const signed = latest(stopped.at, ...usesOf(domain, key, hosts));
  return add(known, clamp(between(signed, reported.until), milliseconds(0), policy.reportedDrain));
};

/** Until when a tombstone stays: caches of the old record are gone by its TTL. */
export const holdEnds = (key: Key, revoked: Instant, policy: Policy): Instant =>
  add(revoked, longest(policy.hold, key.evidence.publishIntended?.ttl ?? policy.ttl), policy.skewBound);

/** Until when a worker that had begun to store a key, before it was given up, may still do so: longer than any call takes. */
export const storingEnds = (abandoned: Instant): Instant => add(abandoned, minutes(15));

/** When a ready host that is silent in an emergency is fenced. */
export const fenceDue = (told: Instant, policy: Policy): Instant => add(told, policy.fenceAfter);

/**
 * When a domain's next scheduled rotation starts: at its cohort's slot (cohorts.ts), the first at least a quarter of a period
 * after activation. So a fleet that was set up in one day spreads out in its first period (a quarter to five quarters of it) and
 * then rotates once in each.
 *
 * A domain has a place in the period that never changes; its slot is that place, rounded down to where a cohort begins. A
 * zone, or a fleet of small ones, that grows or shrinks gets other cohorts, and moves no domain by more than the length of one.
 */
export const rotationDue = (slot: Slot, activeSince: Instant, rotateEvery: Duration): Instant => {
  // Whole seconds: cohorts' beginnings are written the same however they are computed.
  const offset = Math.floor((phaseOf(slot) * rotateEvery) / seconds(1)) * seconds(1);
  const soonest = activeSince + rotateEvery / 4;
  return instant(Math.ceil((soonest - offset) / rotateEvery) * rotateEvery + offset);
};

/** Adopted keys are of unknown age: their cohorts follow each other within so long. */
const adoptedPeriod = days(7);

/** When adopted keys are first rotated: their domain's slot in a week, however long keys live later. */
export const adoptedDue = (slot: Slot, adopted: Instant, rotateEvery: Duration): Instant =>
  rotationDue(slot, adopted, rotateEvery < adoptedPeriod ? rotateEvery : adoptedPeriod);

/** A wait that ends so long from now is a drain, a hold, or that for the next rotation: none of them in a hurry. */
const longWait = days(1);

/**
 * When to look at what ends at `until`. Domains of a cohort stop signing, and are revoked, within some minutes of each other: after
 * a long wait each is looked at when the next quarter of an hour begins, so that their record changes share a request.
 */
export const inCompany = (until: Instant, now: Instant): Instant =>
  between(now, until) < longWait ? until : instant(Math.ceil(until / minutes(15)) * minutes(15));

/** Where requests are short, when to ask first whether the provider has a change on all its servers: once it likely has. */
export const firstAsk = (accepted: Instant): Instant => add(accepted, seconds(60));

/**
 * Where requests are short, when to look again whether there are some for a record that is to go: publications have them first.
 * After as long as was waited so far, at least a quarter of an hour, at most two hours.
 */
export const nextSparing = (since: Instant, now: Instant): Instant =>
  add(now, clamp(between(since, now), minutes(15), hours(2)));

/** When to look again at something that others bring about: soon at first, then ever more seldom, at most each minute. */
export const nextLook = (since: Instant, now: Instant): Instant =>
  add(now, clamp(milliseconds(between(since, now) / 2), seconds(1), minutes(1)));

/** When to look again at something that a person brings about: as `nextLook`, and at most each five minutes. */
export const nextVisit = (since: Instant, now: Instant): Instant =>
  add(now, clamp(milliseconds(between(since, now) / 2), seconds(5), minutes(5)));

/** When to try a failed step again: 2 s doubling to 5 min. */
export const nextTry = (trouble: Trouble): Instant =>
  add(trouble.last, clamp(seconds(2 ** Math.min(trouble.times, 10)), seconds(2), minutes(5)));

/** When a failure that was not repeated is no longer worth telling. */
export const troubleFades = (trouble: Trouble): Instant => add(trouble.last, hours(24));

/** When to ask again for an adopted key that a host lacks: its administrator alone can bring it, and the host then speaks up. */
export const nextReminder = (now: Instant): Instant => add(now, hours(1));

/** When to tell a silent host again. */
export const nextTelling = (now: Instant): Instant => add(now, minutes(1));
