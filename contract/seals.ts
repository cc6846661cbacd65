// What crosses the wire between the control plane and its mail hosts, seen from the control plane: bundles go out sealed,
// hosts' words come in proved. The engine knows this interface only, so that a simulation of a million rotations need
// not spend its day in ciphers; every deployment uses `createSeals`.

import { type Acknowledgement, verifyAck } from './acknowledgement.ts';
import { type BundleSigner, type SealOptions, sealBundle } from './bundle.ts';
import type { VerifyOptions } from './host-token.ts';
import type { PublicBundleKey, Succession } from './manifest.ts';
import { type Pull, verifyPull } from './pull.ts';

export type BundleKey = Awaited<ReturnType<BundleSigner['publicKey']>>;

export interface Seals {
  /** The public keys that hosts are to trust for bundles: the signer's first, then those that are announced. */
  bundleKeys(): Promise<readonly BundleKey[]>;
  /** Thumbprints of bundle keys that hosts are to trust no more; absent: none. */
  readonly retired?: readonly string[];
  /** A bundle for one host and nobody else. @throws invalid: over 1 MB, or the host's key is none; whatever the signer throws */
  seal(bundle: Omit<SealOptions, 'signer'>): Promise<string>;
  /** @throws untrusted: another host, key or type, or a clock too far off; invalid: not of the right form */
  acknowledgement(jws: string, proof: VerifyOptions): Promise<Acknowledgement>;
  /** @throws untrusted, invalid: as `acknowledgement` */
  pull(jws: string, proof: VerifyOptions): Promise<Pull>;
}

/**
 * One bundle key follows another in three deployments: the next key is announced (`announce`) until every host says that it
 * trusts it; it signs; the old one is retired (`retire`). All of it is said in every manifest, so that it does not matter
 * which of them a host misses.
 */
export interface SuccessionOptions {
  /** Keys that hosts are to trust besides the signer's. Only their public halves are asked for. */
  readonly announce?: readonly Pick<BundleSigner, 'publicKey'>[];
  /** Thumbprints of keys that hosts are to trust no more. */
  readonly retire?: readonly string[];
}

const publicHalf = ({ kty, crv, x, y }: BundleKey): PublicBundleKey => ({ kty, crv, x, y });

/** JWE, ES256 and EdDSA as bundle.ts and host-token.ts say. */
export const createSeals = (
  signer: BundleSigner,
  { announce = [], retire = [] }: SuccessionOptions = {},
): Seals => {
  /** What is announced or retired, less the signer itself: a word left over from the step before does no harm. */
  const announced = async (): Promise<readonly BundleKey[]> => {
    const { kid } = await signer.publicKey();
    const keys = await Promise.all(announce.map((one) => one.publicKey()));
    return keys.filter((key) => key.kid !== kid && !retire.includes(key.kid));
  };
  const succession = async (): Promise<{ trust?: Succession }> => {
    const add = (await announced()).map(publicHalf);
    const { kid } = await signer.publicKey();
    const out = retire.filter((one) => one !== kid);
    if (add.length === 0 && out.length === 0) return {};
    return {
      trust: {
        ...(add.length === 0 ? {} : { add }),
        ...(out.length === 0 ? {} : { retire: out }),
      },
    };
  };
  return {
    bundleKeys: async () => [await signer.publicKey(), ...(await announced())],
    retired: retire,
    seal: async ({ manifest, ...bundle }) =>
      sealBundle({ ...bundle, manifest: { ...manifest, ...(await succession()) }, signer }),
    acknowledgement: verifyAck,
    pull: verifyPull,
  };
};
