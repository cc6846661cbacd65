#!/usr/bin/env node
// `selkie-agent`: the mail host's daemon on the command line. The commands are in program.ts.
import { describe } from '../core/errors.ts';
import { leaveWhenUnread } from './commands/terminal.ts';
import { createAgentProgram } from './program.ts';

leaveWhenUnread();

await createAgentProgram()
  .parseAsync()
  .catch((error: unknown) => {
    process.stderr.write(`selkie-agent: ${describe(error)}\n`);
    process.exitCode = 1;
  });
