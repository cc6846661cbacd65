// Whether a command that cannot be run here would be understood: each program's own help, manifest or model is asked. A program
// that is not known is an error, so that no command of the documentation goes unlooked at.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readSettings } from '../../infra/settings.ts';

const root = new URL('../../', import.meta.url).pathname;
const run = promisify(execFile);
const node = (...args: string[]) => run(process.execPath, args, { cwd: root });

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
};

/** Words as a shell has them; pages quote with double quotes alone. */
export const wordsOf = (command: string): readonly string[] =>
  [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

/** The option names that a help text lists, with whether a value follows. */
const optionsIn = (help: string): ReadonlyMap<string, boolean> =>
  new Map(
    [...help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)( [<[])?/gm)].map(([, name = '', value]) => [
      name,
      value !== undefined,
    ]),
  );

const helps = new Map<string, Promise<string>>();
const helpOf = (file: string, path: readonly string[]): Promise<string> => {
  const key = [file, ...path].join(' ');
  const known = helps.get(key) ?? node(file, ...path, '--help').then(({ stdout }) => stdout);
  helps.set(key, known);
  return known;
};

/** The command's options and arguments against its own help: every option there is, with its value; as many arguments as wanted. */
const commander = async (file: string, words: readonly string[]): Promise<string | undefined> => {
  const globals = optionsIn(await helpOf(file, []));
  const path: string[] = [];
  const values: string[] = [];
  const given: string[] = [];
  let options = globals;
  let [help, isLeaf] = [await helpOf(file, []), false];
  for (let n = 0; n < words.length; n += 1) {
    const word = words[n] ?? '';
    if (word.startsWith('-')) {
      given.push(word);
      if (!options.has(word)) return `there is no ${word} of ${[file, ...path].join(' ')}`;
      if (options.get(word) === true) {
        n += 1;
        if (words[n] === undefined) return `${word} wants a value`;
      }
    } else if (!isLeaf) {
      if (!new RegExp(`^  ${word}( |$)`, 'm').test(help.split('Commands:')[1] ?? ''))
        return `there is no command ${word} of ${[file, ...path].join(' ')}`;
      path.push(word);
      help = await helpOf(file, path);
      options = new Map([...globals, ...optionsIn(help)]);
      isLeaf = !help.includes('\nCommands:\n');
    } else values.push(word);
  }
  const usage = /^Usage: (.*)$/m.exec(help)?.[1] ?? '';
  const wanted = usage.match(/<[\w.]+>/g)?.length ?? 0;
  const more = usage.match(/\[(?!options|command)[\w.]+\]/g)?.length ?? 0;
  const most = usage.includes('...') ? Number.POSITIVE_INFINITY : wanted + more;
  if (path.length === 0 || (help.includes('\nCommands:\n') && !usage.includes('[command]')))
    return `${words.join(' ')} names no command`;
  if (values.length < wanted || values.length > most)
    return `${path.join(' ')} takes ${wanted} to ${most} arguments, not ${values.length}`;
  return undefined;
};

/** CDK's own help, and the names that -c may give. */
const cdk = async ([command = '', ...rest]: readonly string[]): Promise<string | undefined> => {
  const { stdout, stderr } = await run(join(root, 'node_modules/.bin/cdk'), ['--help'], {
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

/** Commands of the AWS CLI that are no operations of a service: written by hand there. */
const awsCustom = new Set(['s3 sync', 'cloudformation deploy', 'logs tail']);

/** botocore has the services' models, from which the AWS CLI makes its commands. */
const aws = async ([service = '', command = '', ...rest]: readonly string[]): Promise<string | undefined> => {
  if (awsCustom.has(`${service} ${command}`)) return undefined;
  const given = rest.filter((word) => word.startsWith('--')).map((word) => word.slice(2));
  const script = `
import sys, botocore.session
from botocore import xform_name
service, command, *given = sys.argv[1:]
model = botocore.session.get_session().get_service_model(service)
names = {xform_name(name, '-'): name for name in model.operation_names}
if command not in names: sys.exit('no operation ' + command)
shape = model.operation_model(names[command]).input_shape
options = {xform_name(name, '-') for name in shape.members}
for name in given:
    if name not in options | {'query', 'output', 'region', 'profile'}: sys.exit('no option ' + name)
for name in shape.required_members:
    if xform_name(name, '-') not in given: sys.exit('wants ' + name)
`;
  return run('python3', ['-c', script, service, command, ...given]).then(
    () => undefined,
    ({ stderr }: { stderr: string }) => `aws ${service} ${command}: ${stderr.trim()}`,
  );
};

const npm = async ([verb = '', ...rest]: readonly string[]): Promise<string | undefined> => {
  // Run by .ci/run itself, before all tests.
  if (verb === 'ci' && rest.length === 0)
    return readFileSync(join(root, '.ci/run'), 'utf8').includes('\nnpm ci ')
      ? undefined
      : 'nobody runs npm ci';
  if (verb === 'start')
    return rest[0] === '--' ? commander('cli/main.ts', ['up', ...rest.slice(1)]) : undefined;
  const [name = '', ...more] = rest.filter((word) => word !== '-s');
  if (verb !== 'run' || scripts[name] === undefined) return `there is no npm ${verb} ${name}`;
  if (name === 'selkie') return commander('cli/main.ts', more[0] === '--' ? more.slice(1) : more);
  return undefined;
};

const systemctl = async (words: readonly string[]): Promise<string | undefined> => {
  const [verb = '', unit = ''] = words.filter((word) => word !== '--now');
  if (!['enable', 'disable', 'reload', 'restart', 'start', 'stop'].includes(verb))
    return `systemctl ${verb}?`;
  // OpenDKIM's is Debian's.
  return unit === 'opendkim' || existsSync(join(root, `packaging/files/${unit}.service`))
    ? undefined
    : `no package has the unit ${unit}`;
};

/** Why the command would not be understood; undefined: it would. */
export const faultOf = async (command: string): Promise<string | undefined> => {
  const [first = '', ...others] = wordsOf(command.replace(/ > \S+$/, '').replace(/^sudo /, ''));
  switch (first) {
    case 'npm':
      return npm(others);
    case 'npx':
      return others[0] === 'cdk' ? cdk(others.slice(1)) : `npx ${others[0]} is not known here`;
    case 'aws':
      return aws(others);
    case 'selkie':
      return commander('cli/main.ts', others);
    case 'selkie-agent':
      return commander('agent/main.ts', others);
    case 'systemctl':
      return systemctl(others);
    case 'apt':
      return others.join(' ') === 'install ./selkie-agent_*.deb' ? undefined : `apt ${others.join(' ')}?`;
    default:
      return `${first} is not known here: run it, or teach test/docs/known-commands.ts to look at it`;
  }
};
