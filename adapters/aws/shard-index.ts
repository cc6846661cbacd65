// Which keys a shard still holds that are not destroyed, and which shard a key is in. Items of the ledger's table, beside
// those of ledger-items.ts; touches that table alone.
//
//   pk               sk             attributes
//   shard#ID         shard          names: a set of DOMAIN/SELECTOR that are not destroyed; none: it is to be deleted
//   secret#DOMAIN    the selector   shard: where it was stored last
//   begun            TIME#ID        shard: its items are written, its secret perhaps not yet (16 digits, ms)
//
// A shard says itself what it holds (shard-form.ts), so that a table that was restored from an earlier time is made up from
// the secrets: an item that is missing says nothing.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AttributeValue,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { SelkieError } from '../../core/errors.ts';
import { ledgerTable } from '../../core/table.ts';
import { type Duration, type Instant, instant, milliseconds } from '../../core/time.ts';
import { inParallel } from '../../engine/parallel.ts';
import { spread } from '../jitter.ts';
import { cancellationReasons, toSelkieError } from './errors.ts';
import { digits, type Item } from './ledger-items.ts';
import { type KeyName, parseKeyName } from './shard-form.ts';

const { partitionKey, sortKey } = ledgerTable;

const key = (pk: string, sk: string): Item => ({ [partitionKey]: { S: pk }, [sortKey]: { S: sk } });

const shardKey = (shard: string): Item => key(`shard#${shard}`, 'shard');
const begunKey = ({ shard, at }: Begun): Item => key('begun', `${digits(at)}#${shard}`);
const secretKey = (name: KeyName): Item => {
  const parsed = parseKeyName(name);
  if (parsed === undefined) throw new SelkieError('invalid', `"${name}" is no domain and selector.`);
  return key(`secret#${parsed.domain}`, parsed.selector);
};

/** A shard whose secret is perhaps not there yet. */
export interface Begun {
  readonly shard: string;
  readonly at: Instant;
}

export interface ShardIndex {
  /** Where each name was stored last. */
  shardsOf(names: readonly KeyName[]): Promise<ReadonlyMap<KeyName, string>>;
  /** Written before the secret. @throws unavailable: others write the same names at this moment */
  begin(begun: Begun, names: readonly KeyName[]): Promise<void>;
  /** The secret is there. */
  finish(begun: Begun): Promise<void>;
  /** Shards that were begun before and that nobody finished, some of the oldest. */
  unfinished(before: Instant): Promise<readonly Begun[]>;
  /** What it holds that is not destroyed; undefined: the table has no such shard. */
  namesIn(shard: string): Promise<readonly KeyName[] | undefined>;
  /** Takes a name out. Again is the same. @returns what is left, as `namesIn` */
  take(shard: string, name: KeyName): Promise<readonly KeyName[] | undefined>;
  /** Writes the item of a shard that has none. */
  restore(shard: string, names: readonly KeyName[]): Promise<void>;
  /** The name is not in this shard any more, if it was there last. */
  leave(shard: string, name: KeyName): Promise<void>;
  /** Removes the item of a shard, whatever it holds. */
  forget(shard: string): Promise<void>;
}

/** Names looked up at once. */
const width = 16;
const tries = 6;
const mostUnfinished = 5;

const named = (error: unknown, name: string): boolean => error instanceof Error && error.name === name;

export interface ShardIndexOptions {
  readonly client: DynamoDBClient;
  /** The ledger's. */
  readonly table: string;
  /** Waits before a write that met another is tried again; given by tests. */
  readonly pause?: (length: Duration) => Promise<void>;
}

