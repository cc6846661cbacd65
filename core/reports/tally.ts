// From a report to what is kept of it: per domain of ours, equal records are one tally, and there is a bound to how many, since
// whoever writes a report chooses what is in it. Pure.

import { isWithin } from '../names.ts';
import {
  type AggregateReport,
  passes,
  type ReportedSignature,
  type ReportRecord,
  type Tally,
} from './report.ts';

/** Tallies of one report and domain. A report of the largest has some hundreds of sources; the rest is counted together. */
const mostTallies = 200;
/** Signatures of one message that are kept, those of the domain first. Receivers check few. */
const mostSignatures = 3;

/** Counts beyond it are no mail of a day. */
const largestCount = 1_000_000_000;

export interface DomainTallies {
  readonly domain: string;
  readonly messages: number;
  readonly passed: number;
  readonly tallies: readonly Tally[];
}

/** The nearest of `name` and the domains above it that is ours. */
const ourDomain = (name: string | undefined, isOurs: (domain: string) => boolean): string | undefined => {
  for (let rest = name; rest !== undefined; ) {
    if (isOurs(rest)) return rest;
    const dot = rest.indexOf('.');
    rest = dot === -1 ? undefined : rest.slice(dot + 1);
  }
  return undefined;
};

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const nameOf = ({ domain, selector = '', result }: ReportedSignature): string =>
  `${selector}@${domain}=${result}`;

/** Each once, those of the domain or below it first. */
const keptSignatures = (signatures: readonly ReportedSignature[], domain: string) => {
  const ours = (signature: ReportedSignature): number => (isWithin(signature.domain, domain) ? 0 : 1);
  return [...new Map(signatures.map((one) => [nameOf(one), one])).values()]
    .toSorted((a, b) => ours(a) - ours(b) || byText(nameOf(a), nameOf(b)))
    .slice(0, mostSignatures);
};

const likeness = ({ source, dkim, spf, disposition, signatures }: Tally): string =>
  [source, dkim, spf, disposition, ...signatures.map(nameOf)].join(' ');

const together = (tallies: readonly Tally[]): readonly Tally[] => {
  const found = new Map<string, Tally>();
  for (const tally of tallies) {
    const name = likeness(tally);
    const known = found.get(name);
    found.set(name, known === undefined ? tally : { ...known, count: known.count + tally.count });
  }
  return [...found.values()].toSorted((a, b) => b.count - a.count || byText(likeness(a), likeness(b)));
};

const bounded = (tallies: readonly Tally[]): readonly Tally[] => {
  if (tallies.length <= mostTallies) return tallies;
  // Two times two times three verdicts, at most, of the others.
  const kept = tallies.slice(0, mostTallies - 12);
  const others = tallies
    .slice(kept.length)
    .map((tally): Tally => ({ ...tally, source: 'others', signatures: [] }));
  return [...kept, ...together(others)];
};

const tallyOf = (record: ReportRecord, domain: string): Tally => ({
  source: record.source,
  count: Math.min(record.count, largestCount),
  dkim: record.dkim,
  spf: record.spf,
  disposition: record.disposition,
  signatures: keptSignatures(record.signatures, domain),
});

const sum = (tallies: readonly Tally[]): number => tallies.reduce((total, { count }) => total + count, 0);

/**
 * What a report says of each domain that is ours: a record counts for the nearest domain of ours at or above its From, or else
 * at or above the domain that the report is about. Records about nobody of ours are left out.
 */
export const tallied = (
  report: Pick<AggregateReport, 'domain' | 'records'>,
  isOurs: (domain: string) => boolean,
): readonly DomainTallies[] => {
  const about = ourDomain(report.domain, isOurs);
  const found = new Map<string, Tally[]>();
  const owners = new Map<string | undefined, string | undefined>();
  for (const record of report.records) {
    const owner = owners.has(record.from)
      ? owners.get(record.from)
      : (ourDomain(record.from, isOurs) ?? about);
    owners.set(record.from, owner);
    if (owner === undefined) continue;
    const tally = tallyOf(record, owner);
    const known = found.get(owner);
    if (known === undefined) found.set(owner, [tally]);
    else known.push(tally);
  }
  return [...found]
    .toSorted(([a], [b]) => byText(a, b))
    .map(([domain, all]) => ({
      domain,
      messages: sum(all),
      passed: sum(all.filter(passes)),
      tallies: bounded(together(all)),
    }));
};
