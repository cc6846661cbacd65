import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createKeyRing, type KeyRing, type SigningKey } from '../../../agent/signing/key-ring.ts';
import {
  beginMessage,
  type MessageSigner,
  type Signature,
  type SignerOptions,
} from '../../../agent/signing/signer.ts';
import { signingTable } from '../../../agent/signing/signing-table.ts';
import type { HeaderField } from '../../../core/dkim/canonical-header.ts';
import { headerPolicy } from '../../../core/dkim/header-selection.ts';
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

const begin = (
  ring: KeyRing,
  options: Omit<SignerOptions, 'ring' | 'now'> = {},
  message = fields,
): MessageSigner => {
  const begun = beginMessage(message, { ring, now: () => Date.now(), ...options });
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

const kinds: readonly Canonicalization[] = [
  'relaxed/relaxed',
  'relaxed/simple',
  'simple/relaxed',
  'simple/simple',
];
const unfolded = (signature: Signature | undefined): string => (signature?.value ?? '').replace(/\s+/g, ' ');

describe('signing', () => {
  it.each(kinds)('with both algorithms, RSA first, %s', async (canonicalization) => {
    const folded = [...fields, ...header(['To', ' a@example.org,\r\n\t b@example.org '])];
    const signer = begin(
      ringOf(ed25519, rsa),
      { canonicalization, identity: 'domain', expireAfter: 86_400 },
      folded,
    );
    for (const chunk of ['Hel', 'lo. \r', '\n\r\n']) signer.body(Buffer.from(chunk));
    const { signatures, failures } = await signer.finish();
    expect(failures).toEqual([]);
    expect(signatures.map(({ selector }) => selector)).toEqual(['240128', '240128e']);
    for (const { value } of signatures) expect(value).toContain(` c=${canonicalization};`);
    expect(
      lines(await mailauth.verify(raw(signatures, folded, 'Hello. \r\n\r\n'), recordsOf(rsa, ed25519))),
    ).toEqual(['240128 example.com pass', '240128e example.com pass']);
  });

  it('signs the same where no other message is in hand, and fails the same', async () => {
    const ring = ringOf(rsa, ed25519, testKey('big.example', '240128', 'rsa3072'));
    const signed = async (message: HeaderField[], alone: boolean) => {
      const begun = beginMessage(message, { ring, now: () => 1_706_400_000_000 });
      if (begun.kind !== 'signing') throw new Error(begun.reason);
      begun.body(Buffer.from('Hello.\r\n'));
      return begun.finish(alone);
    };
    for (const message of [fields, header(['From', ' jo@big.example'])])
      expect(await signed(message, true)).toEqual(await signed(message, false));
    const bad = { ...rsa, load: async () => createPublicKey(rsa.key) };
    expect((await begin(ringOf(bad)).finish(true)).failures).toEqual([
      'cannot sign (s=240128, d=example.com): it is not a private rsa key',
    ]);
  });

  it('is relaxed/relaxed unless told otherwise, and says whole seconds', async () => {
    const begun = beginMessage(fields, { ring: ringOf(rsa), now: () => 1_706_400_000_999 });
    if (begun.kind !== 'signing') throw new Error(begun.reason);
    const { signatures } = await begun.finish();
    expect(unfolded(signatures[0])).toContain('c=relaxed/relaxed; d=example.com; s=240128; t=1706400000; h=');
  });

  it('says x= where it shall expire', async () => {
    const begun = beginMessage(fields, {
      ring: ringOf(rsa),
      now: () => 1_706_400_000_999,
      expireAfter: 86_400,
    });
    if (begun.kind !== 'signing') throw new Error(begun.reason);
    expect(unfolded((await begun.finish()).signatures[0])).toContain(' t=1706400000; x=1706486400; h=');
  });

  it('says no t= where it shall not, and the signature holds', async () => {
    const signer = begin(ringOf(rsa, ed25519), { timestamp: false });
    signer.body(Buffer.from('Hello.\r\n'));
    const { signatures } = await signer.finish();
    for (const one of signatures) expect(unfolded(one)).toMatch(/ s=240128e?; h=/);
    expect(
      lines(await mailauth.verify(raw(signatures, fields, 'Hello.\r\n'), recordsOf(rsa, ed25519))),
    ).toEqual(['240128 example.com pass', '240128e example.com pass']);
  });

  it('oversigns what it is told, and signs it', async () => {
    const message = [...fields, ...header(['X-Campaign', ' 1'])];
    const { signatures } = await begin(
      ringOf(rsa),
      { headers: headerPolicy(['From', 'x-campaign', 'To']) },
      message,
    ).finish();
    expect(unfolded(signatures[0])).toContain(' h=From:From:Subject:To:x-campaign:x-campaign;');
  });

  it('uses the keys of the end of the header, whatever the ring holds by the end of the body', async () => {
    const ring = ringOf(rsa);
    const signer = begin(ring);
    ring.replace([testKey('example.com', '240501')]);
    signer.body(Buffer.from('Hello.\r\n'));
    expect((await signer.finish()).signatures.map(({ selector }) => selector)).toEqual(['240128']);
    expect(begin(ring).keys.map(({ selector }) => selector)).toEqual(['240501']);
  });

  it.each<[string, SigningKey, string]>([
    ['a public key', { ...rsa, load: async () => createPublicKey(rsa.key) }, 'it is not a private rsa key'],
    ['a key of the other type', { ...rsa, load: ed25519.load }, 'it is not a private rsa key'],
    ['a key that is gone', { ...rsa, load: () => Promise.reject(new Error('no such file')) }, 'no such file'],
  ])('goes on with the other key where one is unusable: %s', async (_, bad, why) => {
    const { signatures, failures } = await begin(ringOf(bad, ed25519)).finish();
    expect(failures).toEqual([`cannot sign (s=240128, d=example.com): ${why}`]);
    expect(lines(await mailauth.verify(raw(signatures, fields, ''), recordsOf(ed25519)))).toEqual([
      '240128e example.com pass',
    ]);
    expect((await begin(ringOf(bad)).finish()).signatures).toEqual([]);
  });
});

describe('i=', () => {
  const identityOf = async (
    from: string,
    identity: SignerOptions['identity'],
    domain = 'example.com',
  ): Promise<string | undefined> => {
    const table = signingTable([{ match: '*', domain }]);
    const begun = begin(
      ringOf(testKey(domain, '240128')),
      { table, ...(identity === undefined ? {} : { identity }) },
      header(['From', ` ${from}`]),
    );
    const { signatures } = await begun.finish();
    expect(
      lines(
        await mailauth.verify(
          raw(signatures, header(['From', ` ${from}`]), ''),
          recordsOf(testKey(domain, '240128')),
        ),
      ),
    ).toEqual([`240128 ${domain} pass`]);
    return /\si=([^;]*);/.exec(signatures[0]?.value ?? '')?.[1];
  };
  it.each<[string, SignerOptions['identity'], string | undefined]>([
    ['jo@example.com', undefined, undefined],
    ['jo@example.com', 'none', undefined],
    ['jo@example.com', 'domain', 'jo@example.com'],
    ['Jo Doe <Jo.Doe+x@Example.Com>', 'domain', 'Jo.Doe+x@example.com'],
    ['jo@mail.example.com', 'domain', undefined],
    ['jo@mail.example.com', 'subdomains', 'jo@mail.example.com'],
    ['jo@example.com', 'subdomains', 'jo@example.com'],
    ['jo@notexample.com', 'subdomains', undefined],
    ['jo@example.org', 'subdomains', undefined],
    ['"a;b=c d"@example.com', 'domain', '"a=3Bb=3Dc=20d"@example.com'],
    ['jö@example.com', 'domain', 'j=C3=B6@example.com'],
  ])('of %s, %s: %s', async (from, identity, expected) =>
    expect(await identityOf(from, identity)).toBe(expected),
  );
  it('names an internationalised domain by its A-label', async () =>
    expect(await identityOf('jo@bücher.example', 'domain', 'xn--bcher-kva.example')).toBe(
      'jo@xn--bcher-kva.example',
    ));
  it('is left out where the local part is no UTF-8', async () => {
    const fieldsOfBytes = [{ name: 'From', value: Buffer.from(' j\xf6@example.com', 'latin1') }];
    const { signatures } = await begin(ringOf(rsa), { identity: 'domain' }, fieldsOfBytes).finish();
    expect(signatures[0]?.value).not.toMatch(/\si=/);
  });
});
