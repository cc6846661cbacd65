// Reports in the shapes that reporters are known to write, read whole; and read by another program of its own (dmarc-cat) to the
// same messages, as far as that one can read them.
import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readReports } from '../../../adapters/reports/read.ts';
import type { AggregateReport, ReportRecord } from '../../../core/reports/report.ts';
import { describeWith, program } from '../../tools/machine.ts';
import { makeFolder } from '../../tools/temporary-folder.ts';

const folder = fileURLToPath(new URL('../../reports/corpus/', import.meta.url));
const files = readdirSync(folder).filter((name) => name.endsWith('.xml'));
const read = async (name: string): Promise<AggregateReport> => {
  const [report, ...more] = await readReports(readFileSync(join(folder, name)));
  if (report === undefined || more.length > 0) throw new Error(`${name} is not one report`);
  return report;
};

const line = ({ source, count, from, dkim, spf, disposition, signatures }: ReportRecord): string =>
  [
    source,
    count,
    from ?? '-',
    ...[dkim, spf].map((passed) => (passed ? 'pass' : 'fail')),
    disposition,
    ...signatures.map(({ domain, selector = '-', result }) => `${selector}@${domain}=${result}`),
  ].join(' ');

const ours = '240128@example.jp=pass';
const expected: Readonly<Record<string, readonly [reporter: string, id: string, ...records: string[]]>> = {
  aol: [
    'AOL',
    'example.jp_1706486400',
    '192.0.2.10 2 example.jp pass pass none -@not.evaluated=none -@example.jp=pass',
  ],
  draft: [
    'draft.example',
    'draft.example:1706490000',
    '192.0.2.10 2 news.example.jp fail pass none -@example.jp=fail',
  ],
  gmx: ['GMX', '6d0000000000000000000000000000a5', `192.0.2.10 5 example.jp pass pass none ${ours}`],
  google: [
    'google.com',
    '10012345678901234567',
    `192.0.2.10 140 example.jp pass pass none ${ours}`,
    '2001:db8::25 9 example.jp pass fail none 231030@example.jp=pass s1@lists.example.net=fail',
    '203.0.113.66 3 example.jp fail fail quarantine',
  ],
  mail: ['Mail.Ru', '28300000000000000001706400000', `198.51.100.9 1 example.jp pass fail none ${ours}`],
  missing: [
    'missing.example',
    '1706400000000-1706486399000',
    `unknown 1 example.jp pass fail none ${ours}`,
    '192.0.2.10 6 - fail fail none',
  ],
  prefixed: ['Prefixed', 'prefixed-1', `192.0.2.10 5 example.jp pass pass none ${ours}`],
  protection: [
    'Outlook.com',
    '0123456789abcdef0123456789abcdef',
    `192.0.2.10 12 example.jp pass pass none ${ours} 240128e@example.jp=permerror`,
  ],
  rfc9990: [
    'rfc9990.example',
    '3v0000bbp8ya9n3va8yr8oa3ya',
    `192.0.2.10 123 example.jp pass fail none ${ours}`,
  ],
  unescaped: ['unescaped.example', 'a&b&amp;c', '192.0.2.10 1 - fail fail none'],
  uppercase: [
    'uppercase.example',
    'aggr_report_uppercase_1638',
    `2001:db8::26 4 example.jp pass pass none ${ours}`,
  ],
  wrapped: ['wrapped.example', 'aggr_report_2024_01_28', `192.0.2.10 5 example.jp pass pass none ${ours}`],
  yahoo: ['Yahoo', '1706490000.123456', `192.0.2.11 31 example.jp pass pass none ${ours}`],
};

describe('the corpus', () => {
  it.each(files)('%s', async (name) => {
    const report = await read(name);
    expect([report.reporter, report.id, ...report.records.map(line)]).toEqual(
      expected[name.split('.')[0] ?? ''],
    );
    expect(report.domain).toBe('example.jp');
    expect(new Date(report.begin).toISOString()).toBe('2024-01-28T00:00:00.000Z');
    expect([1706486399000, 1706486400000]).toContain(report.end);
  });

  it('is what is expected of it, and nothing else', () => {
    expect(files.map((name) => name.split('.')[0])).toEqual(Object.keys(expected).toSorted());
  });

  it('says the same in other encodings, as XML declares them (XML 1.0 §4.3.3)', async () => {
    const name = files.find((each) => each.startsWith('google')) ?? '';
    const text = readFileSync(join(folder, name), 'utf8');
    const plain = await read(name);
    const little = Buffer.from(`\ufeff${text}`, 'utf16le');
    const big = Buffer.from(little).swap16();
    const latin = Buffer.from(text.replace('UTF-8', 'ISO-8859-1').replace('arc=pass', 'é'), 'latin1');
    for (const bytes of [little, big, latin, Buffer.from(`\ufeff${text}`), Buffer.from(`\r\n ${text}`)])
      expect(await readReports(bytes)).toEqual([plain]);
  });
});

/** It knows neither namespaces with prefixes nor what is not well-formed, capitals or drafts. */
const unread = ['draft', 'missing', 'prefixed', 'unescaped', 'uppercase', 'wrapped', 'yahoo'];

describeWith(['dmarc-cat'], 'another reader', () => {
  it.each(files.filter((name) => !unread.includes(name.split('.')[0] ?? '')))(
    'finds the same sources and messages in %s, plain and packed',
    async (name) => {
      const report = await read(name);
      const place = makeFolder();
      const [plain, packed] = [join(place, name), join(place, `${name}.gz`)];
      copyFileSync(join(folder, name), plain);
      writeFileSync(packed, gzipSync(readFileSync(plain)));
      for (const file of [plain, packed]) {
        const output = execFileSync(program('dmarc-cat') ?? 'dmarc-cat', ['-N', file], { encoding: 'utf8' });
        expect(output).toContain(`Reporting by: ${report.reporter} `);
        expect(output).toContain(`Domain: ${report.domain}`);
        const rows = output
          .split('\n')
          .map((row) => /^([0-9a-f.:]+) +(\d+) +(\S+)/.exec(row))
          .filter((row) => row !== null)
          .map(([, source, count, from]) => `${source} ${count} ${from}`);
        expect(rows.toSorted()).toEqual(
          report.records.map(({ source, count, from }) => `${source} ${count} ${from}`).toSorted(),
        );
      }
    },
  );
});
