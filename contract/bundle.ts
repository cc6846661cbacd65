// The sealed bundle: how keys and duties travel to one mail host, pushed or pulled alike. A manifest signed ES256 over
// the hash of the payload, both inside a JWE to the host's X25519 key (RFC 7516, RFC 8037). jose and web standards only.

import type { CryptoKey, JWK } from 'jose';
import {
  base64url,
  CompactEncrypt,
  calculateJwkThumbprint,
  compactDecrypt,
  compactVerify,
  importJWK,
} from 'jose';
import * as z from 'zod/mini';
import { SelkieError } from '../core/errors.ts';
import type { FleetHost } from '../core/policy.ts';
import { type Duration, type Instant, instant, seconds } from '../core/time.ts';
import { checkJson, shown, text } from './check.ts';
import {
  limits,
  type Manifest,
  manifestSchema,
  type Payload,
  payloadSchema,
  payloadText,
} from './manifest.ts';

/** Signs the manifests of bundles: ES256 (RFC 7518 §3.4). The private key never leaves it. */
export interface BundleSigner {
  /** P-256; `kid` is the RFC 7638 thumbprint. */
  publicKey(): Promise<{ kid: string; kty: 'EC'; crv: 'P-256'; x: string; y: string }>;
  /** ES256 over `data` (≤ 4,096 bytes): r‖s, 64 bytes (RFC 7518 §3.4). */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

const type = 'selkie-manifest+jws';
const keyManagement = 'ECDH-ES+A256KW';
const encryption = 'A256GCM';

// Each header says exactly this: no compression, no embedded key, nothing to be negotiated.
const sealHeader = z.strictObject({
  alg: z.literal(keyManagement),
  enc: z.literal(encryption),
  epk: z.strictObject({ kty: z.literal('OKP'), crv: z.literal('X25519'), x: z.string() }),
});
const manifestHeader = z.strictObject({ alg: z.literal('ES256'), kid: z.string(), typ: z.literal(type) });

const documentSchema = z.strictObject({ manifest: z.string(), payload: z.string() });

const encoder = new TextEncoder();

const sha256 = async (data: string): Promise<string> => {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(data)));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
};

const untrusted = (message: string): SelkieError => new SelkieError('untrusted', message);

/** The first part of a compact JOSE object, judged before anything is done with the rest. */
const header = <T>(compact: string, schema: z.ZodMiniType<T>, what: string): T => {
  const [first = ''] = compact.split('.', 1);
  try {
    return checkJson(schema, text(base64url.decode(first), what), what);
  } catch (error) {
    const where = error instanceof SelkieError ? error.message : `${what} cannot be read.`;
    throw untrusted(`${where} Only ${keyManagement} with ${encryption}, and ES256 in it, are taken.`);
  }
};

export interface SealOptions {
  readonly host: Pick<FleetHost, 'name' | 'encryptionKey'>;
  readonly manifest: Omit<Manifest, 'aud' | 'sha256'>;
  readonly payload: Payload;
  readonly signer: BundleSigner;
}

/**
 * A bundle for one host: compact JWE.
 * @throws SelkieError invalid: the payload is over 1 MB (`splitChanges`), the manifest is not in order, or the host's key is none;
 *   and whatever `signer` throws
 */
export const sealBundle = async ({ host, manifest, payload, signer }: SealOptions): Promise<string> => {
  const body = payloadText(payload.changes);
  checkJson(payloadSchema, body, 'The payload');
  if (encoder.encode(body).length > limits.payload)
    throw new SelkieError(
      'invalid',
      `The payload for ${host.name} is over ${limits.payload} bytes: split its changes.`,
    );
  const claims: Manifest = { ...manifest, aud: host.name, sha256: await sha256(body) };
  checkJson(manifestSchema, JSON.stringify(claims), 'The manifest');

  const { kid } = await signer.publicKey();
  const encode = (value: unknown): string => base64url.encode(JSON.stringify(value));
  const input = `${encode({ alg: 'ES256', kid, typ: type })}.${encode(claims)}`;
  if (input.length > limits.signingInput)
    throw new SelkieError('invalid', `The manifest for ${host.name} is over ${limits.signingInput} bytes.`);
  const signature = await signer.sign(encoder.encode(input));
  const document = { manifest: `${input}.${base64url.encode(signature)}`, payload: body };

  let recipient: CryptoKey | Uint8Array;
  try {
    recipient = await importJWK({ kty: 'OKP', crv: 'X25519', x: host.encryptionKey }, keyManagement);
  } catch {
    throw new SelkieError(
      'invalid',
      `The encryption key of host ${host.name} is not a raw X25519 key in base64url.`,
      {
        field: 'encryptionKey',
      },
    );
  }
  return new CompactEncrypt(encoder.encode(JSON.stringify(document)))
    .setProtectedHeader({ alg: keyManagement, enc: encryption })
    .encrypt(recipient);
};

