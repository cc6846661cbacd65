// `selkie record`: a key record, or the SPF or DMARC record, to paste or compare.

import type { Command } from 'commander';
import { printKeyRecord, type RecordFormat } from '../../core/dkim/key-record.ts';
import { printValue } from '../../core/dkim/txt.ts';
import { SelkieError } from '../../core/errors.ts';
import { folderOf, goesToAws, type Where } from '../connection.ts';
import { dirOption, example } from '../options.ts';
import { type FoundRecord, lookUpRecord } from '../record.ts';

const formats: readonly string[] = ['zone', 'route53', 'value'] satisfies RecordFormat[];

const placeOf = (domain: string, which: string): string =>
  which === 'spf' ? domain : which === 'dmarc' ? `_dmarc.${domain}` : `${which}._domainkey.${domain}`;

const printed = (
  domain: string,
  which: string,
  { name, value }: FoundRecord,
  format: RecordFormat,
): string => {
  if (name === `${which}._domainkey.${domain}`)
    return printKeyRecord({ domain, selector: which, value }, format);
  if (format === 'value') return value;
  return format === 'route53' ? printValue(value, format) : `${name}.\tIN\tTXT\t${printValue(value, format)}`;
};

export const addRecord = (program: Command): void => {
  const command = program
    .command('record')
    .description('print a key record, or the SPF or DMARC record, to paste or compare')
    .argument('<domain>')
    .argument('<selector>', 'of a key; or spf, or dmarc')
    .addOption(dirOption())
    .option('--format <format>', 'zone (as opendkim-genkey writes it), route53 or value', 'zone')
    .action(async (domain: string, selector: string, options, self: Command) => {
      if (!formats.includes(options.format))
        throw new SelkieError('invalid', `--format is one of ${formats.join(', ')}, not "${options.format}"`);
      const where: Where = self.optsWithGlobals();
      if (goesToAws(where))
        throw new SelkieError(
          'invalid',
          `record reads the ledger of this machine; on AWS, ask DNS: dig +short TXT ${placeOf(domain, selector)}`,
        );
      const found = await lookUpRecord(folderOf(where), domain, selector);
      process.stdout.write(`${printed(domain, selector, found, options.format as RecordFormat).trimEnd()}\n`);
    });
  example(command, 'selkie record example.jp 240128 --format route53', 'selkie record example.jp spf');
};
