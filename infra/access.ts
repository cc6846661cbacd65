// What each function may do: one list of statements for each thing that it uses, and no action that its adapters do not
// call. Route 53 has rules of its own: zone-access.ts.

import { Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Key } from 'aws-cdk-lib/aws-kms';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Ledger } from './constructs/ledger.ts';

/** Reads rows, logs and what is due. */
export const readLedger = ({ table, dueIndexArn }: Ledger): PolicyStatement[] => [
  new PolicyStatement({ actions: ['dynamodb:GetItem'], resources: [table.tableArn] }),
  new PolicyStatement({ actions: ['dynamodb:Query'], resources: [table.tableArn, dueIndexArn] }),
];

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

/** Receiving is granted by the event source. */
export const sendUnits = (queue: Queue): PolicyStatement =>
  new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [queue.queueArn] });

/** `secret:<prefix>/*`: the service adds six characters of its own to every name. */
export const secretsArn = (stack: Stack, prefix: string): string =>
  stack.formatArn({ service: 'secretsmanager', resource: `secret:${prefix}/*` });

/**
 * Only Secrets Manager may use the key for somebody, and for secrets below our prefix: it names the secret in the encryption
 * context. Before it makes one, it tries the key with a context of that other name.
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
 */
export const throughSecretsManager = (stack: Stack, prefix: string) => ({
  StringEquals: { 'kms:ViaService': `secretsmanager.${stack.region}.amazonaws.com` },
  StringLike: {
    'kms:EncryptionContext:SecretARN': [secretsArn(stack, prefix), 'RequestToValidateKeyAccess'],
  },
});

/** ES256 of a manifest as it is, never of a digest that somebody made elsewhere. */
export const signingConditions = {
  StringEquals: { 'kms:SigningAlgorithm': 'ECDSA_SHA_256', 'kms:MessageType': 'RAW' },
};

export const readSecrets = (key: Key, prefix: string): PolicyStatement[] => {
  const stack = Stack.of(key);
  return [
    new PolicyStatement({
      actions: ['secretsmanager:GetSecretValue'],
      resources: [secretsArn(stack, prefix)],
    }),
    new PolicyStatement({
      actions: ['kms:Decrypt'],
      resources: [key.keyArn],
      conditions: throughSecretsManager(stack, prefix),
    }),
  ];
};

/**
 * Makes secrets, under our key and with our tags alone; schedules their deletion, never at once; never writes to one that is
 * there. By their names and not by their tags: of a secret that is gone, IAM knows no tags, and would say `denied` where the
 * vault must hear that it is gone.
 */
export const writeSecrets = (key: Key, prefix: string): PolicyStatement[] => {
  const stack = Stack.of(key);
  const resources = [secretsArn(stack, prefix)];
  const tagged = {
    'ForAllValues:StringLike': { 'aws:TagKeys': ['selkie:*'] },
    Null: { 'aws:TagKeys': 'false' },
  };
  return [
    new PolicyStatement({
      actions: ['secretsmanager:CreateSecret'],
      resources,
      conditions: { ...tagged, StringEquals: { 'secretsmanager:KmsKeyArn': key.keyArn } },
    }),
    // Asked for by CreateSecret, for its tags.
    new PolicyStatement({ actions: ['secretsmanager:TagResource'], resources, conditions: tagged }),
    new PolicyStatement({ actions: ['secretsmanager:DescribeSecret'], resources }),
    new PolicyStatement({
      actions: ['secretsmanager:DeleteSecret'],
      resources,
      // Invariant 5: destroyed last, and for some days not for good.
      conditions: { BoolIfExists: { 'secretsmanager:ForceDeleteWithoutRecovery': 'false' } },
    }),
    new PolicyStatement({
      actions: ['kms:GenerateDataKey'],
      resources: [key.keyArn],
      conditions: throughSecretsManager(stack, prefix),
    }),
  ];
};

/** @param announced a key whose public half alone is asked for */
export const signBundles = (key: Key, announced?: Key): PolicyStatement[] => [
  new PolicyStatement({
    actions: ['kms:GetPublicKey'],
    resources: [key.keyArn, ...(announced === undefined ? [] : [announced.keyArn])],
  }),
  new PolicyStatement({ actions: ['kms:Sign'], resources: [key.keyArn], conditions: signingConditions }),
];
