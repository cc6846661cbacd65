// The commands of `selkie` as one tree, which completion, manual pages and tests read too; and what a failure means for the
// exit status: 0 done, 1 failed, 2 not understood, 130 stopped by Ctrl-C.
import { Command, CommanderError } from 'commander';
import { example } from '../agent/commands/example.ts';
import { describe } from '../core/errors.ts';
import manifest from '../package.json' with { type: 'json' };
import { addAdopt } from './commands/adopt.ts';
import { addAudit } from './commands/audit.ts';
import { addCompletion, addNames } from './commands/completion.ts';
import { addConsole } from './commands/console.ts';
import { addCost } from './commands/cost.ts';
import { addDisclosed } from './commands/disclosed.ts';
import { addDoctor } from './commands/doctor.ts';
import { addForecast, addPlan, addStatus } from './commands/domains.ts';
import { addDrift } from './commands/drift.ts';
import { addHost } from './commands/hosts.ts';
import { addImport } from './commands/import.ts';
import { addInit } from './commands/init.ts';
import { addAbort, addCompromise, addEmergency, addRollback, addRotate } from './commands/orders.ts';
import { addPaste } from './commands/paste.ts';
import { addRecord } from './commands/record.ts';
import { addReports } from './commands/reports.ts';
import { addRestore } from './commands/restore.ts';
import { addUp } from './commands/up.ts';
import { addVerify } from './commands/verify.ts';
import { connectionOptions } from './connection.ts';
import { Interrupted } from './interrupt.ts';
import { walk } from './tree.ts';

const commands: readonly ((program: Command) => void)[] = [
  addInit,
  addUp,
  addStatus,
  addVerify,
  addPlan,
  addForecast,
  addRotate,
  addEmergency,
  addCompromise,
  addRollback,
  addAbort,
  addAdopt,
  addHost,
  addAudit,
  addDrift,
  addPaste,
  addRecord,
  addImport,
  addDisclosed,
  addReports,
  addRestore,
  addCost,
  addDoctor,
  addConsole,
  addCompletion,
  addNames,
];

export const createProgram = (): Command => {
  const program = new Command('selkie')
    .description('Rotates the DKIM keys of mail domains, proving each step before it takes the next.')
    .version(manifest.version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show what a command does, with an example')
    .helpCommand('help [command]', 'show what a command does, with an example')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'selkie: ')) })
    // Without `[options]`, which every command has: so the descriptions have room in 80 columns.
    .configureHelp({
      showGlobalOptions: true,
      subcommandTerm: (command) =>
        [
          command.name(),
          ...command.registeredArguments.map((one) => (one.required ? `<${one.name()}>` : `[${one.name()}]`)),
        ].join(' '),
    })
    .exitOverride();
  for (const option of connectionOptions()) program.addOption(option);
  program.addHelpText(
    'after',
    '\nWithout options of AWS, commands speak to the Selkie that runs on this machine.',
  );
  for (const add of commands) add(program);
  for (const { command, path } of walk(program))
    command.showHelpAfterError(`(${path.join(' ')} --help tells more)`);
  return example(
    program,
    'selkie status',
    'selkie rotate example.jp --wait',
    'selkie --stage test --profile mail status example.jp',
  );
};

export interface Failure {
  readonly status: 0 | 1 | 2 | 130;
  /** For standard error; absent: it has been said. */
  readonly says?: string;
}

/** What ended a command before its end. */
export const failureOf = (error: unknown): Failure => {
  // Help and version end so too.
  if (error instanceof CommanderError) return { status: error.exitCode === 0 ? 0 : 2 };
  if (error instanceof Interrupted) return { status: 130, says: error.message };
  return { status: 1, says: `selkie: ${describe(error)}` };
};
