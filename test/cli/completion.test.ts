// What completes a line, asked of the shells themselves: bash, zsh and fish.
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { minutes } from '../../core/time.ts';
import { type LocalApi, startLocalApi } from '../tools/local-api.ts';
import { describeWith } from '../tools/machine.ts';
import { selkie } from '../tools/selkie.ts';
import { makeFolder } from '../tools/temporary-folder.ts';
import { onTerminal } from '../tools/terminal.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const root = new URL('../../', import.meta.url).pathname;
const run = promisify(execFile);
const folder = makeFolder();
const bin = join(folder, 'bin');
const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, HOME: folder, SELKIE_API: '' };
let world: Simulation;
let api: LocalApi;
let selectors: readonly string[];

beforeAll(async () => {
  mkdirSync(bin);
  writeFileSync(join(bin, 'selkie'), `#!/bin/sh\nexec "${process.execPath}" "${root}cli/main.ts" "$@"\n`);
  chmodSync(join(bin, 'selkie'), 0o755);
  for (const shell of ['bash', 'zsh', 'fish'])
    writeFileSync(join(folder, shell), (await selkie('completion', shell)).stdout);
  world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com', 'mx2.example.com']);
  await world.run(minutes(60));
  api = await startLocalApi(world.world);
  selectors = (await world.world.ledger.domain(domain))?.keys.map((key) => key.selector) ?? [];
}, 60_000);
afterAll(async () => {
  await api.close();
  world.close();
});

/** As Tab does: the words of the line, the last of them unfinished. */
const bash = async (...words: readonly string[]): Promise<readonly string[]> => {
  const script = `source "$0"; COMP_WORDS=(selkie "$@"); COMP_CWORD=$#; _selkie; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['--norc', '-c', script, join(folder, 'bash'), ...words], {
    env,
    cwd: folder,
  });
  return stdout.split('\n').filter((line) => line !== '');
};

describe('bash', () => {
  it('completes commands, and those below them', async () => {
    expect(await bash('ro')).toEqual(['rotate', 'rollback']);
    expect(await bash('host', '')).toEqual(['list', 'exclude', 'return']);
    expect(await bash('--stage', 'test', 'host', 'ex')).toEqual(['exclude']);
    expect(await bash('completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(await bash('')).not.toContain('names');
  });

  it('completes options, each at its command, and what they may be', async () => {
    expect(await bash('rotate', '--comp')).toEqual(['--compromised']);
    expect(await bash('status', '--comp')).toEqual([]);
    expect(await bash('status', '--sta')).toEqual(['--stage', '--stack']);
    expect(await bash('cost', '--layout', '')).toEqual(['per-key', 'sharded']);
    expect(await bash('cost', '--layout', '=', 'sh')).toEqual(['sharded']);
    writeFileSync(join(folder, 'fleet.example'), '');
    expect(await bash('up', '--fleet', 'fle')).toEqual(['fleet.example']);
    // A free text is nobody's to complete.
    expect(await bash('rotate', domain, '--reason', 'ro')).toEqual([]);
  });

  it('asks the running Selkie for domains, selectors, hosts and zones', { timeout: 120_000 }, async () => {
    const at = ['--dir', api.dir];
    expect(await bash('rotate', ...at, 'exa')).toEqual([domain]);
    expect(await bash('rotate', ...at, domain, '')).toEqual([]);
    expect(await bash('compromise', domain, ...at, '')).toEqual(selectors);
    expect(await bash('rotate', domain, ...at, '--compromised', '')).toEqual(selectors);
    expect(await bash('host', 'exclude', ...at, 'mx')).toEqual(['mx1.example.com', 'mx2.example.com']);
    expect(await bash('audit', 'show', ...at, 'host/mx1')).toEqual(['host/mx1.example.com']);
    expect(await bash('drift', ...at, '--zone', '')).toEqual(['example.com']);
    expect(selectors.length).toBeGreaterThan(0);
  });

  it('offers nothing, and says nothing, where no Selkie answers', { timeout: 120_000 }, async () => {
    expect(await bash('rotate', '--dir', join(folder, 'nowhere'), '')).toEqual([]);
    const { stdout, stderr } = await selkie('names', 'domains', '--dir', join(folder, 'nowhere'));
    expect([stdout, stderr]).toEqual(['', '']);
  });

  it('does not wait for one that hangs', async () => {
    const mute: Server = createServer(() => {});
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const dir = makeFolder();
    const url = `http://127.0.0.1:${(mute.address() as AddressInfo).port}`;
    writeFileSync(join(dir, 'api.json'), JSON.stringify({ url, token: 't' }));
    const ran = await selkie('names', 'domains', '--dir', dir);
    mute.closeAllConnections();
    mute.close();
    expect(ran).toEqual({ status: 0, stdout: '', stderr: '' });
  }, 60_000);
});

