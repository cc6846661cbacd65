// What many reports on a domain say together: how much mail passed, by day, selector, source and reporter. Pure.

import { passes, type ReportRow, type Tally } from './report.ts';

/** How many messages, and how many of them passed what. */
export interface Rates {
  readonly messages: number;
  /** DMARC: DKIM or SPF, aligned with the From. */
  readonly passed: number;
  readonly dkim: number;
  readonly spf: number;
}

interface Sum {
  messages: number;
  passed: number;
  dkim: number;
  spf: number;
}

export interface SelectorRates {
  readonly selector: string;
  /** `d=`, where it is not the domain itself. */
  readonly domain?: string;
  /** Messages with a signature by it, and how many of those signatures verified. */
  readonly messages: number;
  readonly passed: number;
  /** The days of the first and the last report that show it. */
  readonly first: string;
  readonly last: string;
  /** The reporters that show it, those with the most messages first. */
  readonly reporters: readonly string[];
}

export interface ReportSummary extends Rates {
  readonly domain: string;
  readonly reports: number;
  readonly days: readonly (Rates & { readonly day: string })[];
  readonly selectors: readonly SelectorRates[];
  readonly sources: readonly (Rates & { readonly source: string })[];
  readonly reporters: readonly {
    readonly reporter: string;
    readonly reports: number;
    readonly messages: number;
    readonly last: string;
  }[];
}

/** Lines of a list; a domain whose mail is forged has thousands of sources. */
const most = { selectors: 50, sources: 50, reporters: 100, ofSelector: 5 };

const zero = (): Sum => ({ messages: 0, passed: 0, dkim: 0, spf: 0 });

const count = (sum: Sum, tally: Tally): void => {
  sum.messages += tally.count;
  if (passes(tally)) sum.passed += tally.count;
  if (tally.dkim) sum.dkim += tally.count;
  if (tally.spf) sum.spf += tally.count;
};

const taken = <T>(map: Map<string, T>, name: string, make: () => T): T => {
  const known = map.get(name);
  if (known !== undefined) return known;
  const made = make();
  map.set(name, made);
  return made;
};

const byMessages = (a: { readonly messages: number }, b: { readonly messages: number }): number =>
  b.messages - a.messages;

interface SelectorSum {
  readonly selector: string;
  readonly domain: string;
  messages: number;
  passed: number;
  first: string;
  last: string;
  readonly reporters: Map<string, number>;
}

/** Adds up rows, in any order, page by page. */
export const createSummary = (domain: string) => {
  const all = zero();
  let reports = 0;
  const ofDays = new Map<string, Sum>();
  const sources = new Map<string, Sum>();
  const selectors = new Map<string, SelectorSum>();
  const reporters = new Map<string, { reports: number; messages: number; last: string }>();

  const addSignatures = ({ day, reporter }: ReportRow, tally: Tally): void => {
    for (const { domain: signer, selector = '(not said)', result } of tally.signatures) {
      const sum = taken(selectors, `${signer}/${selector}`, () => ({
        selector,
        domain: signer,
        messages: 0,
        passed: 0,
        first: day,
        last: day,
        reporters: new Map(),
      }));
      sum.messages += tally.count;
      if (result === 'pass') sum.passed += tally.count;
      if (day < sum.first) sum.first = day;
      if (day > sum.last) sum.last = day;
      sum.reporters.set(reporter, (sum.reporters.get(reporter) ?? 0) + tally.count);
    }
  };

  return {
    add: (row: ReportRow): void => {
      reports += 1;
      const reporter = taken(reporters, row.reporter, () => ({ reports: 0, messages: 0, last: row.day }));
      reporter.reports += 1;
      if (row.day > reporter.last) reporter.last = row.day;
      for (const tally of row.tallies) {
        count(all, tally);
        count(taken(ofDays, row.day, zero), tally);
        count(taken(sources, tally.source, zero), tally);
        reporter.messages += tally.count;
        addSignatures(row, tally);
      }
    },
    summary: (): ReportSummary => ({
      domain,
      reports,
      ...all,
      days: [...ofDays].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([day, sum]) => ({ day, ...sum })),
      selectors: [...selectors.values()]
        .toSorted(byMessages)
        .slice(0, most.selectors)
        .map(({ domain: signer, reporters: seen, ...rest }) => ({
          ...rest,
          ...(signer === domain ? {} : { domain: signer }),
          reporters: [...seen]
            .toSorted(([, a], [, b]) => b - a)
            .slice(0, most.ofSelector)
            .map(([name]) => name),
        })),
      sources: [...sources]
        .map(([source, sum]) => ({ source, ...sum }))
        .toSorted(byMessages)
        .slice(0, most.sources),
      reporters: [...reporters]
        .map(([reporter, sum]) => ({ reporter, ...sum }))
        .toSorted(byMessages)
        .slice(0, most.reporters),
    }),
  };
};
