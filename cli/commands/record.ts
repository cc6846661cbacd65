// `selkie record`: a key record, to paste or compare.

import type { Command } from 'commander';
import { printKeyRecord, type RecordFormat } from '../../core/dkim/key-record.ts';
import { SelkieError } from '../../core/errors.ts';
import { folderOf, goesToAws, type Where } from '../connection.ts';
import { dirOption, example } from '../options.ts';
import { lookUpRecord } from '../record.ts';

const formats: readonly string[] = ['zone', 'route53', 'value'] satisfies RecordFormat[];

export const addRecord = (program: Command): void => {
  const command = program
    .command('record')
    .description('print a key record, to paste or compare')
    .argument('<domain>')
    .argument('<selector>')
    .addOption(dirOption())
    .option('--format <format>', 'zone (as opendkim-genkey writes it), route53 or value', 'zone')
    .action(async (domain: string, selector: string, options, self: Command) => {
      if (!formats.includes(options.format))
        throw new SelkieError('invalid', `--format is one of ${formats.join(', ')}, not "${options.format}"`);
      const where: Where = self.optsWithGlobals();
      if (goesToAws(where))
        throw new SelkieError(
          'invalid',
          `record reads the ledger of this machine; on AWS, ask DNS: dig +short TXT ${selector}._domainkey.${domain}`,
        );
      const value = await lookUpRecord(folderOf(where), domain, selector);
      process.stdout.write(
        `${printKeyRecord({ domain, selector, value }, options.format as RecordFormat).trimEnd()}\n`,
      );
    });
  example(command, 'selkie record example.jp 240128 --format route53');
};
