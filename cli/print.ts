// What the commands print for people: lines that fit 80 columns where the names do.
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditEvent, Json } from '../core/audit.ts';
import { SelkieError } from '../core/errors.ts';
import type { driftStatus } from '../engine/drift.ts';
import type { DomainStatus } from '../engine/status.ts';

type Say = (text: string) => void;
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
  return `  ${kind.padEnd(12)} ${state.padEnd(10)} ${about.join(', ')}`.trimEnd();
};

export const printStatus = (status: DomainStatus, say: Say): void => {
  say(`${status.domain}  (zone ${status.zone}, pool ${status.pool}${status.leaving ? ', leaving' : ''})`);
  for (const key of status.keys)
    say(
      `  ${key.selector.padEnd(12)} ${key.algorithm.padEnd(8)} ${key.state.padEnd(10)} ${key.active === undefined ? '' : `${key.state === 'active' ? 'signs' : 'signed'} since ${minute(key.active)}`}${key.compromised === undefined ? '' : ' COMPROMISED'}${key.abandoned === undefined ? '' : ` given up: ${key.abandoned}`}`,
    );
  for (const record of status.records ?? []) say(policyLine(record));
  for (const { says } of status.blockedBy) say(`  - ${says}`);
  for (const note of status.notes ?? []) say(`  - ${note}`);
  for (const { selector, reason } of status.taken) say(`  - ${selector} passed over: ${reason}`);
  if (status.nextRotation !== undefined) say(`  next rotation ${minute(status.nextRotation)}`);
};

export interface PrintedHost {
  readonly host: string;
  readonly pool: string;
  readonly ready: boolean;
  readonly excluded?: string;
  readonly fenced?: string;
  readonly trouble?: string;
  readonly lastSeen?: string;
  /** Thumbprints of bundle keys. */
  readonly trusts?: readonly string[];
  readonly failed: Readonly<Record<string, string>>;
}

export const printHost = (host: PrintedHost, say: Say): void => {
  const standing =
    host.excluded !== undefined
      ? 'excluded'
      : host.fenced !== undefined
        ? 'fenced'
        : host.ready
          ? 'ready'
          : 'not ready';
  const seen = host.lastSeen === undefined ? '' : `  seen ${minute(host.lastSeen)}`;
  say(`${host.host}  (pool ${host.pool})  ${standing}${seen}`);
  for (const why of [host.excluded, host.fenced, host.trouble]) if (why !== undefined) say(`  - ${why}`);
  for (const [key, why] of Object.entries(host.failed)) say(`  - cannot use ${key}: ${why}`);
  for (const key of host.trusts ?? []) say(`  trusts ${key}`);
};

export const printPlan = (status: DomainStatus, say: Say): void => {
  say(status.domain);
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
  say(forecast.domain);
  for (const { at, does } of forecast.events) say(`  ${minute(at)}  ${does}`);
  if (forecast.events.length === 0) say('  nothing in that time');
};

const isMap = (value: Json | undefined): value is { readonly [name: string]: Json | undefined } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Where two values differ: `keys.240128: standby → active`. */
export const differences = (
  before: Json | undefined,
  after: Json | undefined,
  at = '',
): readonly string[] => {
  if (isMap(before) && isMap(after))
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) =>
      differences(before[name], after[name], at === '' ? name : `${at}.${name}`),
    );
  const [old, now] = [before, after].map((value) =>
    value === undefined || value === null ? '-' : typeof value === 'string' ? value : JSON.stringify(value),
  );
  return old === now ? [] : [`${at}: ${old} → ${now}`];
};

export const printEvent = ({ n, at, who, what, why, before, after }: AuditEvent, say: Say): void => {
  say(`${String(n).padStart(4)}  ${minute(at)}  ${what}  by ${who}`);
  if (why !== undefined) say(`      ${why}`);
  for (const change of differences(before, after)) say(`      ${change}`);
};

type Audit = Awaited<ReturnType<typeof driftStatus>>['audits'][number];

const auditName = (subject: string): string => subject.replace('/', ' ');

export const printAudit = (audit: Audit, say: Say): void => {
  const { subject, at, complete, compared, found, findings } = audit;
  const state = complete ? `audited ${minute(at)}` : `under way since ${minute(audit.begun)}`;
  say(`${auditName(subject)}  ${state}: ${compared} compared, ${found === 0 ? 'nothing' : found} found`);
  for (const { level, says, since, command, mended } of findings) {
    const until =
      mended === undefined ? '' : mended.shown === undefined ? '; put back' : '; put back, and seen';
    say(`  ${level === 'alarm' ? '!' : '-'} ${says} (since ${minute(since)}${until})`);
    if (command !== undefined) say(`    ${command}`);
  }
  if (found > findings.length) say(`  and ${found - findings.length} more`);
};

/**
 * Prints what a rotation waits for, as it changes, until it is done. Ctrl-C leaves the work running.
 * @param lookEvery milliseconds  @throws conflict: it was aborted
 */
export const followRotation = async (
  status: () => Promise<DomainStatus>,
  id: string,
  say: Say,
  lookEvery: number,
): Promise<void> => {
  let shown = '';
  for (;;) {
    const now = await status();
    const rotation = now.rotations.find((each) => each.id === id);
    if (rotation === undefined || rotation.state === 'aborted')
      throw new SelkieError(
        'conflict',
        `rotation ${id} was aborted${rotation?.aborted === undefined ? '' : `: ${rotation.aborted}`}`,
      );
    if (rotation.state === 'done')
      return say(`done: ${now.domain} signs with ${rotation.selectors.join(' + ')}`);
    const ours = now.blockedBy.filter(
      ({ selector }) => selector === undefined || rotation.selectors.includes(selector),
    );
    const text = ours.map(({ says }) => `  ${says}`).join('\n');
    if (text !== '' && text !== shown) say(text);
    shown = text;
    await sleep(lookEvery);
  }
};
