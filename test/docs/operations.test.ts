// The recovery drills of docs/operations.md, command by command: each against whoever takes it. Selkie's own commands against their
// help, AWS's against botocore's model of each service, settings against the stack's, scripts against package.json.
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { readSettings } from '../../infra/settings.ts';
import { describeWith } from '../tools/machine.ts';
import { selkie } from '../tools/selkie.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');
const drills = page.slice(page.indexOf('## Recovery drills'));
const blocks = (language: string): readonly string[] =>
  [...drills.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, text = '']) => text);

/** Every command, loops and substitutions opened up. */
const commands = blocks('sh')
  .flatMap((text) => text.split('\n'))
  .flatMap((line) => {
    const inner = /\$\((.*)\)/.exec(line)?.[1];
    const own = line.replace(/\$\(.*\)/, 'X').trim();
    return [...(inner === undefined ? [] : [inner]), ...(/^(for |done$|$)/.test(own) ? [] : [own])];
  });
/** Words of a shell's line, quotes taken off. */
const words = (command: string): readonly string[] =>
  [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare = '']) => quoted ?? bare);
const options = (command: string): readonly string[] =>
  words(command).filter((word) => word.startsWith('--'));
const of = (first: string): readonly string[] =>
  commands.filter((one) => words(one.replace(/^([A-Z_]+=\S+ )+/, ''))[0] === first);

test('every command is of a kind that is tested here, or of the system', () => {
  const kinds = new Set(commands.map((one) => words(one.replace(/^([A-Z_]+=\S+ )+/, ''))[0]));
  expect([...kinds].toSorted()).toEqual([
    'aws',
    'npm',
    'npx',
    'postfix',
    'selkie',
    'selkie-agent',
    'systemctl',
  ]);
  expect(commands.length).toBeGreaterThan(30);
});

describe('commands of ours', () => {
  test.each([...new Set(of('selkie'))])(
    '%s',
    async (command) => {
      const [, name = '', second = ''] = words(command);
      const { status, stdout } = await selkie('help', ...(name === 'host' ? [name, second] : [name]));
      // A subcommand's help is asked of itself.
      const help = name === 'host' ? (await selkie(name, second, '--help')).stdout : stdout;
      expect(status).toBe(0);
      for (const option of options(command)) expect(help, option).toMatch(new RegExp(`${option}\\b`));
    },
    60_000,
  );

  test.each([...new Set(of('selkie-agent'))])(
    '%s',
    async (command) => {
      const [, name = ''] = words(command);
      const { stdout } = await promisify(execFile)(process.execPath, ['agent/main.ts', name, '--help'], {
        cwd: root,
      });
      for (const option of options(command)) expect(stdout, option).toContain(option);
    },
    60_000,
  );

  test.each([...of('npm'), ...of('npx')])('%s', (command) => {
    const { scripts, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
      devDependencies: Record<string, string>;
    };
    const [program, ...rest] = words(command.replace(/^([A-Z_]+=\S+ )+/, ''));
    if (program === 'npm') expect(scripts).toHaveProperty(rest[2] ?? '');
    else {
      expect(devDependencies).toHaveProperty('aws-cdk');
      expect(rest[0]).toBe('cdk');
      expect(['deploy', 'bootstrap']).toContain(rest[1]);
    }
  });

  test.each(blocks('json'))('%s', (text) => {
    const context = JSON.parse(text) as Record<string, unknown>;
    const asked = new Set<string>();
    readSettings((name) => {
      asked.add(name);
      return context[name];
    });
    for (const name of Object.keys(context)) expect(asked).toContain(name);
  });

  test('settings that a drill names are all in docs/aws.md', () => {
    const aws = readFileSync(join(root, 'docs/aws.md'), 'utf8');
    const named = blocks('json').flatMap((text) => Object.keys(JSON.parse(text)));
    for (const name of named) expect(aws, name).toMatch(new RegExp(`[\x60"]${name}[\x60"]`));
  });
});

describeWith(['moto_server'], 'commands of the AWS CLI', () => {
  const script = `
import json, sys, botocore.session
from botocore import xform_name
session = botocore.session.get_session()
faults = []
for words in json.load(sys.stdin):
    service, operation, rest = words[1], words[2], words[3:]
    client = session.get_service_model(service)
    if operation == "wait":
        names = [xform_name(n, "-") for n in session.get_waiter_model(service).waiter_names]
        if rest[0] not in names: faults.append(" ".join(words) + ": no such waiter")
        continue
    found = [n for n in client.operation_names if xform_name(n, "-") == operation]
    if not found:
        faults.append(" ".join(words) + ": no such operation")
        continue
    shape = client.operation_model(found[0]).input_shape
    members = {"--" + xform_name(n, "-") for n in shape.members} | {"--region", "--query", "--output"}
    given = [w for w in rest if w.startswith("--")]
    faults += [" ".join(words) + ": " + w for w in given if w not in members]
    faults += [" ".join(words) + ": lacks " + n for n in shape.required_members if "--" + xform_name(n, "-") not in given]
print(json.dumps(faults))
`;
  test('are operations of their services, with all that these require and nothing that they do not know', () => {
    const inText = [...drills.matchAll(/`(aws [^`\n]+)`/g)].map(([, command = '']) => command);
    const all = [...of('aws'), ...inText];
    expect(all.length).toBeGreaterThan(10);
    const said = execFileSync('python3', ['-c', script], {
      input: JSON.stringify(all.map(words)),
    }).toString();
    expect(JSON.parse(said)).toEqual([]);
  });
});

test('each alarm that the page calls urgent, and each place that leads here, is there', () => {
  for (const link of page.matchAll(/\]\(#([a-z-]+)\)/g))
    expect(page.toLowerCase()).toMatch(new RegExp(`^#+ ${link[1]?.replaceAll('-', '[- ]')}$`, 'm'));
  for (const file of ['engine/restore.ts', 'engine/drift/mend.ts', 'engine/world.ts', 'cli/local-world.ts'])
    expect(readFileSync(join(root, file), 'utf8').replaceAll(/\n\/\/ /g, ' ')).toContain('Recovery drills');
});
