// One key's next step, from what is known of it. What a whole key set does together (offer, switch) is in plan.ts.

import { keyRecordName } from '../names.ts';
import { formatInstant, type Instant } from '../time.ts';
import { act, nothing, type Plan, type Shows, type Situation, wait } from './actions.ts';
import type { Accepted, At, Key } from './evidence.ts';
import { gate, hostsBehind, hostsInDoubt } from './gate.ts';
import { handWish } from './hand-wish.ts';
import { dutyTurn, mayBeHeld, mayHaveSigned, turnOf } from './state.ts';
import {
  drainEnds,
  firstAsk,
  holdEnds,
  hostsDrainEnds,
  nextLook,
  nextSparing,
  nextTelling,
  nextVisit,
  storingEnds,
} from './waits.ts';

/** Until every name server shows it. */
const untilShown = (s: Situation, { selector }: Key, since: Instant, shows: Shows): Plan => {
  const name = keyRecordName(selector, s.row.domain);
  const what = { key: 'the key', tombstone: 'the tombstone', absence: 'nothing' }[shows];
  return wait(
    nextLook(since, s.now),
    { by: 'dns', selector, says: `waiting for every name server to show ${what} at ${name}` },
    { do: 'prove', selector, shows },
  );
};

/** An accepted change, until it is in sync and seen on every name server. */
const untilSeen = (
  s: Situation,
  key: Key,
  change: 'created' | 'tombstoned' | 'deleted',
  accepted: Accepted,
  inSync: Instant | undefined,
  shows: Shows,
): Plan => {
  const { selector } = key;
  const name = keyRecordName(selector, s.row.domain);
  if (inSync === undefined && s.byHand === true)
    return wait(
      nextVisit(accepted.at, s.now),
      { by: 'person', selector, says: `waiting for somebody to ${handWish(s.row, key, change)}` },
      { do: 'ask', selector, change },
    );
  if (inSync === undefined) {
    const says = `waiting for the provider to have ${name} on all its servers`;
    const first = s.sparing === true ? firstAsk(accepted.at) : s.now;
    if (s.now < first) return wait(first, { by: 'dns', selector, says });
    return wait(nextLook(accepted.at, s.now), { by: 'dns', selector, says }, { do: 'ask', selector, change });
  }
  return untilShown(s, key, inSync, shows);
};

/** Where requests are short, successors are published before retired keys go; not so where mail is forged meanwhile. */
const afterPublications = (
  s: Situation,
  { selector, evidence }: Key,
  intended: At | undefined,
): Plan | undefined =>
  s.sparing !== true || evidence.unsigned !== undefined || intended === undefined
    ? undefined
    : wait(nextSparing(intended.at, s.now), {
        by: 'wait',
        selector,
        says: `the provider's requests are short, and new keys are published first: the record of ${selector} waits`,
      });

/** Of a key that never signed there is nothing to deny, and an adopted one is not ours to publish: the vault does not have it. */
const isToBeDisclosed = (s: Situation, key: Key): boolean =>
  s.policy.disclose === 'after-removal' &&
  key.evidence.stored !== undefined &&
  key.evidence.disclosed === undefined &&
  mayHaveSigned(key);

/** Removal: DELETE, seen to be absent, copies erased, published where the policy says so, secret destroyed. */
const planRemoval = (s: Situation, key: Key): Plan => {
  const { evidence: e, selector } = key;
  if (e.removed === undefined) {
    if (e.deleted === undefined)
      return afterPublications(s, key, e.removalIntended) ?? act({ do: 'delete', selector });
    return untilSeen(s, key, 'deleted', e.deleted, e.deletionInSync?.at, 'absence');
  }
  if (e.erased === undefined && mayBeHeld(key)) {
    if (e.eraseTold === undefined) return act({ do: 'erase', selector });
    return gate(s, {
      selector,
      place: e.eraseTold.place,
      told: e.eraseTold.at,
      what: `erase ${selector}`,
      passed: { do: 'latch', selector, gate: 'erased' },
      usable: false,
      emergency: false,
      // A newcomer whose first answer was lost has copies too, and the secret outlives them: invariant 5.
      holders: true,
    });
  }
  return act({ do: isToBeDisclosed(s, key) ? 'disclose' : 'destroy', selector });
};

const planRevocation = (s: Situation, key: Key): Plan => {
  const { evidence: e, selector } = key;
  if (e.tombstoned === undefined)
    return afterPublications(s, key, e.revocationIntended) ?? act({ do: 'entomb', selector });
  if (e.revoked === undefined)
    return untilSeen(s, key, 'tombstoned', e.tombstoned, e.tombstoneInSync?.at, 'tombstone');
  const until = holdEnds(key, e.revoked.at, s.policy);
  if (s.now < until)
    return wait(until, {
      by: 'wait',
      selector,
      until,
      says: `the tombstone of ${selector} stays until ${formatInstant(until)}`,
    });
  return act({ do: 'remove', selector });
};

