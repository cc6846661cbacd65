// What a bundle says: the manifest, which is signed, and the payload, which carries keys and duties. Shapes and limits;
// bundle.ts seals and opens them. May use zod/mini and core only.

import * as z from 'zod/mini';
import { type Algorithm, type AlgorithmFacts, algorithms } from '../core/algorithm.ts';
import type { Duty, Place } from '../core/key/evidence.ts';
import { isDnsName, isDomainName } from '../core/names.ts';

export const limits = {
  /** Bytes of a payload's JSON text. Longer changes are split (`splitChanges`). */
  payload: 1024 * 1024,
  /** Bytes of the manifest's JWS signing input: what KMS signs `RAW`. */
  signingInput: 4_096,
  /** Characters of a sealed bundle: base64url of the payload with its quotes escaped, and the manifest. */
  bundle: 3 * 1024 * 1024,
  /** Characters of a host's acknowledgement or pull. */
  hostToken: 1024 * 1024,
  /** Of one snapshot. */
  snapshotParts: 100_000,
  /** Bundle keys that one manifest names, of each kind. */
  bundleKeys: 8,
} as const;

/** What a host is to do with one key. */
export interface KeyChange {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: Algorithm;
  readonly duty: Duty;
  /** `p=` of the key record: base64. */
  readonly publicKey: string;
  /** An adopted key: it is on the hosts that had it before Selkie came, and no bundle brings it. */
  readonly adopted?: true;
  /** PKCS#8 DER, base64: where the duty is `standby`, and in snapshots. */
  readonly privateKey?: string;
}

export interface Payload {
  /** In the order in which they hold: a later one for the same key wins. */
  readonly changes: readonly KeyChange[];
}

export interface Manifest {
  /** The name of the host that it is for. */
  readonly aud: string;
  /** The host's cursor when it has applied the bundle; of a snapshot in parts: all of its parts. */
  readonly place: Place;
  /** The changes begin behind this place; null: the bundle is a snapshot, or part of one, and begins from nothing. */
  readonly from: Place | null;
  /** Of a snapshot in several bundles: `part` counts from 1 to `parts`. What no part names is erased with the last. */
  readonly snapshot?: { readonly id: string; readonly part: number; readonly parts: number };
  readonly nonce: string;
  /** Seconds since 1970, with milliseconds as a fraction (RFC 7519 §2): the order of two manifests in one second counts. */
  readonly iat: number;
  readonly exp: number;
  /** Where one bundle key follows another. */
  readonly trust?: Succession;
  /** SHA-256 of the payload's text, hex. */
  readonly sha256: string;
}

/** A public P-256 key as RFC 7517 and RFC 7518 §6.2.1 write it. */
export interface PublicBundleKey {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
}

/**
 * What the signer of a manifest says of other bundle keys: the old one signs the new one in, the new one signs the old one
 * out. A host that does not know of succession refuses the manifest: it is strict.
 */
export interface Succession {
  /** To be trusted from now on, besides the signer. */
  readonly add?: readonly PublicBundleKey[];
  /** RFC 7638 thumbprints of keys that are trusted no more; never the signer's own. */
  readonly retire?: readonly string[];
}

const base64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$|^[A-Za-z0-9+/]{2,3}={1,2}$/;

const domainName = z.string().check(z.refine(isDomainName, 'must be a lower-case domain name'));
export const selectorName = z
  .string()
  .check(z.maxLength(63), z.refine(isDnsName, 'must be a lower-case selector'));

export const placeSchema: z.ZodMiniType<Place> = z.strictObject({
  epoch: z.int().check(z.minimum(1)),
  n: z.int().check(z.minimum(0)),
});

const coordinate = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/));

/** Further members (`kid`, `use`) are dropped: a key is named by its thumbprint. */
export const bundleKeySchema: z.ZodMiniType<PublicBundleKey> = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: coordinate,
  y: coordinate,
});

/** RFC 7638 with SHA-256: base64url. */
export const thumbprintSchema = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/));

const succession: z.ZodMiniType<Succession> = z.strictObject({
  add: z.exactOptional(z.array(bundleKeySchema).check(z.maxLength(limits.bundleKeys))),
  retire: z.exactOptional(z.array(thumbprintSchema).check(z.maxLength(limits.bundleKeys))),
});

