// The contract of `Vault`, for every adapter.
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Vault } from '../../engine/ports.ts';

export interface VaultHarness {
  /** A vault on the same store each time, as another worker would open it. */
  readonly open: () => Vault;
}

const rsa4096 = (): Uint8Array =>
  new Uint8Array(
    generateKeyPairSync('rsa', { modulusLength: 4_096 }).privateKey.export({ type: 'pkcs8', format: 'der' }),
  );

/** Bytes that no encoding survives by luck. */
const bytes = (): Uint8Array => new Uint8Array([0, 255, 128, 10, 13, ...randomBytes(100)]);

/** A domain that no other test uses. */
const fresh = (): string => `${randomUUID()}.example`;

export const vaultContract = (name: string, start: () => Promise<VaultHarness>): void => {
  describe(`${name} as Vault`, () => {
    let harness: VaultHarness;
    beforeAll(async () => {
      harness = await start();
    });

    test('gives back what was stored, to every worker', async () => {
      const key = rsa4096();
      const secret = await harness.open().store(fresh(), '240128', key);
      expect(await harness.open().read(secret)).toEqual(key);
    });

    test('keeps every byte as it is', async () => {
      const vault = harness.open();
      const key = bytes();
      expect(await vault.read(await vault.store(fresh(), '240128e-2', key))).toEqual(key);
    });

    test('keeps selectors and domains apart', async () => {
      const vault = harness.open();
      const domain = fresh();
      const names = [
        [domain, '240128'],
        [domain, '240128e'],
        [domain, '240128-2'],
        [`sub.${domain}`, '240128'],
        [domain, 'a.b'],
        [`b.${domain}`, 'a'],
      ] as const;
      const stored = [];
      for (const [d, s] of names) {
        const key = bytes();
        stored.push({ key, secret: await vault.store(d, s, key) });
      }
      expect(new Set(stored.map(({ secret }) => secret)).size).toBe(names.length);
      for (const { key, secret } of stored) expect(await vault.read(secret)).toEqual(key);
    });

    test('what is there stays as it is', async () => {
      const domain = fresh();
      const first = bytes();
      const secret = await harness.open().store(domain, '240128', first);
      const again = await harness.open().store(domain, '240128', bytes());
      expect(again).toBe(secret);
      expect(await harness.open().read(again)).toEqual(first);
    });

    test('two workers at once end with one key', async () => {
      const domain = fresh();
      const keys = Array.from({ length: 6 }, bytes);
      const secrets = await Promise.all(keys.map((key) => harness.open().store(domain, '240128', key)));
      const read = await Promise.all(secrets.map((secret) => harness.open().read(secret)));
      for (const got of read) expect(got).toEqual(read[0]);
      expect(keys).toContainEqual(read[0]);
    });

    test('a reference bears nothing of the key', async () => {
      const key = bytes();
      const secret = await harness.open().store(fresh(), '240128', key);
      for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const)
        expect(secret).not.toContain(Buffer.from(key.slice(5, 20)).toString(form).slice(0, 10));
    });

    test('what is not there is not found', async () => {
      const vault = harness.open();
      const domain = fresh();
      const secret = await vault.store(domain, '240128', bytes());
      await expect(vault.read(secret.replace(domain, fresh()))).rejects.toMatchObject({ code: 'not-found' });
      await expect(vault.read('no reference')).rejects.toMatchObject({ code: 'not-found' });
      await expect(vault.read('../../etc/passwd')).rejects.toMatchObject({ code: 'not-found' });
    });

    test('destroys; again is the same; the others stay', async () => {
      const vault = harness.open();
      const domain = fresh();
      const kept = bytes();
      const gone = await vault.store(domain, '240128', bytes());
      const stays = await vault.store(domain, '240128-2', kept);
      await vault.destroy(gone);
      await harness.open().destroy(gone);
      await expect(vault.read(gone)).rejects.toMatchObject({ code: 'not-found' });
      expect(await vault.read(stays)).toEqual(kept);
    });

    test('finds what is stored under a name, until it is destroyed', async () => {
      const vault = harness.open();
      const domain = fresh();
      expect(await vault.find(domain, '240128')).toBeUndefined();
      const secret = await vault.store(domain, '240128', bytes());
      expect(await harness.open().find(domain, '240128')).toBe(secret);
      expect(await vault.find(domain, '240128-2')).toBeUndefined();
      await vault.destroy(secret);
      expect(await vault.find(domain, '240128')).toBeUndefined();
    });

    test('destroying what never was is no error', async () => {
      const vault = harness.open();
      const domain = fresh();
      const secret = await vault.store(domain, '240128', bytes());
      await vault.destroy(secret.replace(domain, fresh()));
      await vault.destroy('no reference');
      await expect(vault.read(secret)).resolves.toBeDefined();
    });
  });
};
