#!/usr/bin/env node
// `selkie-agent`: the mail host's daemon on the command line. Each command is a file of commands/.
import { Command } from 'commander';
import { describe } from '../core/errors.ts';
import manifest from '../package.json' with { type: 'json' };
import { addAdopt } from './commands/adopt.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEnrol } from './commands/enrol.ts';
import { addKeys } from './commands/keys.ts';
import { addRun } from './commands/run.ts';
import { addSetup } from './commands/setup.ts';
import { leaveWhenUnread } from './commands/terminal.ts';
import { addTrust } from './commands/trust.ts';
import { addUninstall } from './commands/uninstall.ts';

leaveWhenUnread();

const program = new Command('selkie-agent')
  .version(manifest.version, '-V, --version', 'show the version')
  .description('Keeps the DKIM keys of this mail host in step with Selkie, and signs with them.')
  .showHelpAfterError();

for (const add of [addAdopt, addEnrol, addRun, addSetup, addUninstall, addDoctor, addTrust, addKeys])
  add(program);

await program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`selkie-agent: ${describe(error)}\n`);
  process.exitCode = 1;
});
