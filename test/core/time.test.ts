// Time: durations as ISO 8601 says, dates in their time zone.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  calendarDate,
  days,
  formatDuration,
  hours,
  instant,
  milliseconds,
  minutes,
  parseDuration,
} from '../../core/time.ts';

it.each([
  ['P90D', days(90)],
  ['P1W', days(7)],
  ['PT15M', minutes(15)],
  ['P1DT12H', hours(36)],
  ['PT0S', milliseconds(0)],
  ['PT0.5S', milliseconds(500)],
])('%s', (text, length) => {
  expect(parseDuration(text)).toBe(length);
});

it.each(['P3M', 'P1Y', 'P', 'PT', '90', 'p90d', 'P-1D', 'P1DT'])(
  '%s is none: years and months vary',
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);

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
  expect(() => calendarDate(at, 'Mars/Olympus')).toThrow(RangeError);
});