export const createShardIndex = ({
  client,
  table,
  pause = async (length) => {
    await sleep(length);
  },
}: ShardIndexOptions): ShardIndex => {
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw toSelkieError(error, what);
    }
  };

  /** Undefined where the condition did not hold. */
  const onCondition = <T>(what: string, work: () => Promise<T>): Promise<T | undefined> =>
    attempt(what, async () => {
      try {
        return await work();
      } catch (error) {
        if (named(error, 'ConditionalCheckFailedException')) return undefined;
        throw error;
      }
    });

  const get = (item: Item, what: string): Promise<Item | undefined> =>
    attempt(`reading ${what}`, async () => {
      const command = new GetItemCommand({ TableName: table, Key: item, ConsistentRead: true });
      return (await client.send(command)).Item;
    });

  const setOf = (names: readonly KeyName[]): { readonly names?: AttributeValue } =>
    // DynamoDB has no empty set.
    names.length === 0 ? {} : { names: { SS: [...names] } };

  const absent = {
    ConditionExpression: 'attribute_not_exists(#pk)',
    ExpressionAttributeNames: { '#pk': partitionKey },
  };

  /** A write that meets another one's transaction is tried again. */
  const patiently = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    for (let n = 1; ; n += 1) {
      try {
        await work();
        return;
      } catch (error) {
        const met =
          named(error, 'TransactionConflictException') ||
          cancellationReasons(error).includes('TransactionConflict');
        if (!met) throw toSelkieError(error, what);
        if (n >= tries)
          throw new SelkieError(
            'unavailable',
            `${what}: others write there at this moment; it is tried again later`,
          );
        await pause(spread(milliseconds(20 * 2 ** n)));
      }
    }
  };

  return {
    async shardsOf(names) {
      const found = await inParallel(width, names, async (name) => {
        const item = await get(secretKey(name), `where the key of ${name} is`);
        return [name, item?.shard?.S] as const;
      });
      return new Map(found.flatMap(([name, shard]) => (shard === undefined ? [] : [[name, shard]])));
    },

    begin: (begun, names) =>
      patiently('writing the index of a shard', () =>
        client.send(
          new TransactWriteItemsCommand({
            TransactItems: [
              { Put: { TableName: table, Item: { ...shardKey(begun.shard), ...setOf(names) }, ...absent } },
              { Put: { TableName: table, Item: { ...begunKey(begun), shard: { S: begun.shard } } } },
              ...names.map((name) => ({
                Put: { TableName: table, Item: { ...secretKey(name), shard: { S: begun.shard } } },
              })),
            ],
          }),
        ),
      ),

    finish: (begun) =>
      attempt('noting that a shard is stored', async () => {
        await client.send(new DeleteItemCommand({ TableName: table, Key: begunKey(begun) }));
      }),

    unfinished: (before) =>
      attempt('looking for shards that nobody finished', async () => {
        const { Items: items = [] } = await client.send(
          new QueryCommand({
            TableName: table,
            ConsistentRead: true,
            KeyConditionExpression: '#pk = :begun AND #sk < :before',
            ExpressionAttributeNames: { '#pk': partitionKey, '#sk': sortKey },
            ExpressionAttributeValues: {
              ':begun': { S: 'begun' },
              ':before': { S: digits(Math.max(0, Math.floor(before))) },
            },
            Limit: mostUnfinished,
          }),
        );
        return items.flatMap((item) => {
          const [at, shard] = [Number(item[sortKey]?.S?.split('#')[0]), item.shard?.S];
          return shard === undefined ? [] : [{ shard, at: instant(at) }];
        });
      }),

    async namesIn(shard) {
      const item = await get(shardKey(shard), `the index of shard ${shard}`);
      return item === undefined ? undefined : (item.names?.SS ?? []);
    },

    async take(shard, name) {
      const answer = await onCondition(`taking the key of ${name} out of the index`, () =>
        client.send(
          new UpdateItemCommand({
            TableName: table,
            Key: shardKey(shard),
            UpdateExpression: 'DELETE #names :name',
            ConditionExpression: 'attribute_exists(#pk)',
            ExpressionAttributeNames: { '#names': 'names', '#pk': partitionKey },
            ExpressionAttributeValues: { ':name': { SS: [name] } },
            ReturnValues: 'ALL_NEW',
          }),
        ),
      );
      return answer === undefined ? undefined : (answer.Attributes?.names?.SS ?? []);
    },

    async restore(shard, names) {
      await onCondition(`writing the index of shard ${shard} again`, () =>
        client.send(
          new PutItemCommand({ TableName: table, Item: { ...shardKey(shard), ...setOf(names) }, ...absent }),
        ),
      );
    },

    async leave(shard, name) {
      await onCondition(`forgetting where the key of ${name} is`, () =>
        client.send(
          new DeleteItemCommand({
            TableName: table,
            Key: secretKey(name),
            ConditionExpression: '#shard = :shard',
            ExpressionAttributeNames: { '#shard': 'shard' },
            ExpressionAttributeValues: { ':shard': { S: shard } },
          }),
        ),
      );
    },

    forget: (shard) =>
      attempt(`forgetting shard ${shard}`, async () => {
        await client.send(new DeleteItemCommand({ TableName: table, Key: shardKey(shard) }));
      }),
  };
};
