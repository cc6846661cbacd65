// Wiring: environment → AWS adapters → the engine's world. Called once by each cold start; nothing is read at import time.

import { readFileSync } from 'node:fs';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KMSClient } from '@aws-sdk/client-kms';
import { Route53Client } from '@aws-sdk/client-route-53';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { createKmsSigner } from '../adapters/aws/kms-signer.ts';
import { createDynamoLedger } from '../adapters/aws/ledger.ts';
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
import type { FleetZone } from '../core/policy.ts';
import type { World } from '../engine/world.ts';
import { say } from './say.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const needed = (environment: Environment, name: string): string => {
  const value = environment[name];
  if (value === undefined || value === '')
    throw new SelkieError('invalid', `the environment variable ${name} is not set: deploy the stack again`);
  return value;
};

/** A client for each account that zones lie in: by the zone's role, or the function's own. */
const route53Clients = (): ((zone: FleetZone) => Route53Client) => {
  const clients = new Map<string, Route53Client>();
  // The engine tries again with patience of its own; the SDK's tries would only spend the account's quota.
  const make = ({ role }: FleetZone): Route53Client => {
    if (role === undefined) return new Route53Client({ maxAttempts: 2 });
    const sts = new STSClient({});
    return new Route53Client({
      maxAttempts: 2,
      credentials: async () => {
        const { Credentials: given } = await sts.send(
          new AssumeRoleCommand({
            RoleArn: role.arn,
            RoleSessionName: 'selkie',
            ...(role.externalId === undefined ? {} : { ExternalId: role.externalId }),
          }),
        );
        if (given?.AccessKeyId === undefined || given.SecretAccessKey === undefined)
          throw new SelkieError('denied', `role ${role.arn} gave no credentials`);
        return {
          accessKeyId: given.AccessKeyId,
          secretAccessKey: given.SecretAccessKey,
          ...(given.SessionToken === undefined ? {} : { sessionToken: given.SessionToken }),
          ...(given.Expiration === undefined ? {} : { expiration: given.Expiration }),
        };
      },
    });
  };
  return (zone) => {
    const account = zone.role?.arn ?? '';
    const client = clients.get(account) ?? make(zone);
    clients.set(account, client);
    return client;
  };
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
  writer: createRoute53Writer({ clientFor: route53Clients() }),
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
