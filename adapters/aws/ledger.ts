// The ledger in one DynamoDB table (ledger-items.ts says how it lies there). Every write is conditional, every read but
// that of the due index is consistent. Touches the table, and the Date header of its answers.

import {
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  type GetItemCommandOutput,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { hasCode, SelkieError } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import { ledgerTable } from '../../core/table.ts';
import { type Instant, instant } from '../../core/time.ts';
import type { Commit, HostRow, Ledger, LogEntry, RequestRow } from '../../engine/ports.ts';
import { checkCommit, refusal } from '../commit.ts';
import { cancellationReasons, toSelkieError } from './errors.ts';
import {
  bodyOf,
  domainItem,
  dueBound,
  entryItem,
  headKey,
  hostItem,
  type Item,
  key,
  lastKey,
  logPartition,
  logSort,
  numberIn,
  requestItem,
  requestKey,
  shards,
} from './ledger-items.ts';

export interface DynamoLedgerOptions {
  readonly client: DynamoDBClient;
  readonly table: string;
}

const { partitionKey: pk, sortKey: sk, dueIndex } = ledgerTable;

/** Hears the service's time in each answer: its Date header, which tells whole seconds and so is up to one early. */
const hearTime = (client: DynamoDBClient): (() => Instant | undefined) => {
  let latest: Instant | undefined;
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { headers } = result.response as { headers?: Record<string, string> };
      const at = Date.parse(headers?.date ?? '');
      // Never back: answers come in any order.
      if (!Number.isNaN(at)) latest = instant(Math.max(latest ?? 0, at));
      return result;
    },
    { step: 'deserialize', name: 'selkieServiceTime', override: true },
  );
  return () => latest;
};

interface Write {
  readonly item: TransactWriteItem;
  readonly refused: () => SelkieError;
}

/** A commit as the items of one transaction, each with the sentence for its refusal. */
const writesOf = (table: string, commit: Commit): readonly Write[] => {
  const put = (item: Item, version: number | undefined): TransactWriteItem => ({
    Put: {
      TableName: table,
      Item: item,
      ...(version === undefined || version === 0
        ? { ConditionExpression: `attribute_not_exists(${pk})` }
        : { ConditionExpression: 'v = :v', ExpressionAttributeValues: { ':v': { N: String(version) } } }),
    },
  });
  const { append, request } = commit;
  return [
    ...(commit.domains ?? []).map((row) => ({
      item: put(domainItem({ ...row, version: row.version + 1 }), row.version),
      refused: () => refusal.row('domain', row.domain, row.version),
    })),
    ...(commit.hosts ?? []).map((row) => ({
      item: put(hostItem({ ...row, version: row.version + 1 }), row.version),
      refused: () => refusal.row('host', row.name, row.version),
    })),
    ...(append === undefined
      ? []
      : [
          {
            item: epochCheck(table, append.place.epoch),
            refused: () => refusal.epoch(append.pool, append.place.epoch),
          },
          { item: takeNumber(table, append), refused: () => refusal.place(append.pool, append.place.n) },
          {
            item: put(entryItem(append.pool, { place: append.place, changes: append.changes }), undefined),
            refused: () => refusal.place(append.pool, append.place.n),
          },
        ]),
    ...(request === undefined
      ? []
      : [{ item: put(requestItem(request), undefined), refused: () => refusal.request(request.domain) }]),
    ...(commit.reserve ?? []).map(({ domain, selector }) => ({
      item: put(key(`selector#${domain}`, selector), undefined),
      refused: () => refusal.selector(domain, selector),
    })),
  ];
};

/** A table that is new has no head: its epoch is the first. */
const epochCheck = (table: string, epoch: number): TransactWriteItem => ({
  ConditionCheck: {
    TableName: table,
    Key: headKey,
    ConditionExpression: epoch === 1 ? 'epoch = :e OR attribute_not_exists(epoch)' : 'epoch = :e',
    ExpressionAttributeValues: { ':e': { N: String(epoch) } },
  },
});

