// What every DNS writer holds changes against before it touches a zone: Route 53's limits, so that what works locally
// works there, and what Route 53 would refuse costs no request. No I/O.
import { printValue } from '../core/dkim/txt.ts';
import { describe, SelkieError } from '../core/errors.ts';
import { isDnsName, isWithin, lowerName } from '../core/names.ts';
import { seconds } from '../core/time.ts';
import type { Change, TxtSet } from '../engine/ports.ts';

/** https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html, and "TXT record type" there. */
const limits = {
  /** Records in one request. */
  records: 1_000,
  /** Characters of all values in one request, quotes and spaces included. */
  characters: 32_000,
  /** Characters of one value. */
  value: 4_000,
  /** Seconds: RFC 2181 §8. */
  ttl: 2_147_483_647,
} as const;

/** RFC 2181 §5: a set has no order. */
export const sameTxtSet = (a: TxtSet, b: TxtSet): boolean =>
  a.ttl === b.ttl &&
  a.values.length === b.values.length &&
  JSON.stringify(a.values.toSorted()) === JSON.stringify(b.values.toSorted());

/** How Selkie writes a value at a provider. @throws rejected where it holds what no TXT record can */
export const canonicalValue = (value: string): string => {
  try {
    return printValue(value, 'route53');
  } catch (error) {
    throw new SelkieError('rejected', `A value is no TXT record's: ${describe(error)}`, { cause: error });
  }
};

const setsOf = (change: Change): readonly TxtSet[] =>
  change.do === 'replace' ? [change.old, change.set] : [change.set];

const size = (value: string): number => {
  try {
    return printValue(value, 'route53').length;
  } catch {
    // Not printable: `requireFit` refuses it, wherever it is counted.
    return value.length;
  }
};

/** How many of `changes`, from the front, are within the limits of one request; at least 1. */
export const countThatFits = (changes: readonly Change[]): number => {
  let [records, characters, count] = [0, 0, 0];
  for (const change of changes) {
    const values = setsOf(change).flatMap((set) => set.values);
    records += values.length;
    characters += values.reduce((sum, value) => sum + size(value), 0);
    if (records > limits.records || characters > limits.characters) break;
    count += 1;
  }
  return Math.max(1, count);
};

const requireSet = (name: string, set: TxtSet): void => {
  const refuse = (what: string): never => {
    throw new SelkieError('rejected', `The TXT records for ${name} cannot be written: ${what}.`);
  };
  if (set.values.length === 0) refuse('there is no value');
  if (new Set(set.values).size < set.values.length) refuse('a value is there twice (RFC 2181 §5)');
  for (const value of set.values)
    if (canonicalValue(value).length > limits.value)
      refuse(`a value has more than ${limits.value} characters in quotes`);
  const ttl = set.ttl / seconds(1);
  if (!Number.isInteger(ttl) || ttl < 0 || ttl > limits.ttl)
    refuse(`a TTL of ${ttl} s is not a whole number of seconds up to ${limits.ttl}`);
};

/**
 * @param zone the zone's name
 * @throws rejected, where a name is outside of the zone or a set cannot be written; invalid, where there is no change
 */
export const requireFit = (zone: string, changes: readonly Change[]): void => {
  if (changes.length === 0) throw new SelkieError('invalid', 'A request without a change changes nothing.');
  for (const { name, set, do: what } of changes) {
    const plain = lowerName(name);
    if (!isDnsName(plain.replace(/^\*\./, '')) || !isWithin(plain, lowerName(zone)))
      throw new SelkieError('rejected', `${name} is not a name in the zone ${zone}.`);
    // What is deleted was written by somebody: only what is new is held against the limits.
    if (what !== 'delete') requireSet(name, set);
  }
};
