import { sign } from 'node:crypto';
import fc from 'fast-check';
import { base64url, CompactEncrypt, CompactSign, decodeProtectedHeader, importJWK } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { type OpenOptions, openBundle, sealBundle } from '../../contract/bundle.ts';
import { type KeyChange, limits, payloadText, splitChanges } from '../../contract/manifest.ts';
import { SelkieError } from '../../core/errors.ts';
import { add, instant, minutes, seconds } from '../../core/time.ts';
import { fields, makeHost, makeKey, makeSigner, noon, seal, skew, type TestSigner } from '../tools/sealed.ts';

const host = makeHost();
const key = makeKey('example.com', '240128e');
let signer: TestSigner;
let other: TestSigner;
let options: OpenOptions;
beforeAll(async () => {
  [signer, other] = [await makeSigner(), await makeSigner()];
  options = {
    encryptionKey: host.encryptionPrivate,
    host: host.name,
    trusted: [other.jwk, signer.jwk],
    now: noon,
    skew,
  };
});

/** The error, which must be ours and bear no key material. */
const refusal = async (promise: Promise<unknown>): Promise<SelkieError> => {
  const error = await promise.then(
    () => expect.unreachable('it was taken'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SelkieError);
  const said = error as SelkieError;
  expect(`${said.message} ${said.stack} ${String(said.cause)}`).not.toContain(key.privateKey.slice(-30));
  return said;
};

const refused = async (jwe: string, code: string, sentence: RegExp, change: Partial<OpenOptions> = {}) => {
  const error = await refusal(openBundle(jwe, { ...options, ...change }));
  expect(error.message).toMatch(sentence);
  expect(error.code).toBe(code);
};

interface Forged {
  readonly header?: object;
  readonly claims?: object;
  readonly payload?: string;
  readonly seal?: { readonly alg?: string; readonly enc?: string; readonly extra?: object };
  readonly document?: object;
}

/** A valid bundle made by hand, so that one thing of it can be otherwise. */
const forge = async ({ header = {}, claims = {}, payload, seal: how = {}, document = {} }: Forged = {}) => {
  const body = payload ?? payloadText([key]);
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(body));
  const { kid } = await signer.publicKey();
  const encode = (value: object) => base64url.encode(JSON.stringify(value));
  const manifest = { ...fields(), aud: host.name, sha256: Buffer.from(digest).toString('hex'), ...claims };
  const input = `${encode({ alg: 'ES256', kid, typ: 'selkie-manifest+jws', ...header })}.${encode(manifest)}`;
  const signature = await signer.sign(new TextEncoder().encode(input));
  const plaintext = { manifest: `${input}.${base64url.encode(signature)}`, payload: body, ...document };
  const alg = how.alg ?? 'ECDH-ES+A256KW';
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(plaintext)))
    .setProtectedHeader({ alg, enc: how.enc ?? 'A256GCM', ...how.extra })
    .encrypt(await importJWK({ kty: 'OKP', crv: 'X25519', x: host.encryptionKey }, alg));
};

