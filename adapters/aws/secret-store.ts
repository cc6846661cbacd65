// The calls of Secrets Manager that both layouts of the vault are made of: a secret of bytes that is made once, read by its
// version, and scheduled for deletion. Calls secretsmanager:CreateSecret, TagResource (for the tags), DescribeSecret,
// GetSecretValue, DeleteSecret and ListSecrets; with replicas ReplicateSecretToRegions (CreateSecret asks for it) and
// RemoveRegionsFromReplication; and KMS by way of it.
//
// A secret goes by its name and not by its ARN, so that it holds in the region of a replica as well; and is read by version,
// since such a read does not depend on staging labels, which follow a write late, and since it never answers with another
// value should somebody delete the secret and make a new one under its name.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  RemoveRegionsFromReplicationCommand,
  type SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { hasCode, SelkieError } from '../../core/errors.ts';
import { type Duration, milliseconds } from '../../core/time.ts';
import { spread } from '../jitter.ts';
import { toSelkieError } from './errors.ts';

export interface SecretStoreOptions {
  readonly client: SecretsManagerClient;
  /** Of every secret's name, without a slash at its end: `selkie/prod`. */
  readonly prefix: string;
  /** Id, ARN or alias of the symmetric KMS key. */
  readonly kmsKeyId: string;
  /**
   * Regions that each new secret is copied to. There it is encrypted under the same key where that is a multi-Region key
   * (`mrk-…`), else under that region's `aws/secretsmanager`.
   */
  readonly replicas?: readonly string[];
  /** How long a destroyed secret can still be restored: 7 to 30 days, by default 30. */
  readonly recoveryDays?: number;
  /** Waits before a read is tried again; given by tests. */
  readonly pause?: (length: Duration) => Promise<void>;
}

export interface NewStoreSecret {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly description: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** What its version is to be called, 32 to 64 characters; absent: the SDK makes a random one. */
  readonly version?: string;
}

export interface Standing {
  readonly versions: readonly string[];
  /** Scheduled for deletion. */
  readonly scheduled: boolean;
}

/** Errors are SelkieErrors, but for those of `create`, which says what it stores. */
export interface SecretStore {
  readonly prefix: string;
  /** @returns its version; undefined where a secret of that name is there @throws whatever the SDK throws; exists: it is scheduled for deletion */
  create(secret: NewStoreSecret): Promise<string | undefined>;
  /** Undefined where there is none. */
  standing(name: string): Promise<Standing | undefined>;
  /** The only version of a secret that somebody else made. @throws exists, unsafe, unavailable; whatever the SDK throws */
  versionOf(name: string): Promise<string>;
  /** @throws not-found; invalid: it holds text */
  read(name: string, version: string): Promise<Uint8Array>;
  /** Schedules it for deletion, with its replicas; again is the same. */
  remove(name: string): Promise<void>;
  /** A page of what is not scheduled for deletion. */
  page(options: { readonly after?: string; readonly limit: number }): Promise<{
    readonly secrets: readonly { readonly name: string; readonly version: string }[];
    readonly next?: string;
  }>;
}

/** A write is readable within this; after it, what is not found is gone. */
const patience: readonly Duration[] = [milliseconds(200), milliseconds(800), milliseconds(2_000)];
/** Secrets of one answer, at most. */
const mostListed = 100;

const sdkName = (error: unknown): string => (error instanceof Error ? error.name : '');

/** The key of a replica: `mrk-…` is the same in every region, by its id or by an ARN with that region. */
const replicaKey = (kmsKeyId: string, region: string): { readonly KmsKeyId: string } | undefined => {
  if (/^mrk-\w+$/.test(kmsKeyId)) return { KmsKeyId: kmsKeyId };
  const arn = /^(?<head>arn:[\w-]+:kms:)[\w-]+(?<tail>:\d{12}:key\/mrk-\w+)$/.exec(kmsKeyId)?.groups;
  return arn === undefined ? undefined : { KmsKeyId: `${arn.head}${region}${arn.tail}` };
};

const scheduledFor = (name: string): SelkieError =>
  new SelkieError(
    'exists',
    `The name ${name} belongs to a secret that is scheduled for deletion: restore that secret if its key is still wanted, or use another selector; a selector is never used for a second key.`,
  );

const notFound = (name: string): SelkieError =>
  new SelkieError('not-found', `The secret ${name} is gone, or scheduled for deletion.`);

