// From a report to what is kept of it: whose it is, what is one line, and how many lines there are at most.
import { describe, expect, it } from 'vitest';
import type { Disposition, ReportedSignature } from '../../../core/reports/report.ts';
import { tallied } from '../../../core/reports/tally.ts';
import { record, report } from '../../reports/made.ts';

const ours = (...domains: readonly string[]) => {
  const set = new Set(domains);
  return (domain: string): boolean => set.has(domain);
};
const isOurs = ours('example.com');
const linesOf = (...given: Parameters<typeof report>) => tallied(report(...given), isOurs)[0]?.tallies ?? [];
const signature = (domain: string, selector = 's'): ReportedSignature => ({
  domain,
  selector,
  result: 'pass',
});

describe('whose a record is', () => {
  it.each<readonly [string, string | undefined, string, readonly string[], string | undefined]>([
    ['the domain of From', 'example.com', 'other.example', ['example.com'], 'example.com'],
    ['the nearest above From', 'a.news.example.com', 'other.example', ['example.com'], 'example.com'],
    [
      'the nearest of two',
      'a.news.example.com',
      'example.com',
      ['example.com', 'news.example.com'],
      'news.example.com',
    ],
    ['From before the subject', 'example.net', 'example.com', ['example.com', 'example.net'], 'example.net'],
    ['the subject where From is not ours', 'example.net', 'example.com', ['example.com'], 'example.com'],
    ['above the subject, likewise', 'example.net', 'mail.example.com', ['example.com'], 'example.com'],
    ['the subject where From is no name', undefined, 'example.com', ['example.com'], 'example.com'],
    ['nobody of ours', 'example.net', 'other.example', ['example.com'], undefined],
    ['no part of a label', 'notexample.com', 'other.example', ['example.com'], undefined],
  ])('%s', (_, from, domain, fleet, owner) => {
    const { from: _own, ...rest } = record();
    const one = from === undefined ? rest : { ...rest, from };
    const found = tallied(report([one], { domain }), ours(...fleet));
    expect(found.map((each) => each.domain)).toEqual(owner === undefined ? [] : [owner]);
  });

  it('is asked once for each From', () => {
    const asked: string[] = [];
    tallied(
      report([record(), record(), record({ from: 'example.net' }), record({ from: 'example.net' })]),
      (name) => {
        asked.push(name);
        return name === 'example.com';
      },
    );
    expect(asked).toEqual(['example.com', 'example.com', 'example.net', 'net']);
  });

  it('domains come by name, each with its own sums', () => {
    const found = tallied(
      report([
        record({ from: 'c.example', count: 1 }),
        record({ from: 'a.example', count: 2, dkim: false }),
        record({ from: 'b.example', count: 4, dkim: false, spf: false }),
        record({ from: 'a.example', count: 8, dkim: false, spf: false }),
      ]),
      ours('a.example', 'b.example', 'c.example'),
    );
    expect(found.map(({ domain, messages, passed }) => [domain, messages, passed])).toEqual([
      ['a.example', 10, 2],
      ['b.example', 4, 0],
      ['c.example', 1, 1],
    ]);
  });
});

describe('a line', () => {
  it('has what the record said, and not whose From it was', () => {
    expect(linesOf()).toEqual([
      {
        source: '192.0.2.1',
        count: 10,
        dkim: true,
        spf: true,
        disposition: 'none',
        signatures: [{ domain: 'example.com', selector: '240128', result: 'pass' }],
      },
    ]);
  });

  it('is one for records that fared alike', () => {
    expect(linesOf([record({ count: 3 }), record({ from: 'news.example.com', count: 4 })])).toEqual([
      expect.objectContaining({ count: 7 }),
    ]);
  });

  it.each([
    ['source', { source: '192.0.2.2' }],
    ['DKIM verdict', { dkim: false }],
    ['SPF verdict', { spf: false }],
    ['disposition', { disposition: 'reject' }],
    ['selector', { signatures: [{ domain: 'example.com', selector: 'x', result: 'pass' }] }],
    ['selector, said by one', { signatures: [{ domain: 'example.com', result: 'pass' }] }],
    ['signer', { signatures: [{ domain: 'a.example', selector: '240128', result: 'pass' }] }],
    ['result', { signatures: [{ domain: 'example.com', selector: '240128', result: 'fail' }] }],
  ] as const)('is its own for another %s', (_, more) => {
    expect(linesOf([record(), record(more)])).toHaveLength(2);
  });

  it('comes before those of fewer messages; of as many, by its text', () => {
    const lines = linesOf([
      record({ source: '192.0.2.3', count: 5 }),
      record({ source: '192.0.2.1', count: 5 }),
      record({ source: '192.0.2.4', count: 9 }),
      record({ source: '192.0.2.2', count: 5 }),
    ]);
    expect(lines.map(({ source }) => source)).toEqual(['192.0.2.4', '192.0.2.1', '192.0.2.2', '192.0.2.3']);
  });

  it('counts no more than a thousand million messages of a record', () => {
    expect(linesOf([record({ count: 1_000_000_001 })])[0]?.count).toBe(1_000_000_000);
    expect(linesOf([record({ count: 999_999_999 })])[0]?.count).toBe(999_999_999);
  });
});

describe('of the signatures', () => {
  const kept = (...signatures: readonly ReportedSignature[]) =>
    linesOf([record({ signatures })])[0]?.signatures.map(({ domain, selector }) => `${selector}@${domain}`);

  it('three are kept, those of the domain and below it first, then by selector', () => {
    expect(
      kept(
        signature('list.example', 'a'),
        signature('example.com', 'z'),
        signature('other.example', 'b'),
        signature('news.example.com', 'y'),
      ),
    ).toEqual(['y@news.example.com', 'z@example.com', 'a@list.example']);
  });

  it('each counts once', () => {
    expect(kept(signature('example.com'), signature('example.com'))).toEqual(['s@example.com']);
  });

  it('their order makes no other line', () => {
    const [a, b] = [signature('a.example', 'a'), signature('b.example', 'b')];
    expect(linesOf([record({ signatures: [a, b] }), record({ signatures: [b, a] })])).toHaveLength(1);
  });
});

describe('of more than 200 lines', () => {
  const source = (n: number): string => `192.0.2.${String(n).padStart(3, '0')}`;
  const many = (length: number) =>
    Array.from({ length }, (_, n) => record({ source: source(n), count: 1_000 - n }));

  it('200 are kept as they are', () => {
    const lines = linesOf(many(200));
    expect(lines).toHaveLength(200);
    expect(lines.at(-1)).toMatchObject({ source: '192.0.2.199', count: 801 });
  });

  it('the 188 of the most messages are kept, the rest is one line for each verdict, without signatures', () => {
    const dispositions: readonly Disposition[] = ['none', 'reject'];
    const lines = linesOf([
      ...many(188),
      ...Array.from({ length: 20 }, (_, n) =>
        record({ source: source(200 + n), count: 1, disposition: dispositions[n < 8 ? 0 : 1] ?? 'none' }),
      ),
    ]);
    expect(lines).toHaveLength(190);
    expect(lines[187]).toMatchObject({ source: '192.0.2.187', count: 813 });
    expect(lines.slice(188)).toEqual([
      { source: 'others', count: 12, dkim: true, spf: true, disposition: 'reject', signatures: [] },
      { source: 'others', count: 8, dkim: true, spf: true, disposition: 'none', signatures: [] },
    ]);
  });
});
