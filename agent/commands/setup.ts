// `selkie-agent setup`: has Postfix send its mail through the signer. Shows what it would do; `--apply` does it.
import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { instant } from '../../core/time.ts';
import { type Config, defaultConfigFile, loadConfig } from '../config.ts';
import { missingInRspamd, rspamdConfigFolder } from '../drivers/rspamd/missing.ts';
import { milterTrouble, postfixAccess, targetOf } from '../postfix/access.ts';
import { applyPlan } from '../postfix/apply.ts';
import { type Exec, systemExec } from '../postfix/exec.ts';
import { obstacleText, type Plan, planInstance } from '../postfix/plan.ts';
import { readInstances } from '../postfix/read.ts';
import { chosen, wishOf } from '../postfix/wish.ts';
import { example } from './example.ts';
import { several } from './postfix-options.ts';
import { say } from './terminal.ts';

interface SetupOptions {
  readonly apply?: boolean;
  readonly force?: boolean;
  readonly config?: string;
  readonly milter?: string;
  readonly replace: readonly string[];
  readonly instance: readonly string[];
  readonly postfix: readonly string[];
}

const show = ({ instance, changes, remarks, obstacles }: Plan): void => {
  say(`${instance.name} (${instance.configDirectory})`);
  for (const { file, parameter, before, after, why } of changes) {
    say(`  ${file}: ${parameter}`);
    say(`    - ${before === undefined ? '(not set)' : before === '' ? '(empty)' : before}`);
    say(`    + ${after}`);
    say(`      ${why}`);
  }
  for (const { problem, mends } of obstacles) {
    say(`  ✗ ${problem}. Mend, one of:`);
    for (const mend of mends) say(`    ${mend}`);
  }
  for (const { text, mend } of remarks) say(`  ! ${text}${mend === undefined ? '' : `. Mend: ${mend}`}`);
  if (changes.length === 0 && obstacles.length === 0) say('  nothing to do');
};

/** What is between Postfix and the signer now: set up like this, all mail would be put off. */
const troubleOf = async (
  exec: Exec,
  { instance, milter }: Plan,
  service: string,
): Promise<string | undefined> => {
  const target = targetOf(milter, instance.queueDirectory);
  if (target === undefined) return undefined;
  const trouble = await milterTrouble(target);
  if (trouble !== undefined) return `${milter}: ${trouble}`;
  if (!('path' in target)) return undefined;
  const access = await postfixAccess(exec, instance, target.path, service);
  return access === undefined ? undefined : `${access.problem}. Mend: ${access.mend}`;
};

/** rspamd's own files are the administrator's: what belongs there is shown, and not written. */
const showRspamd = async ({ rspamd }: Config): Promise<void> => {
  for (const { path, kind, content } of await missingInRspamd(rspamd.folder)) {
    say(
      `rspamd lacks, ${kind === 'file' ? 'as a file of its own' : 'among its lines'}, in ${rspamdConfigFolder}/${path}:`,
    );
    say(content.replace(/^/gm, '    ').trimEnd());
    say('    (then restart rspamd)');
  }
};

const setup = async (options: SetupOptions): Promise<void> => {
  const exec = systemExec();
  const config = await loadConfig(options.config);
  if (config.driver === 'rspamd') await showRspamd(config);
  const wish = await wishOf(config, options);
  const directories = options.postfix.length > 0 ? options.postfix : config.postfix?.configDirectories;
  const instances = chosen(await readInstances(exec, directories), options.instance);
  const plans = instances.map((instance) => planInstance(instance, wish));
  const troubles = new Map<Plan, string>();
  for (const plan of plans) {
    show(plan);
    const trouble = plan.obstacles.length > 0 ? undefined : await troubleOf(exec, plan, wish.service);
    if (trouble === undefined) continue;
    say(`  ! The signer cannot be reached now: ${trouble}`);
    troubles.set(plan, trouble);
  }
  const due = plans.filter(({ changes }) => changes.length > 0);
  const blocked = plans.flatMap(({ obstacles }) => obstacles.map(obstacleText));
  if (options.apply !== true) {
    if (due.length > 0)
      say(
        'Nothing was changed. selkie-agent setup --apply does it: copies, postconf, postfix check, reload.',
      );
    return;
  }
  if (blocked.length > 0) throw new SelkieError('unsafe', `Nothing was changed. ${blocked[0]}`);
  const unreachable = due.flatMap((plan) => troubles.get(plan) ?? []);
  if (unreachable.length > 0 && options.force !== true)
    throw new SelkieError(
      'unavailable',
      `Nothing was changed: Postfix would put off all mail until it reaches the signer. Start it first (systemctl start ${wish.service}), or insist with --force.`,
    );
  for (const plan of due) {
    const { backups, postfix } = await applyPlan(exec, plan, wish, instant(Date.now()));
    const copies = [...backups].map(([file, copy]) => `${file} is kept as ${copy}`).join(', ');
    say(
      `${plan.instance.name}: done; ${copies}; Postfix ${postfix === 'reloaded' ? 'was reloaded' : 'is not running'}.`,
    );
  }
};

export const addSetup = (program: Command): void => {
  const command = program
    .command('setup')
    .description('have Postfix send its mail through the signer; shows what it would do')
    .option('--apply', 'do it: with copies of the files, postfix check, and a reload')
    .option('--config <file>', `the agent's configuration; default: ${defaultConfigFile}, if it is there`)
    .option('--milter <address>', 'where the signer listens; default: as the configuration says')
    .option(
      '--replace <address>',
      'a milter that the signer takes the place of: inet:localhost:8891 (repeatable)',
      several,
      [],
    )
    .option('--instance <name>', 'only this Postfix instance (repeatable)', several, [])
    .option('--postfix <folder>', "Postfix's configuration folder (repeatable)", several, [])
    .option('--force', 'apply although the signer does not answer')
    .action(setup);
  example(command, 'selkie-agent setup', 'selkie-agent setup --apply');
};
