// Wiring: environment → AWS adapters → the engine's world. Called once by each cold start; nothing is read at import time.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
import { createDisclosedBucket } from '../adapters/aws/disclosed-bucket.ts';
import { createDynamoHandChanges } from '../adapters/aws/hand-changes.ts';
import { createKmsSigner } from '../adapters/aws/kms-signer.ts';
import { createDynamoLedger } from '../adapters/aws/ledger.ts';
import { createDynamoBuckets, createLedgerQuota, raised } from '../adapters/aws/quota.ts';
import { createQuotaWriter } from '../adapters/aws/quota-writer.ts';
import { createRoute53Clients } from '../adapters/aws/route53-clients.ts';
import { createRoute53Writer } from '../adapters/aws/route53-writer.ts';
import { createSqsQueue } from '../adapters/aws/sqs-queue.ts';
import { createAwsVault } from '../adapters/aws/vault.ts';
import { createDnsObserver } from '../adapters/dns/observer.ts';
import { createResolver } from '../adapters/dns/resolver.ts';
import { createHandWriter } from '../adapters/hand/writer.ts';
import { createNodeKeys } from '../adapters/node-keys.ts';
import { createHttpsTransport } from '../adapters/push/https-transport.ts';
import { systemClock, systemRandomness } from '../adapters/system.ts';
import { createZoneWriters } from '../adapters/zone-writers.ts';
import { createSeals } from '../contract/seals.ts';
import { loadCompiledFleet } from '../core/compiled-fleet.ts';
import { hasCode, SelkieError } from '../core/errors.ts';
import type { FleetZone } from '../core/policy.ts';
import { defaultVault } from '../core/policy.ts';
import type { Quota } from '../engine/ports.ts';
import type { World } from '../engine/world.ts';
import { createMeter, type Meter } from './metrics.ts';
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

/**
 * Which role of this account changes a zone, where the function takes on roles for that: `SELKIE_ZONES_ROLES`, ARNs with commas.
 * Of several, the file `SELKIE_ZONE_GROUPS` says which zones each has, by their ids. A zone in none of them is refused by whichever
 * is asked.
 * @throws invalid: the file and the roles are not of one deployment
 */
export const zonesRoleOf = (environment: Environment): ((zone: FleetZone) => string | undefined) => {
  const [first, ...others] = listOf(environment.SELKIE_ZONES_ROLES);
  if (first === undefined || others.length === 0) return () => first;
  const groups: readonly (readonly string[])[] = JSON.parse(
    readFileSync(needed(environment, 'SELKIE_ZONE_GROUPS'), 'utf8'),
  );
  const roles = [first, ...others];
  if (groups.length !== roles.length)
    throw new SelkieError(
      'invalid',
      `${roles.length} roles change records, and zones are given to ${groups.length}: deploy the stack again`,
    );
  const byZone = new Map(groups.flatMap((ids, index) => ids.map((id) => [id, roles[index]] as const)));
  return ({ id }) => byZone.get(id) ?? first;
};

/**
 * Route 53, within the part of each account's quota that is Selkie's: `SELKIE_QUOTA_SHARE`, 0.8 where it is absent. Where AWS
 * grants more requests than it does by itself, `SELKIE_QUOTA_REQUESTS` says how many in a second.
 */
const writerOf = (
  environment: Environment,
  dynamo: Parameters<typeof createDynamoBuckets>[0],
  ledger: World['ledger'],
): World['writer'] => {
  const share = environment.SELKIE_QUOTA_SHARE;
  const requests = environment.SELKIE_QUOTA_REQUESTS;
  const pause = async (length: number): Promise<void> => {
    await sleep(length);
  };
  const buckets = createDynamoBuckets(dynamo);
  const quotas = new Map<string, Quota>();
  const quotaOf = ({ role }: FleetZone): Quota => {
    // arn:aws:iam::ACCOUNT:role/NAME
    const account = role?.arn.split(':')[4] ?? 'own';
    const quota =
      quotas.get(account) ??
      createLedgerQuota({
        buckets,
        account,
        clock: systemClock,
        ledger,
        pause,
        ...(share === undefined ? {} : { share: Number(share) }),
        ...(requests === undefined ? {} : { allowances: raised(Number(requests)) }),
      });
    quotas.set(account, quota);
    return quota;
  };
  return createQuotaWriter({
    writer: createRoute53Writer({
      clientFor: createRoute53Clients({ zonesRole: zonesRoleOf(environment) }),
    }),
    quotaOf,
    ledger,
    clock: systemClock,
    randomness: systemRandomness,
    pause,
  });
};

