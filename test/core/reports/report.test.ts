// What holds of every aggregate report, whoever wrote it.
import { expect, it } from 'vitest';
import { dayOf, longestPeriod, mostReportsOfDay, passes, reportsKept } from '../../../core/reports/report.ts';
import { instant } from '../../../core/time.ts';

// RFC 9989 §5.3.5, RFC 7489 §6.6.2: one aligned identifier that passes is enough.
it.each([
  [true, true, true],
  [true, false, true],
  [false, true, true],
  [false, false, false],
])('DMARC with DKIM %s and SPF %s: %s', (dkim, spf, pass) => {
  expect(passes({ dkim, spf })).toBe(pass);
});

it.each([
  ['2024-01-28T00:00:00Z', '2024-01-28'],
  ['2024-01-28T23:59:59.999Z', '2024-01-28'],
  ['2024-01-29T08:00:00+09:00', '2024-01-28'],
])('%s is of the day %s, in UTC', (at, day) => {
  expect(dayOf(instant(Date.parse(at)))).toBe(day);
});

it('keeps what docs/reports.md promises: 400 days, 500 reports of a day; no period is longer than a month', () => {
  expect(reportsKept).toBe(34_560_000_000);
  expect(mostReportsOfDay).toBe(500);
  expect(longestPeriod).toBe(2_764_800_000);
});
