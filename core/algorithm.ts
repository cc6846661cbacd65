// The signature algorithms that a domain may sign with, as data. RFC 6376 §3.3, RFC 8301 (key sizes), RFC 8463 (Ed25519).

export interface AlgorithmFacts {
  /** `k=` of the key record: RFC 6376 §3.6.1. */
  readonly keyType: 'rsa' | 'ed25519';
  /** `a=` of the signature: RFC 6376 §3.5. */
  readonly signature: 'rsa-sha256' | 'ed25519-sha256';
  /** RSA modulus length in bits. */
  readonly bits?: 2048 | 3072 | 4096;
  /** What the selector bears behind its date: RFC 8463 §3 wants a selector of its own for each key type. */
  readonly suffix: '' | 'e';
}

export const algorithms = {
  rsa2048: { keyType: 'rsa', signature: 'rsa-sha256', bits: 2048, suffix: '' },
  rsa3072: { keyType: 'rsa', signature: 'rsa-sha256', bits: 3072, suffix: '' },
  rsa4096: { keyType: 'rsa', signature: 'rsa-sha256', bits: 4096, suffix: '' },
  ed25519: { keyType: 'ed25519', signature: 'ed25519-sha256', suffix: 'e' },
} as const satisfies Record<string, AlgorithmFacts>;

export type Algorithm = keyof typeof algorithms;

export const isAlgorithm = (text: string): text is Algorithm => Object.hasOwn(algorithms, text);