/** A port whose calls are counted where they end throttled, whatever their caller makes of it. */
export const countingThrottles = <T extends object>(port: T, name: string, meter: Pick<Meter, 'count'>): T =>
  new Proxy(port, {
    get: (target, method) => {
      const value: unknown = Reflect.get(target, method, target);
      if (typeof value !== 'function') return value;
      return (...parameters: unknown[]): unknown => {
        const answer: unknown = Reflect.apply(value, target, parameters);
        if (!(answer instanceof Promise)) return answer;
        return answer.catch((error: unknown) => {
          if (hasCode(error, 'throttled')) meter.count('CallsThrottled', 1, [`${name} ${String(method)}`]);
          throw error;
        });
      };
    },
  });

/** A world whose counts are written when a function ends. */
export interface Wired extends World {
  readonly meter: Meter;
}

/** @throws invalid: a variable or the compiled fleet is missing or damaged */
export const wire = (environment: Environment): Wired => {
  const secretPrefix = needed(environment, 'SELKIE_SECRET_PREFIX');
  const meter = createMeter({
    // The secrets' prefix is the stack's name.
    service: environment.SELKIE_SERVICE ?? secretPrefix,
    now: systemClock.now,
    write: say,
  });
  const counting = <T extends object>(port: T, name: string): T => countingThrottles(port, name, meter);
  const fleet = loadCompiledFleet(readFileSync(needed(environment, 'SELKIE_FLEET'), 'utf8'));
  const dynamo = {
    client: new DynamoDBClient({ maxAttempts: 4 }),
    table: needed(environment, 'SELKIE_TABLE'),
  };
  const lost = environment.SELKIE_LEDGER_LOST === 'true';
  const ledger = counting(createDynamoLedger({ ...dynamo, lost }), 'ledger');
  const observer = createDnsObserver();
  const people = createHandWriter({
    observer,
    changes: createDynamoHandChanges(dynamo),
    clock: systemClock,
    randomness: systemRandomness,
  });
  return {
    meter,
    clock: systemClock,
    randomness: systemRandomness,
    keys: createNodeKeys(),
    vault: counting(
      createAwsVault({
        ...(fleet.vault ?? defaultVault),
        client: new SecretsManagerClient({}),
        prefix: secretPrefix,
        kmsKeyId: needed(environment, 'SELKIE_SECRET_KEY'),
        ledger: dynamo,
        id: systemRandomness.id,
        now: systemClock.now,
      }),
      'vault',
    ),
    writer: counting(createZoneWriters(writerOf(environment, dynamo, ledger), people), 'writer'),
    observer,
    resolver: createResolver({ zones: fleet.zones }),
    disclosure: counting(
      createDisclosedBucket({
        client: new S3Client({}),
        bucket: needed(environment, 'SELKIE_DISCLOSED_BUCKET'),
      }),
      'disclosure',
    ),
    seals: counting(sealsOf(environment), 'seals'),
    transport: createHttpsTransport({ timeoutMs: 10_000 }),
    queue: counting(
      createSqsQueue({ client: new SQSClient({}), url: needed(environment, 'SELKIE_QUEUE_URL') }),
      'queue',
    ),
    ledger,
    reporter: { report: (happening) => say({ ...happening }), count: meter.count },
    worker: systemRandomness.id(),
    fleet,
  };
};

/** Writes what was counted, however the work ended. */
export const metered = async <T>({ meter }: Wired, work: () => T | Promise<T>): Promise<T> => {
  try {
    return await work();
  } finally {
    meter.flush();
  }
};

/** The world of a warm function: wired at the first call. */
export const lazily = <T>(make: () => T): (() => T) => {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
};
