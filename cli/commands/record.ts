// `selkie record`: a key record, or the SPF or DMARC record, to paste or compare.

import { type Command, Option } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { folderOf, goesToAws, type Where } from '../connection.ts';
import { dirOption, example, jsonOption } from '../options.ts';
import { sayJson } from '../out.ts';
import { lookUpRecord } from '../record.ts';
import { type ShownFormat, shownFormats, showRecord } from '../record-formats.ts';

const placeOf = (domain: string, which: string): string =>
  which === 'spf' ? domain : which === 'dmarc' ? `_dmarc.${domain}` : `${which}._domainkey.${domain}`;

export const addRecord = (program: Command): void => {
  const command = program
    .command('record')
    .description('print a key record, or the SPF or DMARC record, to paste or compare')
    .argument('<domain>')
    .argument('<selector>', 'of a key; or spf, or dmarc')
    .addOption(dirOption())
    .addOption(jsonOption())
    .addOption(
      new Option('--format <format>', 'how to write it (opendkim: as opendkim-genkey does)')
        .choices(shownFormats)
        .default('zone' satisfies ShownFormat),
    )
    .action(
      async (
        domain: string,
        selector: string,
        { format, ...options }: { format: ShownFormat; json?: true },
        self: Command,
      ) => {
        if (format === 'opendkim' && (selector === 'spf' || selector === 'dmarc'))
          throw new SelkieError('invalid', `--format opendkim is for key records; ${selector} takes zone`);
        const where: Where = self.optsWithGlobals();
        if (goesToAws(where))
          throw new SelkieError(
            'invalid',
            `record reads the ledger of this machine; on AWS, ask DNS: dig +short TXT ${placeOf(domain, selector)}`,
          );
        const found = await lookUpRecord(folderOf(where), domain, selector);
        if (options.json === true)
          return sayJson({ domain, selector, record: found.name, value: found.value });
        process.stdout.write(`${showRecord(found, format)}\n`);
      },
    );
  example(
    command,
    'selkie record example.jp 240128 --format panel',
    'selkie record example.jp 240128 --format octodns',
    'selkie record example.jp spf',
  );
};