export const createSecretStore = ({
  client,
  prefix,
  kmsKeyId,
  replicas = [],
  recoveryDays = 30,
  pause = async (length) => {
    await sleep(length);
  },
}: SecretStoreOptions): SecretStore => {
  /** Tries again while the store says not-found: it does so for some time after a write. The SDK does for all else, with jitter. */
  const patiently = async <T>(read: () => Promise<T>): Promise<T> => {
    for (const length of patience) {
      try {
        return await read();
      } catch (error) {
        if (sdkName(error) !== 'ResourceNotFoundException') throw error;
      }
      await pause(spread(length));
    }
    return read();
  };

  /** Why a request was refused: the service says it only in a sentence, in several wordings. */
  const whyRefused = async (name: string): Promise<{ scheduled: boolean; regions: readonly string[] }> => {
    try {
      const secret = await client.send(new DescribeSecretCommand({ SecretId: name }));
      const regions = (secret.ReplicationStatus ?? []).flatMap(({ Region }) => Region ?? []);
      return { scheduled: secret.DeletedDate !== undefined, regions };
    } catch {
      // The first error says more than this one.
      return { scheduled: false, regions: [] };
    }
  };

  const isRefusal = (error: unknown): boolean =>
    sdkName(error) === 'InvalidRequestException' || sdkName(error) === 'InvalidParameterException';

  return {
    prefix,

    async create({ name, bytes, description, tags = {}, version }) {
      try {
        const made = await client.send(
          new CreateSecretCommand({
            Name: name,
            SecretBinary: bytes,
            KmsKeyId: kmsKeyId,
            Description: description,
            Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
            // The SDK adds a random one, which becomes the version id, and which its own retries repeat.
            ...(version === undefined ? {} : { ClientRequestToken: version }),
            ...(replicas.length === 0
              ? {}
              : {
                  AddReplicaRegions: replicas.map((Region) => ({ Region, ...replicaKey(kmsKeyId, Region) })),
                }),
          }),
        );
        if (made.VersionId === undefined)
          throw new SelkieError('unavailable', `Secrets Manager did not tell the version of ${name}.`);
        return made.VersionId;
      } catch (error) {
        if (sdkName(error) === 'InvalidRequestException' && (await whyRefused(name)).scheduled)
          throw scheduledFor(name);
        if (sdkName(error) !== 'ResourceExistsException') throw error;
        return undefined;
      }
    },

    async standing(name) {
      try {
        const secret = await client.send(new DescribeSecretCommand({ SecretId: name }));
        const versions = Object.keys(secret.VersionIdsToStages ?? {});
        return { versions, scheduled: secret.DeletedDate !== undefined };
      } catch (error) {
        const known = toSelkieError(error, `Looking for the secret ${name}`);
        if (hasCode(known, 'not-found')) return undefined;
        throw known;
      }
    },

    async versionOf(name) {
      const secret = await patiently(() => client.send(new DescribeSecretCommand({ SecretId: name })));
      if (secret.DeletedDate !== undefined) throw scheduledFor(name);
      const [version, ...others] = Object.keys(secret.VersionIdsToStages ?? {});
      if (version === undefined)
        throw new SelkieError('unavailable', `The secret ${name} does not show its version yet.`);
      if (others.length > 0)
        throw new SelkieError(
          'unsafe',
          `The secret ${name} has ${others.length + 1} versions, and a vault's secret is written once: somebody else wrote to it. Look at its history in CloudTrail.`,
        );
      return version;
    },

    async read(name, version) {
      try {
        const answer = await patiently(() =>
          client.send(new GetSecretValueCommand({ SecretId: name, VersionId: version })),
        );
        if (answer.SecretBinary !== undefined) return new Uint8Array(answer.SecretBinary);
      } catch (error) {
        // For a secret scheduled for deletion.
        if (sdkName(error) === 'InvalidRequestException') throw notFound(name);
        const known = toSelkieError(error, `Reading the secret ${name}`);
        throw hasCode(known, 'not-found') ? notFound(name) : known;
      }
      throw new SelkieError('invalid', `The secret ${name} holds text, not a key: Selkie did not write it.`);
    },

    async remove(name) {
      const schedule = () =>
        client.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: recoveryDays }));
      try {
        await schedule().catch(async (error: unknown) => {
          if (!isRefusal(error)) throw error;
          const { scheduled, regions } = await whyRefused(name);
          if (scheduled) return;
          if (regions.length === 0) throw error;
          // A secret with replicas is not deleted: they go first.
          await client.send(
            new RemoveRegionsFromReplicationCommand({ SecretId: name, RemoveReplicaRegions: [...regions] }),
          );
          await schedule();
        });
      } catch (error) {
        const known = toSelkieError(error, `Destroying the secret ${name}`);
        if (!hasCode(known, 'not-found')) throw known;
      }
    },

    async page({ after, limit }) {
      try {
        const found = await client.send(
          new ListSecretsCommand({
            // The beginning of the name.
            Filters: [{ Key: 'name', Values: [`${prefix}/`] }],
            MaxResults: Math.min(Math.max(limit, 1), mostListed),
            ...(after === undefined ? {} : { NextToken: after }),
          }),
        );
        const secrets = (found.SecretList ?? []).flatMap(({ Name: name, SecretVersionsToStages: stages }) => {
          const [version] = Object.keys(stages ?? {});
          return name === undefined || version === undefined ? [] : [{ name, version }];
        });
        return found.NextToken === undefined ? { secrets } : { secrets, next: found.NextToken };
      } catch (error) {
        throw toSelkieError(error, `Listing the secrets of ${prefix}`);
      }
    },
  };
};
