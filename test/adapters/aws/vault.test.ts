// The vault of a fleet on AWS: both layouts at once, the way from one to the other, and copies in another region.
import { randomBytes, randomUUID } from 'node:crypto';
import { ListSecretsCommand } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAwsVault } from '../../../adapters/aws/vault.ts';
import type { VaultLayout } from '../../../core/policy.ts';
import { days, hours, instant } from '../../../core/time.ts';
import { requestRotation } from '../../../engine/commands.ts';
import type { Vault } from '../../../engine/ports.ts';
import { openSession } from '../../../engine/world.ts';
import { put, vaultContract } from '../../contracts/vault.ts';
import { describeWith } from '../../tools/machine.ts';
import { domain, simulate } from '../../world/world.ts';
import { type Account, startAccount } from './vault-account.ts';

const key = (): Uint8Array => new Uint8Array(randomBytes(121));
const pause = async (): Promise<void> => {};

interface Choice {
  readonly prefix: string;
  readonly replicas?: readonly string[];
  readonly region?: string;
  readonly kmsKeyId?: string;
}

describeWith(['moto_server'], 'a vault of both layouts', () => {
  let account: Account;
  beforeAll(async () => {
    account = await startAccount();
  });
  afterAll(() => account?.stop());

  const open = (
    layout: VaultLayout,
    { prefix, replicas = [], region, kmsKeyId = 'alias/selkie' }: Choice,
  ): Vault => {
    const { secrets, dynamo } = account.clients(region);
    return createAwsVault({
      layout,
      replicas,
      client: secrets,
      prefix,
      kmsKeyId,
      pause,
      ledger: { client: dynamo, table: account.table, pause },
      id: randomUUID,
      now: () => instant(Date.now()),
    });
  };

  const fresh = (): string => `selkie-${randomUUID()}`;

  for (const layout of ['per-key', 'sharded'] as const)
    vaultContract(`both layouts, ${layout} for what is new,`, async () => {
      const prefix = fresh();
      return { open: () => open(layout, { prefix }) };
    });

  test.each([
    ['per-key', 'sharded'],
    ['sharded', 'per-key'],
  ] as const)(
    'from %s to %s: what is there stays where it is, what is new goes where the layout says',
    async (before, after) => {
      const prefix = fresh();
      const [first, second] = [key(), key()];
      const old = await put(open(before, { prefix }), 'example.org', '240128', first);
      const vault = open(after, { prefix });
      const young = await put(vault, 'example.org', '240428', second);
      expect(old.includes('/shard/')).toBe(before === 'sharded');
      expect(young.includes('/shard/')).toBe(after === 'sharded');
      for (const reader of [vault, open(before, { prefix })]) {
        expect(await reader.read(old)).toEqual(first);
        expect(await reader.read(young)).toEqual(second);
        expect(await reader.find('example.org', '240128')).toBe(old);
        expect(await reader.find('example.org', '240428')).toBe(young);
        const { secrets } = await reader.list({ limit: 100 });
        expect(secrets.map(({ secret }) => secret).toSorted()).toEqual([old, young].toSorted());
      }
      await vault.destroy(old);
      await expect(vault.read(old)).rejects.toMatchObject({ code: 'not-found' });
      expect(await vault.read(young)).toEqual(second);
      expect((await vault.list({ limit: 100 })).secrets.map(({ secret }) => secret)).toEqual([young]);
    },
  );

  test('a layout that changes between two rotations moves the keys, and nothing is left of the old one', {
    timeout: 240_000,
  }, async () => {
    const prefix = fresh();
    let vault = open('per-key', { prefix });
    const turning: Vault = {
      store: (keys) => vault.store(keys),
      read: (secret) => vault.read(secret),
      find: (name, selector) => vault.find(name, selector),
      destroy: (secret) => vault.destroy(secret),
      list: (options) => vault.list(options),
    };
    const simulation = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com'], turning);
    try {
      const { world } = simulation;
      const secretsOf = async () =>
        ((await world.ledger.domain(domain))?.keys ?? []).flatMap(({ evidence }) =>
          evidence.stored === undefined ? [] : [evidence.stored.secret],
        );
      await simulation.run(hours(2));
      const [first = ''] = await secretsOf();
      expect(first.startsWith(`${prefix}/${domain}/`)).toBe(true);

      vault = open('sharded', { prefix });
      await requestRotation(world, await openSession(world), domain, {});
      await simulation.run(hours(2));
      const [, second = ''] = await secretsOf();
      expect(second.startsWith(`${prefix}/shard/`)).toBe(true);
      // Old and new side by side, for as long as mail in flight may need the old one's record.
      expect((await vault.list({ limit: 10 })).secrets.map(({ secret }) => secret).toSorted()).toEqual(
        [first, second].toSorted(),
      );
      await simulation.run(days(20));
      expect(await account.isScheduled(first.split('#')[0] ?? '')).toBe(true);
      expect((await vault.list({ limit: 10 })).secrets.map(({ secret }) => secret)).toEqual([second]);

      // And back.
      vault = open('per-key', { prefix });
      await requestRotation(world, await openSession(world), domain, {});
      await simulation.run(days(20));
      expect(await account.isScheduled(second.split('#')[0] ?? '')).toBe(true);
      const { secrets } = await vault.list({ limit: 10 });
      expect(secrets).toEqual([
        expect.objectContaining({ domain, secret: expect.stringContaining(`${prefix}/${domain}/`) }),
      ]);
      expect((await account.items()).filter((item) => item.includes(domain))).toEqual([]);
      const { holds } = simulation.host('mx1.example.com');
      const selector = secrets[0]?.selector;
      expect([...holds].filter(([, duty]) => duty === 'signing')).toEqual([
        [`${domain}/${selector}`, 'signing'],
      ]);
    } finally {
      simulation.close();
    }
  });

  describe.each(['per-key', 'sharded'] as const)('copies in another region, %s', (layout) => {
    const region = 'eu-central-1';
    const inRegion = async (prefix: string) => {
      const { secrets } = account.clients(region);
      const { SecretList: found = [] } = await secrets.send(
        new ListSecretsCommand({ Filters: [{ Key: 'name', Values: [`${prefix}/`] }] }),
      );
      return found;
    };

    test('are read there by the same reference, and go with the secret', async () => {
      const prefix = fresh();
      const vault = open(layout, { prefix, replicas: [region] });
      const stored = key();
      const secret = await put(vault, 'example.org', '240128', stored);
      expect(await inRegion(prefix)).toHaveLength(1);
      expect(await open(layout, { prefix, region }).read(secret)).toEqual(stored);
      await vault.destroy(secret);
      await vault.destroy(secret);
      expect(await inRegion(prefix)).toHaveLength(0);
      expect(await account.isScheduled(secret.split('#')[0] ?? '')).toBe(true);
    });

    test('a secret whose copies are not configured any more is destroyed with them', async () => {
      const prefix = fresh();
      const secret = await put(open(layout, { prefix, replicas: [region] }), 'example.org', '240128', key());
      await open(layout, { prefix }).destroy(secret);
      expect(await inRegion(prefix)).toHaveLength(0);
      expect(await account.isScheduled(secret.split('#')[0] ?? '')).toBe(true);
    });

    test.each([
      ['alias/selkie', undefined],
      ['mrk-0123', 'mrk-0123'],
      ['arn:aws:kms:eu-west-1:123456789012:key/mrk-0123', `arn:aws:kms:${region}:123456789012:key/mrk-0123`],
      ['arn:aws:kms:eu-west-1:123456789012:key/0123', undefined],
    ])('of a secret under %s are under %s', async (kmsKeyId, expected) => {
      const prefix = fresh();
      const asked: unknown[] = [];
      const { secrets, dynamo } = account.clients();
      secrets.middlewareStack.add(
        (next, context) => async (args) => {
          if (context.commandName === 'CreateSecretCommand') asked.push(args.input);
          return next(args);
        },
        { step: 'initialize', priority: 'high' },
      );
      const vault = createAwsVault({
        layout,
        replicas: [region],
        client: secrets,
        prefix,
        kmsKeyId,
        pause,
        ledger: { client: dynamo, table: account.table, pause },
        id: randomUUID,
        now: () => instant(Date.now()),
      });
      await put(vault, 'example.org', '240128', key());
      expect(asked).toEqual([
        expect.objectContaining({
          KmsKeyId: kmsKeyId,
          AddReplicaRegions: [{ Region: region, ...(expected === undefined ? {} : { KmsKeyId: expected }) }],
        }),
      ]);
    });
  });
});