/** Why a drain lasts longer than hosts know of; empty where it does not. */
const stillSeen = (s: Situation, key: Key, ends: Instant): string => {
  const { reported } = dutyTurn(key);
  const known = hostsDrainEnds(s.row.domain, key, s.hosts, s.policy);
  return reported === undefined || known === undefined || ends <= known
    ? ''
    : `, and not only until ${formatInstant(known)}: ${reported.by} reports that it still received some, up to ${formatInstant(reported.until)}`;
};

/** A key that stopped signing, until it may be revoked. */
const planDrain = (s: Situation, key: Key): Plan => {
  const { selector } = key;
  const turn = dutyTurn(key);
  const ends = drainEnds(s.row.domain, key, s.hosts, s.policy);
  if (ends === undefined) return nothing;
  if (key.evidence.compromised === undefined && s.now < ends)
    return wait(ends, {
      by: 'wait',
      selector,
      until: ends,
      says: `mail signed with ${selector} drains until ${formatInstant(ends)}${stillSeen(s, key, ends)}`,
    });
  // A host that was restored from an old backup may have gone back behind a gate that was passed: invariant 6.
  const behind =
    turn.stopIntended === undefined ? [] : [...hostsBehind(s, turn.stopIntended.place), ...hostsInDoubt(s)];
  if (behind.length > 0)
    return wait(
      nextTelling(s.now),
      {
        by: 'hosts',
        selector,
        says: `${behind.map((host) => host.name).join(', ')} may sign with ${selector} again: not revoked before they caught up`,
      },
      { do: 'tell', hosts: behind.map((host) => host.name) },
    );
  return act({ do: 'revoke', selector });
};

/** A key that is to be given up before it ever signed. */
const planWithdrawal = (s: Situation, key: Key): Plan => {
  const { evidence: e, selector } = key;
  if (e.publishIntended !== undefined) return act({ do: 'remove', selector });
  const until = e.stored === undefined && e.abandoned !== undefined ? storingEnds(e.abandoned.at) : s.now;
  if (s.now < until)
    return wait(until, {
      by: 'wait',
      selector,
      until,
      says: `the key of ${selector} may still be on its way to the vault until ${formatInstant(until)}`,
    });
  return act({ do: 'destroy', selector });
};

/** Selkie has no copy of an adopted key that it could send. */
export const adoptedMend =
  '; an adopted key is never sent: adopt it on that host (selkie-agent adopt), exclude the host, or rotate';

/** Up to the proof that the world sees it. */
export const planPublication = (s: Situation, key: Key): Plan => {
  const { evidence: e, selector } = key;
  const { begun, proved } = turnOf(key);
  // Called back: its record was there all the time, by no change of ours.
  if (e.adopted !== undefined) return proved === undefined ? untilShown(s, key, begun.at, 'key') : nothing;
  if (e.stored === undefined) return act({ do: 'store', selector });
  if (e.created === undefined) return act({ do: 'publish', selector });
  return proved === undefined ? untilSeen(s, key, 'created', e.created, e.inSync?.at, 'key') : nothing;
};

/** Everything but publication for the pending rotation. */
export const planKey = (s: Situation, key: Key, emergency: boolean): Plan => {
  const { evidence: e, selector } = key;
  const turn = dutyTurn(key);
  if (e.destroyed !== undefined) return nothing;
  if (e.removalIntended !== undefined) return planRemoval(s, key);
  if (e.revocationIntended !== undefined) return planRevocation(s, key);
  if (e.abandoned !== undefined && !mayHaveSigned(key)) return planWithdrawal(s, key);
  if (turn.stopped !== undefined) return planDrain(s, key);
  if (turn.stopIntended !== undefined) {
    // Whether hosts confirm or not.
    if (e.unsigned !== undefined) return act({ do: 'revoke', selector });
    return gate(s, {
      selector,
      place: turn.stopIntended.place,
      told: turn.stopIntended.at,
      what: `stop signing with ${selector}`,
      passed: { do: 'latch', selector, gate: 'stopped' },
      usable: false,
      // Declared when it was retired already, it has no emergency rotation of its own.
      emergency: emergency || e.compromised !== undefined,
    });
  }
  if (turn.signIntended !== undefined && turn.active === undefined)
    return gate(s, {
      selector,
      place: turn.signIntended.place,
      told: turn.signIntended.at,
      what: `sign with ${selector}`,
      passed: { do: 'latch', selector, gate: 'active' },
      usable: true,
      ...(e.adopted === undefined ? {} : { mend: adoptedMend }),
      emergency,
    });
  return nothing;
};
