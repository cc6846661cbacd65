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

/**
 * Until when mail signed with a retired key may still be verified: it lay in a queue for as long as queues hold mail, then a
 * verifier may use a record cached for its TTL. Undefined while some host may still sign.
 */
export const drainEnds = (
  domain: string,
  key: Key,
  hosts: readonly HostView[],
  policy: Policy,
): Instant | undefined => {
  const { stopped } = dutyTurn(key);
  if (stopped === undefined) return undefined;
  // Of each turn: a rollback ends one, and its mail is still on the way.
  const remembered = key.turns.flatMap((turn) => turn.stopped?.queues ?? []);
  const name = hostKeyName(domain, key.selector);
  const uses = hosts.flatMap((host) => host.lastUse.get(name) ?? []);
  return add(
    latest(stopped.at, ...uses),
    longest(policy.downstreamQueue, ...remembered, ...queueLifetimes(hosts)),
    longest(policy.ttl, key.evidence.publishIntended?.ttl ?? policy.ttl),
    policy.drainMargin,
    policy.skewBound,
  );
};

/** Until when a tombstone stays: caches of the old record are gone by its TTL. */
export const holdEnds = (key: Key, revoked: Instant, policy: Policy): Instant =>
  add(revoked, longest(policy.hold, key.evidence.publishIntended?.ttl ?? policy.ttl), policy.skewBound);

/** Until when a worker that had begun to store a key, before it was given up, may still do so: longer than any call takes. */
export const storingEnds = (abandoned: Instant): Instant => add(abandoned, minutes(15));

/** When a ready host that is silent in an emergency is fenced. */
export const fenceDue = (told: Instant, policy: Policy): Instant => add(told, policy.fenceAfter);

/** FNV-1a, 32 bits, as a fraction of one: spreads names evenly and the same everywhere. */
const fraction = (text: string): number => {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
};

/** Cohorts that a zone's domains fall into, so that those of one cohort rotate at one time and share requests. */
const cohorts = 64;

/**
 * When a domain's next scheduled rotation starts. Each cohort of a zone has its slot in the period, by a stable hash; the first
 * slot at least a quarter of a period after activation is taken. So a fleet that was set up in one day spreads out in
 * its first period (a quarter to five quarters of it) and then rotates once in each.
 */
export const rotationDue = (domain: string, activeSince: Instant, rotateEvery: Duration): Instant => {
  const offset = (Math.floor(fraction(domain) * cohorts) / cohorts) * rotateEvery;
  const soonest = activeSince + rotateEvery / 4;
  return instant(Math.ceil((soonest - offset) / rotateEvery) * rotateEvery + offset);
};

/** Adopted keys are of unknown age: their zone's cohorts follow each other within so long. */
const adoptedPeriod = days(7);

/** When adopted keys are first rotated: their domain's slot in a week, however long keys live later. */
export const adoptedDue = (domain: string, adopted: Instant, rotateEvery: Duration): Instant =>
  rotationDue(domain, adopted, rotateEvery < adoptedPeriod ? rotateEvery : adoptedPeriod);

/** When to look again at something that others bring about: soon at first, then ever more seldom, at most each minute. */
export const nextLook = (since: Instant, now: Instant): Instant =>
  add(now, clamp(milliseconds(between(since, now) / 2), seconds(1), minutes(1)));

/** When to try a failed step again: 2 s doubling to 5 min. */
export const nextTry = (trouble: Trouble): Instant =>
  add(trouble.last, clamp(seconds(2 ** Math.min(trouble.times, 10)), seconds(2), minutes(5)));

/** When a failure that was not repeated is no longer worth telling. */
export const troubleFades = (trouble: Trouble): Instant => add(trouble.last, hours(24));

/** When to ask again for an adopted key that a host lacks: its administrator alone can bring it, and the host then speaks up. */
export const nextReminder = (now: Instant): Instant => add(now, hours(1));

/** When to tell a silent host again. */
export const nextTelling = (now: Instant): Instant => add(now, minutes(1));
