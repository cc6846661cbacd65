// The KMS keys. They outlive the stack: without the first no private key can be read, and without the others no host
// believes a bundle. Each key's own policy says what it is used for, whatever anybody's role allows: the account's
// administrators can change that policy, which leaves a trace, but not decrypt or sign past it.

import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { AccountRootPrincipal, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { type IKey, Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { signingConditions, throughSecretsManager } from '../access.ts';
import type { BundleKeys, VaultKeys } from '../settings.ts';

export interface KeysProps {
  /** Begins the names of the secrets that the first key may encrypt. */
  readonly secretPrefix: string;
  readonly bundleKeys: BundleKeys;
  readonly vaultKeys: VaultKeys;
  /** May be replicated to other regions. KMS refuses to change it later. */
  readonly multiRegion: boolean;
}

/** No grants: they would give others what the policy keeps. */
const administration = [
  'kms:CancelKeyDeletion',
  'kms:CreateAlias',
  'kms:DeleteAlias',
  'kms:DescribeKey',
  'kms:DisableKey',
  'kms:DisableKeyRotation',
  'kms:EnableKey',
  'kms:EnableKeyRotation',
  'kms:GetKeyPolicy',
  'kms:GetKeyRotationStatus',
  'kms:GetPublicKey',
  'kms:ListGrants',
  'kms:ListKeyPolicies',
  'kms:ListKeyRotations',
  'kms:ListResourceTags',
  'kms:PutKeyPolicy',
  'kms:ReplicateKey',
  'kms:RevokeGrant',
  'kms:RotateKeyOnDemand',
  'kms:ScheduleKeyDeletion',
  'kms:TagResource',
  'kms:UntagResource',
  'kms:UpdateAlias',
  'kms:UpdateKeyDescription',
  'kms:UpdatePrimaryRegion',
];

/** The account's roles may do what their own policies say, but with the key itself only `actions` under `conditions`. */
export const keyPolicy = (actions: string[], conditions: Record<string, unknown>): PolicyDocument => {
  const account = [new AccountRootPrincipal()];
  return new PolicyDocument({
    statements: [
      new PolicyStatement({
        sid: 'Administration',
        principals: account,
        actions: administration,
        resources: ['*'],
      }),
      new PolicyStatement({ sid: 'Use', principals: account, actions, resources: ['*'], conditions }),
    ],
  });
};

/** Keys 1 to `most`; the first may be one that stands already. A former key stays too: one that came back would be another. */
const numbered = (
  scope: Construct,
  most: number,
  first: string | undefined,
  make: (number: number) => IKey,
): readonly IKey[] =>
  Array.from({ length: most }, (_, index) =>
    index === 0 && first !== undefined ? Key.fromKeyArn(scope, 'First', first) : make(index + 1),
  );

const one = (keys: readonly IKey[], number: number): IKey => {
  const key = keys[number - 1];
  if (key === undefined) throw new Error(`keys are numbered from 1, not ${number}`);
  return key;
};

export class Keys extends Construct {
  /** Encrypts the secrets that hold private DKIM keys. */
  readonly secrets: IKey;
  /** Those that did, and it: each may be needed to read a secret. */
  readonly secretsEver: readonly IKey[];
  /** Signs manifests with ES256: RFC 7518 §3.4. */
  readonly bundles: IKey;
  /** Announced to the hosts: the next that signs. */
  readonly nextBundles: IKey | undefined;

  constructor(scope: Construct, id: string, { secretPrefix, bundleKeys, vaultKeys, multiRegion }: KeysProps) {
    super(scope, id);
    const common = { ...(multiRegion ? { multiRegion } : {}), removalPolicy: RemovalPolicy.RETAIN };
    this.secretsEver = numbered(
      new Construct(this, 'ImportedSecrets'),
      vaultKeys.current,
      vaultKeys.first,
      (number) =>
        new Key(this, number === 1 ? 'Secrets' : `Secrets${number}`, {
          ...common,
          description: `Selkie: encrypts the private DKIM keys in Secrets Manager${number === 1 ? '' : ` (key ${number})`}`,
          enableKeyRotation: true,
          policy: keyPolicy(
            ['kms:Decrypt', 'kms:GenerateDataKey'],
            throughSecretsManager(Stack.of(this), secretPrefix),
          ),
        }),
    );
    this.secrets = one(this.secretsEver, vaultKeys.current);
    const { signing, next, first } = bundleKeys;
    const bundles = numbered(
      new Construct(this, 'ImportedBundles'),
      Math.max(signing, next ?? 0),
      first,
      (number) =>
        new Key(this, number === 1 ? 'Bundles' : `Bundles${number}`, {
          ...common,
          description: `Selkie: signs the bundles that mail hosts receive (key ${number})`,
          keySpec: KeySpec.ECC_NIST_P256,
          keyUsage: KeyUsage.SIGN_VERIFY,
          policy: keyPolicy(['kms:Sign'], signingConditions),
        }),
    );
    this.bundles = one(bundles, signing);
    this.nextBundles = next === undefined ? undefined : one(bundles, next);
  }
}