const takeNumber = (table: string, { pool, place }: LogEntry & { pool: string }): TransactWriteItem => ({
  Update: {
    TableName: table,
    Key: lastKey(pool),
    UpdateExpression: 'SET n = :n',
    ConditionExpression: place.n === 1 ? 'attribute_not_exists(n)' : 'n = :before',
    ExpressionAttributeValues: {
      ':n': { N: String(place.n) },
      ...(place.n === 1 ? {} : { ':before': { N: String(place.n - 1) } }),
    },
  },
});

/**
 * Of a cancelled transaction: why. `conflict` comes before `exists`: who is told `exists` may rely on everything else.
 * A commit of our own whose answer was lost and which is sent again under another token is told `conflict`; the caller
 * then loads the row and finds it as it wanted it.
 */
const refusalOf = (writes: readonly Write[], error: unknown): SelkieError => {
  const reasons = cancellationReasons(error);
  const refused = writes
    .filter((_, index) => reasons[index] === 'ConditionalCheckFailed')
    .map((write) => write.refused());
  return (
    refused.find((each) => each.code === 'conflict') ??
    (reasons.includes('TransactionConflict') ? undefined : refused[0]) ??
    toSelkieError(error, 'the ledger')
  );
};

/** The condition of a single write did not hold. */
const conditionFailed = (error: unknown): boolean =>
  error instanceof Error && error.name === 'ConditionalCheckFailedException';