/** Nonces, incarnations, ids of snapshots. */
export const opaque = z.string().check(z.regex(/^[A-Za-z0-9_-]{8,64}$/));

const algorithmNames = Object.keys(algorithms) as [Algorithm, ...Algorithm[]];

/** What stays the same of a key, whatever its duty. */
export const keyFacts = {
  domain: domainName,
  selector: selectorName,
  algorithm: z.enum(algorithmNames),
  publicKey: z.string().check(z.maxLength(1_024), z.regex(base64)),
};

const keyChange: z.ZodMiniType<KeyChange> = z.strictObject({
  ...keyFacts,
  duty: z.enum(['standby', 'signing', 'none']),
  adopted: z.exactOptional(z.literal(true)),
  privateKey: z.exactOptional(z.string().check(z.maxLength(4_096), z.regex(base64))),
});

// Strict, both: a host must not half understand what a newer control plane tells it.
export const payloadSchema: z.ZodMiniType<Payload> = z.strictObject({ changes: z.array(keyChange) });

export const manifestSchema: z.ZodMiniType<Manifest> = z
  .strictObject({
    aud: z.string().check(z.minLength(1), z.maxLength(253)),
    place: placeSchema,
    from: z.nullable(placeSchema),
    snapshot: z.exactOptional(
      z.strictObject({
        id: opaque,
        part: z.int().check(z.minimum(1)),
        parts: z.int().check(z.minimum(1), z.maximum(limits.snapshotParts)),
      }),
    ),
    nonce: opaque,
    iat: z.number().check(z.minimum(0)),
    exp: z.number().check(z.minimum(0)),
    trust: z.exactOptional(succession),
    sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  })
  .check(
    z.refine((m) => m.exp > m.iat, 'expires before it was issued'),
    z.refine(
      (m) => m.from === null || m.snapshot === undefined,
      'is a snapshot and yet begins behind a place',
    ),
    z.refine(
      (m) => m.snapshot === undefined || m.snapshot.part <= m.snapshot.parts,
      'has more parts than it says',
    ),
    z.refine((m) => m.from === null || m.from.epoch === m.place.epoch, 'leads from one epoch to another'),
    z.refine((m) => m.from === null || m.from.n <= m.place.n, 'leads backwards'),
  );

/** @returns the payload's text: what is hashed and sent, byte by byte */
export const payloadText = (changes: readonly KeyChange[]): string => JSON.stringify({ changes });

/**
 * Characters of a private key in base64, at most: PKCS#8 DER with the public exponent 65537 (RFC 8017 §A.1.2: modulus and
 * private exponent, and five numbers of half their length; RFC 5958), or 48 octets (RFC 8410 §7).
 */
const longestPrivateKey = (algorithm: Algorithm): number => {
  const { bits }: AlgorithmFacts = algorithms[algorithm];
  const octets = bits === undefined ? 48 : (bits / 8) * 4.5 + 80;
  return Math.ceil(octets / 3) * 4;
};

/**
 * Characters that a change takes in a payload, at most. So a snapshot is split without its private keys at hand, and each
 * time in the same way.
 */
export const mostRoom = (change: Omit<KeyChange, 'privateKey'>, withKey: boolean): number =>
  JSON.stringify(change).length +
  (withKey ? longestPrivateKey(change.algorithm) + ',"privateKey":""'.length : 0) +
  ','.length;

/** Items in groups that fit a payload each, in their order; at least one group, which may be empty. */
export const splitBySize = <T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  limit: number = limits.payload,
): readonly (readonly T[])[] => {
  const groups: T[][] = [[]];
  const frame = payloadText([]).length;
  let size = frame;
  for (const item of items) {
    const length = sizeOf(item);
    if (size + length > limit && size > frame) {
      groups.push([]);
      size = frame;
    }
    groups.at(-1)?.push(item);
    size += length;
  }
  return groups;
};

/** Changes in groups that fit a payload each, in their order; at least one group, which may be empty. */
export const splitChanges = (
  changes: readonly KeyChange[],
  limit: number = limits.payload,
): readonly (readonly KeyChange[])[] =>
  // All fields are ASCII: characters are bytes.
  splitBySize(changes, (change) => JSON.stringify(change).length + ','.length, limit);
