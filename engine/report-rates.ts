// What aggregate reports say of domains, for people and programs. Reads, never writes.

import type { DomainRow } from '../core/key/evidence.ts';
import { keyOf } from '../core/key/row.ts';
import { stateOf } from '../core/key/state.ts';
import { dayOf } from '../core/reports/report.ts';
import { createSummary, type ReportSummary } from '../core/reports/summary.ts';
import { days, instant } from '../core/time.ts';
import { openDomain } from './commands.ts';
import { inParallel } from './parallel.ts';
import type { Session, World } from './world.ts';

/** Reports read at once, and in all for one answer: a function has half a minute, and a row holds some kilobytes. */
const page = 250;
const mostRead = 10_000;
/** Domains read at once. */
const width = 8;

/** The first and the last day of so many, today included. */
const period = (session: Session, length: number): { from: string; to: string } => {
  const now = session.now();
  return { from: dayOf(instant(now - days(length - 1))), to: dayOf(instant(now + days(1))) };
};

/** `partial`: there are more reports than are read for one answer, and the later ones are left out. */
const summed = async (
  { ledger }: World,
  domain: string,
  span: { readonly from: string; readonly to: string },
): Promise<ReportSummary & { readonly partial?: true }> => {
  const sum = createSummary(domain);
  let read = 0;
  for (let after: string | undefined; ; ) {
    const found = await ledger.reports(domain, {
      ...span,
      ...(after === undefined ? {} : { after }),
      limit: page,
    });
    for (const row of found.rows) sum.add(row);
    read += found.rows.length;
    if (found.next === undefined) return sum.summary();
    if (read >= mostRead) return { ...sum.summary(), partial: true };
    after = found.next;
  }
};

const withStates = (row: DomainRow, { selectors, ...rest }: Awaited<ReturnType<typeof summed>>) => ({
  ...rest,
  selectors: selectors.map((one) => {
    const key = one.domain === undefined ? keyOf(row, one.selector) : undefined;
    const revoked = key?.evidence.revoked?.at;
    return {
      ...one,
      ...(key === undefined ? {} : { state: stateOf(key) }),
      // Of the day itself nobody can tell.
      ...(revoked !== undefined && one.last > dayOf(revoked) ? { afterRevocation: true as const } : {}),
    };
  }),
});

/** Rates of one domain over the last `length` days. @throws not-found */
export const reportsOf = async (world: World, session: Session, domain: string, length: number) => {
  const { row } = await openDomain(world, session, domain);
  const span = period(session, length);
  return { from: span.from, ...withStates(row, await summed(world, domain, span)) };
};

export type DomainReports = Awaited<ReturnType<typeof reportsOf>>;

/** Rates of a page of domains, in the order of their names, over the last `length` days; of those alone that have reports. */
export const reportsOfAll = async (
  world: World,
  session: Session,
  { length, ...options }: { readonly after?: string; readonly limit: number; readonly length: number },
) => {
  const span = period(session, length);
  const { rows, next } = await world.ledger.domains(options);
  const all = await inParallel(width, rows, ({ domain }) => summed(world, domain, span));
  return {
    from: span.from,
    domains: all
      .filter(({ reports }) => reports > 0)
      .map(({ domain, reports, messages, passed, dkim, spf, days: of, partial }) => ({
        domain,
        reports,
        messages,
        passed,
        dkim,
        spf,
        last: of.at(-1)?.day ?? span.from,
        ...(partial === undefined ? {} : { partial }),
      })),
    ...(next === undefined ? {} : { next }),
  };
};
