// Whether a command that no test can run would be understood: CDK's own help is asked, the stack's settings, and what .ci/run does.
// A program that is not known here is an error, so that nothing is listed as not run (not-run.ts) and goes unlooked at.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readSettings } from '../../infra/settings.ts';

const root = new URL('../../', import.meta.url).pathname;

/** CDK's own help, and the names that -c may give. */
const cdk = async ([command = '', ...rest]: readonly string[]): Promise<string | undefined> => {
  const { stdout, stderr } = await promisify(execFile)(join(root, 'node_modules/.bin/cdk'), ['--help'], {
    cwd: root,
    env: { ...process.env, CDK_DISABLE_CLI_TELEMETRY: 'true' },
  });
  if (!new RegExp(`^\\s+cdk ${command}\\b`, 'm').test(stdout + stderr)) return `cdk has no ${command}`;
  for (let n = 0; n < rest.length; n += 2) {
    const [option, pair = ''] = [rest[n], rest[n + 1]];
    const [name = '', value = ''] = pair.split('=');
    if (option !== '-c' || value === '') return `cdk: ${option} ${pair} is not looked at`;
    let asked = false;
    readSettings((wanted) => {
      asked ||= wanted === name;
      return undefined;
    });
    if (!asked) return `there is no setting ${name}`;
  }
  return undefined;
};

/** `npm ci` and `npm test` are run by .ci/run itself. */
const npm = (words: readonly string[]): string | undefined =>
  words.length === 1 && readFileSync(join(root, '.ci/run'), 'utf8').includes(`\nnpm ${words[0]} `)
    ? undefined
    : `nobody runs npm ${words.join(' ')}`;

/** Why the command would not be understood; undefined: it would. */
export const faultOf = async (command: string): Promise<string | undefined> => {
  const [first = '', ...others] = command.split(' ');
  if (first === 'npm') return npm(others);
  if (first === 'npx' && others[0] === 'cdk') return cdk(others.slice(1));
  return `${command} is not known here: run it, or teach test/docs/known-commands.ts to look at it`;
};
