// Made-up aggregate reports: a valid one, to be changed in one thing.
import { type AggregateReport, type ReportRecord, reportsKept } from '../../core/reports/report.ts';
import { hours, instant } from '../../core/time.ts';

export const begin = instant(Date.parse('2024-01-28T00:00:00Z'));

export const record = (more: Partial<ReportRecord> = {}): ReportRecord => ({
  source: '192.0.2.1',
  count: 10,
  from: 'example.com',
  dkim: true,
  spf: true,
  disposition: 'none',
  signatures: [{ domain: 'example.com', selector: '240128', result: 'pass' }],
  ...more,
});

export const report = (
  records: readonly ReportRecord[] = [record()],
  more: Partial<AggregateReport> = {},
): AggregateReport => ({
  reporter: 'receiver.example',
  id: 'report-1',
  begin,
  end: instant(begin + hours(24) - 1_000),
  domain: 'example.com',
  policy: 'none',
  records,
  ...more,
});

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const element = (name: string, text: string | number | undefined): string =>
  text === undefined ? '' : `<${name}>${escaped(String(text))}</${name}>`;

/** As RFC 7489 Appendix C has it. */
export const xmlOf = ({ reporter, id, begin: from, end, domain, policy, records }: AggregateReport): string =>
  [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<feedback>',
    `<report_metadata>${element('org_name', reporter)}${element('report_id', id)}<date_range>${element('begin', from / 1_000)}${element('end', end / 1_000)}</date_range></report_metadata>`,
    `<policy_published>${element('domain', domain)}${element('p', policy)}</policy_published>`,
    ...records.map(
      (one) =>
        `<record><row>${element('source_ip', one.source)}${element('count', one.count)}<policy_evaluated>${element('disposition', one.disposition)}${element('dkim', one.dkim ? 'pass' : 'fail')}${element('spf', one.spf ? 'pass' : 'fail')}</policy_evaluated></row><identifiers>${element('header_from', one.from)}</identifiers><auth_results>${one.signatures.map((signature) => `<dkim>${element('domain', signature.domain)}${element('selector', signature.selector)}${element('result', signature.result)}</dkim>`).join('')}</auth_results></record>`,
    ),
    '</feedback>',
  ].join('\n');

/** From when on nothing is kept of `begin`. */
export const forgotten = instant(begin + reportsKept);
