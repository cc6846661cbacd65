// Sealed bundles and hosts' tokens against a hostile wire: what was sealed comes out, what was touched does not, and no
// refusal tells what was inside.
import fc from 'fast-check';
import { base64url, CompactEncrypt, importJWK } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Acknowledgement, signAck, verifyAck } from '../../contract/acknowledgement.ts';
import { type OpenOptions, openBundle, sealBundle } from '../../contract/bundle.ts';
import type { KeyChange, Manifest } from '../../contract/manifest.ts';
import { type Pull, signPull, verifyPull } from '../../contract/pull.ts';
import { type Algorithm, algorithms } from '../../core/algorithm.ts';
import type { SelkieError } from '../../core/errors.ts';
import { type Instant, instant, milliseconds, minutes } from '../../core/time.ts';
import { makeHost, makeKey, makeSigner, noon, seal, skew, type TestSigner } from '../tools/sealed.ts';
import { ours, patience, runs } from './settings.ts';

patience();

const host = makeHost();
const key = makeKey('example.com', '240128e');
let signer: TestSigner;
let options: OpenOptions;
let bundle: string;
let other: string;
beforeAll(async () => {
  signer = await makeSigner();
  const encryptionKey = host.encryptionPrivate;
  options = { encryptionKey, host: host.name, trusted: [signer.jwk], now: noon, skew };
  bundle = await seal(host, signer, [key]);
  other = await seal(host, signer, [{ ...key, duty: 'signing' }]);
});

/** Pieces of the key in the forms that it takes on its way; none of them may be in a refusal. */
const secretsOf = (privateKey: string): string[] => {
  const der = Buffer.from(privateKey, 'base64');
  return [privateKey.slice(-24), privateKey.slice(22, 46), der.subarray(16).toString('hex').slice(0, 20)];
};

const refusal = async (attempt: Promise<unknown>, privateKey = key.privateKey): Promise<SelkieError> => {
  const error = await attempt.then(
    () => expect.unreachable('it was taken'),
    (reason: unknown) => ours(reason, 'untrusted', 'invalid'),
  );
  const said = `${error.message} ${error.stack} ${error.field} ${String(error.cause)}`;
  for (const secret of secretsOf(privateKey)) expect(said).not.toContain(secret);
  expect(error.message).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]{1,700}$/u);
  return error;
};

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
const domain = fc
  .tuple(fc.array(label, { minLength: 1, maxLength: 3 }), fc.stringMatching(/^[a-z]{2,8}$/))
  .map(([labels, top]) => [...labels, top].join('.'));
const base64 = (most: number) =>
  fc.uint8Array({ minLength: 1, maxLength: most }).map((bytes) => Buffer.from(bytes).toString('base64'));
const change: fc.Arbitrary<KeyChange> = fc.record(
  {
    domain,
    selector: label,
    algorithm: fc.constantFrom(...(Object.keys(algorithms) as Algorithm[])),
    duty: fc.constantFrom('standby', 'signing', 'none'),
    publicKey: base64(500),
    privateKey: base64(1_800),
  },
  { requiredKeys: ['domain', 'selector', 'algorithm', 'duty', 'publicKey'] },
);
const place = fc.record({ epoch: fc.integer({ min: 1, max: 9 }), n: fc.nat() });
const opaque = fc.stringMatching(/^[A-Za-z0-9_-]{8,64}$/);
const manifest: fc.Arbitrary<Omit<Manifest, 'aud' | 'sha256'>> = fc
  .record({
    place,
    back: fc.nat(),
    nonce: opaque,
    iat: fc.integer({ min: -300_000, max: 300_000 }).map((off) => (noon + off) / 1_000),
    kind: fc.constantFrom('delta', 'snapshot', 'part'),
    id: opaque,
    parts: fc.integer({ min: 1, max: 100_000 }),
    part: fc.nat(),
  })
  .map(({ place: to, back, nonce, iat, kind, id, parts, part }) => ({
    place: to,
    nonce,
    iat,
    exp: iat + 600,
    from: kind === 'delta' ? { epoch: to.epoch, n: Math.max(0, to.n - back) } : null,
    ...(kind === 'part' ? { snapshot: { id, part: 1 + (part % parts), parts } } : {}),
  }));

/** Anything that JSON can say, names that mean something to JavaScript first. */
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, 0, -1, 1e308, '', 'A256GCM', 'none', '\u0000', '\n', 'x'.repeat(5_000)),
    fc.string({ maxLength: 12 }),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.oneof(
        fc.constantFrom('__proto__', 'constructor', 'alg', 'toString', 'length', 'a\nb'),
        fc.string({ maxLength: 6 }),
      ),
      tie('value'),
      { maxKeys: 3, noNullPrototype: true },
    ),
  ),
})).value;

