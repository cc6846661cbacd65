// What the commands print for people: lines that fit 80 columns where the names do.
import type { AuditEvent } from '../core/audit.ts';
import { auditChanges } from '../core/audit-changes.ts';
import { hostStanding, hostTroubles, type ShownHost } from '../core/host-standing.ts';
import type { driftStatus } from '../engine/drift.ts';
import type { DomainStatus } from '../engine/status.ts';
import { paint } from './colour.ts';
import { joined, type Say, table } from './out.ts';

type PolicyRecordStatus = NonNullable<DomainStatus['records']>[number];

export const minute = (iso: string | undefined): string =>
  iso === undefined ? '' : `${iso.slice(0, 10)} ${iso.slice(11, 16)}Z`;

/** `  spf          published  since 2026-11-30 20:11Z, 3 of 10 lookups` */
const policyLine = ({ kind, state, record, proved, lookups, value }: PolicyRecordStatus): string => {
  const about = [
    ...(state === 'published' && proved !== undefined ? [`since ${minute(proved)}`] : []),
    ...(lookups === undefined ? [] : [`${lookups} of 10 lookups`]),
    ...(kind === 'dmarc' && value !== undefined ? [/p=\w+/.exec(value)?.[0] ?? ''] : []),
    ...(kind === 'report' ? [`to ${record.split('._report._dmarc.')[1] ?? record}`] : []),
  ];
  return joined([`  ${kind.padEnd(12)} ${state.padEnd(9)}`, about.join(', ')], 6).trimEnd();
};

const keyRow = (key: DomainStatus['keys'][number]): readonly string[] => {
  const since =
    key.active === undefined
      ? ''
      : `${key.state === 'active' ? 'signs' : 'signed'} since ${minute(key.active)}`;
  return [
    key.selector,
    key.algorithm,
    key.state === 'active' ? paint('good', key.state) : key.state,
    since,
    ...(key.compromised === undefined ? [] : [paint('bad', 'COMPROMISED')]),
  ];
};

export const printStatus = (status: DomainStatus, say: Say): void => {
  const { domain, zone, pool, leaving, keys, blockedBy, taken, nextRotation } = status;
  const place = `(zone ${zone}, pool ${pool}${leaving ? ', leaving' : ''})`;
  say(joined([paint('title', domain), place], 2));
  for (const line of table(keys.map(keyRow), 2)) say(line);
  for (const { selector, abandoned } of keys)
    if (abandoned !== undefined) say(`  - ${selector} is given up: ${abandoned}`);
  for (const record of status.records ?? []) say(policyLine(record));
  for (const { says } of blockedBy) say(`  - ${says}`);
  for (const note of status.notes ?? []) say(`  - ${note}`);
  for (const { selector, reason } of taken) say(`  - ${selector} passed over: ${reason}`);
  if (nextRotation !== undefined) say(`  next rotation ${minute(nextRotation)}`);
};

/** Waits that end by themselves are how it should be. */
const isTrouble = ({ by }: DomainStatus['blockedBy'][number]): boolean => by !== 'wait' && by !== 'dns';

const stateOf = (status: DomainStatus): string => {
  if (status.blockedBy.some(isTrouble)) return paint('bad', 'waits');
  if (status.leaving) return paint('busy', 'leaving');
  const last = status.rotations.at(-1);
  if (last !== undefined && last.state !== 'done' && last.state !== 'aborted')
    return paint('busy', 'rotating');
  return status.keys.some(({ state }) => state === 'active')
    ? paint('good', 'healthy')
    : paint('busy', 'no key');
};

/** One line a domain, and below them all what stands in the way. */
export const printOverview = (found: readonly DomainStatus[], say: Say): void => {
  const head = ['DOMAIN', 'STATE', 'SIGNS WITH', 'NEXT ROTATION'];
  const rows = found.map((status) => [
    status.domain,
    stateOf(status),
    status.keys.flatMap(({ state, selector }) => (state === 'active' ? selector : [])).join(' + ') || '-',
    minute(status.nextRotation) || '-',
  ]);
  for (const line of table([head, ...rows])) say(line);
  const waiting = found.flatMap(({ domain, blockedBy }) =>
    blockedBy.filter(isTrouble).map(({ says }) => `${domain}: ${says}`),
  );
  for (const text of waiting) say(`- ${text}`);
  say(`selkie status DOMAIN shows one of them closer, selkie forecast what comes.`);
};

export interface PrintedHost extends ShownHost {
  readonly host: string;
  readonly pool: string;
  readonly lastSeen?: string;
  /** Thumbprints of bundle keys. */
  readonly trusts?: readonly string[];
}

export const printHost = (host: PrintedHost, say: Say): void => {
  const standing = hostStanding(host);
  const seen = host.lastSeen === undefined ? '' : `seen ${minute(host.lastSeen)}`;
  const colour = standing === 'ready' ? 'good' : 'busy';
  say(joined([paint('title', host.host), `(pool ${host.pool})`, paint(colour, standing), seen]));
  for (const why of hostTroubles(host)) say(`  - ${why}`);
  for (const key of host.trusts ?? []) say(`  trusts ${key}`);
};

export const printPlan = (status: DomainStatus, say: Say): void => {
  say(paint('title', status.domain));
  for (const step of status.next) say(`  now: ${step}`);
  for (const { says } of status.blockedBy) say(`  - ${says}`);
  if (status.next.length === 0 && status.blockedBy.length === 0) say('  nothing to do');
  if (status.wakeAt !== undefined) say(`  looks again ${minute(status.wakeAt)}`);
};

export const printForecast = (
  forecast: {
    readonly domain: string;
    readonly events: readonly { readonly at: string; readonly does: string }[];
  },
  say: Say,
): void => {
  say(paint('title', forecast.domain));
  for (const { at, does } of forecast.events) say(`  ${minute(at)}  ${does}`);
  if (forecast.events.length === 0) say('  nothing in that time');
};

export const printEvent = ({ n, at, who, what, why, before, after }: AuditEvent, say: Say): void => {
  say(joined([String(n).padStart(4), minute(at), what, `by ${who}`], 6));
  if (why !== undefined) say(`      ${why}`);
  for (const change of auditChanges(before, after)) say(`      ${change}`);
};

type Audit = Awaited<ReturnType<typeof driftStatus>>['audits'][number];

const auditName = (subject: string): string => subject.replace('/', ' ');

export const printAudit = (audit: Audit, say: Say): void => {
  const { subject, at, complete, compared, found, findings } = audit;
  const state = complete ? `audited ${minute(at)}` : `under way since ${minute(audit.begun)}`;
  const count = `${state}: ${compared} compared, ${found === 0 ? 'nothing' : found} found`;
  say(joined([paint('title', auditName(subject)), count], 2));
  for (const { level, says, since, command, mended } of findings) {
    const until =
      mended === undefined ? '' : mended.shown === undefined ? '; put back' : '; put back, and seen';
    say(`  ${level === 'alarm' ? paint('bad', '!') : '-'} ${says} (since ${minute(since)}${until})`);
    if (command !== undefined) say(`    ${command}`);
  }
  if (found > findings.length) say(`  and ${found - findings.length} more`);
};
