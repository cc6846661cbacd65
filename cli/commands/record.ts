// `selkie record`: a key record, to paste or compare.

import { type Command, Option } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { folderOf, goesToAws, type Where } from '../connection.ts';
import { dirOption, example } from '../options.ts';
import { lookUpRecord } from '../record.ts';
import { type ShownFormat, shownFormats, showRecord } from '../record-formats.ts';

export const addRecord = (program: Command): void => {
  const command = program
    .command('record')
    .description('print a key record, to paste or compare')
    .argument('<domain>')
    .argument('<selector>')
    .addOption(dirOption())
    .addOption(
      new Option(
        '--format <format>',
        `${shownFormats.join(', ')} (opendkim: as opendkim-genkey writes it)`,
      ).default('zone' satisfies ShownFormat),
    )
    .action(async (domain: string, selector: string, options: { format: string }, self: Command) => {
      const format = shownFormats.find((one) => one === options.format);
      if (format === undefined)
        throw new SelkieError(
          'invalid',
          `--format is one of ${shownFormats.join(', ')}, not "${options.format}"`,
        );
      const where: Where = self.optsWithGlobals();
      if (goesToAws(where))
        throw new SelkieError(
          'invalid',
          `record reads the ledger of this machine; on AWS, ask DNS: dig +short TXT ${selector}._domainkey.${domain}`,
        );
      process.stdout.write(`${showRecord(await lookUpRecord(folderOf(where), domain, selector), format)}\n`);
    });
  example(
    command,
    'selkie record example.jp 240128 --format panel',
    'selkie record example.jp 240128 --format octodns',
  );
};
