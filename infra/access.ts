// What each function may do: one list of statements for each thing that it uses, and no action that its adapters do not
// call. Route 53 has rules of its own: zone-access.ts.

import type { Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Ledger, NamedTable } from './constructs/ledger.ts';

/** Reads rows, logs and what is due. */
export const readLedger = ({ table, dueIndexArn }: Ledger): PolicyStatement[] => [
  new PolicyStatement({ actions: ['dynamodb:GetItem'], resources: [table.tableArn] }),
  new PolicyStatement({ actions: ['dynamodb:Query'], resources: [table.tableArn, dueIndexArn] }),
];

/** Reads the audit trails of all together. */
export const readTrail = ({ trailIndexArn }: Ledger): PolicyStatement =>
  new PolicyStatement({ actions: ['dynamodb:Query'], resources: [trailIndexArn] });

/** Writes rows; transactions ask for the rights of their parts. */
export const writeLedger = ({ table }: Ledger): PolicyStatement =>
  new PolicyStatement({
    actions: [
      'dynamodb:PutItem',
      'dynamodb:UpdateItem',
      'dynamodb:DeleteItem',
      'dynamodb:ConditionCheckItem',
    ],
    resources: [table.tableArn],
  });

/** Notes in a ledger that another takes its place. */
export const markReplaced = ({ tableArn }: NamedTable): PolicyStatement =>
  new PolicyStatement({ actions: ['dynamodb:UpdateItem'], resources: [tableArn] });

/** Sends to a queue; receiving is granted by an event source. */
export const sendUnits = (queue: Queue): PolicyStatement =>
  new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [queue.queueArn] });

/** Mails that SES put into a bucket. */
export const readMails = (mailsArn: string): PolicyStatement =>
  new PolicyStatement({ actions: ['s3:GetObject'], resources: [mailsArn] });

/** `secret:<prefix>/*`: the service adds six characters of its own to every name. */
export const secretsArn = (stack: Stack, prefix: string, region = stack.region): string =>
  stack.formatArn({ service: 'secretsmanager', region, resource: `secret:${prefix}/*` });

/**
 * Only Secrets Manager may use the key for somebody, and for secrets below our prefix: it names the secret in the encryption
 * context. Before it makes one, it tries the key with a context of that other name.
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
 */
export const throughSecretsManager = (stack: Stack, prefix: string, region = stack.region) => ({
  StringEquals: { 'kms:ViaService': `secretsmanager.${region}.amazonaws.com` },
  StringLike: {
    'kms:EncryptionContext:SecretARN': [secretsArn(stack, prefix, region), 'RequestToValidateKeyAccess'],
  },
});

/** ES256 of a manifest as it is, never of a digest that somebody made elsewhere. */
export const signingConditions = {
  StringEquals: { 'kms:SigningAlgorithm': 'ECDSA_SHA_256', 'kms:MessageType': 'RAW' },
};

/** @param keys that encrypt them, or did */
export const readSecrets = (stack: Stack, keys: readonly IKey[], prefix: string): PolicyStatement[] => {
  return [
    new PolicyStatement({
      actions: ['secretsmanager:GetSecretValue'],
      resources: [secretsArn(stack, prefix)],
    }),
    new PolicyStatement({
      actions: ['kms:Decrypt'],
      resources: keys.map(({ keyArn }) => keyArn),
      conditions: throughSecretsManager(stack, prefix),
    }),
  ];
};

/** Where copies of secrets go. */
export interface Replication {
  readonly regions: readonly string[];
  /** The key is a multi-Region key, and has a replica in each of them; else copies lie under the regions' `aws/secretsmanager`. */
  readonly multiRegion: boolean;
}

/**
 * Makes secrets, under our key, with our tags and copies alone; schedules their deletion, never at once; never writes to one that
 * is there. By their names and not by their tags: of a secret that is gone, IAM knows no tags, and would say `denied` where the
 * vault must hear that it is gone.
 */
export const writeSecrets = (
  stack: Stack,
  key: IKey,
  prefix: string,
  { regions, multiRegion }: Replication,
): PolicyStatement[] => {
  const resources = [secretsArn(stack, prefix)];
  const replicates = regions.length > 0;
  const tags = { 'aws:TagKeys': ['selkie:*'] };
  const copies = replicates
    ? { 'ForAllValues:StringEquals': { 'secretsmanager:AddReplicaRegions': [...regions] } }
    : { Null: { 'secretsmanager:AddReplicaRegions': 'true' } };
  const allow = (actions: string[], conditions?: Record<string, unknown>): PolicyStatement =>
    new PolicyStatement({ actions, resources, ...(conditions === undefined ? {} : { conditions }) });
  return [
    allow(['secretsmanager:CreateSecret'], {
      ...copies,
      'ForAllValues:StringLike': tags,
      StringEquals: { 'secretsmanager:KmsKeyArn': key.keyArn },
    }),
    // Asked for by CreateSecret: for its tags, and for copies.
    allow(['secretsmanager:TagResource'], { 'ForAllValues:StringLike': tags }),
    ...(replicates ? [allow(['secretsmanager:ReplicateSecretToRegions'], copies)] : []),
    // A secret that has copies is not deleted, also when the fleet wants none any more.
    allow(['secretsmanager:DescribeSecret', 'secretsmanager:RemoveRegionsFromReplication']),
    // Invariant 5: destroyed last, and for some days not for good.
    allow(['secretsmanager:DeleteSecret'], {
      BoolIfExists: { 'secretsmanager:ForceDeleteWithoutRecovery': 'false' },
    }),
    new PolicyStatement({
      actions: ['kms:GenerateDataKey'],
      resources: [key.keyArn],
      conditions: throughSecretsManager(stack, prefix),
    }),
    ...(multiRegion ? regions : []).map(
      (region) =>
        new PolicyStatement({
          actions: ['kms:Encrypt', 'kms:GenerateDataKey'],
          resources: [stack.formatArn({ service: 'kms', region, resource: 'key', resourceName: key.keyId })],
          conditions: throughSecretsManager(stack, prefix, region),
        }),
    ),
  ];
};

/** @param announced a key whose public half alone is asked for */
export const signBundles = (key: IKey, announced?: IKey): PolicyStatement[] => [
  new PolicyStatement({
    actions: ['kms:GetPublicKey'],
    resources: [key.keyArn, ...(announced === undefined ? [] : [announced.keyArn])],
  }),
  new PolicyStatement({ actions: ['kms:Sign'], resources: [key.keyArn], conditions: signingConditions }),
];

/** Reads and lists what was published. */
export const readDisclosed = ({ bucketArn }: Bucket): PolicyStatement[] => [
  // Without the right to list, S3 says of a file that is not there that it may not be read.
  new PolicyStatement({ actions: ['s3:ListBucket'], resources: [bucketArn] }),
  new PolicyStatement({ actions: ['s3:GetObject'], resources: [`${bucketArn}/*`] }),
];

/** Publishes: keys and indexes, and nothing of another form. What is there can be written again, and not deleted. */
export const writeDisclosed = ({ bucketArn }: Bucket): PolicyStatement =>
  new PolicyStatement({
    actions: ['s3:PutObject'],
    resources: [`${bucketArn}/*.pem`, `${bucketArn}/*/index.json`],
  });
