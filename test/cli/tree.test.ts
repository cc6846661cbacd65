// Rules that every command keeps: help with an example that fits 80 columns and can be typed, the same options everywhere, and
// for what goes wrong one sentence and an exit status.
import { type Command, CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { examplesOf } from '../../agent/commands/example.ts';
import { createAgentProgram } from '../../agent/program.ts';
import { createProgram, failureOf } from '../../cli/program.ts';
import { type Node, walk } from '../../cli/tree.ts';
import { minutes } from '../../core/time.ts';
import { type LocalApi, startLocalApi } from '../tools/local-api.ts';
import { selkie } from '../tools/selkie.ts';
import { makeFolder } from '../tools/temporary-folder.ts';
import { type Simulation, simulate } from '../world/world.ts';

const nowhere = `${makeFolder()}/nowhere`;
/** What they print is a file for another program; or they run until they are stopped. */
const printsFiles = ['completion', 'import', 'console'];
/** What they are told only narrows what is shown, so that a stranger leaves nothing. */
const narrows = ['paste'];
/** Their arguments are files, which are read first. */
const readFiles = ['reports import'];
const isLeaf = ({ command }: Node): boolean => command.commands.length === 0;
const leaves = walk(createProgram()).filter(isLeaf);
const everyCommand = [...walk(createProgram()), ...walk(createAgentProgram())];
const named = (nodes: readonly Node[]) => nodes.map((node) => [node.path.join(' '), node] as const);

/** As a shell splits it, for words in double quotes. */
const wordsOf = (line: string): readonly string[] =>
  [...line.replace(/ [|>].*$/, '').matchAll(/"([^"]*)"|(\S+)/g)].map(([, text, word]) => text ?? word ?? '');

interface Ended {
  readonly status: number;
  readonly says: string;
}

/** In this process: what a command would end with. */
const ends = async (args: readonly string[]): Promise<Ended> => {
  let says = '';
  const program = createProgram();
  for (const { command } of walk(program))
    command.configureOutput({ writeErr: (text) => (says += text), writeOut: () => {} });
  try {
    await program.parseAsync(args, { from: 'user' });
    return { status: 0, says };
  } catch (error) {
    const failure = failureOf(error);
    return { status: failure.status, says: says + (failure.says ?? '') };
  }
};

/** Arguments that a command wants, of a domain, host and key that there are not. */
const strangers: Readonly<Record<string, string>> = {
  domain: 'nowhere.example.com',
  selector: '990101',
  host: 'mx9.example.com',
  subject: 'nowhere.example.com',
};

const helpOf = (command: Command): string => {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 80 });
  command.outputHelp();
  return text;
};

describe.each(named(everyCommand))('%s', (_, { command }) => {
  it('has help that fits 80 columns', () => {
    const tooLong = helpOf(command)
      .split('\n')
      .filter((line) => line.length > 80);
    expect(tooLong).toEqual([]);
    expect(command.description()).not.toBe('');
    for (const { description } of command.options) expect(description).not.toBe('');
  });
});

describe.each(named(everyCommand.filter(isLeaf)))('%s', (_, { command, path }) => {
  it('shows an example, of itself, that is understood', () => {
    const lines = examplesOf(command);
    expect(lines.length).toBeGreaterThan(0);
    expect(helpOf(command)).toContain(`:\n  ${lines[0]}\n`);
    for (const line of lines) {
      const words = wordsOf(line);
      expect(words.slice(0, path.length).filter((word) => !path.includes(word))).toEqual([]);
      const tree = path[0] === 'selkie' ? createProgram() : createAgentProgram().exitOverride();
      const ours = walk(tree).find((node) => node.path.join(' ') === path.join(' '))?.command as Command;
      let ran = false;
      ours.action(() => {
        ran = true;
      });
      for (const each of walk(tree)) each.command.exitOverride().configureOutput({ writeErr: () => {} });
      tree.parse(words.slice(1), { from: 'user' });
      expect(ran, line).toBe(true);
    }
  });
});

