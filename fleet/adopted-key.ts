// The public half of an adopted key, as its record's `p=` says it. Uses node:crypto; no I/O.

import { createPublicKey } from 'node:crypto';
import { type Algorithm, adoptedAlgorithm } from '../core/algorithm.ts';

const ed25519Length = 32;

/** Bits of the modulus; undefined where the bytes are no public RSA key, and nothing but one. */
const rsaBits = (der: Buffer): number | undefined => {
  // RFC 6376 §3.6.1 describes the bare RSAPublicKey; everyone publishes a SubjectPublicKeyInfo.
  for (const type of ['spki', 'pkcs1'] as const)
    try {
      const key = createPublicKey({ key: der, format: 'der', type });
      // The library takes a private key too, for its public half: that has no place in this file. A SubjectPublicKeyInfo
      // ends with the RSAPublicKey (RFC 8017 §A.1).
      const whole = key.export({ format: 'der', type: 'spki' });
      if (key.asymmetricKeyType === 'rsa' && whole.subarray(-der.length).equals(der))
        return key.asymmetricKeyDetails?.modulusLength;
    } catch {
      // perhaps the other form
    }
  return undefined;
};

/**
 * What a key with this `p=` is counted as.
 * @param publicKey base64 without white space
 * @returns or what is wrong with it, as a sentence goes on
 */
export const readAdoptedKey = (publicKey: string): { algorithm: Algorithm } | { wrong: string } => {
  const bytes = Buffer.from(publicKey, 'base64');
  if (publicKey === '' || bytes.toString('base64') !== publicKey)
    return { wrong: 'is not base64; copy what the record says behind p=' };
  if (bytes.length === ed25519Length) return { algorithm: 'ed25519' };
  const bits = rsaBits(bytes);
  if (bits === undefined)
    return { wrong: 'is no public key of RSA or Ed25519; copy what the record says behind p=' };
  const algorithm = adoptedAlgorithm('rsa', bits);
  return algorithm === undefined
    ? {
        wrong: `is an RSA key of ${bits} bits, and verifiers need not take less than 1,024 or more than 4,096 (RFC 8301 section 3.2); leave it out, and Selkie begins with a key of its own`,
      }
    : { algorithm };
};
