// What harm from outside no rotator can prevent: fault × invariant × the longest interval. The checker forgives exactly
// this, and docs/reliability.md shows exactly this table (test/docs/reliability.test.ts compares them).

import { type Duration, hours, minutes } from '../../core/time.ts';

export type Invariant = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

export interface Forgiven {
  readonly fault: string;
  readonly invariants: readonly Invariant[];
  /** Of what, and from when to when, in words. */
  readonly what: string;
  readonly longest: string;
}

/** How long a host that is astray may stay so while nothing else is at fault. */
export const astrayPulling: Duration = minutes(10);
export const astrayPushed: Duration = hours(3);

export const forgiven = {
  compromised: {
    fault: 'a key is declared compromised',
    invariants: [1],
    what: 'mail signed with it',
    longest: 'from the declaration on',
  },
  unsigned: {
    fault: 'an emergency for which the operator chose unsigned over forged',
    invariants: [3, 6],
    what: 'mail of that domain, and hosts that have not yet heard',
    longest: 'until the successor signs',
  },
  deniedEarly: {
    fault: 'an emergency successor whose predictable name somebody had asked for',
    invariants: [1],
    what: 'verifiers behind a cache that denies the name, or holds a wildcard’s answer for it',
    longest: 'the negative TTL, or the wildcard’s TTL, from its publication',
  },
  edited: {
    fault: 'a key record edited or deleted by hand',
    invariants: [1, 2],
    what: 'mail signed with that key',
    longest: 'until the hand restores it, the name servers show it, and caches have dropped the other',
  },
  putBack: {
    fault: 'a key record put back by hand after every name server showed it gone',
    invariants: [5, 9],
    what: 'that record: its key may be destroyed, or published, and nothing signs with it; also where a hand has changed it while a ledger was restored whose backup does not know the key',
    longest: 'until somebody deletes it, as each audit asks',
  },
  astray: {
    fault: 'a host restored from an old backup',
    invariants: [1, 2, 3, 5, 6],
    what: 'mail of that host',
    longest:
      'until it reaches the control plane and has caught up: 10 minutes where it pulls, 3 hours where it is only pushed to',
  },
  wiped: {
    fault: 'a host whose key store was wiped',
    invariants: [3],
    what: 'mail of that host goes unsigned',
    longest: 'as for a host restored from a backup',
  },
  outside: {
    fault: 'a host that was excluded, fenced in an emergency, or taken out of the fleet while it signs',
    invariants: [1, 2, 3, 5, 6],
    what: 'mail of that host, from that moment on',
    longest: 'until it holds a full snapshot again',
  },
} as const satisfies Readonly<Record<string, Forgiven>>;
