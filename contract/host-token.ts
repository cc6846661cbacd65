// What a mail host says, signed with its Ed25519 key: JWS compact, EdDSA (RFC 7515, RFC 8037). The acknowledgement and the
// pull are such tokens. jose and web standards only.

import type { CryptoKey, JWK } from 'jose';
import { base64url, CompactSign, compactVerify, importJWK } from 'jose';
import * as z from 'zod/mini';
import { SelkieError } from '../core/errors.ts';
import type { FleetHost } from '../core/policy.ts';
import { type Duration, formatDuration, type Instant, instant, milliseconds, seconds } from '../core/time.ts';
import { checkJson, shown, text } from './check.ts';
import { limits } from './manifest.ts';

export interface HostClaims {
  /** The host's name. */
  readonly iss: string;
  /** Seconds since 1970 by the host's clock, with milliseconds as a fraction. */
  readonly iat: number;
}

export interface VerifyOptions {
  /** The host that is expected to speak. */
  readonly host: string;
  /** Its Ed25519 public key: raw, base64url. */
  readonly signingKey: FleetHost['signingKey'];
  readonly now: Instant;
  /** How far two clocks may differ, the way included. */
  readonly skew: Duration;
}

export const signToken = (typ: string, claims: HostClaims, key: CryptoKey | JWK): Promise<string> =>
  new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'EdDSA', typ })
    .sign(key);

/** @throws SelkieError untrusted, invalid */
export const verifyToken = async <T extends HostClaims>(
  jws: string,
  kind: { readonly typ: string; readonly schema: z.ZodMiniType<T>; readonly what: string },
  { host, signingKey, now, skew }: VerifyOptions,
): Promise<T> => {
  const { typ, schema, what } = kind;
  if (jws.length > limits.hostToken)
    throw new SelkieError('invalid', `${what} is over ${limits.hostToken} characters.`);
  const header = z.strictObject({ alg: z.literal('EdDSA'), typ: z.literal(typ) });
  let payload: Uint8Array;
  try {
    const [first = ''] = jws.split('.', 1);
    checkJson(header, text(base64url.decode(first), what), `${what}'s header`);
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: signingKey }, 'EdDSA');
    payload = (await compactVerify(jws, key, { algorithms: ['EdDSA'] })).payload;
  } catch (error) {
    const why = error instanceof SelkieError ? ` ${error.message}` : '';
    throw new SelkieError('untrusted', `${what} is not signed with the key of host ${host}.${why}`);
  }
  const claims = checkJson(schema, text(payload, what), what);
  if (claims.iss !== host)
    throw new SelkieError(
      'untrusted',
      `${what} comes from host ${shown(claims.iss, 253)}; ${host} was expected.`,
    );
  const off = instant(seconds(claims.iat)) - now;
  if (Math.abs(off) > skew)
    throw new SelkieError(
      'untrusted',
      `${what} of host ${host} is dated ${formatDuration(milliseconds(Math.round(Math.abs(off))))} ${off > 0 ? 'ahead of' : 'behind'} our clock: set the clocks.`,
    );
  return claims;
};
