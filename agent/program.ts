// The commands of `selkie-agent` as one tree, which its manual page is made from too. Each is a file of commands/.
import { Command } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { addAdopt } from './commands/adopt.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEnrol } from './commands/enrol.ts';
import { addKeys } from './commands/keys.ts';
import { addRun } from './commands/run.ts';
import { addSetup } from './commands/setup.ts';
import { addTrust } from './commands/trust.ts';
import { addUninstall } from './commands/uninstall.ts';

export const createAgentProgram = (): Command => {
  const program = new Command('selkie-agent')
    .version(manifest.version, '-V, --version', 'show the version')
    .description('Keeps the DKIM keys of this mail host in step with Selkie, and signs with them.')
    .showHelpAfterError();
  for (const add of [addAdopt, addEnrol, addRun, addSetup, addUninstall, addDoctor, addTrust, addKeys])
    add(program);
  return program;
};
