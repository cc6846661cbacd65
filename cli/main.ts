#!/usr/bin/env node
// The command line: parses, calls, prints. Exit status: 0 done, 1 failed, 2 not understood.
import { Command, CommanderError } from 'commander';
import { leaveWhenUnread } from '../agent/commands/terminal.ts';
import { describe } from '../core/errors.ts';
import { addAudit } from './commands/audit.ts';
import { addCost } from './commands/cost.ts';
import { addDisclosed } from './commands/disclosed.ts';
import { addForecast, addPlan, addStatus } from './commands/domains.ts';
import { addDrift } from './commands/drift.ts';
import { addHost } from './commands/hosts.ts';
import { addImport } from './commands/import.ts';
import { addAbort, addCompromise, addEmergency, addRollback, addRotate } from './commands/orders.ts';
import { addPaste } from './commands/paste.ts';
import { addRecord } from './commands/record.ts';
import { addUp } from './commands/up.ts';
import { connectionOptions } from './connection.ts';

leaveWhenUnread();

const program = new Command('selkie')
  .description('Rotates the DKIM keys of mail domains, proving each step before it takes the next.')
  .version('0.1.0')
  .showHelpAfterError('(selkie --help tells more)')
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
  `
Without options of AWS, commands speak to the Selkie that runs on this machine.

Examples:
  selkie status
  selkie rotate example.jp --wait
  selkie --stage test --profile mail status example.jp`,
);

for (const add of [
  addUp,
  addStatus,
  addPlan,
  addForecast,
  addRotate,
  addEmergency,
  addCompromise,
  addRollback,
  addAbort,
  addHost,
  addAudit,
  addDrift,
  addPaste,
  addRecord,
  addImport,
  addDisclosed,
  addCost,
])
  add(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    process.stderr.write(`selkie: ${describe(error)}\n`);
    process.exitCode = 1;
  }
}
