// What is counted for those who watch: late rotations and steps, keys that are too old, silent hosts. A row is judged when
// something looks at it anyway: one that is late is due, so the sweep sees it, and one that is not due costs nothing.

import { type Late, olderThanPolicy, overdue, pastDeadline } from '../core/key/deadlines.ts';
import { add, days, formatInstant, type Instant, instant, minutes } from '../core/time.ts';
import { lateRecords } from './policies/work.ts';
import type { HostRow } from './ports.ts';
import type { Work } from './work.ts';
import { newHostRow, type Session, type World } from './world.ts';

/** A host that pulls does so each minute. */
const pullSilence = minutes(15);
/** One that does not is asked each hour. */
const pushSilence = minutes(75);
/** A host of the fleet file that was never heard of. */
const enrolmentGrace = days(1);
/** Rows whose turn came so long ago, and that nobody looked at. */
const dueGrace = days(1);
/** Enough to complain. */
const mostCounted = 100;

const lateText = (domain: string, { selector, phase, deadline }: Late): string =>
  `${domain}: ${selector} was to ${phase} by ${formatInstant(deadline)}`;

/** Counts what is wrong with these domains; what is right is counted by the tick, as none. */
export const countDomains = ({ reporter }: World, works: readonly Work[]): void => {
  if (reporter.count === undefined) return;
  const situations = works.map((work) => work.situation());
  const late = [
    ...situations.flatMap((s) => pastDeadline(s).map((each) => lateText(s.row.domain, each))),
    ...works.flatMap((work) => lateRecords(work).map((says) => `${work.row.domain}: ${says}`)),
  ];
  const waiting = situations.flatMap((s) => {
    const why = overdue(s);
    return why === undefined ? [] : [`${s.row.domain}: ${why}`];
  });
  const old = situations.flatMap((s) => olderThanPolicy(s).map((selector) => `${s.row.domain}: ${selector}`));
  if (waiting.length > 0) reporter.count('RotationsOverdue', waiting.length, waiting);
  if (late.length > 0) reporter.count('PhasesPastDeadline', late.length, late);
  if (old.length > 0) reporter.count('KeysOlderThanPolicy', old.length, old);
};

/**
 * Why a host of the fleet is silent; undefined: it is not, or an operator set it aside.
 * @param since the fleet file says at the latest since then that the host is there
 */
export const silence = (row: HostRow, now: Instant, since: Instant): string | undefined => {
  if (row.excluded !== undefined) return undefined;
  const heard = Math.max(row.lastSeen ?? 0, row.lastPull ?? 0);
  if (heard === 0)
    return now > add(since, enrolmentGrace) ? `${row.name} was never heard of: enrol it` : undefined;
  const patience = row.lastPull === undefined ? pushSilence : pullSilence;
  return now > add(instant(heard), patience)
    ? `${row.name} was last heard of ${formatInstant(instant(heard))}`
    : undefined;
};

/** Why hosts of the fleet are silent, a sentence each: reads each host's row. */
export const silentHosts = async ({ fleet, ledger }: World, now: Instant): Promise<readonly string[]> => {
  const rows = await Promise.all(
    [...fleet.hosts.values()].map(
      async ({ name, pool }) => (await ledger.host(name)) ?? newHostRow(name, pool),
    ),
  );
  return rows.flatMap((row) => silence(row, now, instant(fleet.version)) ?? []);
};

/** Domains that nobody looked at in their turn: reads one page of the due index. */
export const forgottenDomains = async ({ ledger }: World, now: Instant): Promise<readonly string[]> =>
  (await ledger.due(instant(now - dueGrace), mostCounted)).map(
    ({ domain }) => `${domain}: nobody has looked at it for a day`,
  );

/** What is late of a domain, a sentence each. */
export const lateWork = (work: Work): readonly string[] => {
  const s = work.situation();
  const waiting = overdue(s);
  return [
    ...(waiting === undefined ? [] : [waiting]),
    ...pastDeadline(s).map(
      ({ selector, phase, deadline }) => `${selector} was to ${phase} by ${formatInstant(deadline)}`,
    ),
    ...olderThanPolicy(s).map((selector) => `${selector} is older than its policy wants`),
    ...lateRecords(work),
  ];
};

/** Counts silent hosts, and domains that nobody looked at in their turn. */
export const countFleet = async (world: World, session: Session): Promise<void> => {
  const { reporter } = world;
  if (reporter.count === undefined) return;
  const now = session.now();
  const silent = await silentHosts(world, now);
  const forgotten = await forgottenDomains(world, now);
  reporter.count('HostsSilent', silent.length, silent);
  reporter.count('RotationsOverdue', forgotten.length, forgotten);
  // None, unless something says otherwise: an alarm without data would not end.
  reporter.count('PhasesPastDeadline', 0);
  reporter.count('KeysOlderThanPolicy', 0);
  reporter.count('CallsThrottled', 0);
};
