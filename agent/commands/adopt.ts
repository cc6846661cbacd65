// `selkie-agent adopt`: the keys of an OpenDKIM on this host become keys of this host. Shows what it found; `--apply` does it.
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { createAuthority } from '../../adapters/dns/authority.ts';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import { findKeys } from '../adopt/find.ts';
import { type Judged, judgeKey, withoutRivals } from '../adopt/judge.ts';
import { isAdoptable, reportLines } from '../adopt/report.ts';
import { type Taken, takeKeys } from '../adopt/take.ts';
import { defaultConfigFile, loadConfig } from '../config.ts';
import { readConf } from '../opendkim/conf.ts';
import { example } from './example.ts';
import { several } from './postfix-options.ts';
import { defaultStateFolder, say } from './terminal.ts';

interface AdoptOptions {
  readonly dir: string;
  readonly apply?: boolean;
  readonly config?: string;
  readonly opendkim?: string;
  readonly domain: readonly string[];
  readonly nameServer: readonly string[];
  readonly resolver: readonly string[];
}

/** Keys looked at together: a host may have thousands, and each asks several servers. */
const width = 16;

const judgeAll = async (
  keys: readonly Parameters<typeof judgeKey>[0][],
  look: Parameters<typeof judgeKey>[1]['look'],
): Promise<readonly Judged[]> => {
  const judged: Judged[] = [];
  for (let at = 0; at < keys.length; at += width)
    judged.push(...(await Promise.all(keys.slice(at, at + width).map((key) => judgeKey(key, { look })))));
  return withoutRivals(judged);
};

const done: Readonly<Record<Taken['as'], string>> = {
  signing: 'this host holds it and signs with it',
  told: 'this host holds it; the control plane knows it, and will say what it is for',
  standby: 'this host holds it; its domain has another key here already',
  held: 'this host held it already',
};

const adopt = async (options: AdoptOptions): Promise<void> => {
  const config = await loadConfig(options.config);
  const conf = await readConf(options.opendkim ?? config.opendkim.config);
  const found = await findKeys({
    conf,
    read: (file) => readFile(file, 'utf8'),
    domains: options.domain.map(lowerName),
  });
  const { records } = config;
  const resolvers = options.resolver.length > 0 ? options.resolver : records.resolvers;
  const nameServers = options.nameServer.length > 0 ? { '.': options.nameServer } : records.nameServers;
  const authority = createAuthority({
    ...(resolvers === undefined ? {} : { resolvers }),
    ...(nameServers === undefined ? {} : { nameServers }),
  });
  const judged = await judgeAll(found.keys, (name) => authority.look(name));
  for (const line of reportLines(judged, found, options.config ?? defaultConfigFile)) say(line);
  const wanted = judged.filter(isAdoptable);
  const refused = judged.length - wanted.length;
  say('');
  if (options.apply !== true) {
    say(
      wanted.length === 0
        ? 'Nothing can be adopted.'
        : `Nothing was changed. selkie-agent adopt --apply takes ${wanted.length} of ${judged.length} keys into ${options.dir}.`,
    );
    return;
  }
  const taken = wanted.length === 0 ? [] : await takeKeys(options.dir, wanted, createNodeKeys());
  for (const { name, as } of taken) say(`${name}: ${done[as]}.`);
  if (taken.length > 0) say(`${conf.file} and its keys are as they were.`);
  if (refused > 0 || judged.length === 0)
    throw new SelkieError(
      'unavailable',
      judged.length === 0
        ? 'There was nothing to adopt.'
        : `${refused} of ${judged.length} keys were not adopted, as said above.`,
    );
};

export const addAdopt = (program: Command): void => {
  const command = program
    .command('adopt')
    .description("take over an OpenDKIM's keys on this host; shows what it would do")
    .option('--apply', "do it: take the private keys into this host's key store")
    .option('--dir <folder>', 'state folder', defaultStateFolder)
    .option('--config <file>', `the agent's configuration; default: ${defaultConfigFile}, if it is there`)
    .option('--opendkim <file>', "OpenDKIM's configuration; default: as the agent's configuration says")
    .option('--domain <domain>', 'a domain that rows with % sign for (repeatable)', several, [])
    .option(
      '--name-server <address>',
      'ask these name servers, in place of those that DNS tells (repeatable)',
      several,
      [],
    )
    .option('--resolver <address>', 'learn the name servers from here (repeatable)', several, [])
    .action(adopt);
  example(command, 'selkie-agent adopt', 'selkie-agent adopt --apply');
};