describe('every command of selkie', () => {
  it.each(named(leaves))(
    '%s refuses an option that there is not, and an argument too many: 2',
    async (_, { path, command }) => {
      const args = command.registeredArguments.map(
        (one) => one.argChoices?.[0] ?? strangers[one.name()] ?? 'x',
      );
      const option = await ends([...path.slice(1), ...args, '--sideways']);
      expect(option.status).toBe(2);
      expect(option.says).toMatch(/^selkie: unknown option '--sideways'\n/);
      expect(option.says).toContain(`(${path.join(' ')} --help tells more)`);
      if (command.registeredArguments.some((one) => one.variadic)) return;
      const more = await ends([...path.slice(1), ...args, 'one', 'more']);
      expect([more.status, more.says]).toEqual([2, expect.stringMatching(/^selkie: too many arguments/)]);
    },
  );

  it.each(named(leaves.filter(({ command }) => command.registeredArguments.some((one) => one.required))))(
    '%s says which argument is missing: 2',
    async (_, { path }) => {
      const ended = await ends(path.slice(1));
      expect([ended.status, ended.says]).toEqual([
        2,
        expect.stringMatching(/^selkie: missing required argument '/),
      ]);
    },
  );

  it.each(named(leaves))(
    '%s takes --json, unless it prints what is read as it is',
    (_, { command, path }) => {
      const longs = command.options.map(({ long }) => long);
      if (!printsFiles.includes(path[1] ?? '')) expect(longs).toContain('--json');
    },
  );

  it('takes --stage, --stack, --api, --profile and --region before it and behind it', async () => {
    const program = createProgram();
    expect(program.options.map(({ long }) => long)).toEqual(
      expect.arrayContaining(['--stage', '--stack', '--api', '--profile', '--region']),
    );
    const both = [
      ['--stage', 'Test 1', 'status'],
      ['status', '--stage', 'Test 1'],
    ].map(ends);
    for (const { status, says } of await Promise.all(both))
      expect([status, says]).toEqual([1, expect.stringContaining('--stage Test 1: small letters')]);
    for (const command of ['up', 'cost'])
      expect(await ends([command, '--stage', 'test'])).toEqual({
        status: 1,
        says: expect.stringContaining('leave --stage, --stack, --api, --profile and --region out'),
      });
  });
});

/** Those that speak to a Selkie: `--dir` says to which. */
const speaking = leaves.filter(
  ({ command, path }) =>
    command.options.some(({ long }) => long === '--dir') &&
    !['up', 'record', 'doctor', 'verify', 'console'].includes(path[1] ?? ''),
);

describe('what speaks to a Selkie', () => {
  let world: Simulation;
  let api: LocalApi;
  beforeAll(async () => {
    world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
    await world.run(minutes(60));
    api = await startLocalApi(world.world);
  });
  afterAll(async () => {
    await api.close();
    world.close();
  });
  const argumentsOf = ({ command }: Node): readonly string[] =>
    command.registeredArguments.map((one) => strangers[one.name()] ?? 'x');

  it.each(named(speaking))('%s says that nothing runs: 1', async (_, node) => {
    expect(await ends([...node.path.slice(1), ...argumentsOf(node), '--dir', nowhere])).toEqual({
      status: 1,
      says: `selkie: nothing has been started in ${nowhere}: run npm start, or name its folder with --dir`,
    });
  });

  it.each(
    named(
      speaking.filter(
        ({ command, path }) =>
          command.registeredArguments.length > 0 &&
          !narrows.includes(path[1] ?? '') &&
          !readFiles.includes(path.slice(1).join(' ')),
      ),
    ),
  )('%s says that there is no such domain or host: 1, in one sentence', async (_, node) => {
    const { status, says } = await ends([...node.path.slice(1), ...argumentsOf(node), '--dir', api.dir]);
    expect(status).toBe(1);
    expect(says).toMatch(
      /^selkie: (nowhere\.example\.com is not in fleet\.yaml|host mx9\.example\.com is not one of)/,
    );
    expect(says).not.toContain('\n');
  });

  it('says which selectors there are', async () => {
    const ended = await ends(['compromise', 'example.com', '990101', '--dir', api.dir]);
    expect([ended.status, ended.says]).toEqual([1, expect.stringContaining('990101')]);
  });

  it.each([
    [['forecast', '--days', 'many'], 'a whole number from 1 to 3650'],
    [['rotate', 'example.com', '--idempotency-key', 'two words'], 'printable characters'],
    [['cost', '--layout', 'heap'], 'Allowed choices are per-key, sharded'],
    [['audit', 'verify', 'example.com', '--noted', 'x'], '64 hexadecimal digits'],
    [['up', '--api-port', '70000'], 'a whole number from 0 to 65535'],
    [['record', 'example.com', 'spf', '--format', 'bind'], 'Allowed choices are value, zone, route53'],
    [['import', 'csv', 'x'], 'Allowed choices are octodns, zonefile, opendkim'],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish'],
    [['rotat', 'example.com'], "unknown command 'rotat'"],
    [['host'], 'Usage: selkie host'],
    [[], 'Usage: selkie'],
  ])('%j is not understood: 2', async (args, says) => {
    const ended = await ends(args);
    expect([ended.status, ended.says]).toEqual([2, expect.stringContaining(says)]);
  });

  it('shows help and version: 0', async () => {
    for (const args of [['--help'], ['--version'], ['help', 'rotate'], ['host', 'list', '--help']])
      expect((await ends(args)).status).toBe(0);
  });
});

it('knows help from mistakes', () => {
  expect(failureOf(new CommanderError(0, 'commander.helpDisplayed', '')).status).toBe(0);
  expect(failureOf(new Error('x'))).toEqual({ status: 1, says: 'selkie: x' });
});

it('as a process: one sentence on standard error, nothing on standard output', async () => {
  const [failed, misread] = [await selkie('status', '--dir', nowhere), await selkie('status', '--sideways')];
  expect(failed).toEqual({ status: 1, stdout: '', stderr: expect.stringMatching(/^selkie: [^\n]*\n$/) });
  expect([misread.status, misread.stdout]).toEqual([2, '']);
});