/** A text in which one thing stands elsewhere than JSON.stringify would let it. */
const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

const sealed = async (plaintext: string | Uint8Array): Promise<string> =>
  new CompactEncrypt(typeof plaintext === 'string' ? new TextEncoder().encode(plaintext) : plaintext)
    .setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' })
    .encrypt(await importJWK({ kty: 'OKP', crv: 'X25519', x: host.encryptionKey }, 'ECDH-ES+A256KW'));

const sha256 = async (text: string): Promise<string> =>
  Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).toString('hex');

/** A manifest signed by the trusted key, whatever it says. */
const signed = async (claims: object | string, header: object = {}): Promise<string> => {
  const { kid } = await signer.publicKey();
  const head = { alg: 'ES256', kid, typ: 'selkie-manifest+jws', ...header };
  const text = typeof claims === 'string' ? claims : JSON.stringify(claims);
  const input = `${base64url.encode(JSON.stringify(head))}.${base64url.encode(text)}`;
  return `${input}.${base64url.encode(await signer.sign(new TextEncoder().encode(input)))}`;
};

/** Parts of a compact JOSE object with one bit of one part's bytes turned. */
const turned = (compact: string, part: number, at: number, bit: number): string => {
  const parts = compact.split('.');
  const place = part % parts.length;
  const bytes = new Uint8Array(Buffer.from(parts[place] ?? '', 'base64url'));
  const index = at % bytes.length;
  bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
  return parts.with(place, base64url.encode(bytes)).join('.');
};

const place32 = fc.nat();
const bit = fc.nat(7);

describe('a bundle', () => {
  it('of any changes says at its host what was put in', () =>
    fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 4 }), manifest, async (changes, fields) => {
        const jwe = await sealBundle({ host, manifest: fields, payload: { changes }, signer });
        const opened = await openBundle(jwe, options);
        expect(opened.payload).toEqual({ changes });
        const text = JSON.stringify({ changes });
        expect(opened.manifest).toEqual({ ...fields, aud: host.name, sha256: await sha256(text) });
      }),
      runs(120),
    ));

  it('with any bit of any of its five parts turned is refused', async () => {
    const parts = new Set<number>();
    await fc.assert(
      fc.asyncProperty(fc.nat(4), place32, bit, async (part, at, which) => {
        parts.add(part);
        const error = await refusal(openBundle(turned(bundle, part, at, which), options));
        expect(error.code).toBe('untrusted');
      }),
      runs(400),
    );
    expect(parts.size).toBe(5);
  });

  it('put together from two genuine ones is refused', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 30 }), async (choice) => {
        const [one, two] = [bundle.split('.'), other.split('.')];
        const mixed = one.map((part, i) => ((choice >> i) & 1 ? (two[i] ?? '') : part)).join('.');
        expect((await refusal(openBundle(mixed, options))).code).toBe('untrusted');
      }),
      runs(60),
    ));

  it('with another header is refused, before its key is used', () =>
    fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.tuple(
            fc.constantFrom(
              'alg',
              'enc',
              'epk',
              'zip',
              'crit',
              'jwk',
              'jku',
              'x5c',
              'apu',
              'p2c',
              'b64',
              '__proto__',
            ),
            json,
          ),
          fc.tuple(
            fc.constantFrom('alg', 'enc'),
            fc.constantFrom(
              'dir',
              'RSA-OAEP',
              'ECDH-ES',
              'ECDH-ES+A128KW',
              'PBES2-HS512+A256KW',
              'A128GCM',
              'A256CBC-HS512',
            ),
          ),
          fc.constant(['zip', 'DEF'] as [string, unknown]),
        ),
        async ([name, value]) => {
          const [first = '', ...rest] = bundle.split('.');
          const header = JSON.parse(Buffer.from(first, 'base64url').toString());
          const text = JSON.stringify(
            Object.fromEntries([
              ...Object.entries(header).filter(([field]) => field !== name),
              [name, value],
            ]),
          );
          const error = await refusal(openBundle([base64url.encode(text), ...rest].join('.'), options));
          expect(error.code).toBe('untrusted');
        },
      ),
      runs(300),
    ));

  it('whose header is any text is refused', () =>
    fc.assert(
      fc.asyncProperty(
        fc.oneof(
          json.map((value) => JSON.stringify(value)),
          fc.string({ unit: 'binary' }),
          fc.constantFrom(deep(20_000), '{"alg":'.repeat(10_000), '{"__proto__":{"alg":"ECDH-ES+A256KW"}}'),
        ),
        async (text) => {
          const [, ...rest] = bundle.split('.');
          await refusal(openBundle([base64url.encode(text), ...rest].join('.'), options));
        },
      ),
      runs(200),
    ));

  it('that is any text is refused', () =>
    fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 60 }),
          fc.string({ unit: fc.constantFrom(...'eyJ.e30_-=+/\u0000é'), maxLength: 60 }),
          fc.array(fc.constantFrom('.', 'e30', ...'AQ='), { maxLength: 12 }).map((parts) => parts.join('')),
        ),
        async (text) => void (await refusal(openBundle(text, options))),
      ),
      runs(400),
    ));

  it('with any letter exchanged is refused, or the same: base64 has letters whose last bits say nothing', async () => {
    let same = 0;
    await fc.assert(
      fc.asyncProperty(
        place32,
        fc.constantFrom(...'ABCDQgwx019-_.=+/ \n\u0000é'),
        fc.nat(2),
        async (at, letter, cut) => {
          const index = at % bundle.length;
          const text = bundle.slice(0, index) + letter + bundle.slice(index + cut);
          const opened = await openBundle(text, options).catch((error: unknown) => {
            ours(error, 'untrusted', 'invalid');
            return undefined;
          });
          if (opened === undefined) return;
          same += 1;
          expect(opened.payload).toEqual({ changes: [key] });
        },
      ),
      runs(300),
    );
    expect(same).toBeLessThan(50 * Math.max(1, Number(process.env.FUZZ_RUNS ?? 1)));
  });
});

