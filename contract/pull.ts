// A host's request for what it lacks: the body of a pull. jose and web standards only.

import type { CryptoKey, JWK } from 'jose';
import * as z from 'zod/mini';
import type { Place } from '../core/key/evidence.ts';
import { type HostClaims, signToken, type VerifyOptions, verifyToken } from './host-token.ts';
import { limits, opaque, placeSchema, thumbprintSchema } from './manifest.ts';

export interface Pull extends HostClaims {
  readonly aud: 'selkie';
  readonly nonce: string;
  readonly incarnation: string;
  /** What the host has applied; null: nothing yet. */
  readonly cursor: Place | null;
  /**
   * The unfinished snapshot that it holds parts of. It only says which part comes next: whether the host then has all of it
   * is what its acknowledgement says.
   */
  readonly staged?: StagedParts;
  /** RFC 7638 thumbprints of the bundle keys that it trusts. */
  readonly trusts?: readonly string[];
}

/** Parts of a snapshot, numbered from 1. */
export interface StagedParts {
  readonly id: string;
  readonly place: Place;
  readonly parts: number;
  readonly received: readonly number[];
}

const part = z.int().check(z.minimum(1), z.maximum(limits.snapshotParts));

const schema: z.ZodMiniType<Pull> = z.object({
  iss: z.string().check(z.maxLength(253)),
  aud: z.literal('selkie'),
  iat: z.number().check(z.minimum(0)),
  nonce: opaque,
  incarnation: opaque,
  cursor: z.nullable(placeSchema),
  staged: z.exactOptional(
    z.object({
      id: opaque,
      place: placeSchema,
      parts: part,
      received: z.array(part).check(z.maxLength(limits.snapshotParts)),
    }),
  ),
  trusts: z.exactOptional(z.array(thumbprintSchema).check(z.maxLength(64))),
});

const kind = { typ: 'selkie-pull+jws', schema, what: 'The pull' };

/** @param key the host's Ed25519 private key */
export const signPull = (pull: Pull, key: CryptoKey | JWK): Promise<string> => signToken(kind.typ, pull, key);

/** @throws SelkieError untrusted: another host, key or type, or a clock too far off; invalid: not of the right form */
export const verifyPull = (jws: string, options: VerifyOptions): Promise<Pull> =>
  verifyToken(jws, kind, options);
