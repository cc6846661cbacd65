import { DynamoDBClient, GetItemCommand, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import {
  ChangeResourceRecordSetsCommand,
  GetChangeCommand,
  ListResourceRecordSetsCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Instant, instant, seconds } from '../../core/time.ts';
import { stream } from '../simulation/random.ts';
import { describeWith } from '../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../tools/moto.ts';
import { type AccountFacts, makeAccount } from './aws-account.ts';
import { createHostileProxy, type HostileProxy } from './hostile-proxy.ts';
import { createStrictAccount, type StrictAccount } from './strict-account.ts';

const zone = 'example.jp';
const syncDelay = seconds(20);

describeWith(['moto_server'], 'a strict AWS account', () => {
  let moto: Moto;
  let facts: AccountFacts;
  let account: StrictAccount;
  let proxy: HostileProxy;
  let route53: Route53Client;
  let dynamo: DynamoDBClient;
  let at: Instant;
  let n = 0;
  let name = '';

  beforeAll(async () => {
    moto = await startMoto();
    facts = await makeAccount(moto.url, [zone]);
    at = instant(Date.now());
    account = createStrictAccount({
      upstream: moto.url,
      now: () => at,
      zones: new Map([...facts.zoneIds].map(([zoneName, id]) => [id, zoneName])),
      syncDelay,
      watch: { answered: () => {}, changing: () => {} },
    });
    proxy = createHostileProxy({ account, random: stream(1, 'strict'), now: () => at, log: () => {} });
    const { url } = await proxy.open(false);
    route53 = new Route53Client({ ...motoClient(url), maxAttempts: 1 });
    dynamo = new DynamoDBClient({ ...motoClient(url), maxAttempts: 1 });
  }, 60_000);
  afterAll(async () => {
    proxy.close();
    await moto.stop();
  });
  beforeEach(() => {
    n += 1;
    name = `s${n}._domainkey.${zone}`;
  });

  const change = async (...changes: readonly (readonly ['CREATE' | 'DELETE', string])[]): Promise<string> => {
    const { ChangeInfo } = await route53.send(
      new ChangeResourceRecordSetsCommand({
        HostedZoneId: facts.zoneIds.get(zone),
        ChangeBatch: {
          Changes: changes.map(([Action, value]) => ({
            Action,
            ResourceRecordSet: {
              Name: name,
              Type: 'TXT',
              TTL: 60,
              ResourceRecords: [{ Value: `"${value}"` }],
            },
          })),
        },
      }),
    );
    return (ChangeInfo?.Id ?? '').replace('/change/', '');
  };
  const atMoto = async (): Promise<readonly string[]> => {
    const { ResourceRecordSets = [] } = await new Route53Client(motoClient(moto.url)).send(
      new ListResourceRecordSetsCommand({ HostedZoneId: facts.zoneIds.get(zone) }),
    );
    return ResourceRecordSets.filter(({ Name }) => Name === `${name}.`).flatMap(({ ResourceRecords = [] }) =>
      ResourceRecords.map(({ Value }) => Value ?? ''),
    );
  };

  test('refuses a CREATE over a name, and a DELETE of something else, whole', async () => {
    await change(['CREATE', 'a']);
    await expect(change(['CREATE', 'a'])).rejects.toMatchObject({ name: 'InvalidChangeBatch' });
    await expect(change(['DELETE', 'b'])).rejects.toMatchObject({ name: 'InvalidChangeBatch' });
    await expect(change(['DELETE', 'a'], ['CREATE', 'b'], ['CREATE', 'c'])).rejects.toMatchObject({
      name: 'InvalidChangeBatch',
    });
    expect(await atMoto()).toEqual(['"a"']);
  });

  test('takes a DELETE and a CREATE in one batch, the same value included', async () => {
    const first = await change(['CREATE', 'a']);
    const second = await change(['DELETE', 'a'], ['CREATE', 'a']);
    expect(second).not.toBe(first);
    expect(await atMoto()).toEqual(['"a"']);
    await change(['DELETE', 'a'], ['CREATE', 'b']);
    expect(await atMoto()).toEqual(['"b"']);
    await change(['DELETE', 'b']);
    expect(await atMoto()).toEqual([]);
    expect(account.zoneAt(zone, at).has(name)).toBe(false);
  });

  test('is PENDING for some time, and does not know what it never gave, or forgot', async () => {
    const id = await change(['CREATE', 'a']);
    const status = async (Id: string) =>
      (await route53.send(new GetChangeCommand({ Id }))).ChangeInfo?.Status;
    expect(await status(id)).toBe('PENDING');
    at = instant(at + syncDelay);
    expect(await status(id)).toBe('INSYNC');
    account.forgetChange(id);
    await expect(status(id)).rejects.toMatchObject({ name: 'NoSuchChange' });
    await expect(status('C999')).rejects.toMatchObject({ name: 'NoSuchChange' });
  });

  test('answers a transaction’s token again as before, and does it once', async () => {
    const key = { pk: { S: 'row' }, sk: { S: name } };
    const write = (ClientRequestToken: string) =>
      dynamo.send(
        new TransactWriteItemsCommand({
          ClientRequestToken,
          TransactItems: [
            {
              Put: {
                TableName: facts.table,
                Item: { ...key, token: { S: ClientRequestToken } },
                ConditionExpression: 'attribute_not_exists(pk)',
              },
            },
          ],
        }),
      );
    await write('one');
    await write('one');
    await expect(write('two')).rejects.toMatchObject({ name: 'TransactionCanceledException' });
    const { Item } = await dynamo.send(new GetItemCommand({ TableName: facts.table, Key: key }));
    expect(Item?.token?.S).toBe('one');
  });
});
