import { randomBytes } from 'node:crypto';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSecretsVault } from '../../../adapters/aws/secrets-vault.ts';
import { days } from '../../../core/time.ts';
import { put, vaultContract } from '../../contracts/vault.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

const prefix = 'selkie/test';
const key = (): Uint8Array => new Uint8Array(randomBytes(121));
const pause = async (): Promise<void> => {};

describeWith(['moto_server'], 'Secrets Manager', () => {
  let moto: Moto;
  let client: SecretsManagerClient;
  beforeAll(async () => {
    moto = await startMoto();
    // moto answers 500 now and then where two calls meet.
    client = new SecretsManagerClient({ ...motoClient(moto.url), maxAttempts: 3 });
  });
  afterAll(async () => {
    client?.destroy();
    await moto?.stop();
  });
  const vault = (recoveryDays?: number) =>
    createSecretsVault({
      client,
      prefix,
      kmsKeyId: 'alias/selkie',
      pause,
      ...(recoveryDays === undefined ? {} : { recoveryDays }),
    });

  vaultContract('Secrets Manager', async () => ({ open: () => vault() }));

  test('names, tags and encrypts a secret as its policy expects', async () => {
    const secret = await put(vault(), 'example.org', '240128', key());
    expect(secret).toMatch(/^selkie\/test\/example\.org\/240128#[A-Za-z0-9-]{36}$/);
    const found = await client.send(
      new DescribeSecretCommand({ SecretId: 'selkie/test/example.org/240128' }),
    );
    expect(found.KmsKeyId).toBe('alias/selkie');
    expect(found.Tags).toEqual([
      { Key: 'selkie:domain', Value: 'example.org' },
      { Key: 'selkie:selector', Value: '240128' },
    ]);
    expect(Object.keys(found.VersionIdsToStages ?? {})).toEqual([secret.split('#')[1]]);
  });

  test('stores binary, never text', async () => {
    await put(vault(), 'binary.example', '240128', key());
    const found = await client.send(
      new GetSecretValueCommand({ SecretId: 'selkie/test/binary.example/240128' }),
    );
    expect(found.SecretString).toBeUndefined();
    expect(found.SecretBinary).toHaveLength(121);
  });

  test.each([
    [undefined, 30],
    [7, 7],
  ])('with recoveryDays %s a destroyed secret stays for %i days', async (option, length) => {
    const domain = `${length}.example`;
    const before = Date.now();
    await vault(option).destroy(await put(vault(), domain, '240128', key()));
    const found = await client.send(new DescribeSecretCommand({ SecretId: `${prefix}/${domain}/240128` }));
    const end = found.DeletedDate?.getTime() ?? 0;
    expect(Math.abs(end - (before + days(length)))).toBeLessThan(60_000);
  });

  test('workers at once end with one key', async () => {
    const secrets = await Promise.all(
      Array.from({ length: 6 }, () => put(vault(), 'race.example', '240128', key())),
    );
    expect(new Set(secrets).size).toBe(1);
  });

  test('a key that cannot be stored does not keep the others from it', async () => {
    await vault().destroy(await put(vault(), 'taken.example', '240128', key()));
    const keys = ['before', 'taken', 'after'].map((label) => ({
      domain: `${label}.example`,
      selector: '240128',
      privateKey: key(),
    }));
    await expect(vault().store(keys)).rejects.toMatchObject({ code: 'exists' });
    for (const label of ['before', 'after'])
      expect(await vault().find(`${label}.example`, '240128')).toBeDefined();
  });

  test('a name that waits for its deletion is not used again, and says so', async () => {
    await vault().destroy(await put(vault(), 'again.example', '240128', key()));
    await expect(put(vault(), 'again.example', '240128', key())).rejects.toMatchObject({
      code: 'exists',
      message: expect.stringMatching(/again\.example\/240128 .*scheduled for deletion/),
    });
  });

  test('a secret that somebody wrote to is not trusted', async () => {
    const secret = await put(vault(), 'edited.example', '240128', key());
    const first = await vault().read(secret);
    await client.send(
      new PutSecretValueCommand({ SecretId: `${prefix}/edited.example/240128`, SecretBinary: key() }),
    );
    // The reference still gives the key it was given for; a worker without it is told.
    expect(await vault().read(secret)).toEqual(first);
    await expect(put(vault(), 'edited.example', '240128', key())).rejects.toMatchObject({ code: 'unsafe' });
  });

  test('reads and destroys nothing outside of its prefix', async () => {
    const other = createSecretsVault({ client, prefix: 'other', kmsKeyId: 'alias/selkie', pause });
    const secret = await put(other, 'example.org', '240128', key());
    await expect(vault().read(secret)).rejects.toMatchObject({ code: 'not-found' });
    await vault().destroy(secret);
    await expect(other.read(secret)).resolves.toHaveLength(121);
  });

  test('ten secrets for ten keys: nothing else is made', async () => {
    const own = createSecretsVault({ client, prefix: 'count', kmsKeyId: 'alias/selkie', pause });
    await Promise.all(Array.from({ length: 10 }, (_, i) => put(own, `d${i}.example`, '240128', key())));
    const found = await client.send(
      new ListSecretsCommand({ Filters: [{ Key: 'name', Values: ['count/'] }], MaxResults: 100 }),
    );
    expect(found.SecretList).toHaveLength(10);
  });

  describe('a store that is only eventually readable', () => {
    /** A client whose reads fail with `name` the first `failures` times; `asked` counts them. */
    const failing = (failures: number, name: string) => {
      const state = { asked: 0, waited: 0 };
      const slow = new SecretsManagerClient({ ...motoClient(moto.url), maxAttempts: 1 });
      slow.middlewareStack.add(
        (next, context) => async (args) => {
          if (context.commandName === 'GetSecretValueCommand' && state.asked++ < failures)
            throw Object.assign(new Error(`secret of ${name}`), { name });
          return next(args);
        },
        { step: 'initialize' },
      );
      const eventual = createSecretsVault({
        client: slow,
        prefix,
        kmsKeyId: 'alias/selkie',
        pause: async (length) => {
          state.waited += length;
        },
      });
      return { eventual, state };
    };

    test('is asked again, with longer waits', async () => {
      const { eventual, state } = failing(2, 'ResourceNotFoundException');
      const stored = key();
      const secret = await put(eventual, 'eventual.example', '240128', stored);
      expect(await eventual.read(secret)).toEqual(stored);
      expect(state.asked).toBe(3);
      // With jitter, and never shorter: a write is readable within these.
      expect(state.waited).toBeGreaterThanOrEqual(1_000);
      expect(state.waited).toBeLessThanOrEqual(1_500);
    });

    test('what stays away is gone', async () => {
      const { eventual, state } = failing(99, 'ResourceNotFoundException');
      const secret = await put(eventual, 'away.example', '240128', key());
      await expect(eventual.read(secret)).rejects.toMatchObject({ code: 'not-found' });
      expect(state.asked).toBe(4);
    });

    test.each([
      ['ThrottlingException', 'throttled'],
      ['AccessDeniedException', 'denied'],
      ['DecryptionFailure', 'unavailable'],
    ])('%s is %s, at once', async (name, code) => {
      const { eventual, state } = failing(99, name);
      const secret = await put(eventual, `${code}.example`, '240128', key());
      await expect(eventual.read(secret)).rejects.toMatchObject({ code });
      expect(state.asked).toBe(1);
    });
  });
});