export const createDynamoLedger = ({ client, table }: DynamoLedgerOptions): Ledger => {
  const serviceTime = hearTime(client);
  const TableName = table;

  const answered = async <T>(call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      throw error instanceof SelkieError ? error : toSelkieError(error, 'the ledger');
    }
  };
  const get = async (Key: Item): Promise<Item | undefined> => {
    const { Item: item }: GetItemCommandOutput = await answered(
      client.send(new GetItemCommand({ TableName, Key, ConsistentRead: true })),
    );
    return item;
  };
  const query = async (
    input: Omit<QueryCommandInput, 'TableName'>,
    most: number,
  ): Promise<readonly Item[]> => {
    const items: Item[] = [];
    let from: Item | undefined;
    do {
      const page = await answered(
        client.send(
          new QueryCommand({
            TableName,
            ...input,
            ...(Number.isFinite(most) ? { Limit: most - items.length } : {}),
            ...(from === undefined ? {} : { ExclusiveStartKey: from }),
          }),
        ),
      );
      items.push(...(page.Items ?? []));
      from = page.LastEvaluatedKey;
    } while (from !== undefined && items.length < most);
    return items;
  };
  /** Items of a partition behind a sort key, in order. */
  const behind = (partition: string, after: string, most: number): Promise<readonly Item[]> =>
    query(
      {
        ConsistentRead: true,
        KeyConditionExpression: '#p = :p AND #s > :after',
        ExpressionAttributeNames: { '#p': pk, '#s': sk },
        ExpressionAttributeValues: { ':p': { S: partition }, ':after': { S: after } },
      },
      most,
    );

  return {
    head: async () => {
      const item = await get(headKey);
      const at = serviceTime();
      if (at === undefined) throw new SelkieError('unavailable', 'the ledger does not tell its time');
      return { at, epoch: numberIn(item, 'epoch') ?? 1, fleetVersion: numberIn(item, 'fleetVersion') ?? 0 };
    },

    installFleet: async (version) => {
      try {
        await client.send(
          new UpdateItemCommand({
            TableName,
            Key: headKey,
            UpdateExpression: 'SET fleetVersion = :v',
            ConditionExpression: 'attribute_not_exists(fleetVersion) OR fleetVersion <= :v',
            ExpressionAttributeValues: { ':v': { N: String(version) } },
          }),
        );
      } catch (error) {
        if (!conditionFailed(error)) throw toSelkieError(error, 'the ledger');
        throw new SelkieError(
          'stale-fleet',
          `fleet ${version} is older than the ledger’s: deploy the newest one`,
        );
      }
    },

    beginEpoch: async () => {
      const { Attributes } = await answered(
        client.send(
          new UpdateItemCommand({
            TableName,
            Key: headKey,
            UpdateExpression: 'SET epoch = if_not_exists(epoch, :first) + :one',
            ExpressionAttributeValues: { ':first': { N: '1' }, ':one': { N: '1' } },
            ReturnValues: 'UPDATED_NEW',
          }),
        ),
      );
      return numberIn(Attributes, 'epoch') ?? 1;
    },

    domain: async (domain) => bodyOf<DomainRow>(await get(key('domain', domain))),
    host: async (name) => bodyOf<HostRow>(await get(key('host', name))),
    request: async (domain, idempotencyKey) =>
      bodyOf<RequestRow>(await get(requestKey(domain, idempotencyKey))),

    domains: async ({ after, limit }) => {
      // A sort key is never empty, so that everything is behind a space.
      const items = await behind('domain', after ?? ' ', limit + 1);
      const rows = items.slice(0, limit).flatMap((item) => bodyOf<DomainRow>(item) ?? []);
      const last = rows.at(-1);
      return items.length > limit && last !== undefined ? { rows, next: last.domain } : { rows };
    },

    commit: async (commit) => {
      checkCommit(commit);
      const writes = writesOf(table, commit);
      if (writes.length === 0) return;
      try {
        await client.send(new TransactWriteItemsCommand({ TransactItems: writes.map(({ item }) => item) }));
      } catch (error) {
        throw refusalOf(writes, error);
      }
    },

    nextPlace: async (pool) => {
      const [head, last] = await Promise.all([get(headKey), get(lastKey(pool))]);
      return { epoch: numberIn(head, 'epoch') ?? 1, n: (numberIn(last, 'n') ?? 0) + 1 };
    },

    log: async (pool, after) => {
      const items = await behind(logPartition(pool), logSort(after), Number.POSITIVE_INFINITY);
      const entries = items.flatMap((item) => bodyOf<LogEntry>(item) ?? []);
      const gap = entries.findIndex(({ place }, index) => place.n !== after + index + 1);
      return gap === -1 ? entries : entries.slice(0, gap);
    },

    due: async (now, limit) => {
      const found = await Promise.all(
        shards.map((shard) =>
          query(
            {
              IndexName: dueIndex.name,
              KeyConditionExpression: '#p = :p AND #s <= :now',
              ExpressionAttributeNames: { '#p': dueIndex.partitionKey, '#s': dueIndex.sortKey },
              ExpressionAttributeValues: { ':p': { S: shard }, ':now': { S: dueBound(now) } },
            },
            limit,
          ),
        ),
      );
      return found
        .flat()
        .map((item) => ({
          at: item[dueIndex.sortKey]?.S ?? '',
          domain: item[sk]?.S ?? '',
          zone: item.zone?.S ?? '',
        }))
        .toSorted((a, b) => (a.at < b.at ? -1 : 1))
        .slice(0, limit)
        .map(({ domain, zone }) => ({ domain, zone }));
    },

    lease: async (name, holder, now, length) => {
      try {
        await client.send(
          new PutItemCommand({
            TableName,
            Item: { ...key('lease', name), holder: { S: holder }, until: { N: String(now + length) } },
            ConditionExpression: `attribute_not_exists(${pk}) OR holder = :h OR #until <= :now`,
            ExpressionAttributeNames: { '#until': 'until' },
            ExpressionAttributeValues: { ':h': { S: holder }, ':now': { N: String(now) } },
          }),
        );
        return true;
      } catch (error) {
        if (conditionFailed(error)) return false;
        const told = toSelkieError(error, 'the ledger');
        // Another worker takes it at this moment.
        if (hasCode(told, 'conflict')) return false;
        throw told;
      }
    },

    release: async (name, holder) => {
      try {
        await client.send(
          new DeleteItemCommand({
            TableName,
            Key: key('lease', name),
            ConditionExpression: 'holder = :h',
            ExpressionAttributeValues: { ':h': { S: holder } },
          }),
        );
      } catch (error) {
        if (!conditionFailed(error)) throw toSelkieError(error, 'the ledger');
      }
    },
  };
};
