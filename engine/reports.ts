// DMARC aggregate reports as they come in: what is kept of them, and what they say of keys that were retired. Whoever knows
// the address can send one: so it is bounded what is kept, and all that a report can do is lengthen a drain
// (docs/adr/0012-reports.md).

import { sha256 } from '../contract/audit.ts';
import { hasCode, SelkieError } from '../core/errors.ts';
import type { Key, Reported } from '../core/key/evidence.ts';
import { keyOf, withReported } from '../core/key/row.ts';
import { dutyTurn } from '../core/key/state.ts';
import { drainEnds } from '../core/key/waits.ts';
import {
  type AggregateReport,
  dayOf,
  mostReportsOfDay,
  type ReportedSignature,
  reportsKept,
} from '../core/reports/report.ts';
import { type DomainTallies, tallied } from '../core/reports/tally.ts';
import { add, days, formatInstant, type Instant, instant } from '../core/time.ts';
import { inParallel } from './parallel.ts';
import { remember } from './remember.ts';
import { hostCache, openWork, type Work } from './work.ts';
import { policyOf, type Session, type World } from './world.ts';

/** What came of one report. */
export interface ImportedReport {
  readonly reporter: string;
  readonly id: string;
  readonly begin: string;
  readonly end: string;
  readonly domains: readonly {
    readonly domain: string;
    readonly messages: number;
    readonly passed: number;
    /** `known`: it was kept before; `full`: too many of that day are kept. */
    readonly kept: 'saved' | 'known' | 'full';
  }[];
  /** Messages of domains that the fleet does not have. */
  readonly ignored: number;
  /** Retired keys that it shows, and until when each drains now. */
  readonly stillSeen: readonly {
    readonly domain: string;
    readonly selector: string;
    readonly messages: number;
    readonly drainsUntil?: string;
  }[];
}

/** Of the days that a report may be of, the one ahead is for reporters whose clock is not ours. */
const ahead = days(1);

/** Domains whose keys are looked at, of one report: it may name as many as it likes. */
const mostDomains = 50;
const width = 8;
/** Tries of a write from what the row is at that moment. */
const tries = 8;

/** Messages whose signature with a key of ours the receiver verified, by `d=` and `s=`. */
const verified = (
  report: AggregateReport,
  isOurs: (domain: string) => boolean,
): ReadonlyMap<string, ReadonlyMap<string, number>> => {
  const found = new Map<string, Map<string, number>>();
  const add = ({ domain, selector, result }: ReportedSignature, count: number): void => {
    // A signature that failed need not be ours: anybody can write our selector into one.
    if (selector === undefined || result !== 'pass' || !isOurs(domain)) return;
    const selectors = found.get(domain) ?? new Map<string, number>();
    if (!found.has(domain) && found.size >= mostDomains) return;
    found.set(domain, selectors);
    selectors.set(selector, (selectors.get(selector) ?? 0) + count);
  };
  for (const { signatures, count } of report.records) for (const each of signatures) add(each, count);
  return found;
};

/** Whether a report says something new of a retired key: all of its period lies behind the stop, and the record still stands. */
const isStillSeen = (key: Key, report: AggregateReport): boolean => {
  const { stopped } = dutyTurn(key);
  const { revocationIntended, compromised } = key.evidence;
  return (
    stopped !== undefined &&
    revocationIntended === undefined &&
    // Revoked without a drain, whoever still uses it.
    compromised === undefined &&
    // Of a period that began before it, the mail may have come before it too.
    report.begin >= stopped.at
  );
};

const noteKeys = async (
  work: Work,
  report: AggregateReport,
  selectors: ReadonlyMap<string, number>,
): Promise<ImportedReport['stillSeen']> => {
  for (let n = 1; ; n += 1) {
    const seen = [...selectors].filter(([selector]) => {
      const key = keyOf(work.row, selector);
      return key !== undefined && isStillSeen(key, report);
    });
    if (seen.length === 0) return [];
    const at = work.now();
    const next = seen.reduce((row, [selector, messages]) => {
      const reported: Reported = {
        at,
        until: instant(Math.min(report.end, at)),
        by: report.reporter,
        messages,
      };
      return withReported(row, selector, reported);
    }, work.row);
    try {
      if (next.keys.some((key, index) => key !== work.row.keys[index])) await work.save(next);
    } catch (error) {
      if (!hasCode(error, 'conflict') || n >= tries) throw error;
      await work.reload();
      continue;
    }
    const { hosts } = work.situation();
    return seen.map(([selector, messages]) => {
      const key = keyOf(work.row, selector);
      const { domain } = work.row;
      const ends =
        key === undefined ? undefined : drainEnds(domain, key, hosts, policyOf(work.world, domain));
      return {
        domain,
        selector,
        messages,
        ...(ends === undefined ? {} : { drainsUntil: formatInstant(ends) }),
      };
    });
  }
};

