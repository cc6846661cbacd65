import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { openFileVault } from '../../../adapters/local/file-vault.ts';
import { put, vaultContract } from '../../contracts/vault.ts';

const home = mkdtempSync(join(tmpdir(), 'selkie-vault-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

vaultContract('a folder', async () => ({ open: () => openFileVault(join(home, 'contract')) }));

describe('a folder', () => {
  let folder: string;
  let n = 0;
  beforeEach(() => {
    n += 1;
    folder = join(home, `vault-${n}`);
  });
  const master = (): string => join(folder, 'master.key');
  const file = (selector = '240128'): string => join(folder, 'keys', 'example.org', selector);
  const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);
  const key = (): Uint8Array => new Uint8Array(randomBytes(200));

  test('touches nothing before its first use', () => {
    openFileVault(folder);
    expect(existsSync(folder)).toBe(false);
  });

  test('is for its owner alone, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await put(openFileVault(folder), 'example.org', '240128', key());
    } finally {
      process.umask(before);
    }
    expect(mode(folder)).toBe('700');
    expect(mode(master())).toBe('600');
    expect(mode(join(folder, 'keys'))).toBe('700');
    expect(mode(join(folder, 'keys', 'example.org'))).toBe('700');
    expect(mode(file())).toBe('600');
  });

  test('leaves no temporary file', async () => {
    const vaults = [1, 2, 3, 4].map(() => openFileVault(folder));
    await Promise.all(vaults.map((vault) => put(vault, 'example.org', '240128', key())));
    expect(readdirSync(folder).toSorted()).toEqual(['keys', 'master.key']);
    expect(readdirSync(join(folder, 'keys', 'example.org'))).toEqual(['240128']);
  });

  test('shows nothing of the key, and seals the same key differently each time', async () => {
    const der = new Uint8Array(
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }),
    );
    const vault = openFileVault(folder);
    await put(vault, 'example.org', '240128', der);
    await put(vault, 'example.org', '240128-2', der);
    const [one, other] = [readFileSync(file()), readFileSync(file('240128-2'))];
    expect(one.includes(Buffer.from(der.slice(-32)))).toBe(false);
    expect(one.subarray(1, 13).equals(other.subarray(1, 13))).toBe(false);
    expect(one.subarray(13).equals(other.subarray(13))).toBe(false);
  });

  test.each(['640', '604', '644', '660'])(
    'refuses a master key of mode %s and says the mend',
    async (bits) => {
      const vault = openFileVault(folder);
      const secret = await put(vault, 'example.org', '240128', key());
      chmodSync(master(), Number.parseInt(bits, 8));
      const strict = openFileVault(folder);
      await expect(strict.read(secret)).rejects.toMatchObject({
        code: 'denied',
        message: expect.stringContaining(`chmod 600 ${master()}`),
      });
      await expect(put(strict, 'example.org', '240129', key())).rejects.toMatchObject({ code: 'denied' });
      // The same vault works once it is mended.
      chmodSync(master(), 0o600);
      await expect(strict.read(secret)).resolves.toBeDefined();
    },
  );

  test('refuses a folder that others can reach', async () => {
    const secret = await put(openFileVault(folder), 'example.org', '240128', key());
    chmodSync(folder, 0o755);
    await expect(openFileVault(folder).read(secret)).rejects.toMatchObject({
      code: 'denied',
      message: expect.stringContaining(`chmod 700 ${folder}`),
    });
  });

  test.each([
    ['its first byte', (b: Buffer) => b.fill(9, 0, 1)],
    ['its nonce', (b: Buffer) => b.fill((b[5] ?? 0) ^ 1, 5, 6)],
    ['its ciphertext', (b: Buffer) => b.fill((b[60] ?? 0) ^ 1, 60, 61)],
    ['its tag', (b: Buffer) => b.fill((b.at(-1) ?? 0) ^ 1, b.length - 1)],
    ['its length', (b: Buffer) => b.subarray(0, b.length - 1)],
    ['everything', () => Buffer.alloc(0)],
  ])('a file damaged in %s is named', async (_, damage) => {
    const vault = openFileVault(folder);
    const secret = await put(vault, 'example.org', '240128', key());
    writeFileSync(file(), damage(readFileSync(file())));
    await expect(vault.read(secret)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/selector 240128 of example\.org is damaged/),
    });
  });

  test('a file under another name does not open', async () => {
    const vault = openFileVault(folder);
    await put(vault, 'example.org', '240128', key());
    const secret = await put(vault, 'example.org', '240129', key());
    renameSync(file('240128'), file('240129'));
    await expect(vault.read(secret)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('a lost master key is not replaced while sealed keys are there', async () => {
    const secret = await put(openFileVault(folder), 'example.org', '240128', key());
    rmSync(master());
    await expect(openFileVault(folder).read(secret)).rejects.toMatchObject({
      code: 'unsafe',
      message: expect.stringContaining('restore it from a backup'),
    });
    expect(existsSync(master())).toBe(false);
  });

  test('a damaged master key is named', async () => {
    const secret = await put(openFileVault(folder), 'example.org', '240128', key());
    writeFileSync(master(), 'short');
    await expect(openFileVault(folder).read(secret)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining(master()),
    });
  });

  test('destroys what a crash left behind too', async () => {
    const vault = openFileVault(folder);
    const secret = await put(vault, 'example.org', '240128', key());
    await put(vault, 'example.org', '240128.a', key());
    const left = join(folder, 'keys', 'example.org', '.240128~left');
    const others = join(folder, 'keys', 'example.org', '.240128.a~left');
    writeFileSync(left, 'x');
    writeFileSync(others, 'x');
    await vault.destroy(secret);
    expect(readdirSync(join(folder, 'keys', 'example.org')).toSorted()).toEqual([
      '.240128.a~left',
      '240128.a',
    ]);
  });

  test.each([
    ['..', '240128'],
    ['example.org/..', '240128'],
    ['example.org', '../../x'],
    ['', ''],
  ])('takes no names that leave the folder: %s, %s', async (domain, selector) => {
    await expect(put(openFileVault(folder), domain, selector, key())).rejects.toMatchObject({
      code: 'invalid',
    });
  });
});
