// Selectors: `YYMMDD[e][-n]`, a calendar date in the policy's time zone. Pure.

import { type Algorithm, algorithms } from '../algorithm.ts';
import { SelkieError } from '../errors.ts';

export interface Selector {
  /** `YYMMDD` */
  readonly date: string;
  /** Of the algorithm: RFC 8463 §3 wants a selector of its own for each key type. */
  readonly suffix: '' | 'e';
  /** 1 for the day's first, which does not say it. */
  readonly n: number;
}

/** A day has room for this many keys of a kind: whoever asks for more is in a loop. */
const mostPerDay = 9_999;

/**
 * The day's selector behind the last that was used: `240128`, then `240128-2`, `240128-3`; Ed25519 `240128e`, `240128e-2`.
 * Behind the last, and not the first free one: a row forgets its oldest keys, and their selectors are never free again.
 * @param date `YYMMDD`, as `calendarDate` gives it
 * @param used selectors that the row knows, in any order
 * @throws invalid where `date` is no calendar date, or every selector of the day is used
 */
export const selectorFor = (date: string, algorithm: Algorithm, used: Iterable<string>): string => {
  if (!isCalendarDate(date)) throw new SelkieError('invalid', `"${date}" is no date of the form YYMMDD.`);
  const { suffix } = algorithms[algorithm];
  let last = 0;
  for (const selector of used) {
    const parsed = parseSelector(selector);
    if (parsed?.date === date && parsed.suffix === suffix) last = Math.max(last, parsed.n);
  }
  if (last < mostPerDay) return formatSelector({ date, suffix, n: last + 1 });
  throw new SelkieError('invalid', `All ${mostPerDay} selectors ${date}${suffix} of the day are used.`);
};

export const formatSelector = ({ date, suffix, n }: Selector): string =>
  `${date}${suffix}${n === 1 ? '' : `-${n}`}`;

/** Undefined where it is not a selector of Selkie's form. */
export const parseSelector = (text: string): Selector | undefined => {
  const [, date = '', suffix, n] = /^(\d{6})(e?)(?:-([1-9]\d{0,3}))?$/.exec(text) ?? [];
  if (!isCalendarDate(date) || n === '1') return undefined;
  return { date, suffix: suffix === 'e' ? 'e' : '', n: n === undefined ? 1 : Number(n) };
};

/** Of the years 2000 to 2099. */
const isCalendarDate = (date: string): boolean => {
  const [, year = 0, month = 0, day = 0] = (/^(\d\d)(\d\d)(\d\d)$/.exec(date) ?? []).map(Number);
  // A day that the month does not have falls into another month.
  return new Date(Date.UTC(2000 + year, month - 1, day)).getUTCMonth() === month - 1;
};
