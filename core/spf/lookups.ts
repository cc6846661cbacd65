// What an SPF record costs its receivers: RFC 7208 §4.6.4 lets an evaluation make ten DNS lookups, and two that find nothing;
// beyond either, every message fails with permerror. Counted as a receiver does that finds no match before the end, since that
// is the dearest evaluation. Pure: a generator that asks questions and is given answers; engine/resolve.ts answers it from DNS.

import { describe } from '../errors.ts';
import { lowerName } from '../names.ts';
import {
  isLiteral,
  isSpf,
  type Mechanism,
  parseSpf,
  printTerm,
  type SpfRecord,
  type Term,
} from './record.ts';

export const mostLookups = 10;
export const mostVoids = 2;
/** RFC 7208 §4.6.4: addresses of so many mail exchangers. */
const mostExchanges = 10;
/** So many are counted, for the sentence that says by how much it is too many. */
const mostCounted = 40;

export interface DnsQuestion {
  readonly name: string;
  readonly type: 'TXT' | 'A' | 'AAAA' | 'MX';
}

/** Asks, and goes on with what was found; nothing found (no such name, no data) is an empty list. Of MX: the exchanges' names. */
export type Asking<T> = Generator<DnsQuestion, T, readonly string[]>;

/** What one term costs, with all that it leads to. */
export interface TermCost {
  readonly term: string;
  readonly lookups: number;
  /** Its terms, where it leads to another record. */
  readonly within?: readonly TermCost[];
  /** The lookup found nothing. */
  readonly void?: true;
  /** What it looks up depends on the message: it is counted, and not followed. */
  readonly depends?: true;
}

export interface SpfCount {
  readonly lookups: number;
  /** Lookups that find nothing, whichever address the sender has. */
  readonly voids: number;
  /** As strict receivers count: of an IPv4 sender or of an IPv6 one, whichever is more. */
  readonly strictVoids: number;
  readonly costs: readonly TermCost[];
  /** Why receivers answer permerror, besides the limits: an included domain without a record, and the like. */
  readonly faults: readonly string[];
}

interface Tally {
  lookups: number;
  voids: number;
  voids4: number;
  voids6: number;
  readonly faults: string[];
}

/** RFC 7208 §4.6.4: what counts toward the ten. */
const counts = (term: Term): boolean =>
  term.is === 'modifier'
    ? term.name === 'redirect'
    : ['include', 'a', 'mx', 'ptr', 'exists'].includes(term.name);

/** The terms in the order of their evaluation: nothing behind `all`, and `redirect` only without one, last (RFC 7208 §5.1, §6.1). */
export const evaluated = ({ terms }: SpfRecord): readonly Term[] => {
  const mechanisms = terms.filter((term) => term.is === 'mechanism');
  const all = mechanisms.findIndex(({ name }) => name === 'all');
  if (all !== -1) return mechanisms.slice(0, all + 1);
  return [...mechanisms, ...terms.filter((term) => term.is === 'modifier' && term.name === 'redirect')];
};

const noteVoid = (tally: Tally, four: boolean, six: boolean): boolean => {
  if (four) tally.voids4 += 1;
  if (six) tally.voids6 += 1;
  if (four && six) tally.voids += 1;
  return four && six;
};

function* addresses(name: string, tally: Tally): Asking<boolean> {
  const four = yield { name, type: 'A' };
  const six = yield { name, type: 'AAAA' };
  return noteVoid(tally, four.length === 0, six.length === 0);
}

function* exchanges(name: string, tally: Tally): Asking<boolean> {
  const names = yield { name, type: 'MX' };
  if (names.length > mostExchanges)
    tally.faults.push(`${name} has ${names.length} MX records, and ${mostExchanges} are the most`);
  return noteVoid(tally, names.length === 0, names.length === 0);
}

