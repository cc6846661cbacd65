// A DMARC aggregate report: what a receiver says of a day's mail with a domain in its From. RFC 9990 §3.1 and, before it,
// RFC 7489 §7.2 say what is in one; here is what Selkie keeps of both. Nobody proves who wrote a report. Pure.

import type { Duration, Instant } from '../time.ts';
import { days } from '../time.ts';

/** RFC 8601 §2.7.1; whatever else a reporter writes is `other`. */
export const dkimResults = [
  'pass',
  'fail',
  'none',
  'neutral',
  'policy',
  'temperror',
  'permerror',
  'other',
] as const;
export type DkimResult = (typeof dkimResults)[number];

export const dispositions = ['none', 'quarantine', 'reject'] as const;
export type Disposition = (typeof dispositions)[number];

/** What a receiver found of one DKIM signature. */
export interface ReportedSignature {
  /** `d=` */
  readonly domain: string;
  /** `s=`; absent: older reporters leave it out. */
  readonly selector?: string;
  readonly result: DkimResult;
}

/** How messages fared: whether DKIM and SPF passed, aligned with the From. */
export interface Verdict {
  readonly dkim: boolean;
  readonly spf: boolean;
  readonly disposition: Disposition;
}

/** So many messages of one source that fared alike. */
export interface ReportRecord extends Verdict {
  /** An IP address; `unknown` where it is none. */
  readonly source: string;
  readonly count: number;
  /** The domain of From; absent where it is no domain name. */
  readonly from?: string;
  readonly signatures: readonly ReportedSignature[];
}

export interface AggregateReport {
  /** Who reports, as it calls itself. */
  readonly reporter: string;
  /** The reporter's own name for the report. */
  readonly id: string;
  readonly begin: Instant;
  readonly end: Instant;
  /** The domain whose DMARC record the receiver went by. */
  readonly domain: string;
  /** `p=` of that record, as the receiver read it. */
  readonly policy?: string;
  readonly records: readonly ReportRecord[];
}

/** Part of a report, as it is kept: the messages of one source with the same signatures and the same verdict. */
export interface Tally extends Verdict {
  /** An IP address, `unknown`, or `others`: those that had the fewest messages, together and without signatures. */
  readonly source: string;
  readonly count: number;
  readonly signatures: readonly ReportedSignature[];
}

/** What is kept of one report on one domain. Known by its domain, day, reporter and id; written once. */
export interface ReportRow {
  readonly domain: string;
  /** Of the period's beginning, UTC: `2024-01-28`. */
  readonly day: string;
  readonly reporter: string;
  readonly id: string;
  readonly begin: Instant;
  readonly end: Instant;
  /** When it came in, by the ledger. */
  readonly at: Instant;
  readonly policy?: string;
  /** The most messages first. */
  readonly tallies: readonly Tally[];
  /** From then on it may be gone. */
  readonly expires: Instant;
}

/** DMARC passes where either does: RFC 9989 §5.3.5, before it RFC 7489 §6.6.2. */
export const passes = ({ dkim, spf }: Pick<Verdict, 'dkim' | 'spf'>): boolean => dkim || spf;

export const dayOf = (at: Instant): string => new Date(at).toISOString().slice(0, 10);

/** How long reports are kept, from their day on: a year can be compared with the one before. */
export const reportsKept: Duration = days(400);

/** No period of a report is longer: it is a day, RFC 9990 §3.1. Some reporters take a week, few a month. */
export const longestPeriod: Duration = days(32);

/** Reports on one domain and one day; a domain of the largest senders gets some hundreds. */
export const mostReportsOfDay = 500;
