import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createKeyRing, type KeyRing, type SigningKey } from '../../../agent/signing/key-ring.ts';
import { beginMessage, type MessageSigner, type Signature } from '../../../agent/signing/signer.ts';
import type { HeaderField } from '../../../core/dkim/canonical-header.ts';
import type { Canonicalization } from '../../../core/dkim/signature-header.ts';
import * as mailauth from '../../oracles/mailauth.ts';
import { lines, recordsOf, testKey } from '../../oracles/records.ts';

const rsa = testKey('example.com', '240128');
const ed25519 = testKey('example.com', '240128e', 'ed25519');
const ringOf = (...keys: readonly SigningKey[]): KeyRing => {
  const ring = createKeyRing();
  ring.replace(keys);
  return ring;
};
const header = (...fields: readonly [string, string][]): HeaderField[] =>
  fields.map(([name, value]) => ({ name, value: Buffer.from(value) }));
const fields = header(['From', ' Jo <jo@example.com>'], ['Subject', ' a test']);

const begin = (ring: KeyRing, canonicalization?: Canonicalization, message = fields): MessageSigner => {
  const begun = beginMessage(message, {
    ring,
    now: () => Date.now(),
    ...(canonicalization === undefined ? {} : { canonicalization }),
  });
  if (begun.kind !== 'signing') throw new Error(begun.reason);
  return begun;
};
const raw = (signatures: readonly Signature[], message: readonly HeaderField[], body: string): Uint8Array =>
  Buffer.from(
    [
      ...signatures.map(({ value }) => `DKIM-Signature:${value}`),
      ...message.map(({ name, value }) => `${name}:${Buffer.from(value).toString()}`),
      '',
      body,
    ].join('\r\n'),
  );

describe('signing', () => {
  it.each(['relaxed/relaxed', 'relaxed/simple'] as const)(
    'with both algorithms, RSA first, %s',
    async (kind) => {
      const signer = begin(ringOf(ed25519, rsa), kind);
      for (const chunk of ['Hel', 'lo. \r', '\n\r\n']) signer.body(Buffer.from(chunk));
      const signatures = await signer.finish();
      expect(signatures.map(({ selector }) => selector)).toEqual(['240128', '240128e']);
      for (const { value } of signatures) expect(value).toContain(` c=${kind};`);
      expect(
        lines(await mailauth.verify(raw(signatures, fields, 'Hello. \r\n\r\n'), recordsOf(rsa, ed25519))),
      ).toEqual(['240128 example.com pass', '240128e example.com pass']);
    },
  );

  it('is relaxed/relaxed unless told otherwise, and says whole seconds', async () => {
    const begun = beginMessage(fields, { ring: ringOf(rsa), now: () => 1_706_400_000_999 });
    if (begun.kind !== 'signing') throw new Error(begun.reason);
    const [signature] = await begun.finish();
    expect(signature?.value.replace(/\s+/g, ' ')).toContain(
      'c=relaxed/relaxed; d=example.com; s=240128; t=1706400000;',
    );
  });

  it('uses the keys of the end of the header, whatever the ring holds by the end of the body', async () => {
    const ring = ringOf(rsa);
    const signer = begin(ring);
    ring.replace([testKey('example.com', '240501')]);
    signer.body(Buffer.from('Hello.\r\n'));
    expect((await signer.finish()).map(({ selector }) => selector)).toEqual(['240128']);
    expect(begin(ring).keys.map(({ selector }) => selector)).toEqual(['240501']);
  });

  it.each<[string, SigningKey]>([
    ['a public key', { ...rsa, load: async () => createPublicKey(rsa.key) }],
    ['a key of the other type', { ...rsa, load: ed25519.load }],
  ])('fails as a whole where one key is unusable: %s', async (_, bad) => {
    const failure = await begin(ringOf(bad, ed25519))
      .finish()
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'unavailable', retry: 'later' });
    expect(String(failure)).toContain('cannot sign (s=240128, d=example.com)');
  });
});

describe('the choice of domain', () => {
  const ring = ringOf(rsa);
  it.each<[string, HeaderField[], string]>([
    ['no From field', header(['Subject', ' x']), 'no From field'],
    ['two From fields', header(['From', ' jo@example.com'], ['from', ' jo@example.com']), '2 From fields'],
    ['From without address', header(['From', ' Jo']), 'no address in the From field'],
    ['another domain', header(['From', ' jo@example.org']), "no signing table match for 'jo@example.org'"],
    [
      'a sub-domain',
      header(['From', ' jo@mail.example.com']),
      "no signing table match for 'jo@mail.example.com'",
    ],
    ['a parent domain', header(['From', ' jo@com.example']), "no signing table match for 'jo@com.example'"],
    [
      'a Sender does not count',
      header(['From', ' jo@example.org'], ['Sender', ' jo@example.com']),
      "no signing table match for 'jo@example.org'",
    ],
    [
      'bytes that a log should not see',
      header(['From', ' "j\r\n\u001bo"@example.org']),
      'no signing table match for \'"j???o"@example.org\'',
    ],
  ])('unsigned: %s', (_, message, reason) =>
    expect(beginMessage(message, { ring, now: () => 0 })).toEqual({ kind: 'unsigned', reason }),
  );
  it('signs for a U-label by its A-label', () =>
    expect(
      begin(
        ringOf(testKey('xn--bcher-kva.example', '240128')),
        undefined,
        header(['From', ' jo@Bücher.example']),
      ).author.domain,
    ).toBe('xn--bcher-kva.example'));
});
