import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { CreateSecretCommand, DescribeSecretCommand } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createShardedVault } from '../../../adapters/aws/sharded-vault.ts';
import { add, hours, type Instant, instant } from '../../../core/time.ts';
import type { NewSecret, Vault } from '../../../engine/ports.ts';
import { put, vaultContract } from '../../contracts/vault.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Account, type Clients, startAccount } from './vault-account.ts';

const key = (length = 121): Uint8Array => new Uint8Array(randomBytes(length));
const pause = async (): Promise<void> => {};

describeWith(['moto_server'], 'shards', () => {
  let account: Account;
  let now: Instant;
  let prefix: string;
  beforeAll(async () => {
    account = await startAccount();
  });
  afterAll(() => account?.stop());
  beforeEach(() => {
    now = instant(Date.parse('2024-01-28T09:00:00Z'));
    prefix = `selkie-${randomUUID()}`;
  });

  const open = ({ secrets, dynamo }: Clients = account.clients(), under = prefix): Vault =>
    createShardedVault({
      client: secrets,
      prefix: under,
      kmsKeyId: 'alias/selkie',
      pause,
      ledger: { client: dynamo, table: account.table, pause },
      id: randomUUID,
      now: () => now,
    });

  vaultContract('shards', async () => {
    const under = `selkie-${randomUUID()}`;
    return { open: () => open(account.clients(), under) };
  });

  const mine = async (): Promise<readonly string[]> =>
    (await account.secrets()).filter((name) => name.startsWith(`${prefix}/`));

  const keysFor = (count: number, bytes = key): NewSecret[] =>
    Array.from({ length: count }, (_, n) => ({
      domain: `d${n}.${prefix.slice(-12)}.example`,
      selector: '240128',
      privateKey: bytes(),
    }));

  const listed = async (vault: Vault) => {
    const found = [];
    let after: string | undefined;
    do {
      const page = await vault.list({ limit: 100, ...(after === undefined ? {} : { after }) });
      found.push(...page.secrets);
      after = page.next;
    } while (after !== undefined);
    return found;
  };

  test('is tagged, and encrypted under our key', async () => {
    const { secrets } = account.clients();
    await put(open(), 'tagged.example', '240128', key());
    const [shard = ''] = await mine();
    const found = await secrets.send(new DescribeSecretCommand({ SecretId: shard }));
    expect(found.Tags).toEqual([{ Key: 'selkie:layout', Value: 'sharded' }]);
    expect(found.KmsKeyId).toBe('alias/selkie');
    // Its version is its id: a reference needs no other.
    expect(Object.keys(found.VersionIdsToStages ?? {})).toEqual([shard.split('/').at(-1)]);
  });

  describe('sizes', () => {
    const rsa = new Uint8Array(
      generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey.export({
        type: 'pkcs8',
        format: 'der',
      }),
    );

    test('the service that refuses more than 64 KB refuses it here too', async () => {
      const { secrets } = account.clients();
      const send = (length: number) =>
        secrets.send(new CreateSecretCommand({ Name: `${prefix}/${length}`, SecretBinary: key(length) }));
      await expect(send(49_153)).rejects.toThrow('too long');
      await expect(send(49_152)).resolves.toBeDefined();
    });

    test('a cohort of 60 domains with RSA-2048 keys is two secrets and four calls of Secrets Manager', async () => {
      const clients = account.clients();
      const keys = keysFor(60, () => rsa);
      const secrets = await open(clients).store(keys);
      expect(await mine()).toHaveLength(2);
      expect(new Set(secrets.map((secret) => secret.split('#')[0])).size).toBe(2);
      const vault = open(clients);
      const read = await Promise.all(secrets.map((secret) => vault.read(secret)));
      for (const one of read) expect(one).toEqual(rsa);
      const asked = clients.calls.filter((name) => /Secret/.test(name));
      expect(asked.toSorted()).toEqual([
        'CreateSecretCommand',
        'CreateSecretCommand',
        'GetSecretValueCommand',
        'GetSecretValueCommand',
      ]);
    });

    test('short keys are as many as a transaction of the index takes', async () => {
      const secrets = await open().store(keysFor(200, () => key(48)));
      expect(await mine()).toHaveLength(3);
      expect(new Set(secrets).size).toBe(200);
    });

    test('a key that fits into no secret is said to be so, by its name', async () => {
      const large = { domain: 'large.example', selector: '240128', privateKey: key(60_000) };
      await expect(open().store([...keysFor(2), large])).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringMatching(/240128 of large\.example has 60000 bytes/),
      });
      expect(await mine()).toEqual([]);
    });

    test.each([
      ['no/domain', '240128'],
      ['example.org', 'a#b'],
      ['', ''],
    ])('takes no names that a reference could not bear: %s, %s', async (domain, selector) => {
      await expect(put(open(), domain, selector, key())).rejects.toMatchObject({ code: 'invalid' });
      expect(await open().find(domain, selector)).toBeUndefined();
    });
  });

  test('a secret is written once, and deleted after its last key; then nothing is left in the table', async () => {
    await account.emptyTable();
    const clients = account.clients();
    const vault = open(clients);
    const keys = keysFor(3);
    const secrets = await vault.store(keys);
    const [shard = ''] = await mine();
    for (const [n, secret] of secrets.entries()) {
      expect(await account.isScheduled(shard)).toBe(false);
      for (const [later, one] of secrets.entries())
        if (later >= n) expect(await vault.read(one)).toEqual(keys[later]?.privateKey);
      await vault.destroy(secret);
      expect((await listed(vault)).map((one) => one.secret).toSorted()).toEqual(
        secrets.slice(n + 1).toSorted(),
      );
    }
    expect(await account.isScheduled(shard)).toBe(true);
    expect(await account.items()).toEqual([]);
    expect(new Set(clients.calls.filter((name) => /Secret/.test(name)))).toEqual(
      new Set(['CreateSecretCommand', 'GetSecretValueCommand', 'ListSecretsCommand', 'DeleteSecretCommand']),
    );
  });

  describe.each(['before', 'after'] as const)('a worker that dies %s', (when) => {
    /** Dies at every call of `work` in turn; `afterwards` looks at what is left. */
    const dying = async (
      prepare: () => Promise<(vault: Vault) => Promise<unknown>>,
      afterwards: (n: number, call: string) => Promise<void>,
    ): Promise<number> => {
      for (let n = 0; ; n += 1) {
        await account.emptyTable();
        prefix = `selkie-${randomUUID()}`;
        const work = await prepare();
        const clients = account.clients();
        clients.dieAt(n, when);
        const outcome = await work(open(clients)).then(
          () => 'done',
          (error: unknown) => error,
        );
        if (clients.calls.length <= n) return n;
        if (outcome !== 'done') expect(outcome).toMatchObject({ code: 'unavailable' });
        await afterwards(n, clients.calls[n] ?? '');
      }
    };

    /** All that is stored is listed, and once it is destroyed nothing is left, but for what the next hours take away. */
    const nothingIsLost = async (keys: readonly NewSecret[]): Promise<void> => {
      const vault = open();
      const secrets = await vault.store(keys);
      for (const secret of secrets) expect((await vault.read(secret)).length).toBe(121);
      const all = (await listed(vault)).map(({ secret }) => secret);
      expect(all).toEqual(expect.arrayContaining([...secrets]));
      for (const secret of all) await vault.destroy(secret);
      expect(await mine()).toEqual([]);
      // What was begun and never stored is taken away by somebody's next call.
      now = add(now, hours(2));
      await vault.destroy(await put(vault, 'next.example', '240128', key()));
      expect(await mine()).toEqual([]);
      expect(await account.items()).toEqual([]);
    };

    test('any call of storing', { timeout: 120_000 }, async () => {
      let keys: NewSecret[] = [];
      const calls = await dying(
        async () => {
          keys = keysFor(2);
          return (vault) => vault.store(keys);
        },
        () => nothingIsLost(keys),
      );
      expect(calls).toBeGreaterThanOrEqual(5);
    });

    test('any call of storing again what is there', { timeout: 120_000 }, async () => {
      let keys: NewSecret[] = [];
      let before: readonly string[] = [];
      await dying(
        async () => {
          keys = keysFor(3);
          before = await open().store(keys.slice(0, 2));
          return (vault) => vault.store(keys);
        },
        async () => {
          expect((await open().store(keys)).slice(0, 2)).toEqual(before);
          await nothingIsLost(keys);
        },
      );
    });

    test('any call of destroying the last key but one, and the last', { timeout: 120_000 }, async () => {
      for (const last of [false, true]) {
        let secrets: readonly string[] = [];
        await dying(
          async () => {
            secrets = await open().store(keysFor(2));
            if (last) await open().destroy(secrets[1] ?? '');
            return (vault) => vault.destroy(secrets[0] ?? '');
          },
          async () => {
            if (!last) expect((await open().read(secrets[1] ?? '')).length).toBe(121);
            for (const secret of secrets) await open().destroy(secret);
            expect(await mine()).toEqual([]);
            expect(await account.items()).toEqual([]);
          },
        );
      }
    });
  });

  test('a worker that comes back to what it began long ago loses nothing', async () => {
    // It stands still between the index and the secret, for longer than others wait for it.
    const slow = account.clients();
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    slow.secrets.middlewareStack.add(
      (next, context) => async (args) => {
        if (context.commandName === 'CreateSecretCommand') {
          reached.resolve();
          await gate.promise;
        }
        return next(args);
      },
      { step: 'initialize', priority: 'high' },
    );
    const [one, two] = keysFor(2);
    if (one === undefined || two === undefined) throw new Error('unreachable');
    const late = open(slow).store([one, two]);
    await reached.promise;
    now = add(now, hours(3));
    const others = await open().store([{ ...one, privateKey: key() }]);
    gate.resolve();
    const [mineOne = '', mineTwo = ''] = await late;
    const vault = open();
    // Both go on with what they were given; the ledger decides, and what loses is destroyed.
    expect(await vault.read(mineOne)).toEqual(one.privateKey);
    await vault.destroy(mineOne);
    expect(await vault.read(mineTwo)).toEqual(two.privateKey);
    expect((await listed(vault)).map(({ secret }) => secret).toSorted()).toEqual(
      [mineTwo, others[0]].toSorted(),
    );
    await vault.destroy(mineTwo);
    expect((await listed(vault)).map(({ secret }) => secret)).toEqual([others[0]]);
  });

  test('a table that was restored to an earlier time is made up from the shards', async () => {
    const keys = keysFor(3);
    const secrets = await open().store(keys);
    await account.emptyTable();
    const vault = open();
    for (const [n, secret] of secrets.entries())
      expect(await vault.read(secret)).toEqual(keys[n]?.privateKey);
    expect((await listed(vault)).map(({ secret }) => secret)).toEqual(secrets);
    const [shard = ''] = await mine();
    await vault.destroy(secrets[0] ?? '');
    expect(await account.isScheduled(shard)).toBe(false);
    expect((await listed(vault)).map(({ secret }) => secret).toSorted()).toEqual(secrets.slice(1).toSorted());
    for (const secret of secrets) await vault.destroy(secret);
    expect(await account.isScheduled(shard)).toBe(true);
    expect(await account.items()).toEqual([]);
  });

  test('shards that fail do not keep the others from being stored', async () => {
    const clients = account.clients();
    let made = 0;
    clients.secrets.middlewareStack.add(
      (next, context) => async (args) => {
        if (context.commandName === 'CreateSecretCommand' && made++ === 0)
          throw Object.assign(new Error('slow down'), { name: 'ThrottlingException' });
        return next(args);
      },
      { step: 'initialize', priority: 'high' },
    );
    const keys = keysFor(100);
    const error: unknown = await open(clients)
      .store(keys)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'throttled',
      message: expect.stringMatching(/selector 240128 of d\d+\.\S+ and \d+ more keys/),
    });
    const found = await Promise.all(keys.map(({ domain, selector }) => open().find(domain, selector)));
    expect(found.filter((secret) => secret !== undefined).length).toBeGreaterThanOrEqual(10);
    expect(await mine()).toHaveLength(1);
    // Again, and all are there.
    const secrets = await open().store(keys);
    for (const [n, secret] of secrets.entries())
      expect(await open().read(secret)).toEqual(keys[n]?.privateKey);
    expect(await mine()).toHaveLength(2);
  });

  test('an error bears nothing of a key', async () => {
    const clients = account.clients();
    clients.dieAt(0, 'before');
    const keys = keysFor(2);
    const error: unknown = await open(clients)
      .store(keys)
      .catch((thrown: unknown) => thrown);
    const text = `${String(error)} ${JSON.stringify(error)} ${error instanceof Error ? error.stack : ''}`;
    for (const { privateKey } of keys)
      for (const form of ['hex', 'base64', 'latin1'] as const)
        expect(text).not.toContain(Buffer.from(privateKey).toString(form).slice(0, 12));
  });

  test.each([
    ['another prefix', (secret: string) => secret.replace(prefix, 'other')],
    ['no key', (secret: string) => secret.split('#')[0] ?? ''],
    ['two keys', (secret: string) => `${secret}#a.example/b`],
    ['a name that is none', (secret: string) => `${secret.split('#')[0]}#../..`],
    ['another shard', (secret: string) => secret.replace(/shard\/[^#]+/, `shard/${randomUUID()}`)],
  ])('a reference with %s is nothing that it has', async (_, change) => {
    const vault = open();
    const secret = await put(vault, 'refer.example', '240128', key());
    await expect(vault.read(change(secret))).rejects.toMatchObject({ code: 'not-found' });
    await vault.destroy(change(secret));
    expect((await vault.read(secret)).length).toBe(121);
  });

  test('a secret that is no shard is not read as one', async () => {
    const id = randomUUID();
    const { secrets } = account.clients();
    await secrets.send(
      new CreateSecretCommand({
        Name: `${prefix}/shard/${id}`,
        SecretBinary: key(),
        ClientRequestToken: id,
      }),
    );
    await expect(open().read(`${prefix}/shard/${id}#a.example/240128`)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining(id),
    });
  });
});
