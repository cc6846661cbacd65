// `selkie import`: fleet entries from DNS or an OpenDKIM as it is.

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import { describe, SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import { type Findings, joined } from '../import/findings.ts';
import { type FleetText, fleetText } from '../import/fleet-text.ts';
import { importOpendkim } from '../import/opendkim.ts';
import { importOctodns, importZoneFile } from '../import/zones.ts';
import { example } from '../options.ts';

interface ImportOptions {
  readonly write?: string;
  readonly zone: readonly string[];
  readonly nameServer: readonly string[];
}

const several = (text: string, before: readonly string[]): readonly string[] => [...before, text];

const sources = ['octodns', 'zonefile', 'opendkim'] as const;
type From = (typeof sources)[number];

const read = async (
  from: From,
  path: string,
  { zone, nameServer }: ImportOptions,
): Promise<readonly Findings[]> => {
  const [first] = zone;
  switch (from) {
    case 'zonefile':
      return [importZoneFile(path, first)];
    case 'octodns':
      return importOctodns(path, first);
    case 'opendkim':
      return [await importOpendkim(path, { zones: zone.map(lowerName), nameServers: nameServer })];
  }
};

/** In one step: a fleet file that was cut short would be a fleet that lost its domains. */
const write = (file: string, text: string): void => {
  try {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  } catch (cause) {
    throw new SelkieError('denied', `${file} cannot be written: ${describe(cause)}`, { cause });
  }
};

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** What was found, and what a person should know: not on the standard output, which is the file. */
const tell = ({ added, remarks }: FleetText, where: string): void => {
  const lines = [
    ...remarks.map((remark) => `! ${remark}`),
    `${counted(added.domains.length, 'domain')} and ${counted(added.zones.length, 'zone')} ${where}`,
  ];
  process.stderr.write(`${lines.join('\n')}\n`);
};

export const addImport = (program: Command): void => {
  const command = program
    .command('import')
    .description('fleet entries from zone files, octoDNS or an OpenDKIM that is there')
    .addArgument(new Argument('<from>', 'what to read').choices(sources))
    .argument('<path...>', "zone files, octoDNS's files or their folder, or opendkim.conf")
    .option('--write <file>', 'into this fleet file, which may be there; by default it is printed')
    .option('--zone <name>', 'the zone, where a file does not say it (of opendkim: repeatable)', several, [])
    .option(
      '--name-server <address>',
      'of opendkim: ask these, not those that DNS tells (repeatable)',
      several,
      [],
    )
    .action(async (from: From, paths: readonly string[], options: ImportOptions) => {
      if (from !== 'opendkim' && options.zone.length > 0 && paths.length > 1)
        throw new SelkieError('invalid', '--zone names one zone: give one file with it');
      const found: Findings[] = [];
      for (const path of paths) found.push(...(await read(from, path, options)));
      const file = options.write;
      if (file === undefined) {
        const made = fleetText(joined(found), undefined);
        process.stdout.write(made.text);
        return tell(made, 'found; --write fleet.yaml writes or adds them');
      }
      const there = existsSync(file) ? { text: readFileSync(file, 'utf8'), file } : undefined;
      const made = fleetText(joined(found), there);
      write(file, made.text);
      tell(made, `${there === undefined ? 'written to' : 'added to'} ${file}`);
    });
  example(
    command,
    'selkie import zonefile example.jp.zone --write fleet.yaml',
    'selkie import octodns config/',
    'selkie import opendkim /etc/opendkim.conf',
  );
};
