// The vault in Secrets Manager: one secret for each key, named `<prefix>/<domain>/<selector>`, encrypted under a
// customer-managed KMS key. Calls secretsmanager:CreateSecret, TagResource (for the tags), DescribeSecret,
// GetSecretValue and DeleteSecret; ListSecrets, to see what is there; and KMS by way of it.
//
// A reference is `<name>#<version id>`. By name and not by ARN, so that it holds in the region of a replica as well; with
// the version, since a read by version does not depend on staging labels, which follow a write late, and since it never
// answers with another key should somebody delete the secret and make a new one under its name.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  type SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { hasCode, SelkieError } from '../../core/errors.ts';
import { type Duration, milliseconds } from '../../core/time.ts';
import { inParallel } from '../../engine/parallel.ts';
import type { StoredSecret, Vault } from '../../engine/ports.ts';
import { toSelkieError } from './errors.ts';

export interface SecretsVaultOptions {
  readonly client: SecretsManagerClient;
  /** Of every secret's name, without a slash at its end: `selkie/prod`. */
  readonly prefix: string;
  /** Id, ARN or alias of the symmetric KMS key. */
  readonly kmsKeyId: string;
  /** How long a destroyed secret can still be restored: 7 to 30 days, by default 30. */
  readonly recoveryDays?: number;
  /** Waits before a read is tried again; given by tests. */
  readonly pause?: (length: Duration) => Promise<void>;
}

/** A write is readable within this; after it, what is not found is gone. */
const patience: readonly Duration[] = [milliseconds(200), milliseconds(800), milliseconds(2_000)];

/** Secrets made at once: an account may make 50 a second. */
const width = 8;
/** Secrets of one answer, at most. */
const mostListed = 100;

const sdkName = (error: unknown): string => (error instanceof Error ? error.name : '');

interface Reference {
  readonly name: string;
  readonly version: string;
}

const formatReference = ({ name, version }: Reference): string => `${name}#${version}`;

