// A host's answer to a bundle: where its key store now stands, and which keys it cannot use. jose and web standards only.

import type { CryptoKey, JWK } from 'jose';
import * as z from 'zod/mini';
import type { Place } from '../core/key/evidence.ts';
import type { Duration, Instant } from '../core/time.ts';
import { type HostClaims, signToken, type VerifyOptions, verifyToken } from './host-token.ts';
import { opaque, placeSchema, thumbprintSchema } from './manifest.ts';

export interface Acknowledgement extends HostClaims {
  /** Of the manifest that is acknowledged. */
  readonly nonce: string;
  /** What the host has applied; null: nothing yet. It may be another place than the manifest's. */
  readonly cursor: Place | null;
  /** Of the host's key store, made with it: a wiped host has a new one. */
  readonly incarnation: string;
  /** The key store came from a full snapshot of the manifest's epoch. */
  readonly complete: boolean;
  /** `domain/selector` → why this key is not used. */
  readonly failed: Readonly<Record<string, string>>;
  /** The longest time that mail may lie in the host's queues. */
  readonly queueLifetime?: Duration;
  /** `domain/selector` → when a message was last signed with it, by the host's clock. */
  readonly lastUse?: Readonly<Record<string, Instant>>;
  /** RFC 7638 thumbprints of the bundle keys that the host now trusts. */
  readonly trusts?: readonly string[];
}

const keyName = z.string().check(z.maxLength(320), z.regex(/^[a-z0-9._-]+\/[a-z0-9._-]+$/));
const point = z.int().check(z.minimum(0)) as unknown as z.ZodMiniType<Instant>;
const length = z.int().check(z.minimum(0)) as unknown as z.ZodMiniType<Duration>;

// Not strict: an agent that is newer than the control plane may say more.
const schema: z.ZodMiniType<Acknowledgement> = z.object({
  iss: z.string().check(z.maxLength(253)),
  iat: z.number().check(z.minimum(0)),
  nonce: opaque,
  cursor: z.nullable(placeSchema),
  incarnation: opaque,
  complete: z.boolean(),
  failed: z.record(keyName, z.string().check(z.maxLength(500))),
  queueLifetime: z.exactOptional(length),
  lastUse: z.exactOptional(z.record(keyName, point)),
  trusts: z.exactOptional(z.array(thumbprintSchema).check(z.maxLength(64))),
});

const kind = { typ: 'selkie-ack+jws', schema, what: 'The acknowledgement' };

/** @param key the host's Ed25519 private key */
export const signAck = (acknowledgement: Acknowledgement, key: CryptoKey | JWK): Promise<string> =>
  signToken(kind.typ, acknowledgement, key);

/**
 * The nonce is for the caller to compare: only the newest manifest's acknowledgement sets the cursor.
 * @throws SelkieError untrusted: another host, key or type, or a clock too far off; invalid: not of the right form
 */
export const verifyAck = (jws: string, options: VerifyOptions): Promise<Acknowledgement> =>
  verifyToken(jws, kind, options);
