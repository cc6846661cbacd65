// Time: points and lengths, durations as ISO 8601 says, dates in their time zone.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  between,
  calendarDate,
  clamp,
  earliest,
  formatDuration,
  formatInstant,
  hours,
  instant,
  latest,
  longest,
  milliseconds,
  minutes,
  parseDuration,
  seconds,
} from '../../core/time.ts';

describe('points and lengths', () => {
  const [first, second, third] = [instant(1_000), instant(2_500), instant(9_000)];

  it('a length is added to a point, or several', () => {
    expect(add(first)).toBe(1_000);
    expect(add(first, seconds(2), milliseconds(5))).toBe(3_005);
  });

  it('between two points lies a length, none where they are the other way round', () => {
    expect(between(first, third)).toBe(8_000);
    expect(between(third, first)).toBe(0);
  });

  it('the latest, the earliest of those that exist, the longest', () => {
    expect(latest(second, third, first)).toBe(third);
    expect(latest(second)).toBe(second);
    expect(earliest(second, undefined, first, third)).toBe(first);
    expect(earliest(undefined)).toBeUndefined();
    expect(earliest()).toBeUndefined();
    expect(longest(minutes(1), hours(1), seconds(1))).toBe(3_600_000);
    expect(longest(minutes(1))).toBe(60_000);
  });

  it.each([
    [5, 10],
    [10, 10],
    [15, 15],
    [20, 20],
    [25, 20],
  ])('%i s kept between 10 and 20: %i', (length, kept) => {
    expect(clamp(seconds(length), seconds(10), seconds(20))).toBe(seconds(kept));
  });

  it('a point is printed as RFC 3339 says, with milliseconds', () => {
    expect(formatInstant(instant(1_706_432_400_007))).toBe('2024-01-28T09:00:00.007Z');
  });
});

it.each([
  ['P90D', 90 * 86_400_000],
  ['P1W', 7 * 86_400_000],
  ['P12W', 84 * 86_400_000],
  ['PT15M', 900_000],
  ['PT36H', 36 * 3_600_000],
  ['PT120S', 120_000],
  ['P1DT12H', 36 * 3_600_000],
  ['P1W1DT1H1M1S', 8 * 86_400_000 + 3_661_000],
  ['PT0S', 0],
  ['PT0.5S', 500],
  ['PT10.125S', 10_125],
])('%s', (text, length) => {
  expect(parseDuration(text)).toBe(length);
});

it.each([
  'P3M',
  'P1Y',
  'P',
  'PT',
  '90',
  'p90d',
  'P-1D',
  'P1DT',
  'P1D1W',
  'PT1M1H',
  'PT1.S',
  'PT1.1234S',
  'PT1,5S',
  'P1.5D',
  ' P1D',
  'P1D ',
  '',
])('"%s" is none: years and months vary', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

it.each([
  [0, 'PT0S'],
  [1, 'PT0.001S'],
  [500, 'PT0.5S'],
  [90_000, 'PT1M30S'],
  [3_600_000, 'PT1H'],
  [86_400_000, 'P1D'],
  [604_800_000, 'P7D'],
  [90_061_001, 'P1DT1H1M1.001S'],
])('%i ms are printed %s', (length, text) => {
  expect(formatDuration(milliseconds(length))).toBe(text);
});

it('printed and parsed, a duration is the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 ** 12 }), (n) => {
      expect(parseDuration(formatDuration(milliseconds(n)))).toBe(n);
    }),
    { seed: 240128 },
  );
});

it('a selector’s date is that of the policy’s time zone', () => {
  const at = instant(Date.parse('2024-01-27T20:00:00Z'));
  expect(calendarDate(at, 'UTC')).toBe('240127');
  expect(calendarDate(at, 'Asia/Tokyo')).toBe('240128');
  expect(calendarDate(instant(Date.parse('2009-03-05T00:00:00Z')), 'UTC')).toBe('090305');
  expect(() => calendarDate(at, 'Mars/Olympus')).toThrow(RangeError);
});
