// `selkie reports`: brings DMARC aggregate reports in, and shows what they say together. Files are unpacked here, one report at a
// time, and judged by the API.

import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Command } from 'commander';
import { reportsIn } from '../../adapters/reports/unpack.ts';
import { reportDays, reportUpload } from '../../contract/reports.ts';
import { describe, hasCode, SelkieError } from '../../core/errors.ts';
import type { DomainReports, reportsOfAll } from '../../engine/report-rates.ts';
import type { ImportedReport } from '../../engine/reports.ts';
import type { Api } from '../client.ts';
import { connect } from '../connection.ts';
import { example, reading, wholeNumber } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { piecesAt } from '../reports/mailboxes.ts';
import { printDomainReports, printImported, printRates } from '../reports/print.ts';
import { domainPath } from './paths.ts';

const packed = promisify<Uint8Array, Buffer>(gzip);

interface Sums {
  saved: number;
  known: number;
  /** Of domains that the fleet does not have. */
  others: number;
  refused: number;
  /** Mails and files without a report. */
  without: number;
}

const isNew = ({ domains }: ImportedReport): boolean => domains.some(({ kept }) => kept === 'saved');

/** What is wrong with one report, and not with the way to the API, or with what the whole of it needs. */
const isOfReport = (error: unknown): error is SelkieError => hasCode(error, 'invalid', 'not-found');

const send = async (api: Api, text: string): Promise<readonly ImportedReport[]> => {
  const bytes = await packed(Buffer.from(text));
  if (bytes.length > reportUpload)
    throw new SelkieError('invalid', `the report is over ${reportUpload} bytes even packed`);
  return (await api.call<{ reports: ImportedReport[] }>('POST', '/v1/reports', bytes)).reports;
};

const importAll = async (
  api: Api,
  paths: readonly string[],
  told: (report: ImportedReport) => void,
): Promise<Sums> => {
  const sums: Sums = { saved: 0, known: 0, others: 0, refused: 0, without: 0 };
  const refuse = (name: string, error: SelkieError): void => {
    if (error.code === 'not-found') sums.others += 1;
    else {
      sums.refused += 1;
      process.stderr.write(`${name}: ${describe(error)}\n`);
    }
  };
  for (const path of paths)
    for await (const piece of piecesAt(path)) {
      if (piece instanceof SelkieError) {
        refuse(path, piece);
        continue;
      }
      let found = 0;
      try {
        for await (const text of reportsIn(piece.bytes)) {
          found += 1;
          try {
            for (const report of await send(api, text)) {
              sums[isNew(report) ? 'saved' : 'known'] += 1;
              told(report);
            }
          } catch (error) {
            if (!isOfReport(error)) throw error;
            refuse(piece.name, error);
          }
        }
        if (found === 0) sums.without += 1;
      } catch (error) {
        if (!isOfReport(error)) throw error;
        refuse(piece.name, error);
      }
    }
  return sums;
};

const sentence = ({ saved, known, others, refused, without }: Sums): string =>
  [
    `${saved} new, ${known} known`,
    ...(others > 0 ? [`${others} about domains that are not in fleet.yaml`] : []),
    ...(refused > 0 ? [`${refused} refused`] : []),
    ...(without > 0
      ? [`${without} ${without === 1 ? 'file or mail' : 'files or mails'} without a report`]
      : []),
  ].join(', ');

const addImport = (reports: Command): void => {
  const command = reading(
    reports
      .command('import')
      .description('take in reports: XML, gzip, zip, mails, mbox files, Maildirs, folders')
      .argument('<file...>'),
  ).action(async (paths: readonly string[], options: { json?: true }, self: Command) => {
    const all: ImportedReport[] = [];
    const isJson = options.json === true;
    const sums = await importAll(await connect(self), paths, (report) => {
      if (isJson) all.push(report);
      else printImported(report, say);
    });
    if (isJson) sayJson({ ...sums, reports: all });
    else say(sentence(sums));
    if (sums.refused > 0) process.exitCode = 1;
    if (sums.saved + sums.known + sums.others + sums.refused === 0)
      throw new SelkieError('not-found', 'there is no DMARC aggregate report in what was given');
  });
  example(
    command,
    'selkie reports import ~/Maildir/.DMARC',
    'selkie reports import google.com!example.jp!*.zip',
  );
};

type Page = Awaited<ReturnType<typeof reportsOfAll>>;

/** All pages: one may be empty and yet have a next. */
const allRates = async (api: Api, days: number): Promise<Pick<Page, 'from' | 'domains'>> => {
  const domains: Page['domains'][number][] = [];
  for (let after: string | undefined; ; ) {
    const query = after === undefined ? '' : `&after=${encodeURIComponent(after)}`;
    const page = await api.call<Page>('GET', `/v1/reports?days=${days}&limit=200${query}`);
    domains.push(...page.domains);
    if (page.next === undefined) return { from: page.from, domains };
    after = page.next;
  }
};

const addShow = (reports: Command): void => {
  const command = reading(
    reports
      .command('show')
      .description('how much mail passed, by selector, source and day')
      .argument('[domain]')
      .option('--days <n>', 'how far back', wholeNumber(1, reportDays.most, 'days are'), reportDays.usual),
  ).action(async (domain: string | undefined, options: { days: number; json?: true }, self: Command) => {
    const api = await connect(self);
    if (domain === undefined) {
      const found = await allRates(api, options.days);
      if (options.json === true) return sayJson(found);
      if (found.domains.length > 0) return printRates(found, say);
      return say(`no reports since ${found.from}: bring some in with selkie reports import FILE`);
    }
    const path = `${domainPath(domain)}/reports?days=${options.days}`;
    const found = await api.call<DomainReports>('GET', path);
    if (options.json === true) return sayJson(found);
    if (found.reports > 0) return printDomainReports(found, say);
    say(`no reports on ${found.domain} since ${found.from}: bring some in with selkie reports import FILE`);
  });
  example(command, 'selkie reports show', 'selkie reports show example.jp --days 90');
};

export const addReports = (program: Command): void => {
  const reports = program
    .command('reports')
    .description('DMARC aggregate reports: what receivers say of our mail');
  addImport(reports);
  addShow(reports);
};
