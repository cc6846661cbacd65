import { chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Ended, runAgent } from '../tools/agent-program.ts';
import { startControlPlane } from '../tools/control-plane.ts';
import { makeSigner, type TestSigner } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const run = (...args: string[]): Promise<Ended> => runAgent(...args, '--dir', dir);

let dir: string;
let first: TestSigner;
let second: TestSigner;
let kids: readonly [string, string];
const fileOf = (signer: TestSigner): string => {
  const file = join(dir, '..', `${Math.random()}.json`);
  writeFileSync(file, JSON.stringify(signer.jwk));
  return file;
};
const enrol = (...more: string[]) =>
  run('enrol', '--name', 'mx1.example.com', '--bundle-key', fileOf(first), '--push-port', '9443', ...more);

beforeEach(async () => {
  dir = join(temporaryFolder(), 'state');
  [first, second] = [await makeSigner(), await makeSigner()];
  kids = [(await first.publicKey()).kid, (await second.publicKey()).kid];
});

const listed = (out: string): readonly string[] => out.split('\n').filter((line) => /^[\w-]{43}$/.test(line));

describe('trust', () => {
  it('lists, adds and removes', async () => {
    await enrol();
    expect(listed((await run('trust')).out)).toEqual([kids[0]]);
    expect(listed((await run('trust', '--add', fileOf(second))).out)).toEqual(kids);
    expect(listed((await run('trust', '--remove', kids[0])).out)).toEqual([kids[1]]);
    expect(listed((await run('trust', '--list')).out)).toEqual([kids[1]]);
  });

  it('replaces the only one in one step', async () => {
    await enrol();
    const { out } = await run('trust', '--add', fileOf(second), '--remove', kids[0]);
    expect(listed(out)).toEqual([kids[1]]);
  });

  it('takes one that the control plane shows by its thumbprint', async () => {
    const plane = await startControlPlane();
    plane.bundleKeys = { keys: [first.jwk, second.jwk] };
    await enrol('--control-plane', plane.url);
    expect(listed((await run('trust', '--add', kids[1])).out)).toEqual(kids);
    expect(await run('trust', '--add', 'x'.repeat(43))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/shows no bundle key/),
    });
    await plane.close();
  });

  it.each<[string, () => string[], RegExp]>([
    ['the last one', () => ['--remove', kids[0]], /the only bundle key.*--add/s],
    ['one that is not there', () => ['--remove', kids[1]], /none of the bundle keys that this host trusts/],
    ['a file that is none', () => ['--add', '/nowhere'], /neither a file nor a thumbprint/],
    ['a thumbprint with nobody to show it', () => ['--add', kids[1]], /--control-plane/],
    ['both to list and to change', () => ['--list', '--remove', kids[0]], /stands alone/],
  ])('refuses %s', async (_, args, why) => {
    await enrol();
    expect(await run('trust', ...args())).toMatchObject({ code: 1, err: expect.stringMatching(why) });
    expect(listed((await run('trust')).out)).toEqual([kids[0]]);
  });

  it('says where a host is not enrolled', async () =>
    expect(await run('trust')).toMatchObject({
      code: 1,
      err: expect.stringContaining('selkie-agent enrol'),
    }));
});

describe('keys', () => {
  const entry = (out: string) => parse(out).hosts['mx1.example.com'] as Record<string, string>;

  it('roll prints the next entry, again the same; drop forgets it', async () => {
    const before = entry((await enrol('--pool', 'main')).out);
    const rolled = await run('keys', 'roll', '--pool', 'main');
    const next = entry(rolled.out);
    expect(next).toMatchObject({ endpoint: before.endpoint, pool: 'main' });
    for (const field of ['encryptionKey', 'signingKey', 'certificate'])
      expect(next[field]).not.toBe(before[field]);
    expect(entry((await run('keys', 'roll', '--pool', 'main')).out)).toEqual(next);
    const { out } = await run('keys', 'show');
    expect(out).toMatch(
      /^present:[\s\S]*next:[\s\S]*certificate: SHA-256 [0-9A-F:]+, until \d{4}-\d\d-\d\d$/m,
    );
    expect(out).toContain(before.encryptionKey);
    expect(out).toContain(next.encryptionKey);
    expect((await run('keys', 'drop')).out).toContain(before.encryptionKey);
    expect((await run('keys', 'show')).out).not.toContain('next:');
    expect(await run('keys', 'drop')).toMatchObject({ code: 1, err: expect.stringMatching(/No new keys/) });
  });

  it('prints nothing that is secret', async () => {
    await enrol();
    const shown = `${(await run('keys', 'roll')).out}${(await run('keys', 'show')).out}`;
    for (const folder of ['identity', 'identity.next'])
      for (const name of ['encryption.key', 'signing.key', 'tls.key']) {
        const [, secret = ''] = readFileSync(join(dir, folder, name), 'utf8').split('\n');
        expect(secret.length).toBeGreaterThan(40);
        expect(shown).not.toContain(secret);
      }
    expect(shown).not.toContain('PRIVATE');
  });

  it.each([['show'], ['roll'], ['drop']])('%s says where a host is not enrolled', async (command) => {
    expect((await run('keys', command)).code).toBe(1);
  });
});

describe.runIf(process.getuid?.() === 0)('run by root in the folder of the agent’s own user', () => {
  it('leaves every file to that user', async () => {
    mkdirSync(dir, { mode: 0o700 });
    chownSync(dir, 12_345, 12_345);
    await enrol();
    await run('trust', '--add', fileOf(second));
    await run('keys', 'roll');
    for (const path of [
      'agent.json',
      'trusted.json',
      'identity',
      'identity/tls.key',
      'identity.next/signing.key',
    ])
      expect([path, statSync(join(dir, path)).uid]).toEqual([path, 12_345]);
  });
});
