// What crosses the wire between the control plane and its mail hosts, seen from the control plane: bundles go out sealed,
// hosts' words come in proved. The engine knows this interface only, so that a simulation of a million rotations need
// not spend its day in ciphers; every deployment uses `createSeals`.

import { type Acknowledgement, verifyAck } from './acknowledgement.ts';
import { type BundleSigner, type SealOptions, sealBundle } from './bundle.ts';
import type { VerifyOptions } from './host-token.ts';
import { type Pull, verifyPull } from './pull.ts';

export type BundleKey = Awaited<ReturnType<BundleSigner['publicKey']>>;

export interface Seals {
  /** The public keys that hosts are to trust for bundles. */
  bundleKeys(): Promise<readonly BundleKey[]>;
  /** A bundle for one host and nobody else. @throws invalid: over 1 MB, or the host's key is none; whatever the signer throws */
  seal(bundle: Omit<SealOptions, 'signer'>): Promise<string>;
  /** @throws untrusted: another host, key or type, or a clock too far off; invalid: not of the right form */
  acknowledgement(jws: string, proof: VerifyOptions): Promise<Acknowledgement>;
  /** @throws untrusted, invalid: as `acknowledgement` */
  pull(jws: string, proof: VerifyOptions): Promise<Pull>;
}

/** JWE, ES256 and EdDSA as bundle.ts and host-token.ts say. */
export const createSeals = (signer: BundleSigner): Seals => ({
  bundleKeys: async () => [await signer.publicKey()],
  seal: (bundle) => sealBundle({ ...bundle, signer }),
  acknowledgement: verifyAck,
  pull: verifyPull,
});