export const createSecretsVault = ({
  client,
  prefix,
  kmsKeyId,
  recoveryDays = 30,
  pause = async (length) => {
    await sleep(length);
  },
}: SecretsVaultOptions): Vault => {
  /** Undefined for what this vault never gave out: it asks for no secret outside of its prefix. */
  const parseReference = (secret: string): Reference | undefined => {
    const found = /^(?<name>[^#]+)#(?<version>[A-Za-z0-9-]{32,64})$/.exec(secret)?.groups;
    return found?.name?.startsWith(`${prefix}/`) && found.version !== undefined
      ? { name: found.name, version: found.version }
      : undefined;
  };

  /** Tries again while the store says not-found: it does so for some time after a write. */
  const patiently = async <T>(read: () => Promise<T>): Promise<T> => {
    for (const length of patience) {
      try {
        return await read();
      } catch (error) {
        if (sdkName(error) !== 'ResourceNotFoundException') throw error;
      }
      await pause(length);
    }
    return read();
  };

  /** The version of a secret that somebody else made: written once, it has exactly one. */
  const versionOf = async (name: string): Promise<string> => {
    const secret = await patiently(() => client.send(new DescribeSecretCommand({ SecretId: name })));
    if (secret.DeletedDate !== undefined) throw scheduled(name);
    const [version, ...others] = Object.keys(secret.VersionIdsToStages ?? {});
    if (version === undefined)
      throw new SelkieError('unavailable', `The secret ${name} does not show its version yet.`);
    if (others.length > 0)
      throw new SelkieError(
        'unsafe',
        `The secret ${name} has ${others.length + 1} versions, and a vault's secret is written once: somebody else wrote to it. Look at its history in CloudTrail.`,
      );
    return version;
  };

  /** Why an InvalidRequestException came: the service itself says it only in a sentence, in several wordings. */
  const isScheduled = async (name: string): Promise<boolean> => {
    try {
      const secret = await client.send(new DescribeSecretCommand({ SecretId: name }));
      return secret.DeletedDate !== undefined;
    } catch {
      // The first error says more than this one.
      return false;
    }
  };

  const scheduled = (name: string): SelkieError =>
    new SelkieError(
      'exists',
      `The name ${name} belongs to a secret that is scheduled for deletion: restore that secret if its key is still wanted, or use another selector; a selector is never used for a second key.`,
    );

  const notFound = (name: string): SelkieError =>
    new SelkieError('not-found', `The secret ${name} is gone, or scheduled for deletion.`);

  const create = async (domain: string, selector: string, privateKey: Uint8Array): Promise<string> => {
    const name = `${prefix}/${domain}/${selector}`;
    try {
      const made = await client.send(
        // The SDK adds a random ClientRequestToken, which becomes the version id, and which its own retries repeat. One
        // derived from the name would gain nothing: with another key behind it the service refuses it all the same.
        new CreateSecretCommand({
          Name: name,
          SecretBinary: privateKey,
          KmsKeyId: kmsKeyId,
          Description: `DKIM private key (PKCS#8) of selector ${selector} of ${domain}`,
          Tags: [
            { Key: 'selkie:domain', Value: domain },
            { Key: 'selkie:selector', Value: selector },
          ],
        }),
      );
      if (made.VersionId !== undefined) return formatReference({ name, version: made.VersionId });
    } catch (error) {
      if (sdkName(error) === 'InvalidRequestException' && (await isScheduled(name))) throw scheduled(name);
      if (sdkName(error) !== 'ResourceExistsException') throw error;
    }
    return formatReference({ name, version: await versionOf(name) });
  };

  return {
    async store(keys) {
      const failures: unknown[] = [];
      const secrets = await inParallel(width, keys, async ({ domain, selector, privateKey }) => {
        try {
          return await create(domain, selector, privateKey);
        } catch (error) {
          // The others are stored all the same.
          failures.push(toSelkieError(error, `Storing the key of selector ${selector} of ${domain}`));
          return '';
        }
      });
      if (failures.length > 0) throw failures[0];
      return secrets;
    },

    async read(secret) {
      const reference = parseReference(secret);
      if (reference === undefined) throw new SelkieError('not-found', `The vault has no secret "${secret}".`);
      const { name, version } = reference;
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

    async find(domain, selector) {
      const name = `${prefix}/${domain}/${selector}`;
      try {
        const secret = await client.send(new DescribeSecretCommand({ SecretId: name }));
        const [version] = Object.keys(secret.VersionIdsToStages ?? {});
        return secret.DeletedDate !== undefined || version === undefined
          ? undefined
          : formatReference({ name, version });
      } catch (error) {
        const known = toSelkieError(error, `Looking for the secret ${name}`);
        if (hasCode(known, 'not-found')) return undefined;
        throw known;
      }
    },

    async destroy(secret) {
      const reference = parseReference(secret);
      if (reference === undefined) return;
      const { name } = reference;
      try {
        await client.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: recoveryDays }));
      } catch (error) {
        if (sdkName(error) === 'InvalidRequestException' && (await isScheduled(name))) return;
        const known = toSelkieError(error, `Destroying the secret ${name}`);
        if (!hasCode(known, 'not-found')) throw known;
      }
    },

    async list({ after, limit }) {
      try {
        const page = await client.send(
          new ListSecretsCommand({
            // The beginning of the name.
            Filters: [{ Key: 'name', Values: [`${prefix}/`] }],
            MaxResults: Math.min(limit, mostListed),
            ...(after === undefined ? {} : { NextToken: after }),
          }),
        );
        const secrets = (page.SecretList ?? []).flatMap(
          ({ Name: name = '', SecretVersionsToStages: stages = {} }): readonly StoredSecret[] => {
            const [domain, selector, ...rest] = name.slice(prefix.length + 1).split('/');
            const [version] = Object.keys(stages);
            return domain === undefined || selector === undefined || rest.length > 0 || version === undefined
              ? []
              : [{ secret: formatReference({ name, version }), domain, selector }];
          },
        );
        return page.NextToken === undefined ? { secrets } : { secrets, next: page.NextToken };
      } catch (error) {
        throw toSelkieError(error, `Listing the secrets of ${prefix}`);
      }
    },
  };
};
