// `selkie-agent` as a program: what it prints, and that the fleet file takes it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { milterAddress } from '../../agent/settings.ts';
import { parseFleet } from '../../fleet/read.ts';
import { agentProgram, runAgent } from '../tools/agent-program.ts';
import { startControlPlane } from '../tools/control-plane.ts';
import { freePort } from '../tools/free-port.ts';
import { makeSigner, type TestSigner } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

let signer: TestSigner;
let kid: string;
let dir: string;
let keyFile: string;
beforeAll(async () => {
  signer = await makeSigner();
  ({ kid } = await signer.publicKey());
});
beforeEach(() => {
  const folder = temporaryFolder();
  dir = join(folder, 'state');
  keyFile = join(folder, 'bundle-key.json');
  writeFileSync(keyFile, JSON.stringify({ ...signer.jwk, kid, use: 'sig' }));
});

const enrol = (...more: string[]) =>
  runAgent('enrol', '--dir', dir, '--name', 'mx1.example.com', '--bundle-key', keyFile, ...more);

/** The fleet with this entry in it. */
const fleetWith = (hosts: string) =>
  parseFleet(
    `domains: { example.com: }\nzones: { example.com: { id: Z0123456789ABC } }\npools: [main]\n${hosts}`,
    {
      file: 'fleet.yaml',
      version: 1,
    },
  );

describe('selkie-agent', () => {
  it.each([[['--help']], [['enrol', '--help']], [['run', '--help']]])('%j explains itself', async (args) => {
    const { code, out } = await runAgent(...args);
    expect(code).toBe(0);
    expect(out).toMatch(/^Usage: selkie-agent/);
  });

  it('says what is missing', async () => {
    expect(await runAgent('enrol')).toMatchObject({ code: 1, err: expect.stringContaining('--name') });
    expect(await runAgent('run', '--dir', dir)).toMatchObject({
      code: 1,
      err: expect.stringContaining('not enrolled'),
    });
    expect(await enrol('--push-port', '99999')).toMatchObject({
      code: 1,
      err: expect.stringContaining('port'),
    });
    expect(await enrol('--no-push')).toMatchObject({
      code: 1,
      err: expect.stringContaining('--control-plane'),
    });
  });
});

describe('enrol', () => {
  it('prints an entry that the fleet file takes, and pins the key', async () => {
    const { code, out, err } = await enrol('--push-port', '9443', '--pool', 'main');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const host = fleetWith(out).hosts.get('mx1.example.com');
    expect(host).toMatchObject({ pool: 'main', endpoint: 'https://mx1.example.com:9443' });
    expect(host?.certificate).toContain('BEGIN CERTIFICATE');
    expect(out).toContain(kid);
    expect(out).not.toContain('PRIVATE');
    const pinned = JSON.parse(readFileSync(join(dir, 'trusted.json'), 'utf8'));
    expect(pinned).toEqual({ keys: [signer.jwk] });
    expect(statSync(join(dir, 'trusted.json')).mode & 0o777).toBe(0o600);
  });

  it('again prints the same entry, and adds a key to the set', async () => {
    const before = await enrol();
    const other = await makeSigner();
    writeFileSync(keyFile, JSON.stringify({ keys: [signer.jwk, other.jwk] }));
    const after = await enrol();
    const entry = (out: string) => out.slice(out.indexOf('hosts:'));
    expect(entry(after.out)).toBe(entry(before.out));
    expect(after.out).toContain((await other.publicKey()).kid);
    expect(JSON.parse(readFileSync(join(dir, 'trusted.json'), 'utf8')).keys).toHaveLength(2);
  });

  it('of a host that only pulls has no endpoint', async () => {
    const { out } = await enrol('--no-push', '--control-plane', 'https://api.example.com');
    const host = fleetWith(out).hosts.get('mx1.example.com');
    expect(host).toMatchObject({ name: 'mx1.example.com', pool: 'main' });
    expect(host?.endpoint).toBeUndefined();
  });

  it.each([
    ['a file that is none', '/nonexistent', /neither a file nor a thumbprint/],
    ['a thumbprint with nobody to show the key', 'A'.repeat(43), /needs --control-plane/],
  ])('refuses %s', async (_, key, sentence) => {
    const { code, err } = await runAgent('enrol', '--dir', dir, '--name', 'mx1', '--bundle-key', key);
    expect(code).toBe(1);
    expect(err).toMatch(sentence);
  });

  it('takes by its thumbprint the key that the control plane shows, and no other', async () => {
    const plane = await startControlPlane();
    try {
      const other = await makeSigner();
      plane.bundleKeys = { keys: [{ ...other.jwk, kid }, signer.jwk] };
      const by = (thumbprint: string) =>
        runAgent(
          'enrol',
          '--dir',
          dir,
          '--name',
          'mx1',
          '--bundle-key',
          thumbprint,
          '--control-plane',
          plane.url,
        );
      expect(await by('A'.repeat(43))).toMatchObject({
        code: 1,
        err: expect.stringContaining('shows no bundle key'),
      });
      expect(await by(kid)).toMatchObject({ code: 0 });
      const pinned = JSON.parse(readFileSync(join(dir, 'trusted.json'), 'utf8'));
      expect(pinned).toEqual({ keys: [signer.jwk] });
    } finally {
      await plane.close();
    }
  });
});

it('ends without a word where nobody reads what it says', async () => {
  const child = spawn(
    process.execPath,
    [agentProgram, 'enrol', '--dir', dir, '--name', 'mx1.example.com', '--bundle-key', keyFile],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  child.stdout.destroy();
  const said: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const [code] = await once(child, 'close');
  expect([code, Buffer.concat(said).toString()]).toEqual([0, '']);
});

describe('enrol on a host whose signer knows RSA only', () => {
  it.each(['opendkim', 'rspamd'])('says so in the entry: %s', async (driver) => {
    const config = join(dir, '..', 'agent.yaml');
    writeFileSync(config, `driver: ${driver}\n`);
    const { code, out } = await enrol('--config', config);
    expect(code).toBe(0);
    expect(fleetWith(out).hosts.get('mx1.example.com')?.keyTypes).toEqual(['rsa']);
    expect((await enrol()).out).not.toContain('keyTypes');
  });
});

describe('run', () => {
  it('starts, and ends when told to', async () => {
    const [pushPort, milterPort] = [await freePort(), await freePort()];
    await enrol('--endpoint-host', '127.0.0.1', '--push-port', String(pushPort));
    const milter = `inet:${milterPort}@127.0.0.1`;
    const child = spawn(process.execPath, [agentProgram, 'run', '--dir', dir, '--milter', milter], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout, 'data');
    expect(String(line)).toContain(`mx1.example.com signs at ${milter}`);
    const second = await runAgent('run', '--dir', dir);
    expect(second).toMatchObject({ code: 1, err: expect.stringContaining('Another selkie-agent') });
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([0, null]);
  });
});

describe('a milter address', () => {
  it.each([
    ['inet:8891@127.0.0.1', { host: '127.0.0.1', port: 8891 }],
    ['inet:8891', { host: '127.0.0.1', port: 8891 }],
    ['inet:8891@[::1]', { host: '::1', port: 8891 }],
    ['unix:/run/selkie/milter.sock', { path: '/run/selkie/milter.sock' }],
    ['local:/run/m', { path: '/run/m' }],
  ])('%s', (text, address) => expect(milterAddress(text)).toEqual(address));

  it.each(['8891', 'inet:', 'inet:0', 'inet:70000', 'unix:relative', 'tcp:1@a'])('%s is none', (text) =>
    expect(() => milterAddress(text)).toThrow(/no milter address/),
  );
});
