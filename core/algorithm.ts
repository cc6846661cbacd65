// The signature algorithms that a domain may sign with, as data. RFC 6376 §3.3, RFC 8301 (key sizes), RFC 8463 (Ed25519).

export interface AlgorithmFacts {
  /** `k=` of the key record: RFC 6376 §3.6.1. */
  readonly keyType: 'rsa' | 'ed25519';
  /** `a=` of the signature: RFC 6376 §3.5. */
  readonly signature: 'rsa-sha256' | 'ed25519-sha256';
  /** RSA modulus length in bits; an adopted key has at least so many. */
  readonly bits?: 1024 | 2048 | 3072 | 4096;
  /** What the selector bears behind its date: RFC 8463 §3 wants a selector of its own for each key type. */
  readonly suffix: '' | 'e';
}

export const algorithms = {
  /** Never made: RFC 8301 §3.2 wants 2048 bits. Some keys that are adopted have fewer. */
  rsa1024: { keyType: 'rsa', signature: 'rsa-sha256', bits: 1024, suffix: '' },
  rsa2048: { keyType: 'rsa', signature: 'rsa-sha256', bits: 2048, suffix: '' },
  rsa3072: { keyType: 'rsa', signature: 'rsa-sha256', bits: 3072, suffix: '' },
  rsa4096: { keyType: 'rsa', signature: 'rsa-sha256', bits: 4096, suffix: '' },
  ed25519: { keyType: 'ed25519', signature: 'ed25519-sha256', suffix: 'e' },
} as const satisfies Record<string, AlgorithmFacts>;

export type Algorithm = keyof typeof algorithms;

export type KeyType = AlgorithmFacts['keyType'];

export const isAlgorithm = (text: string): text is Algorithm => Object.hasOwn(algorithms, text);

/** Of these, keys are made. */
export const isMade = (algorithm: Algorithm): algorithm is Exclude<Algorithm, 'rsa1024'> =>
  algorithm !== 'rsa1024';

/** What verifiers must take: RFC 8301 §3.2. */
const adoptableBits = { least: 1_024, most: 4_096 } as const;

/**
 * What a key is counted as that was not made here: of RSA, the largest size that it reaches.
 * @param bits of an RSA modulus
 * @returns undefined where verifiers need not take it: under 1,024 bits or over 4,096 (RFC 8301 §3.2)
 */
export const adoptedAlgorithm = (keyType: KeyType, bits: number | undefined): Algorithm | undefined => {
  if (keyType === 'ed25519') return 'ed25519';
  if (bits === undefined || bits < adoptableBits.least || bits > adoptableBits.most) return undefined;
  return bits < 2_048 ? 'rsa1024' : bits < 3_072 ? 'rsa2048' : bits < 4_096 ? 'rsa3072' : 'rsa4096';
};