describe('a sealed bundle', () => {
  it('opens at its host, and says what was put in', async () => {
    const manifest = fields({ place: { epoch: 2, n: 9 }, from: { epoch: 2, n: 7 } });
    const opened = await openBundle(await seal(host, signer, [key], manifest), options);
    expect(opened.payload).toEqual({ changes: [key] });
    expect(opened.manifest).toMatchObject({ ...manifest, aud: host.name });
  });

  it('shows nothing but how it is sealed', async () => {
    const jwe = await seal(host, signer, [key]);
    expect(decodeProtectedHeader(jwe)).toMatchObject({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' });
    expect(Buffer.from(jwe.replaceAll('.', ''), 'base64url').toString('latin1')).not.toContain('example.com');
  });

  it('made by hand is taken, so that what is refused below is refused for its own reason', async () => {
    expect((await openBundle(await forge(), options)).payload.changes).toEqual([key]);
  });

  it('carries a full payload', async () => {
    const many = Array.from({ length: 9_000 }, (_, i) => ({ ...key, selector: `s${i}` }));
    const [first = [], ...rest] = splitChanges(many);
    expect(rest).toHaveLength(1);
    expect(payloadText(first).length).toBeGreaterThan(limits.payload - 1_000);
    const opened = await openBundle(await seal(host, signer, first), options);
    expect(opened.payload.changes).toEqual(first);
    expect([first, ...rest].flat()).toEqual(many);
  });
});

describe('sealing refuses', () => {
  const sealing = (change: object) =>
    refusal(sealBundle({ host, manifest: fields(), payload: { changes: [key] }, signer, ...change }));

  it.each([
    ['a payload over 1 MB', { payload: { changes: Array.from({ length: 9_000 }, () => key) } }, /split/],
    [
      'a part beyond the last',
      { manifest: fields({ snapshot: { id: 'snapshot-1', part: 3, parts: 2 } }) },
      /more parts/,
    ],
    [
      'a part 0',
      { manifest: fields({ snapshot: { id: 'snapshot-1', part: 0, parts: 2 } }) },
      /snapshot.part/,
    ],
    ['a delta into another epoch', { manifest: fields({ from: { epoch: 2, n: 0 } }) }, /epoch/],
    ['a delta backwards', { manifest: fields({ from: { epoch: 1, n: 5 } }) }, /backwards/],
    ['a bundle that expires before it is issued', { manifest: fields({ exp: 1 }) }, /expires/],
    ['a key of the wrong length', { host: { name: 'mx1', encryptionKey: 'AAAA' } }, /X25519/],
    ['a duty that is none', { payload: { changes: [{ ...key, duty: 'resting' }] } }, /changes\.0\.duty/],
  ])('%s', async (_, change, sentence) => {
    const error = await sealing(change);
    expect(error.code).toBe('invalid');
    expect(error.message).toMatch(sentence);
  });
});

describe('opening refuses', () => {
  it('a bundle for another host, though it is sealed to this key', async () => {
    const jwe = await seal({ ...host, name: 'mx2.example.com' }, signer, [key]);
    await refused(jwe, 'untrusted', /for host mx2/);
  });

  it('a bundle sealed to another key', async () =>
    refused(await seal(makeHost(), signer, [key]), 'untrusted', /not sealed to this host/));

  it('a signer that is not trusted', async () =>
    refused(await seal(host, signer, [key]), 'untrusted', /does not trust/, { trusted: [other.jwk] }));

  it('an untrusted key that claims the name of a trusted one', async () => {
    const { kid } = await signer.publicKey();
    const jwe = await seal(host, signer, [key]);
    await refused(jwe, 'untrusted', /does not trust/, { trusted: [{ ...other.jwk, kid }] });
  });

  it('a signature by another key under the name of a trusted one', async () => {
    const impostor = { publicKey: signer.publicKey, sign: other.sign };
    await refused(await seal(host, impostor, [key]), 'untrusted', /signature does not hold/);
  });

  it.each([
    ['ES384', { alg: 'ES384' }],
    ['none', { alg: 'none' }],
    ['HS256', { alg: 'HS256' }],
    ['a type of another thing', { typ: 'JWT' }],
    ['no type', { typ: undefined }],
    ['an embedded key', { jwk: { kty: 'EC' } }],
    ['an extension', { crit: ['b64'], b64: false }],
  ])('a manifest that says %s', async (_, header) =>
    refused(await forge({ header }), 'untrusted', /manifest's header/),
  );

  it.each([
    ['another key agreement', { alg: 'ECDH-ES' }],
    ['another cipher', { enc: 'A128GCM' }],
    ['another key wrap', { alg: 'ECDH-ES+A128KW' }],
    ['a type', { extra: { typ: 'x' } }],
  ])('a seal of %s', async (_, how) => refused(await forge({ seal: how }), 'untrusted', /bundle's header/));

  it('a manifest signed with a symmetric key made of the public one', async () => {
    const { kid } = await signer.publicKey();
    const spki = Buffer.from(JSON.stringify(signer.jwk));
    const jws = await new CompactSign(new TextEncoder().encode('{}'))
      .setProtectedHeader({ alg: 'HS256', kid, typ: 'selkie-manifest+jws' })
      .sign(Buffer.concat([spki, Buffer.alloc(32)]));
    await refused(await forge({ document: { manifest: jws } }), 'untrusted', /alg/);
  });

  it('one that has expired, beyond the skew', async () => {
    const jwe = await seal(host, signer, [key]);
    const end = add(noon, minutes(10), skew);
    await expect(openBundle(jwe, { ...options, now: instant(end - 1) })).resolves.toBeDefined();
    await refused(jwe, 'untrusted', /expired/, { now: end });
  });

  it('one from the future, beyond the skew', async () => {
    const jwe = await seal(host, signer, [key], fields({}, add(noon, skew)));
    await expect(openBundle(jwe, options)).resolves.toBeDefined();
    await refused(jwe, 'untrusted', /not yet valid/, { now: instant(noon - seconds(1)) });
  });

  it('a payload that is not the signed one', async () =>
    refused(await forge({ document: { payload: payloadText([]) } }), 'untrusted', /not the one/));

  it('a payload that is malformed, and says where', async () => {
    const payload = JSON.stringify({ changes: [{ ...key, domain: 'EXAMPLE.com' }] });
    const error = await refusal(openBundle(await forge({ payload }), options));
    expect(error.message).toMatch(/changes\.0\.domain must be a lower-case domain name/);
    expect(error.field).toBe('changes.0.domain');
  });

  it.each([
    ['not JSON', key.privateKey, /not JSON/],
    ['of another shape', '[]', /payload/],
    ['with a field unknown here', JSON.stringify({ changes: [], more: 1 }), /not known/],
    ['too long', JSON.stringify({ changes: [], pad: 'x'.repeat(limits.payload) }), /over 1048576 bytes/],
  ])('a payload that is %s', async (_, payload, sentence) =>
    refused(await forge({ payload }), 'invalid', sentence),
  );

  it.each([
    ['a place without epoch', { place: { n: 1 } }, /place\.epoch/],
    ['a claim unknown here', { more: true }, /not known/],
    ['a nonce with spaces', { nonce: 'a b c d e f g' }, /nonce/],
    ['no time', { iat: '2024' }, /iat/],
  ])('a manifest with %s', async (_, claims, sentence) =>
    refused(await forge({ claims }), 'invalid', sentence),
  );

  it('a document without end, before any cryptography', async () =>
    refused('x'.repeat(limits.bundle + 1), 'invalid', /over 3145728/));

  it.each(['', '.', '....', 'e30.e30.e30.e30.e30', '\u0000.\ud800', '🦭.🦭.🦭.🦭.🦭'])('%j', async (jwe) =>
    refused(jwe, 'untrusted', /header/),
  );

  it('a header whose fields would write lines of their own into a log', async () => {
    const field = 'x\nagent: all is well \u202e\u001b[2J';
    const [first = '', ...rest] = (await forge()).split('.');
    const head = { ...JSON.parse(Buffer.from(first, 'base64url').toString()), [field]: 1 };
    const seals = await refusal(
      openBundle([base64url.encode(JSON.stringify(head)), ...rest].join('.'), options),
    );
    const payload = JSON.stringify({ changes: [{ ...key, [field]: 1 }] });
    for (const error of [seals, await refusal(openBundle(await forge({ payload }), options))]) {
      expect(error.message).toContain('x?agent: all is well ??[2J');
      expect(error.message).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    }
  });

  it('a compressed document', async () => {
    // RFC 8725 §3.6: compression before encryption tells lengths, and unpacks to any size.
    await expect(
      forge({ seal: { extra: { zip: 'DEF' } } }).then((jwe) => openBundle(jwe, options)),
    ).rejects.toThrow();
    const [head = '', ...rest] = (await forge()).split('.');
    const zipped = { ...JSON.parse(Buffer.from(head, 'base64url').toString()), zip: 'DEF' };
    await refused([base64url.encode(JSON.stringify(zipped)), ...rest].join('.'), 'untrusted', /header/);
  });

  it('any change of a character, always in our own words', async () => {
    const jwe = await forge();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(jwe.length - 1),
        fc.constantFrom(...'ABxyz019-_.=+ \u0000é'),
        fc.constantFrom(0, 1, 7),
        async (at, letter, cut) => {
          const mutated = jwe.slice(0, at) + letter + jwe.slice(at + cut);
          if (mutated === jwe) return;
          const outcome = await openBundle(mutated, options).catch((error: unknown) => error);
          // The last character of a base64url part has bits that say nothing: such a change may be the same bundle.
          if (!(outcome instanceof SelkieError))
            expect(outcome).toMatchObject({ payload: { changes: [key] } });
        },
      ),
      { numRuns: 400 },
    );
  });

  it('whatever the signer signs that is no bundle, always in our own words', async () => {
    const junk = fc.oneof(fc.jsonValue(), fc.string(), fc.constant(undefined));
    const shape = fc.record({
      claims: fc.dictionary(
        fc.constantFrom('place', 'from', 'snapshot', 'iat', 'exp', 'nonce', 'sha256', 'aud'),
        junk,
        {
          minKeys: 1,
        },
      ),
      payload: fc.oneof(fc.json(), fc.string()),
    });
    await fc.assert(
      fc.asyncProperty(shape, async (forged) => {
        const outcome = await openBundle(await forge(forged), options).catch((error: unknown) => error);
        expect(outcome).toBeInstanceOf(SelkieError);
      }),
      { numRuns: 300 },
    );
  });
});

describe('splitChanges', () => {
  it('gives one empty group for nothing', () => expect(splitChanges([])).toEqual([[]]));

  it('keeps order and limit', () => {
    const change = fc
      .nat(300)
      .map((n): KeyChange => ({ ...key, selector: `s${n}`, privateKey: 'A'.repeat(n) }));
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const groups = splitChanges(changes, 1_000);
        expect(groups.flat()).toEqual(changes);
        for (const group of groups)
          if (group.length > 1) expect(payloadText(group).length).toBeLessThanOrEqual(1_000);
      }),
    );
  });
});

it('takes signatures of r‖s only, as JOSE says, not the DER that KMS gives', async () => {
  // RFC 7518 §3.4
  const der = {
    publicKey: signer.publicKey,
    sign: async (data: Uint8Array) => new Uint8Array(sign('sha256', data, signer.privateKey)),
  };
  await refused(await seal(host, der, [key]), 'untrusted', /signature/);
});
