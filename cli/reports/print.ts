// What `selkie reports` prints for people: tables that fit 80 columns where names do.

import { percent } from '../../core/percent.ts';
import type { DomainReports, reportsOfAll } from '../../engine/report-rates.ts';
import type { ImportedReport } from '../../engine/reports.ts';

type Say = (text: string) => void;

const counted = (n: number, one: string): string =>
  `${n.toLocaleString('en-US')} ${one}${n === 1 ? '' : 's'}`;

const cut = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text;

/** Columns as wide as what is in them; numbers, which end in a digit or %, stand to the right. */
const table = (rows: readonly (readonly string[])[], most: readonly number[]): readonly string[] => {
  const widths = most.map((width, column) =>
    Math.min(width, Math.max(...rows.map((row) => (row[column] ?? '').length))),
  );
  const right = most.map((_, column) =>
    rows.slice(1).every((row) => /^(-|[\d,.]+%?)$/.test(row[column] ?? '')),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        const text = cut(cell, width);
        return right[column] ? text.padStart(width) : text.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
};

const minute = (iso: string): string => `${iso.slice(0, 10)} ${iso.slice(11, 16)}Z`;

export const printImported = (report: ImportedReport, say: Say): void => {
  const { reporter, id, begin, domains, ignored, stillSeen } = report;
  say(`${reporter}  ${begin.slice(0, 10)}  ${cut(id, 40)}`);
  for (const { domain, messages, passed, kept } of domains) {
    const what = kept === 'saved' ? '' : kept === 'known' ? ' (known)' : ' (not kept: too many of that day)';
    say(`  ${domain}: ${counted(messages, 'message')}, DMARC passed ${percent(passed, messages)}${what}`);
  }
  if (ignored > 0) say(`  ${counted(ignored, 'message')} of domains that are not in fleet.yaml`);
  for (const { domain, selector, messages, drainsUntil } of stillSeen)
    say(
      `  ! ${selector} of ${domain} is retired, and ${counted(messages, 'message')} with it still came${drainsUntil === undefined ? '' : `: it drains until ${minute(drainsUntil)}`}`,
    );
};

type Rates = Pick<DomainReports, 'messages' | 'passed' | 'dkim' | 'spf'>;
const rates = ({ messages, passed, dkim, spf }: Rates): readonly string[] => [
  messages.toLocaleString('en-US'),
  percent(passed, messages),
  percent(dkim, messages),
  percent(spf, messages),
];
const headings = ['messages', 'DMARC', 'by DKIM', 'by SPF'];

const partly =
  'there are more reports than are read at once, and the later ones are left out: ask for fewer --days';

export const printRates = (
  { from, domains }: Pick<Awaited<ReturnType<typeof reportsOfAll>>, 'from' | 'domains'>,
  say: Say,
): void => {
  say(`since ${from}`);
  const rows = domains.map((one) => [one.domain, ...rates(one), one.last]);
  for (const line of table([['domain', ...headings, 'last'], ...rows], [34, 12, 6, 7, 6, 10])) say(line);
  if (domains.some(({ partial }) => partial === true)) say(partly);
};

/** Sources and days of one domain that are shown to people. */
const mostLines = 15;

const section = (
  say: Say,
  rows: readonly (readonly string[])[],
  widths: readonly number[],
  more: number,
): void => {
  say('');
  for (const line of table(rows, widths)) say(`  ${line}`);
  if (more > 0) say(`  and ${more} more (--json)`);
};

export const printDomainReports = (found: DomainReports, say: Say): void => {
  const { domain, from, reports, messages, days, selectors, sources, reporters } = found;
  say(
    `${domain}  since ${from}: ${counted(messages, 'message')} in ${counted(reports, 'report')} of ${counted(reporters.length, 'receiver')}`,
  );
  say(
    `  DMARC passed ${percent(found.passed, messages)}, by DKIM ${percent(found.dkim, messages)}, by SPF ${percent(found.spf, messages)}`,
  );
  section(
    say,
    [
      ['selector', 'messages', 'verified', 'first', 'last', 'receivers'],
      ...selectors
        .slice(0, mostLines)
        .map((one) => [
          `${one.selector}${one.domain === undefined ? '' : ` @ ${one.domain}`}${one.state === undefined || one.state === 'active' ? '' : ` (${one.state})`}`,
          one.messages.toLocaleString('en-US'),
          percent(one.passed, one.messages),
          one.first,
          one.last,
          one.reporters.join(', '),
        ]),
    ],
    [24, 10, 8, 10, 10, 16],
    selectors.length - mostLines,
  );
  section(
    say,
    [['source', ...headings], ...sources.slice(0, mostLines).map((one) => [one.source, ...rates(one)])],
    [39, 12, 6, 7, 6],
    sources.length - mostLines,
  );
  section(
    say,
    [['day', ...headings], ...days.slice(-mostLines).map((one) => [one.day, ...rates(one)])],
    [10, 12, 6, 7, 6],
    days.length - mostLines,
  );
  for (const { selector, state, last, reporters: by, afterRevocation } of selectors)
    if (afterRevocation === true)
      say(`  ! ${selector} is ${state}, and ${by[0] ?? 'a receiver'} still showed it on ${last}`);
  if (found.partial === true) say(partly);
};
