// What many reports on a domain say together.
import { describe, expect, it } from 'vitest';
import type { ReportRow, Tally } from '../../../core/reports/report.ts';
import { createSummary } from '../../../core/reports/summary.ts';
import { begin, forgotten } from '../../reports/made.ts';

const tally = (more: Partial<Tally> = {}): Tally => ({
  source: '192.0.2.1',
  count: 10,
  dkim: true,
  spf: true,
  disposition: 'none',
  signatures: [{ domain: 'example.com', selector: '240128', result: 'pass' }],
  ...more,
});
const row = (tallies: readonly Tally[], more: Partial<ReportRow> = {}): ReportRow => ({
  domain: 'example.com',
  day: '2024-01-28',
  reporter: 'receiver.example',
  id: '1',
  begin,
  end: begin,
  at: begin,
  expires: forgotten,
  tallies,
  ...more,
});
const summed = (...rows: readonly ReportRow[]) => {
  const summary = createSummary('example.com');
  for (const one of rows) summary.add(one);
  return summary.summary();
};

it('of no report has nothing', () => {
  expect(summed()).toEqual({
    domain: 'example.com',
    reports: 0,
    messages: 0,
    passed: 0,
    dkim: 0,
    spf: 0,
    days: [],
    selectors: [],
    sources: [],
    reporters: [],
  });
});

it('adds up by day, source and reporter; DMARC passes by DKIM or SPF: RFC 9989 §5.3.5', () => {
  const found = summed(
    row([tally({ count: 1 }), tally({ count: 2, spf: false })], { day: '2024-01-29' }),
    row(
      [tally({ count: 4, dkim: false }), tally({ count: 8, source: '192.0.2.2', dkim: false, spf: false })],
      {
        reporter: 'b.example',
      },
    ),
  );
  expect(found).toMatchObject({ reports: 2, messages: 15, passed: 7, dkim: 3, spf: 5 });
  expect(found.days).toEqual([
    { day: '2024-01-28', messages: 12, passed: 4, dkim: 0, spf: 4 },
    { day: '2024-01-29', messages: 3, passed: 3, dkim: 3, spf: 1 },
  ]);
  expect(found.sources).toEqual([
    { source: '192.0.2.2', messages: 8, passed: 0, dkim: 0, spf: 0 },
    { source: '192.0.2.1', messages: 7, passed: 7, dkim: 3, spf: 5 },
  ]);
  expect(found.reporters).toEqual([
    { reporter: 'b.example', reports: 1, messages: 12, last: '2024-01-28' },
    { reporter: 'receiver.example', reports: 1, messages: 3, last: '2024-01-29' },
  ]);
});

it.each([
  ['2024-01-28', '2024-01-30', '2024-01-29'],
  ['2024-01-30', '2024-01-29', '2024-01-28'],
  ['2024-01-29', '2024-01-28', '2024-01-30'],
])('knows the first and the last day in whatever order they come: %s, %s, %s', (...days) => {
  const found = summed(...days.map((day) => row([tally()], { day })));
  expect(found.days.map(({ day }) => day)).toEqual(['2024-01-28', '2024-01-29', '2024-01-30']);
  expect(found.reporters).toEqual([
    { reporter: 'receiver.example', reports: 3, messages: 30, last: '2024-01-30' },
  ]);
  expect(found.selectors).toMatchObject([{ messages: 30, first: '2024-01-28', last: '2024-01-30' }]);
});

describe('of selectors', () => {
  it('counts a message for each of its signatures, and those that verified', () => {
    const found = summed(
      row([
        tally({ count: 3 }),
        tally({
          count: 4,
          signatures: [
            { domain: 'example.com', selector: '240128', result: 'fail' },
            { domain: 'lists.example', selector: 's1', result: 'pass' },
            { domain: 'example.com', result: 'neutral' },
          ],
        }),
      ]),
    );
    const seen = { first: '2024-01-28', last: '2024-01-28', reporters: ['receiver.example'] };
    expect(found.selectors).toEqual([
      { selector: '240128', messages: 7, passed: 3, ...seen },
      { selector: 's1', domain: 'lists.example', messages: 4, passed: 4, ...seen },
      { selector: '(not said)', messages: 4, passed: 0, ...seen },
    ]);
  });

  it('names the five reporters that show it most', () => {
    const counts = [1, 6, 3, 5, 2, 4, 1, 1];
    const found = summed(
      ...counts.map((count, n) => row([tally({ count })], { reporter: n === 7 ? 'r0' : `r${n}` })),
    );
    expect(found.selectors[0]?.reporters).toEqual(['r1', 'r3', 'r5', 'r2', 'r0']);
  });
});

it('names the 50 sources, 50 selectors and 100 reporters of the most messages', () => {
  const found = summed(
    ...Array.from({ length: 101 }, (_, n) =>
      row(
        [
          tally({
            source: `s${n}`,
            count: n + 1,
            signatures: [{ domain: 'example.com', selector: `k${n}`, result: 'pass' }],
          }),
        ],
        { reporter: `r${n}` },
      ),
    ),
  );
  const ends = <T>(list: readonly T[]) => [list.length, list[0], list.at(-1)];
  expect(ends(found.sources.map(({ source }) => source))).toEqual([50, 's100', 's51']);
  expect(ends(found.selectors.map(({ selector }) => selector))).toEqual([50, 'k100', 'k51']);
  expect(ends(found.reporters.map(({ reporter }) => reporter))).toEqual([100, 'r100', 'r1']);
  expect(found.messages).toBe(5_151);
});