export interface OpenOptions {
  /** The host's X25519 private key; several while one follows another. */
  readonly encryptionKey: CryptoKey | JWK | readonly (CryptoKey | JWK)[];
  /** This host's name. */
  readonly host: string;
  /** P-256 public keys; one of them signed the manifest. */
  readonly trusted: readonly JWK[];
  readonly now: Instant;
  /** How far two clocks may differ. */
  readonly skew: Duration;
}

/** All keys are tried in each case, so that the time of a refusal does not tell how many there are or how far it came. */
const decrypt = async (
  jwe: string,
  keys: readonly (CryptoKey | JWK)[],
): Promise<{ readonly plaintext: Uint8Array; readonly sealedTo: number }> => {
  header(jwe, sealHeader, "The bundle's header");
  const tries = await Promise.allSettled(
    keys.map((key) =>
      compactDecrypt(jwe, key, {
        keyManagementAlgorithms: [keyManagement],
        contentEncryptionAlgorithms: [encryption],
      }),
    ),
  );
  const sealedTo = tries.findIndex(({ status }) => status === 'fulfilled');
  const opened = tries[sealedTo];
  if (opened?.status !== 'fulfilled')
    throw untrusted("The bundle is damaged, or not sealed to this host's encryption key.");
  return { plaintext: opened.value.plaintext, sealedTo };
};

const verify = async (
  jws: string,
  trusted: readonly JWK[],
): Promise<{ readonly payload: Uint8Array; readonly kid: string }> => {
  const { kid } = header(jws, manifestHeader, "The manifest's header");
  // Thumbprints are computed: what a key says of itself in `kid` proves nothing.
  const named = await Promise.all(
    trusted.map(async (jwk) => ({ jwk, kid: await calculateJwkThumbprint(jwk).catch(() => undefined) })),
  );
  const key = named.find((one) => one.kid === kid)?.jwk;
  if (key === undefined)
    throw untrusted(
      // Its thumbprint is whatever the sender wrote there: nobody should be led to add that one.
      'The manifest is signed with a bundle key that this host does not trust: compare selkie-agent trust --list with the kid that GET /v1/bundle-keys of the control plane shows, and add what is missing with selkie-agent trust --add <kid>.',
    );
  try {
    const { kty, crv, x, y } = key;
    const verified = await compactVerify(jws, await importJWK({ kty, crv, x, y } as JWK, 'ES256'), {
      algorithms: ['ES256'],
    });
    return { payload: verified.payload, kid };
  } catch {
    throw untrusted("The manifest's signature does not hold.");
  }
};

const judge = (manifest: Manifest, kid: string, { host, now, skew }: OpenOptions): void => {
  if (manifest.aud !== host)
    throw untrusted(`The bundle is for host ${shown(manifest.aud, 253)}; this is ${host}.`);
  const issued = instant(seconds(manifest.iat));
  const expires = instant(seconds(manifest.exp));
  if (issued > now + skew)
    throw untrusted(
      'The manifest is not yet valid: the clocks of the control plane and of this host differ.',
    );
  if (expires + skew <= now) throw untrusted('The manifest has expired.');
  // Its successor does that, and so proves that somebody can still speak to this host.
  if (manifest.trust?.retire?.includes(kid) === true)
    throw untrusted('The manifest retires the bundle key that signed it.');
};

/**
 * What a bundle says, proved; `sealedTo`: the place of the encryption key that it is sealed to. Whether it is older than another is for the host to judge, which knows its newest.
 * @throws SelkieError untrusted: for another host, another algorithm or type, an unknown key, a signature, a time or a hash that does not hold
 * @throws SelkieError invalid: too long, or not of the right form
 */
export const openBundle = async (
  jwe: string,
  options: OpenOptions,
): Promise<{ manifest: Manifest; payload: Payload; sealedTo: number }> => {
  if (jwe.length > limits.bundle)
    throw new SelkieError('invalid', `The bundle is over ${limits.bundle} characters.`);
  const { encryptionKey: given } = options;
  const keys = Array.isArray(given) ? (given as readonly (CryptoKey | JWK)[]) : [given as CryptoKey | JWK];
  const { plaintext, sealedTo } = await decrypt(jwe, keys);
  const document = checkJson(documentSchema, text(plaintext, 'The bundle'), 'The bundle');
  if (document.manifest.length > limits.signingInput * 2)
    throw new SelkieError('invalid', 'The manifest is too long.');
  const { payload, kid } = await verify(document.manifest, options.trusted);
  const manifest = checkJson(manifestSchema, text(payload, 'The manifest'), 'The manifest');
  judge(manifest, kid, options);
  if (encoder.encode(document.payload).length > limits.payload)
    throw new SelkieError('invalid', `The payload is over ${limits.payload} bytes.`);
  if ((await sha256(document.payload)) !== manifest.sha256)
    throw untrusted('The payload is not the one that the manifest was signed for.');
  return { manifest, payload: checkJson(payloadSchema, document.payload, 'The payload'), sealedTo };
};
