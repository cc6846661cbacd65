// Wiring: environment → AWS adapters → the engine's world. Called once by each cold start; nothing is read at import time.

import { readFileSync } from 'node:fs';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KMSClient } from '@aws-sdk/client-kms';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { createKmsSigner } from '../adapters/aws/kms-signer.ts';
import { createDynamoLedger } from '../adapters/aws/ledger.ts';
import { createRoute53Clients } from '../adapters/aws/route53-clients.ts';
import { createRoute53Writer } from '../adapters/aws/route53-writer.ts';
import { createSecretsVault } from '../adapters/aws/secrets-vault.ts';
import { createSqsQueue } from '../adapters/aws/sqs-queue.ts';
import { createDnsObserver } from '../adapters/dns/observer.ts';
import { createNodeKeys } from '../adapters/node-keys.ts';
import { createHttpsTransport } from '../adapters/push/https-transport.ts';
import { systemClock, systemRandomness } from '../adapters/system.ts';
import { createSeals } from '../contract/seals.ts';
import { loadCompiledFleet } from '../core/compiled-fleet.ts';
import { SelkieError } from '../core/errors.ts';
import type { World } from '../engine/world.ts';
import { say } from './say.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const needed = (environment: Environment, name: string): string => {
  const value = environment[name];
  if (value === undefined || value === '')
    throw new SelkieError('invalid', `the environment variable ${name} is not set: deploy the stack again`);
  return value;
};

const listOf = (text: string | undefined): readonly string[] =>
  (text ?? '').split(',').flatMap((one) => (one.trim() === '' ? [] : [one.trim()]));

/**
 * `SELKIE_BUNDLE_KEY` signs; `SELKIE_BUNDLE_KEY_NEXT` (a KMS key of this account) is announced to the hosts, and
 * `SELKIE_BUNDLE_KEYS_RETIRED` (thumbprints, with commas) are trusted no more.
 */
const sealsOf = (environment: Environment): World['seals'] => {
  const client = new KMSClient({});
  return createSeals(createKmsSigner({ client, keyId: needed(environment, 'SELKIE_BUNDLE_KEY') }), {
    announce: listOf(environment.SELKIE_BUNDLE_KEY_NEXT).map((keyId) => createKmsSigner({ client, keyId })),
    retire: listOf(environment.SELKIE_BUNDLE_KEYS_RETIRED),
  });
};

/** @throws invalid: a variable or the compiled fleet is missing or damaged */
export const wire = (environment: Environment): World => ({
  clock: systemClock,
  randomness: systemRandomness,
  keys: createNodeKeys(),
  vault: createSecretsVault({
    client: new SecretsManagerClient({}),
    prefix: needed(environment, 'SELKIE_SECRET_PREFIX'),
    kmsKeyId: needed(environment, 'SELKIE_SECRET_KEY'),
  }),
  writer: createRoute53Writer({
    clientFor: createRoute53Clients(
      environment.SELKIE_ZONES_ROLE === undefined ? {} : { zonesRole: environment.SELKIE_ZONES_ROLE },
    ),
  }),
  observer: createDnsObserver(),
  seals: sealsOf(environment),
  transport: createHttpsTransport({ timeoutMs: 10_000 }),
  queue: createSqsQueue({ client: new SQSClient({}), url: needed(environment, 'SELKIE_QUEUE_URL') }),
  ledger: createDynamoLedger({
    client: new DynamoDBClient({ maxAttempts: 4 }),
    table: needed(environment, 'SELKIE_TABLE'),
  }),
  reporter: { report: (happening) => say({ ...happening }) },
  worker: systemRandomness.id(),
  fleet: loadCompiledFleet(readFileSync(needed(environment, 'SELKIE_FLEET'), 'utf8')),
});

/** The world of a warm function: wired at the first call. */
export const lazily = <T>(make: () => T): (() => T) => {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
};