/** The record that `include` or `redirect` leads to, and what it costs. */
function* record(
  name: string,
  term: string,
  path: readonly string[],
  tally: Tally,
): Asking<Partial<TermCost>> {
  if (path.includes(name)) {
    tally.faults.push(`${term} leads back to ${name}, which is being evaluated`);
    return {};
  }
  const values = yield { name, type: 'TXT' };
  const records = values.filter(isSpf);
  const [first] = records;
  const isVoid = noteVoid(tally, values.length === 0, values.length === 0);
  if (first === undefined || records.length > 1) {
    // RFC 7208 §5.2, §6.1, §4.5
    tally.faults.push(
      `${name}, which ${term} names, has ${records.length === 0 ? 'no SPF record' : `${records.length} SPF records`}`,
    );
    return isVoid ? { void: true } : {};
  }
  try {
    return { within: yield* terms(parseSpf(first), name, [...path, name], tally) };
  } catch (error) {
    tally.faults.push(`${name}, which ${term} names: ${describe(error)}`);
    return {};
  }
}

function* lookUp(term: Term, name: string, path: readonly string[], tally: Tally): Asking<Partial<TermCost>> {
  const kind = term.name;
  if (kind === 'include' || kind === 'redirect') return yield* record(name, printTerm(term), path, tally);
  if (kind === 'a') return (yield* addresses(name, tally)) ? { void: true } : {};
  if (kind === 'mx') return (yield* exchanges(name, tally)) ? { void: true } : {};
  if (kind === 'exists') {
    const found = yield { name, type: 'A' };
    return noteVoid(tally, found.length === 0, found.length === 0) ? { void: true } : {};
  }
  // ptr: its answers are the sender's, which nobody knows yet.
  return { depends: true };
}

const subject = (term: Term, domain: string): string | undefined => {
  const { value } = term as Mechanism;
  const name = value === undefined ? domain : value.replaceAll('%{d}', domain).replaceAll('%{D}', domain);
  return isLiteral(name) ? lowerName(name) : undefined;
};

function* terms(of: SpfRecord, domain: string, path: readonly string[], tally: Tally): Asking<TermCost[]> {
  const costs: TermCost[] = [];
  for (const term of evaluated(of)) {
    if (!counts(term) || tally.lookups >= mostCounted) continue;
    const before = tally.lookups;
    tally.lookups += 1;
    const name = subject(term, domain);
    const found: Partial<TermCost> =
      name === undefined ? { depends: true } : yield* lookUp(term, name, path, tally);
    costs.push({ term: printTerm(term), lookups: tally.lookups - before, ...found });
  }
  return costs;
}

/** Counts what `spf`, published at `domain`, costs. The lookup of the record itself is not counted. */
export function* countLookups(spf: SpfRecord, domain: string): Asking<SpfCount> {
  const tally: Tally = { lookups: 0, voids: 0, voids4: 0, voids6: 0, faults: [] };
  const costs = yield* terms(spf, lowerName(domain), [lowerName(domain)], tally);
  const { lookups, voids, voids4, voids6, faults } = tally;
  return { lookups, voids, strictVoids: Math.max(voids4, voids6), costs, faults };
}

/** Costs in one line: `include:_spf.example.net 4, mx 1`. */
const costText = (costs: readonly TermCost[]): string =>
  costs.map(({ term, lookups }) => `${term} ${lookups}`).join(', ');

const voidTerms = (costs: readonly TermCost[]): readonly string[] =>
  costs.flatMap(({ term, void: isVoid, within = [] }) => [
    ...(isVoid === true ? [term] : []),
    ...voidTerms(within),
  ]);

/** Why receivers would answer permerror to all mail; undefined: they would not. */
export const limitFault = ({ lookups, voids, costs, faults }: SpfCount): string | undefined => {
  const found = [
    ...faults,
    ...(lookups > mostLookups
      ? [
          `it makes ${lookups >= mostCounted ? `${mostCounted} or more` : lookups} DNS lookups, and ${mostLookups} are the most (${costText(costs)}): name addresses by ip4: and ip6: in place of the dearest`,
        ]
      : []),
    ...(voids > mostVoids
      ? [
          `${voids} of its lookups find nothing, and ${mostVoids} are the most (${voidTerms(costs).join(', ')}): take these out`,
        ]
      : []),
  ];
  return found.length === 0 ? undefined : found.join('; ');
};
