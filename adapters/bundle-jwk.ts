// The public half of a bundle signer's key as the JWK that hosts pin, and the size that both signers hold to. No I/O.
import { createHash, type KeyObject } from 'node:crypto';
import type { BundleSigner } from '../contract/bundle.ts';
import { SelkieError } from '../core/errors.ts';

export type BundleJwk = Awaited<ReturnType<BundleSigner['publicKey']>>;

/** KMS signs no more than this with `MessageType: RAW`; both signers refuse more, so that what works here works there. */
const longestData = 4_096;

/** @throws invalid */
export const requireSignable = (data: Uint8Array): void => {
  if (data.length > longestData)
    throw new SelkieError(
      'invalid',
      `A manifest of ${data.length} bytes is over the ${longestData} that a bundle signer takes: put the payload's SHA-256 into it, not the payload.`,
    );
};

/** @throws invalid where the key is not on P-256 */
export const bundleJwk = (key: KeyObject): BundleJwk => {
  const { kty, crv, x, y } = key.export({ format: 'jwk' });
  if (kty !== 'EC' || crv !== 'P-256' || x === undefined || y === undefined)
    throw new SelkieError('invalid', 'The bundle key is not an ECC key on NIST P-256: ES256 needs one.');
  // RFC 7638 §3: the required members alone, in the order of their names, without white space.
  const thumbprint = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  return { kid: thumbprint, kty, crv, x, y };
};
