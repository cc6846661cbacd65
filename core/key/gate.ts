// Gates that the hosts of a pool pass together: every ready host's cursor is at or beyond a place of the pool's log,
// and none of them says that the key fails.

import { formatInstant, type Instant } from '../time.ts';
import { type Action, act, type Plan, type Situation, wait } from './actions.ts';
import { type HostView, hostKeyName, type Place } from './evidence.ts';
import { fenceDue, nextReminder, nextTelling } from './waits.ts';

const readyHosts = (s: Situation): readonly HostView[] => s.hosts.filter((host) => host.ready);

/** A full snapshot of a newer epoch holds whatever older epochs said, so only the present epoch's cursor counts. */
export const hasApplied = (host: HostView, place: Place, epoch: number): boolean =>
  host.epoch === epoch && host.cursor >= place.n;

const behindOf = (s: Situation, place: Place, hosts: readonly HostView[]): readonly HostView[] =>
  hosts.filter((host) => !host.ready || !hasApplied(host, place, s.epoch));

/** Ready hosts that have not applied the pool's log up to `place`. */
export const hostsBehind = (s: Situation, place: Place): readonly HostView[] =>
  behindOf(s, place, readyHosts(s));

const names = (hosts: readonly HostView[]): string => hosts.map((host) => host.name).join(', ');

/**
 * Hosts that once answered and have another key store since, such as one from a backup: until they hold a snapshot again, they
 * may sign with what that store had.
 */
export const hostsInDoubt = (s: Situation): readonly HostView[] =>
  s.hosts.filter(({ unheard, lastSeen }) => unheard === true && lastSeen !== undefined);

export interface GateOptions {
  readonly selector: string;
  readonly place: Place;
  readonly told: Instant;
  /** What the hosts are to do, for the sentence: "hold 240128". */
  readonly what: string;
  readonly passed: Action;
  /** Whether a host that cannot use the key stops the gate. */
  readonly usable: boolean;
  /** Where only a person can help a host that cannot use it: how, for the sentence. */
  readonly mend?: string;
  /** Fence silent hosts instead of waiting for them. */
  readonly emergency: boolean;
  /** Hosts that were sent keys and have not answered are waited for too: they may have copies. */
  readonly holders?: true;
}

/** What a ready host that cannot use the key stands in the way of; undefined: every one can. */
export const unusable = (
  s: Situation,
  { selector, mend }: Pick<GateOptions, 'selector' | 'mend'>,
): Plan | undefined => {
  const whyOf = (host: HostView): string | undefined => host.failed.get(hostKeyName(s.row.domain, selector));
  const failing = readyHosts(s).filter((host) => whyOf(host) !== undefined);
  const [first] = failing;
  if (first === undefined) return undefined;
  return wait(
    mend === undefined ? nextTelling(s.now) : nextReminder(s.now),
    {
      by: 'self-test',
      selector,
      says: `${names(failing)} cannot use ${selector}: ${whyOf(first)}${mend ?? ''}`,
    },
    { do: 'tell', hosts: failing.map((host) => host.name) },
  );
};

export const gate = (s: Situation, options: GateOptions): Plan => {
  const ready = readyHosts(s);
  const { selector, place } = options;
  const again = nextTelling(s.now);
  if (ready.length === 0)
    return wait(
      again,
      {
        by: 'no-ready-host',
        selector,
        says: `pool ${s.row.pool} has no ready host to ${options.what}: enrol one, or return one that is excluded`,
      },
      { do: 'tell', hosts: s.hosts.filter((host) => !host.excluded).map((host) => host.name) },
    );

  const counted = options.holders === true ? s.hosts.filter((host) => host.ready || host.unheard) : ready;
  const behind = behindOf(s, place, counted);
  if (behind.length > 0) {
    const fence = fenceDue(options.told, s.policy);
    const tell: Action = { do: 'tell', hosts: behind.map((host) => host.name) };
    if (options.emergency && s.now >= fence && behind.length < ready.length)
      return act({
        do: 'fence',
        hosts: behind.map((host) => host.name),
        reason: `silent in the emergency of ${s.row.domain} since ${formatInstant(options.told)}`,
      });
    return wait(
      again,
      {
        by: 'hosts',
        selector,
        says: `waiting for ${names(behind)} to ${options.what} (${counted.length - behind.length} of ${counted.length} hosts have)`,
      },
      tell,
    );
  }

  return (options.usable ? unusable(s, options) : undefined) ?? act(options.passed);
};
