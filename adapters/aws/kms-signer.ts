// The bundle signer on a KMS key (ECC_NIST_P256, SIGN_VERIFY). Calls kms:GetPublicKey, once, and kms:Sign.
import { createPublicKey } from 'node:crypto';
import { GetPublicKeyCommand, type KMSClient, SignCommand } from '@aws-sdk/client-kms';
import type { BundleSigner } from '../../contract/bundle.ts';
import { derToConcatenated } from '../../contract/ecdsa-der.ts';
import { SelkieError } from '../../core/errors.ts';
import { type BundleJwk, bundleJwk, requireSignable } from '../bundle-jwk.ts';
import { toSelkieError } from './errors.ts';

/** Bytes of each integer of an ES256 signature: RFC 7518 §3.4. */
const integerSize = 32;

export interface KmsSignerOptions {
  readonly client: KMSClient;
  /** Id, ARN or alias of the key. An alias that is moved takes effect with a new signer: the public key is kept. */
  readonly keyId: string;
}

export const createKmsSigner = ({ client, keyId }: KmsSignerOptions): BundleSigner => {
  const fetchKey = async (): Promise<BundleJwk> => {
    const answer = await client.send(new GetPublicKeyCommand({ KeyId: keyId }));
    const wrong = new SelkieError(
      'invalid',
      `The KMS key ${keyId} cannot sign bundles: it must be ECC_NIST_P256 for SIGN_VERIFY.`,
    );
    if (answer.PublicKey === undefined || answer.KeyUsage !== 'SIGN_VERIFY') throw wrong;
    try {
      return bundleJwk(createPublicKey({ key: Buffer.from(answer.PublicKey), type: 'spki', format: 'der' }));
    } catch {
      throw wrong;
    }
  };

  // KMS never changes the material of an asymmetric key, so one answer is good for ever.
  let known: Promise<BundleJwk> | undefined;

  return {
    publicKey() {
      known ??= fetchKey().catch((error: unknown) => {
        known = undefined;
        throw toSelkieError(error, `Reading the public half of the KMS key ${keyId}`);
      });
      return known;
    },

    async sign(data) {
      requireSignable(data);
      let signature: Uint8Array | undefined;
      try {
        const answer = await client.send(
          new SignCommand({
            KeyId: keyId,
            Message: data,
            MessageType: 'RAW',
            SigningAlgorithm: 'ECDSA_SHA_256',
          }),
        );
        signature = answer.Signature;
      } catch (error) {
        throw toSelkieError(error, `Signing a manifest with the KMS key ${keyId}`);
      }
      if (signature === undefined) throw new SelkieError('unavailable', 'KMS answered without a signature.');
      return derToConcatenated(signature, integerSize);
    },
  };
};