describeWith(['python3'], 'bash, with a Tab', () => {
  it('finishes words on the line', { timeout: 120_000 }, async () => {
    const ran = await onTerminal(
      ['bash', '--norc', '-i'],
      [
        ['$ ', `PS1='> '; source ${folder}/bash\r`],
        ['> ', 'selkie rot\t'],
        ['selkie rotate ', `--dir=${api.dir} exa\t`],
        [domain, '\x15exit\r'],
      ],
      { env: { ...env, PS1: '$ ' }, seconds: 100 },
    );
    expect(ran.left).toEqual([]);
  });
});

describeWith(['fish'], 'fish', () => {
  const fish = async (line: string): Promise<readonly string[]> => {
    const script = `source ${folder}/fish; complete -C ${JSON.stringify(line)}`;
    const { stdout } = await run('fish', ['--no-config', '-c', script], { env, cwd: folder });
    return stdout.split('\n').filter((each) => each !== '');
  };
  const wordsOf = async (line: string) => (await fish(line)).map((each) => each.split('\t')[0]);

  it('completes commands with what they do, options and names', { timeout: 120_000 }, async () => {
    expect(await fish('selkie rot')).toEqual(['rotate\trotate the keys of a domain now']);
    expect(await wordsOf('selkie host ')).toEqual(['exclude', 'list', 'return']);
    expect(await wordsOf('selkie rotate --comp')).toEqual(['--compromised']);
    expect(await wordsOf('selkie status --comp')).toEqual([]);
    expect(await wordsOf('selkie cost --layout ')).toEqual(['per-key', 'sharded']);
    expect(await wordsOf(`selkie --dir ${api.dir} rotate exa`)).toEqual([domain]);
    expect(await wordsOf(`selkie compromise --dir ${api.dir} ${domain} `)).toEqual(selectors);
    expect(await wordsOf(`selkie rotate ${domain} --dir ${api.dir} --compromised `)).toEqual(selectors);
  });
});

describeWith(['zsh', 'python3'], 'zsh', () => {
  it('finishes commands, options and names on the line', { timeout: 120_000 }, async () => {
    const next = '\x15';
    const ran = await onTerminal(
      ['zsh', '-f', '-i'],
      [
        ['ready> ', `autoload -U compinit; compinit -D -u; source ${folder}/zsh; PS1='go> '\r`],
        ['go> ', 'selkie rot\t'],
        ['rotate', `${next}selkie host exc\t`],
        ['exclude', `${next}selkie rotate --comp\t`],
        ['--compromised', `${next}selkie cost --layout sh\t`],
        ['sharded', `${next}selkie status --dir ${api.dir} exa\t`],
        [domain, `${next}selkie compromise --dir ${api.dir} ${domain} \t`],
        [selectors[0] ?? 'no selector', `${next}exit\r`],
      ],
      { env: { ...env, PS1: 'ready> ' }, seconds: 100 },
    );
    expect(ran.left, ran.seen).toEqual([]);
  });
});
