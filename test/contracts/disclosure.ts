// The contract of `Disclosure`, for every adapter.
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { instant } from '../../core/time.ts';
import type { DisclosedKey, Disclosure } from '../../engine/ports.ts';

export interface DisclosureHarness {
  /** On the same place each time, as another worker would open it. */
  readonly open: () => Disclosure;
}

/** A domain that no other test uses. */
const fresh = (): string => `${randomUUID()}.example`;

/** A retired key, made now. */
export const retiredKey = (
  domain: string,
  selector: string,
  algorithm: 'rsa2048' | 'ed25519' = 'ed25519',
): DisclosedKey => {
  const { privateKey } =
    algorithm === 'rsa2048'
      ? generateKeyPairSync('rsa', { modulusLength: 2_048 })
      : generateKeyPairSync('ed25519');
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return {
    domain,
    selector,
    algorithm,
    // RFC 8463 §4: of Ed25519 the record has the raw 32 bytes.
    publicKey: (algorithm === 'rsa2048' ? spki : spki.subarray(-32)).toString('base64'),
    privateKey: new Uint8Array(privateKey.export({ type: 'pkcs8', format: 'der' })),
    removed: instant(Date.parse('2024-03-01T12:34:56.789Z')),
  };
};

const listed = async (
  disclosure: Disclosure,
  domain: string,
  limit = 100,
): Promise<readonly DisclosedKey[]> => {
  const found: DisclosedKey[] = [];
  let after: string | undefined;
  do {
    const page = await disclosure.list(domain, { limit, ...(after === undefined ? {} : { after }) });
    expect(page.keys.length).toBeLessThanOrEqual(limit);
    found.push(...page.keys);
    after = page.next;
  } while (after !== undefined);
  return found;
};

export const disclosureContract = (name: string, start: () => Promise<DisclosureHarness>): void => {
  describe(`${name} as Disclosure`, () => {
    let harness: DisclosureHarness;
    beforeAll(async () => {
      harness = await start();
    });

    test.each(['rsa2048', 'ed25519'] as const)(
      'shows a published %s key whole, to everybody',
      async (algorithm) => {
        const key = retiredKey(fresh(), '240128', algorithm);
        await harness.open().publish(key);
        const [found, ...more] = await listed(harness.open(), key.domain);
        expect(more).toEqual([]);
        expect(found).toEqual(key);
        // A program that knows nothing of Selkie opens it.
        const pkcs8 = Buffer.from(found?.privateKey ?? []);
        expect(createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' }).asymmetricKeyType).toBe(
          algorithm === 'rsa2048' ? 'rsa' : 'ed25519',
        );
      },
    );

    test('again is the same, and what was published first stays', async () => {
      const key = retiredKey(fresh(), '240128e');
      await harness.open().publish(key);
      await harness.open().publish(key);
      await Promise.all([harness.open().publish(key), harness.open().publish(key)]);
      expect(await listed(harness.open(), key.domain)).toEqual([key]);
      const other = retiredKey(key.domain, '240128e');
      await expect(harness.open().publish(other)).rejects.toMatchObject({ code: 'conflict' });
      expect(await listed(harness.open(), key.domain)).toEqual([key]);
    });

    test('keys of one domain in the order of their selectors, page by page; none of another', async () => {
      const domain = fresh();
      const keys = ['240128', '240128-2', '240128e', '240409e'].map((selector) =>
        retiredKey(domain, selector),
      );
      await harness.open().publish(retiredKey(`sub.${domain}`, '240128'));
      await Promise.all(keys.toReversed().map((key) => harness.open().publish(key)));
      for (const limit of [1, 3, 4, 100]) expect(await listed(harness.open(), domain, limit)).toEqual(keys);
      expect(await harness.open().list(domain, { after: '240128e', limit: 9 })).toEqual({
        keys: keys.slice(3),
      });
    });

    test('of a domain that published nothing: nothing', async () => {
      expect(await harness.open().list(fresh(), { limit: 10 })).toEqual({ keys: [] });
    });

    test.each([
      ['../../etc', '240128'],
      ['a/b.example', '240128'],
      ['example.com', '../240128'],
      ['example.com', '24 01'],
      ['', ''],
    ])('a name that is none of DNS is refused: %j %j', async (domain, selector) => {
      await expect(
        harness.open().publish({ ...retiredKey('example.com', '240128'), domain, selector }),
      ).rejects.toMatchObject({ code: 'invalid' });
    });
  });
};
