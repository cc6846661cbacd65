// The two KMS keys. Both outlive the stack: without the first no private key can be read, and without the second no host
// believes a bundle.

import { RemovalPolicy } from 'aws-cdk-lib';
import { Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

export class Keys extends Construct {
  /** Encrypts the secrets that hold private DKIM keys. */
  readonly secrets: Key;
  /** Signs manifests with ES256: RFC 7518 §3.4. */
  readonly bundles: Key;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.secrets = new Key(this, 'Secrets', {
      description: 'Selkie: encrypts the private DKIM keys in Secrets Manager',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.bundles = new Key(this, 'Bundles', {
      description: 'Selkie: signs the bundles that mail hosts receive',
      keySpec: KeySpec.ECC_NIST_P256,
      keyUsage: KeyUsage.SIGN_VERIFY,
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }
}
