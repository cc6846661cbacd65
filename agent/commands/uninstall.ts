// `selkie-agent uninstall`: puts back what setup changed in Postfix. Shows what it would do; `--apply` does it.
import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { instant } from '../../core/time.ts';
import { defaultConfigFile, loadConfig } from '../config.ts';
import { milterTrouble, targetOf } from '../postfix/access.ts';
import { parseMilters } from '../postfix/address.ts';
import { systemExec } from '../postfix/exec.ts';
import { readJournal } from '../postfix/journal.ts';
import { readInstances } from '../postfix/read.ts';
import { applyRemoval, planRemoval, type Removal } from '../postfix/uninstall.ts';
import { chosen } from '../postfix/wish.ts';
import { example } from './example.ts';
import { several } from './postfix-options.ts';
import { say } from './terminal.ts';

interface UninstallOptions {
  readonly apply?: boolean;
  readonly force?: boolean;
  readonly config?: string;
  readonly instance: readonly string[];
  readonly postfix: readonly string[];
}

const shown = (value: string | undefined): string =>
  value === undefined ? '(not set)' : value === '' ? '(empty)' : value;

const show = ({ instance, putBack, whole, remarks }: Removal): void => {
  say(`${instance.name} (${instance.configDirectory})`);
  for (const { file, parameter, from, to } of putBack) {
    say(`  ${file}: ${parameter}`);
    say(`    - ${shown(from)}`);
    say(`    + ${shown(to)}`);
  }
  for (const [file, copy] of whole)
    say(`  nobody has changed ${file} since: it becomes ${copy} again, byte by byte`);
  for (const remark of remarks) say(`  ! ${remark}`);
};

/** Milters that come back into use and do not answer: an OpenDKIM that was ended when the agent took its place. */
const silent = async ({ instance, putBack }: Removal): Promise<readonly string[]> => {
  const names = putBack.flatMap(({ parameter, to = '' }) =>
    parameter.endsWith('smtpd_milters') ? parseMilters(to).map(({ address }) => address) : [],
  );
  const troubles: string[] = [];
  for (const name of new Set(names)) {
    const target = targetOf(name, instance.queueDirectory);
    const trouble = target === undefined ? undefined : await milterTrouble(target);
    if (trouble !== undefined) troubles.push(`${name}: ${trouble}`);
  }
  return troubles;
};

const uninstall = async (options: UninstallOptions): Promise<void> => {
  const exec = systemExec();
  const config = await loadConfig(options.config);
  const directories = options.postfix.length > 0 ? options.postfix : config.postfix?.configDirectories;
  const instances = chosen(await readInstances(exec, directories), options.instance);
  const removals: Removal[] = [];
  const troubles: string[] = [];
  for (const instance of instances) {
    const journal = await readJournal(instance.configDirectory);
    if (journal === undefined) {
      say(`${instance.name} (${instance.configDirectory})\n  nothing to do: setup has changed nothing here`);
      continue;
    }
    const removal = await planRemoval(instance, journal);
    show(removal);
    const found = await silent(removal);
    for (const trouble of found) say(`  ! A milter that comes back into use does not answer: ${trouble}`);
    troubles.push(...found);
    removals.push(removal);
  }
  if (options.apply !== true) {
    if (removals.length > 0)
      say(
        'Nothing was changed. selkie-agent uninstall --apply does it: copies, postconf, postfix check, reload.',
      );
    return;
  }
  if (troubles.length > 0 && options.force !== true)
    throw new SelkieError(
      'unavailable',
      'Nothing was changed: Postfix would put off all mail until that milter answers. Start it first, or insist with --force.',
    );
  for (const removal of removals) {
    const { backups, postfix } = await applyRemoval(exec, removal, instant(Date.now()));
    const copies = [...backups].map(([file, copy]) => `${file} is kept as ${copy}`).join(', ');
    const done = copies === '' ? 'nothing was left to change' : `put back; ${copies}`;
    say(
      `${removal.instance.name}: ${done}; Postfix ${postfix === 'reloaded' ? 'was reloaded' : 'was not reloaded'}.`,
    );
  }
};

export const addUninstall = (program: Command): void => {
  const command = program
    .command('uninstall')
    .description('put back what setup changed in Postfix; shows what it would do')
    .option('--apply', 'do it: with copies of the files, postfix check, and a reload')
    .option('--config <file>', `the agent's configuration; default: ${defaultConfigFile}, if it is there`)
    .option('--instance <name>', 'only this Postfix instance (repeatable)', several, [])
    .option('--postfix <folder>', "Postfix's configuration folder (repeatable)", several, [])
    .option('--force', 'apply although a milter that comes back into use does not answer')
    .action(uninstall);
  example(command, 'selkie-agent uninstall --apply');
};
