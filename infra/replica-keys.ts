// The KMS keys' replicas in a second region: a template to deploy there, for a deployment with multi-Region keys. With them the copies
// of secrets lie under the same key as the secrets, and a control plane that is built there one day signs what hosts trust.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  App,
  BootstraplessSynthesizer,
  CfnParameter,
  type IStackSynthesizer,
  RemovalPolicy,
  Stack,
} from 'aws-cdk-lib';
import { CfnReplicaKey } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import { signingConditions, throughSecretsManager } from './access.ts';
import { keyPolicy } from './constructs/keys.ts';

class ReplicaKeys extends Stack {
  constructor(scope: Construct, id: string, stackName: string) {
    super(scope, id, {
      description: `Replicas of the KMS keys of ${stackName}, in another region`,
      // CDK's own types differ by an `undefined`.
      synthesizer: new BootstraplessSynthesizer() as IStackSynthesizer,
    });
    const primary = (output: string, description: string): string =>
      new CfnParameter(this, output, {
        description: `The output ${output} of stack ${stackName}: ${description}`,
        // Only multi-Region keys can be replicated.
        allowedPattern: '^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/mrk-[0-9a-f]+$',
      }).valueAsString;
    const replica = (
      name: string,
      primaryKeyArn: string,
      policy: ReturnType<typeof keyPolicy>,
      description: string,
    ): void =>
      new CfnReplicaKey(this, name, { primaryKeyArn, keyPolicy: policy, description }).applyRemovalPolicy(
        RemovalPolicy.RETAIN,
      );
    replica(
      'Secrets',
      primary('VaultKeyArn', 'encrypts secrets'),
      keyPolicy(
        ['kms:Decrypt', 'kms:GenerateDataKey', 'kms:Encrypt'],
        throughSecretsManager(this, stackName),
      ),
      'Selkie: encrypts copies of the private DKIM keys in Secrets Manager',
    );
    replica(
      'Bundles',
      primary('BundleKeyArn', 'signs bundles'),
      keyPolicy(['kms:Sign'], signingConditions),
      'Selkie: signs the bundles that mail hosts receive',
    );
  }
}

/** @param stackName of Selkie's own stack, which begins its secrets' names */
export const replicaKeysTemplate = (stackName: string): Record<string, unknown> => {
  const outdir = mkdtempSync(join(tmpdir(), 'selkie-replica-keys-'));
  try {
    const app = new App({ analyticsReporting: false, outdir });
    const stack = new ReplicaKeys(app, 'selkie-keys', stackName);
    return app.synth().getStackByName(stack.stackName).template as Record<string, unknown>;
  } finally {
    rmSync(outdir, { recursive: true });
  }
};
