#!/usr/bin/env node
// The command line: parses, calls, prints. The commands are in program.ts.
import { leaveWhenUnread } from '../agent/commands/terminal.ts';
import { createProgram, failureOf } from './program.ts';

leaveWhenUnread();

try {
  await createProgram().parseAsync();
} catch (error) {
  const { status, says } = failureOf(error);
  if (says !== undefined) process.stderr.write(`${says}\n`);
  // Whatever was on its way is left: an answer that is still awaited would hold the terminal.
  if (status === 130) process.exit(status);
  process.exitCode = status;
}
