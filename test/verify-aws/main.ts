// `npm run verify:aws`: what only an AWS account can show. See options.ts for its command line, steps.ts for what it does.
// Exit status: 0 all held, 1 something did not, 2 not understood.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, SelkieError } from '../../core/errors.ts';
import { readOptions, usage } from './options.ts';
import { ends, type Run, type Step, steps } from './steps.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** @returns whether it held */
const attempt = async (step: Step, run: Run): Promise<boolean> => {
  const began = Date.now();
  say(`  … ${step.title}`);
  try {
    await step.run(run);
    say(`ok  ${step.title} (${Math.round((Date.now() - began) / 1_000)} s)`);
    return true;
  } catch (error) {
    say(`NOT ${step.title}: ${describe(error)}`);
    return false;
  }
};

const all = async (run: Run): Promise<boolean> => {
  const [who, ...others] = steps;
  if (who === undefined || !(await attempt(who, run))) {
    // Nothing was made yet, so nothing else is to be taken away.
    rmSync(run.folder, { recursive: true });
    return false;
  }
  let held = true;
  for (const step of others) {
    held = await attempt(step, run);
    if (!held) break;
  }
  if (run.keep) say(`Kept: stack ${run.stackName}, zone ${run.zone?.name} (${run.zone?.id}), ${run.folder}`);
  const after = run.keep ? ends.slice(0, 1) : ends;
  for (const step of after) held = (await attempt(step, run)) && held;
  say(`What the programs said: ${join(run.folder, 'log.txt')}`);
  return held;
};

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === undefined) say(usage.trimEnd());
  else if (options.dryRun)
    for (const { title, shows } of [...steps, ...ends]) say(`${title}\n    ${shows(options)}`);
  else {
    const folder = mkdtempSync(join(tmpdir(), 'selkie-verify-'));
    const held = await all({ ...options, folder, say });
    say(held ? 'verify:aws: all of it held' : 'verify:aws: NOT all of it held');
    process.exitCode = held ? 0 : 1;
  }
} catch (error) {
  if (!(error instanceof SelkieError) && !(error instanceof TypeError)) throw error;
  process.stderr.write(`verify:aws: ${describe(error)}\n(--help tells more)\n`);
  process.exitCode = 2;
}
