// The folder of disclosed keys: what a web server shows of it, and what is done about damage. Who opens a file is openssl.
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { openDisclosedFolder } from '../../../adapters/local/disclosed-folder.ts';
import { disclosureContract, retiredKey } from '../../contracts/disclosure.ts';
import { makeFolder } from '../../tools/temporary-folder.ts';

const home = makeFolder();
afterAll(() => rmSync(home, { recursive: true, force: true }));

disclosureContract('a folder', async () => ({ open: () => openDisclosedFolder(join(home, 'contract')) }));

const domain = 'example.com';
const at = (folder: string, ...path: string[]): string => join(home, folder, domain, ...path);
const index = (folder: string): unknown => JSON.parse(readFileSync(at(folder, 'index.json'), 'utf8'));
const entry = (selector: string) => ({
  selector,
  algorithm: 'ed25519',
  removed: '2024-03-01T12:34:56.789Z',
  file: `${selector}.pem`,
});

describe('files', () => {
  test('one for each selector and an index, which everybody may read', async () => {
    const disclosure = openDisclosedFolder(join(home, 'files'));
    await disclosure.publish(retiredKey(domain, '240128e'));
    await disclosure.publish(retiredKey(domain, '240409e'));
    expect(readdirSync(at('files')).toSorted()).toEqual(['240128e.pem', '240409e.pem', 'index.json']);
    expect(index('files')).toEqual({ domain, keys: [entry('240128e'), entry('240409e')] });
    for (const [path, mode] of [
      [at('files'), 0o755],
      [at('files', '240128e.pem'), 0o644],
      [at('files', 'index.json'), 0o644],
    ] as const)
      expect(statSync(path).mode & 0o777, path).toBe(mode);
    expect(readFileSync(at('files', '240128e.pem'), 'utf8')).toMatch(
      /^This is a retired DKIM key of example\.com, published on purpose\./,
    );
  });

  test('openssl opens a key file as it is, and finds the public half that the record had', async () => {
    const key = retiredKey(domain, '240128', 'rsa2048');
    await openDisclosedFolder(join(home, 'openssl')).publish(key);
    const { stdout } = await promisify(execFile)(
      'openssl',
      ['pkey', '-in', at('openssl', '240128.pem'), '-pubout', '-outform', 'DER'],
      { encoding: 'buffer' },
    );
    expect(stdout.toString('base64')).toBe(key.publicKey);
  });

  test.each(['not JSON', '{}', ''])('an index that says %j is made anew', async (text) => {
    const folder = `index-${text.length}`;
    const disclosure = openDisclosedFolder(join(home, folder));
    await disclosure.publish(retiredKey(domain, '240128e'));
    writeFileSync(at(folder, 'index.json'), text);
    await disclosure.publish(retiredKey(domain, '240409e'));
    expect(index(folder)).toEqual({ domain, keys: [entry('240128e'), entry('240409e')] });
  });

  test('what a crash left is no key: a temporary file, a key without an index', async () => {
    const disclosure = openDisclosedFolder(join(home, 'crash'));
    const key = retiredKey(domain, '240128e');
    await disclosure.publish(key);
    rmSync(at('crash', 'index.json'));
    writeFileSync(at('crash', '.240409e.pem~x'), 'half');
    expect((await disclosure.list(domain, { limit: 9 })).keys).toEqual([key]);
    await disclosure.publish(key);
    expect(index('crash')).toEqual({ domain, keys: [entry('240128e')] });
  });

  test('a damaged key file is named, and not taken for a key', async () => {
    const disclosure = openDisclosedFolder(join(home, 'damage'));
    const key = retiredKey(domain, '240128e');
    await disclosure.publish(key);
    const text = readFileSync(at('damage', '240128e.pem'), 'utf8');
    for (const wrong of ['', text.slice(0, -60), text.replace('Selector: ', 'Selctor: ')]) {
      writeFileSync(at('damage', '240128e.pem'), wrong);
      await expect(disclosure.list(domain, { limit: 9 })).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('240128e.pem'),
      });
      await expect(disclosure.publish(key)).rejects.toMatchObject({ code: 'unavailable' });
    }
  });

  test('bytes that are no key are not published, and not shown in the error', async () => {
    const disclosure = openDisclosedFolder(join(home, 'bytes'));
    const privateKey = new TextEncoder().encode('secret bytes');
    const error: unknown = await disclosure
      .publish({ ...retiredKey(domain, '240128e'), privateKey })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'invalid' });
    expect(String(error)).not.toContain('secret bytes');
    expect((await disclosure.list(domain, { limit: 9 })).keys).toEqual([]);
  });

  test('a folder that cannot be written says so', async () => {
    mkdirSync(join(home, 'file'), { recursive: true });
    writeFileSync(join(home, 'file', domain), 'a file where the folder belongs');
    chmodSync(join(home, 'file', domain), 0o400);
    await expect(
      openDisclosedFolder(join(home, 'file')).publish(retiredKey(domain, '240128e')),
    ).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining(domain) });
  });
});
