import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openBundleSigner } from '../../../adapters/local/bundle-signer.ts';
import { bundleSignerContract } from '../../contracts/bundle-signer.ts';

const home = mkdtempSync(join(tmpdir(), 'selkie-signer-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

bundleSignerContract('a key file', async () => ({ open: () => openBundleSigner(join(home, 'contract')) }));

describe('a key file', () => {
  test('is for its owner alone', async () => {
    const folder = join(home, 'modes');
    const signer = openBundleSigner(folder);
    const file = join(folder, 'bundle-signer.key');
    const { kid } = await signer.publicKey();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    chmodSync(file, 0o640);
    const strict = openBundleSigner(folder);
    await expect(strict.sign(new Uint8Array(1))).rejects.toMatchObject({
      code: 'denied',
      message: expect.stringContaining(`chmod 600 ${file}`),
    });
    chmodSync(file, 0o600);
    expect((await strict.publicKey()).kid).toBe(kid);
  });

  test('of another name is another key, so that one can follow the other', async () => {
    const folder = join(home, 'two');
    const kids = async () => [
      (await openBundleSigner(folder).publicKey()).kid,
      (await openBundleSigner(folder, 'bundle-signer-next').publicKey()).kid,
    ];
    const [first, next] = await kids();
    expect(first).not.toBe(next);
    expect(await kids()).toEqual([first, next]);
  });

  test.each([
    ['of another curve', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
    ['of another type', () => generateKeyPairSync('ed25519').privateKey],
  ])('a key %s is refused, and kept', async (what, make) => {
    const folder = join(home, what);
    const file = join(folder, 'bundle-signer.key');
    await openBundleSigner(folder).publicKey();
    writeFileSync(file, make().export({ type: 'pkcs8', format: 'der' }));
    await expect(openBundleSigner(folder).publicKey()).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining(file),
    });
  });
});