describe('what is sealed to a host by whoever knows its public key', () => {
  it('is refused where a bit of the manifest or a letter of the payload is another', () =>
    fc.assert(
      fc.asyncProperty(fc.nat(3), place32, bit, async (part, at, which) => {
        const text = JSON.stringify({ changes: [key] });
        const claims = { ...manifestOf(), sha256: await sha256(text) };
        const jws = await signed(claims);
        const flipped = Buffer.from(text);
        flipped[at % flipped.length] = (flipped[at % flipped.length] ?? 0) ^ (1 << (which % 7));
        const document =
          part === 3
            ? { manifest: jws, payload: flipped.toString() }
            : { manifest: turned(jws, part, at, which), payload: text };
        await expect(
          openBundle(await sealed(JSON.stringify({ manifest: jws, payload: text })), options),
        ).resolves.toBeDefined();
        const error = await refusal(openBundle(await sealed(JSON.stringify(document)), options));
        expect(error.code).toBe('untrusted');
      }),
      runs(150),
    ));

  it('is refused where it is any document', () =>
    fc.assert(
      fc.asyncProperty(
        fc.oneof(
          json.map((value) => JSON.stringify(value)),
          fc.record({ manifest: json, payload: json }).map((value) => JSON.stringify(value)),
          fc.uint8Array({ maxLength: 60 }),
          fc.constantFrom(deep(50_000), JSON.stringify({ changes: [key] }), key.privateKey),
        ),
        async (plaintext) => void (await refusal(openBundle(await sealed(plaintext), options))),
      ),
      runs(150),
    ));
});

const manifestOf = () => ({
  aud: host.name,
  place: { epoch: 1, n: 1 },
  from: null,
  nonce: 'nonce-0001',
  iat: noon / 1_000,
  exp: noon / 1_000 + 600,
});

