// The contract of `Vault`, for every adapter.
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import type { StoredSecret, Vault } from '../../engine/ports.ts';

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

/** Stores one key. */
export const put = async (
  vault: Vault,
  domain: string,
  selector: string,
  privateKey: Uint8Array,
): Promise<string> => {
  const [secret] = await vault.store([{ domain, selector, privateKey }]);
  if (secret === undefined) throw new Error('the vault gave no reference');
  return secret;
};

/** All that the vault holds for some domains. */
const listed = async (
  vault: Vault,
  domains: readonly string[],
  limit = 50,
): Promise<readonly StoredSecret[]> => {
  const found: StoredSecret[] = [];
  let after: string | undefined;
  do {
    const page = await vault.list({ limit, ...(after === undefined ? {} : { after }) });
    found.push(...page.secrets.filter(({ domain }) => domains.includes(domain)));
    after = page.next;
  } while (after !== undefined);
  return found;
};

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
      const secret = await put(harness.open(), fresh(), '240128', key);
      expect(await harness.open().read(secret)).toEqual(key);
    });

    test('keeps every byte as it is', async () => {
      const vault = harness.open();
      const key = bytes();
      expect(await vault.read(await put(vault, fresh(), '240128e-2', key))).toEqual(key);
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
        stored.push({ key, secret: await put(vault, d, s, key) });
      }
      expect(new Set(stored.map(({ secret }) => secret)).size).toBe(names.length);
      for (const { key, secret } of stored) expect(await vault.read(secret)).toEqual(key);
    });

    test('what is there stays as it is', async () => {
      const domain = fresh();
      const first = bytes();
      const secret = await put(harness.open(), domain, '240128', first);
      const again = await put(harness.open(), domain, '240128', bytes());
      expect(again).toBe(secret);
      expect(await harness.open().read(again)).toEqual(first);
    });

    test('of workers at once each can go on with what it is given, and what loses can be destroyed', async () => {
      const domain = fresh();
      const keys = Array.from({ length: 6 }, bytes);
      const given = await Promise.all(keys.map((key) => put(harness.open(), domain, '240128', key)));
      const secrets = [...new Set(given)];
      const read = await Promise.all(secrets.map((secret) => harness.open().read(secret)));
      for (const got of read) expect(keys).toContainEqual(got);
      const vault = harness.open();
      const found = await vault.find(domain, '240128');
      expect(secrets).toContain(found);
      // All of them are seen, and every one but one can go.
      const all = (await listed(vault, [domain])).map(({ secret }) => secret);
      expect(all.toSorted()).toEqual(secrets.toSorted());
      const [kept = '', ...lost] = secrets;
      for (const secret of lost) await vault.destroy(secret);
      expect(await harness.open().read(kept)).toEqual(read[0]);
      expect((await listed(vault, [domain])).map(({ secret }) => secret)).toEqual([kept]);
    });

    test('a reference bears nothing of the key', async () => {
      const key = bytes();
      const secret = await put(harness.open(), fresh(), '240128', key);
      for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const)
        expect(secret).not.toContain(Buffer.from(key.slice(5, 20)).toString(form).slice(0, 10));
    });

    test('what is not there is not found', async () => {
      const vault = harness.open();
      const domain = fresh();
      const secret = await put(vault, domain, '240128', bytes());
      await expect(vault.read(secret.replace(domain, fresh()))).rejects.toMatchObject({ code: 'not-found' });
      await expect(vault.read('no reference')).rejects.toMatchObject({ code: 'not-found' });
      await expect(vault.read('../../etc/passwd')).rejects.toMatchObject({ code: 'not-found' });
    });

    test('destroys; again is the same; the others stay', async () => {
      const vault = harness.open();
      const domain = fresh();
      const kept = bytes();
      const gone = await put(vault, domain, '240128', bytes());
      const stays = await put(vault, domain, '240128-2', kept);
      await vault.destroy(gone);
      await harness.open().destroy(gone);
      await expect(vault.read(gone)).rejects.toMatchObject({ code: 'not-found' });
      expect(await vault.read(stays)).toEqual(kept);
    });

    test('finds what is stored under a name, until it is destroyed', async () => {
      const vault = harness.open();
      const domain = fresh();
      expect(await vault.find(domain, '240128')).toBeUndefined();
      const secret = await put(vault, domain, '240128', bytes());
      expect(await harness.open().find(domain, '240128')).toBe(secret);
      expect(await vault.find(domain, '240128-2')).toBeUndefined();
      await vault.destroy(secret);
      expect(await vault.find(domain, '240128')).toBeUndefined();
    });

    test('stores many at once, and gives their references in their order', async () => {
      const keys = Array.from({ length: 60 }, (_, n) => ({
        domain: fresh(),
        selector: n % 2 === 0 ? '240128' : '240128e',
        privateKey: bytes(),
      }));
      const secrets = await harness.open().store(keys);
      expect(new Set(secrets).size).toBe(60);
      const vault = harness.open();
      for (const [n, secret] of secrets.entries())
        expect(await vault.read(secret)).toEqual(keys[n]?.privateKey);
    });

    test('of many, what is there stays as it is', async () => {
      const vault = harness.open();
      const [one, two, three] = [fresh(), fresh(), fresh()];
      const first = bytes();
      const secret = await put(vault, two, '240128', first);
      const again = await harness
        .open()
        .store([one, two, three].map((domain) => ({ domain, selector: '240128', privateKey: bytes() })));
      expect(again).toHaveLength(3);
      expect(again[1]).toBe(secret);
      expect(await vault.read(secret)).toEqual(first);
    });

    test('nothing to store is nothing', async () => {
      expect(await harness.open().store([])).toEqual([]);
    });

    test.each([1, 7, 1_000])('lists what is stored, %i a page, until it is destroyed', async (limit) => {
      const vault = harness.open();
      const [one, two] = [fresh(), fresh()];
      const keys = [
        { domain: one, selector: '240128', privateKey: bytes() },
        { domain: one, selector: '240128e', privateKey: bytes() },
        { domain: two, selector: '240128', privateKey: bytes() },
      ];
      const secrets = await vault.store(keys);
      const expected = keys.map(({ domain, selector }, n) => ({ secret: secrets[n], domain, selector }));
      const found = await listed(harness.open(), [one, two], limit);
      expect(found).toHaveLength(3);
      expect(found).toEqual(expect.arrayContaining(expected));
      await vault.destroy(secrets[1] ?? '');
      expect((await listed(vault, [one, two], limit)).map(({ secret }) => secret).toSorted()).toEqual(
        [secrets[0], secrets[2]].toSorted(),
      );
    });

    test('destroying what never was is no error', async () => {
      const vault = harness.open();
      const domain = fresh();
      const secret = await put(vault, domain, '240128', bytes());
      await vault.destroy(secret.replace(domain, fresh()));
      await vault.destroy('no reference');
      await expect(vault.read(secret)).resolves.toBeDefined();
    });
  });
};