const keep = async (
  { ledger }: World,
  at: Instant,
  report: AggregateReport,
  { domain, tallies }: DomainTallies,
): Promise<'saved' | 'known' | 'full'> => {
  const day = dayOf(report.begin);
  const { reporter, id, begin, end, policy } = report;
  const row = {
    domain,
    day,
    reporter,
    id,
    begin,
    end,
    at,
    ...(policy === undefined ? {} : { policy }),
    tallies,
    expires: add(begin, reportsKept),
  };
  return ledger.saveReport(row, mostReportsOfDay);
};

const count = (records: readonly { readonly count: number }[]): number =>
  records.reduce((sum, one) => sum + one.count, 0);

/**
 * What a report says of domains of the fleet.
 * @throws invalid: too old, or of a time to come; not-found: it is about no domain of the fleet
 */
const aboutOurs = ({ fleet }: World, now: Instant, report: AggregateReport) => {
  const of = `the report ${report.id} of ${report.reporter}`;
  if (report.begin > add(now, ahead))
    throw new SelkieError('invalid', `${of} is of a time to come: ${formatInstant(report.begin)}`);
  if (add(report.begin, reportsKept) <= now)
    throw new SelkieError(
      'invalid',
      `${of} is of ${dayOf(report.begin)}: reports are kept for ${reportsKept / days(1)} days`,
    );
  const isOurs = (domain: string): boolean => fleet.domains.has(domain);
  const found = tallied(report, isOurs);
  const shown = verified(report, isOurs);
  if (report.records.length > 0 && found.length === 0 && shown.size === 0)
    throw new SelkieError(
      'not-found',
      `${of} is about ${report.domain}, which is no domain of fleet.yaml, nor below one`,
    );
  return { found, shown };
};

/** Keeps what a report says, and notes the retired keys that it shows. */
const takeIn = async (
  world: World,
  session: Session,
  report: AggregateReport,
  { found, shown }: ReturnType<typeof aboutOurs>,
): Promise<ImportedReport> => {
  const now = session.now();
  // More than a reporter has reason to name are left out.
  const kept = await inParallel(width, found.slice(0, mostDomains), async (one) => ({
    domain: one.domain,
    messages: one.messages,
    passed: one.passed,
    kept: await keep(world, now, report, one),
  }));
  const cache = hostCache(world);
  const seen = await inParallel(width, [...shown], async ([domain, selectors]) => {
    const work = await openWork(world, session, domain, cache);
    return work === undefined ? [] : noteKeys(work, report, selectors);
  });
  return {
    reporter: report.reporter,
    id: report.id,
    begin: formatInstant(report.begin),
    end: formatInstant(report.end),
    domains: kept,
    ignored: count(report.records) - found.reduce((sum, { messages }) => sum + messages, 0),
    stillSeen: seen.flat(),
  };
};

/**
 * Keeps what a report says of domains of the fleet, and notes the retired keys that it shows. Again is the same.
 * @throws invalid: too old, or of a time to come; not-found: it is about no domain of the fleet
 */
export const importReport = async (
  world: World,
  session: Session,
  report: AggregateReport,
): Promise<ImportedReport> => takeIn(world, session, report, aboutOurs(world, session.now(), report));

/** Reports of one order that its event names; of the others, how many there are. */
const mostNamed = 50;

/**
 * Reports that somebody brings. Who and which stands in the fleet's audit trail before any is kept; what comes by mail
 * nobody orders, and is in no trail.
 * @throws as `importReport`
 */
export const importReports = async (
  world: World,
  session: Session,
  reports: readonly AggregateReport[],
  {
    by,
    idempotencyKey = world.randomness.id(),
  }: { readonly by?: string; readonly idempotencyKey?: string } = {},
): Promise<readonly ImportedReport[]> => {
  const read = reports.map((report) => ({ report, about: aboutOurs(world, session.now(), report) }));
  const names = reports.map(({ reporter, id }) => `${reporter} ${id}`);
  const digest = sha256(JSON.stringify(names));
  // A command brings many under its one key, in a request for each.
  await remember(world, session, 'reports', `${idempotencyKey} ${digest}`, digest, {
    what: 'import reports',
    ...(by === undefined ? {} : { by }),
    before: {},
    after: {
      reports: names.slice(0, mostNamed),
      ...(names.length > mostNamed ? { more: names.length - mostNamed } : {}),
    },
  });
  const imported: ImportedReport[] = [];
  for (const { report, about } of read) imported.push(await takeIn(world, session, report, about));
  return imported;
};
