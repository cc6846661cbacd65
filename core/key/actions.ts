// A plan is data: what to do now, when to look again, and what stands in the way in words that a person understands.

import type { Algorithm } from '../algorithm.ts';
import type { AdoptedKey, Policy } from '../policy.ts';
import { earliest, formatInstant, type Instant } from '../time.ts';
import type { Fellows } from './cohorts.ts';
import type { DomainRow, HostView, Trouble } from './evidence.ts';

/** All that a plan is made from. */
export interface Situation {
  readonly row: DomainRow;
  readonly policy: Policy;
  /** The operator wants the domain to leave, or it vanished from the fleet. */
  readonly leaving: boolean;
  /** The keys that the fleet file says the domain begins with. */
  readonly adopted?: readonly AdoptedKey[];
  /** The hosts of the domain's pool. */
  readonly hosts: readonly HostView[];
  readonly epoch: number;
  /** How many domains rotate in the same period; absent: it alone. */
  readonly fellows?: Fellows;
  /** The provider's requests are short: none is made that can be saved. */
  readonly sparing?: boolean;
  /** A person changes the zone, and takes their time. */
  readonly byHand?: boolean;
  /** Ledger-side time. */
  readonly now: Instant;
}

export type Shows = 'key' | 'tombstone' | 'absence';
export type Gate = 'standby' | 'active' | 'stopped' | 'erased';

export type Action =
  /** Write a new rotation to the ledger. */
  | { readonly do: 'start'; readonly kind: 'first' | 'scheduled' }
  /** Prove the records of the adopted keys, take them over, and tell hosts to sign with them. */
  | { readonly do: 'adopt' }
  /** Choose a selector, see that its exact RRset is absent, reserve it. */
  | { readonly do: 'reserve'; readonly rotation: string; readonly algorithm: Algorithm }
  /** Generate, store, read back, compare. */
  | { readonly do: 'store'; readonly selector: string }
  /** Save the intent, CREATE the record. */
  | { readonly do: 'publish'; readonly selector: string }
  /** Replace the record by its tombstone. */
  | { readonly do: 'entomb'; readonly selector: string }
  /** DELETE the record or the tombstone. */
  | { readonly do: 'delete'; readonly selector: string }
  /** Ask the provider whether an accepted change is in sync. */
  | { readonly do: 'ask'; readonly selector: string; readonly change: 'created' | 'tombstoned' | 'deleted' }
  /** Look at every name server. */
  | { readonly do: 'prove'; readonly selector: string; readonly shows: Shows }
  /** Tell hosts to hold a key set. */
  | { readonly do: 'offer'; readonly rotation: string }
  /** Save the intent to sign and to stop, and tell hosts: one transaction. */
  | { readonly do: 'switch'; readonly rotation?: string; readonly stop: readonly string[] }
  /** Latch a gate that the hosts have passed. */
  | { readonly do: 'latch'; readonly selector: string; readonly gate: Gate }
  /** Save the intent to revoke: ends rollback. */
  | { readonly do: 'revoke'; readonly selector: string }
  /** Save the intent to remove the record. */
  | { readonly do: 'remove'; readonly selector: string }
  /** Tell hosts to erase their copies. */
  | { readonly do: 'erase'; readonly selector: string }
  /** Publish the private half, for the policy says so and nothing verifies with it any more. */
  | { readonly do: 'disclose'; readonly selector: string }
  /** Schedule the secret for deletion. */
  | { readonly do: 'destroy'; readonly selector: string }
  | { readonly do: 'abort'; readonly rotation: string; readonly reason: string }
  /** Wake the hosts' units. */
  | { readonly do: 'tell'; readonly hosts: readonly string[] }
  | { readonly do: 'fence'; readonly hosts: readonly string[]; readonly reason: string };

export interface Blocked {
  readonly by: 'wait' | 'hosts' | 'no-ready-host' | 'self-test' | 'dns' | 'person' | 'trouble';
  readonly selector?: string;
  readonly says: string;
  /** When it ends by itself, where that is known. */
  readonly until?: Instant;
}

export interface Plan {
  readonly actions: readonly Action[];
  /** When to plan again if nothing happens before; absent: never. */
  readonly wakeAt?: Instant;
  readonly blockedBy: readonly Blocked[];
}

export const nothing: Plan = { actions: [], blockedBy: [] };

export const act = (...actions: readonly Action[]): Plan => ({ actions, blockedBy: [] });

export const wait = (wakeAt: Instant, blocked: Blocked, ...actions: readonly Action[]): Plan => ({
  actions,
  wakeAt,
  blockedBy: [blocked],
});

export const together = (plans: readonly Plan[]): Plan => {
  const wakeAt = earliest(...plans.map((plan) => plan.wakeAt));
  return {
    actions: plans.flatMap((plan) => plan.actions),
    blockedBy: plans.flatMap((plan) => plan.blockedBy),
    ...(wakeAt === undefined ? {} : { wakeAt }),
  };
};

/**
 * What a step that failed lately waits for.
 * @param proves it looks at name servers: a proof that is not there yet is no failure, since they take their time
 */
export const blockedByTrouble = (
  { step, message, times, since }: Trouble,
  proves: boolean,
): Pick<Blocked, 'by' | 'says'> => {
  const so = (what: string): string => `(${times} ${what} since ${formatInstant(since)})`;
  return proves
    ? { by: 'dns', says: `${message} ${so(times === 1 ? 'look' : 'looks')}` }
    : { by: 'trouble', says: `${step}: ${message} ${so('tries')}` };
};

/** The name of a step, for its troubles. */
export const stepOf = (action: Action): string => {
  switch (action.do) {
    case 'start':
    case 'adopt':
    case 'switch':
      return action.do;
    case 'reserve':
      return `reserve ${action.algorithm}`;
    case 'offer':
    case 'abort':
      return `${action.do} ${action.rotation}`;
    case 'tell':
    case 'fence':
      return `${action.do} ${action.hosts.join(' ')}`;
    case 'ask':
      return `ask ${action.change} ${action.selector}`;
    case 'prove':
      return `prove ${action.shows} ${action.selector}`;
    case 'latch':
      return `latch ${action.gate} ${action.selector}`;
    default:
      return `${action.do} ${action.selector}`;
  }
};