describe('what the trusted key has signed', () => {
  it('is refused where a claim is of another kind, and never quotes the payload', async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(
          'aud',
          'place',
          'from',
          'nonce',
          'iat',
          'exp',
          'sha256',
          'snapshot',
          'more',
          '__proto__',
        ),
        json,
        async (name, value) => {
          const payload = JSON.stringify({ changes: [key] });
          const claims = Object.entries({ ...manifestOf(), sha256: await sha256(payload) });
          const text = JSON.stringify(
            Object.fromEntries([...claims.filter(([claim]) => claim !== name), [name, value]]),
          );
          const jwe = await sealed(JSON.stringify({ manifest: await signed(text), payload }));
          // These are no lies about a bundle; and an own `__proto__` is dropped before it is looked at.
          const isFine =
            name === '__proto__' ||
            (name === 'from' && value === null) ||
            (name === 'nonce' && /^[\w-]{8,64}$/.test(String(JSON.stringify(value).slice(1, -1)))) ||
            (name === 'iat' && value === 0) ||
            (name === 'exp' && value === 1e308);
          if (isFine) {
            taken += 1;
            const opened = await openBundle(jwe, options).catch((error: unknown) => ours(error, 'invalid'));
            if (!(opened instanceof Error)) expect(opened.payload).toEqual({ changes: [key] });
            expect(({} as { alg?: unknown }).alg).toBeUndefined();
          } else await refusal(openBundle(jwe, options));
        },
      ),
      runs(200),
    );
    expect(taken).toBeGreaterThan(0);
  });

  it('is refused where a change is of another kind, and the refusal holds no key', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('domain', 'selector', 'algorithm', 'duty', 'publicKey', 'privateKey', 'more'),
        fc.oneof(json, fc.constantFrom(key.privateKey.replace('M', '-'), `${key.privateKey}=\n`)),
        async (name, value) => {
          const plain = { ...key, [name]: value };
          fc.pre(JSON.stringify(plain) !== JSON.stringify(key));
          const payload = JSON.stringify({ changes: [key, plain] });
          const claims = { ...manifestOf(), sha256: await sha256(payload) };
          const jwe = await sealed(JSON.stringify({ manifest: await signed(claims), payload }));
          const opened = await openBundle(jwe, options).catch((error: unknown) => ours(error, 'invalid'));
          if (opened instanceof Error) await refusal(Promise.reject(opened));
          // What has the right form is taken: a name is a name.
          else expect(opened.payload.changes[1]).toEqual(plain);
        },
      ),
      runs(200),
    );
  });
});

describe("a host's word", () => {
  const proof = { host: host.name, signingKey: host.signingKey, now: noon, skew };
  const at: fc.Arbitrary<Instant> = fc.nat().map(instant);
  const keyName = fc.tuple(domain, label).map(([owner, selector]) => `${owner}/${selector}`);
  const acknowledgement: fc.Arbitrary<Acknowledgement> = fc.record(
    {
      iss: fc.constant(host.name),
      iat: fc.integer({ min: -300_000, max: 300_000 }).map((off) => (noon + off) / 1_000),
      nonce: opaque,
      cursor: fc.option(place),
      incarnation: opaque,
      complete: fc.boolean(),
      failed: fc.dictionary(keyName, fc.string({ maxLength: 40 }), { maxKeys: 3, noNullPrototype: true }),
      queueLifetime: fc.nat().map(milliseconds),
      lastUse: fc.dictionary(keyName, at, { maxKeys: 3, noNullPrototype: true }),
    },
    { requiredKeys: ['iss', 'iat', 'nonce', 'cursor', 'incarnation', 'complete', 'failed'] },
  );
  const pull: fc.Arbitrary<Pull> = fc.record({
    iss: fc.constant(host.name),
    aud: fc.constant('selkie'),
    iat: fc.constant(noon / 1_000),
    nonce: opaque,
    incarnation: opaque,
    cursor: fc.option(place),
  });

  it('comes as it was said', () =>
    fc.assert(
      fc.asyncProperty(acknowledgement, pull, async (said, asked) => {
        expect(await verifyAck(await signAck(said, host.signingPrivate), proof)).toEqual(said);
        expect(await verifyPull(await signPull(asked, host.signingPrivate), proof)).toEqual(asked);
      }),
      runs(80),
    ));

  it('with any bit turned is refused, and one is not taken for the other', () =>
    fc.assert(
      fc.asyncProperty(
        acknowledgement,
        pull,
        fc.nat(2),
        place32,
        bit,
        async (said, asked, part, index, which) => {
          const [ack, request] = [
            await signAck(said, host.signingPrivate),
            await signPull(asked, host.signingPrivate),
          ];
          expect((await refusal(verifyAck(turned(ack, part, index, which), proof))).code).toBe('untrusted');
          expect((await refusal(verifyPull(turned(request, part, index, which), proof))).code).toBe(
            'untrusted',
          );
          expect((await refusal(verifyAck(request, proof))).code).toBe('untrusted');
          expect((await refusal(verifyPull(ack, proof))).code).toBe('untrusted');
          const late = { ...proof, now: instant(noon + minutes(20)) };
          expect((await refusal(verifyAck(ack, late))).code).toBe('untrusted');
        },
      ),
      runs(80),
    ));

  it('of any text is refused', () =>
    fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 60 }),
          json.map((value) => `${base64url.encode(JSON.stringify(value))}.e30.AA`),
          fc.constantFrom(`${base64url.encode(deep(20_000))}..`, '.'.repeat(20_000)),
        ),
        async (text) => {
          await refusal(verifyAck(text, proof));
          await refusal(verifyPull(text, proof));
        },
      ),
      runs(200),
    ));
});
