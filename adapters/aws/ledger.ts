// The ledger in one DynamoDB table (ledger-items.ts says how it lies there). Touches that table alone, through the
// client that comes in: endpoint, credentials and retries are the client's.
//
// Reads and isolation. A GetItem is serializable with transactions, but a Query is only read-committed: it may see one
// item of a transaction that is just ending and not yet another. What a reader needs of one log entry is therefore one
// item, and `log` ends before the first number that is missing. (DynamoDB Developer Guide, "Isolation levels".)

import { setTimeout as sleep } from 'node:timers/promises';
import {
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { AuditEvent } from '../../core/audit.ts';
import { SelkieError } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import type { ReportRow } from '../../core/reports/report.ts';
import { ledgerTable } from '../../core/table.ts';
import { type Instant, instant, latest, milliseconds } from '../../core/time.ts';
import type {
  DriftReport,
  HostRow,
  Ledger,
  LedgerHead,
  LogEntry,
  RequestRow,
  TrailRow,
} from '../../engine/ports.ts';
import { checkCommit } from '../commit.ts';
import { spread } from '../jitter.ts';
import { namesOf } from '../report-name.ts';
import { toSelkieError } from './errors.ts';
import { refusalOf, transactionOf } from './ledger-commit.ts';
import {
  auditPartition,
  bodyOf,
  digits,
  driftItem,
  dueBefore,
  dueShardNames,
  type Item,
  keys,
  numberOf,
  poolPartition,
  reportPartition,
  textOf,
} from './ledger-items.ts';
import { saveReport } from './ledger-reports.ts';
import { byPlace, newestOf, newestOfAll } from './ledger-trail.ts';
import { hearDate } from './service-time.ts';

const { partitionKey, sortKey, dueIndex } = ledgerTable;

const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw toSelkieError(error, what);
  }
};

const named = (error: unknown, name: string): boolean => error instanceof Error && error.name === name;

/** As `attempt`; false where the condition did not hold. */
const onCondition = (what: string, work: () => Promise<unknown>): Promise<boolean> =>
  attempt(what, async () => {
    try {
      await work();
      return true;
    } catch (error) {
      if (named(error, 'ConditionalCheckFailedException')) return false;
      throw error;
    }
  });

/**
 * A write of the head, which every append's transaction looks at: while one does, DynamoDB refuses other writes
 * (TransactionConflictException), for some milliseconds.
 */
const patiently = async <T>(work: () => Promise<T>, tries = 8, wait = milliseconds(10)): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    if (tries <= 1 || !named(error, 'TransactionConflictException')) throw error;
    await sleep(spread(wait));
    return patiently(work, tries - 1, milliseconds(wait * 2));
  }
};

/** BETWEEN includes both its ends: the name, and a character that sorts before all that names have. */
const behindOf = (item: Item): string => `${textOf(item, sortKey)}!`;

/** Which item comes first in the due index. */
const byDueAt = (a: Item, b: Item): number =>
  textOf(a, dueIndex.sortKey) < textOf(b, dueIndex.sortKey) ? -1 : 1;

export interface DynamoLedgerOptions {
  readonly client: DynamoDBClient;
  /** The table's name; `core/table.ts` says what its attributes and index are called. */
  readonly table: string;
  /** An empty table stands in for a ledger that is lost, and nothing begins in it before it is brought up. */
  readonly lost?: boolean;
}

/** Whether the table is one that nothing may work on: the head says in which table the ledger lives. */
const stillOf = (
  item: Item | undefined,
  { table, lost = false }: DynamoLedgerOptions,
): Pick<LedgerHead, 'restored' | 'replacedBy'> => {
  const [since, home] = [numberOf(item, 'restoring'), item?.table?.S];
  const stands = (says: string): Pick<LedgerHead, 'restored'> => ({
    restored: { says, ...(since === undefined ? {} : { since: instant(since) }) },
  });
  if (home !== undefined && home !== table)
    return stands(`the table ${table} was restored from a backup of ${home}`);
  if (since !== undefined) return stands(`the table ${table} is being brought up`);
  if (lost && home === undefined && numberOf(item, 'fleetVersion') === undefined)
    return stands(`the table ${table} is empty, and stands in for a ledger that is lost`);
  const by = item?.replacedBy?.S;
  return by === undefined ? {} : { replacedBy: by };
};

/**
 * Notes in a ledger that another takes its place, so that whoever still works on it stops. Asks for UpdateItem on that table.
 * @throws not-found: the table is gone; unavailable, throttled, denied
 */
export const noteReplaced = ({ client, table }: DynamoLedgerOptions, by: string): Promise<void> =>
  attempt(`noting in ${table} that ${by} takes its place`, async () => {
    await client.send(
      new UpdateItemCommand({
        TableName: table,
        Key: keys.head,
        UpdateExpression: 'SET #by = :by',
        ExpressionAttributeNames: { '#by': 'replacedBy' },
        ExpressionAttributeValues: { ':by': { S: by } },
      }),
    );
  });

export const createDynamoLedger = (options: DynamoLedgerOptions): Ledger => {
  const { client, table } = options;
  /** The latest time that this ledger has told. Servers differ: it never goes back here, and another worker's may. */
  let told: Instant | undefined;

  const get = (key: Item, what: string): Promise<Item | undefined> =>
    attempt(`reading ${what}`, async () => {
      const command = new GetItemCommand({ TableName: table, Key: key, ConsistentRead: true });
      return (await client.send(command)).Item;
    });

  const head = async () => {
    const item = await get(keys.head, 'the ledger’s head');
    return { epoch: numberOf(item, 'epoch') ?? 1, fleetVersion: numberOf(item, 'fleetVersion') ?? 0 };
  };

  /** A query's items in order, page after page (an answer holds 1 MB at most), until there are `limit`. */
  const query = (
    what: string,
    input: Omit<QueryCommandInput, 'TableName'>,
    limit = Infinity,
  ): Promise<Item[]> =>
    attempt(`reading ${what}`, async () => {
      const items: Item[] = [];
      if (limit < 1) return items;
      let from: Item | undefined;
      do {
        const rest = limit - items.length;
        const page = await client.send(
          new QueryCommand({
            TableName: table,
            ...input,
            ...(Number.isFinite(rest) ? { Limit: rest } : {}),
            ...(from === undefined ? {} : { ExclusiveStartKey: from }),
          }),
        );
        items.push(...(page.Items ?? []));
        from = page.LastEvaluatedKey;
      } while (from !== undefined && items.length < limit);
      return items;
    });

  /** Of a partition, what lies behind a sort key; `below` ends it, where the partition holds other items too. */
  const behind = (pk: string, sk: string, below?: string): Omit<QueryCommandInput, 'TableName'> => ({
    ConsistentRead: true,
    KeyConditionExpression: `#pk = :pk AND ${below === undefined ? '#sk > :sk' : '#sk BETWEEN :sk AND :below'}`,
    ExpressionAttributeNames: { '#pk': partitionKey, '#sk': sortKey },
    ExpressionAttributeValues: {
      ':pk': { S: pk },
      ':sk': { S: sk },
      ...(below === undefined ? {} : { ':below': { S: below } }),
    },
  });

  const self: Ledger = {
    head: () =>
      attempt('reading the ledger’s head', async () => {
        const command = new GetItemCommand({ TableName: table, Key: keys.head, ConsistentRead: true });
        const date = hearDate(command);
        const { Item: item } = await client.send(command);
        const now = date();
        if (now === undefined)
          throw new SelkieError(
            'unavailable',
            'DynamoDB’s answer bore no Date, which is the ledger’s time: is there a proxy that strips it?',
          );
        told = told === undefined ? now : latest(told, now);
        return {
          at: told,
          epoch: numberOf(item, 'epoch') ?? 1,
          fleetVersion: numberOf(item, 'fleetVersion') ?? 0,
          ...stillOf(item, options),
        };
      }),

    installFleet: async (version) => {
      const installed = await onCondition('installing the fleet', () =>
        patiently(() =>
          client.send(
            new UpdateItemCommand({
              TableName: table,
              Key: keys.head,
              // Where it lives: a copy under another name is then known for one.
              UpdateExpression: 'SET #fleet = :version, #home = if_not_exists(#home, :home)',
              ConditionExpression: 'attribute_not_exists(#fleet) OR #fleet <= :version',
              ExpressionAttributeNames: { '#fleet': 'fleetVersion', '#home': 'table' },
              ExpressionAttributeValues: { ':version': { N: String(version) }, ':home': { S: table } },
            }),
          ),
        ),
      );
      if (!installed)
        throw new SelkieError(
          'stale-fleet',
          `fleet ${version} is older than the ledger’s, ${(await head()).fleetVersion}: deploy the newest one`,
        );
    },

    beginRestore: async () => {
      const { at } = await self.head();
      // An SDK retry after a lost answer finds its own work.
      await onCondition('beginning to bring the ledger up', () =>
        patiently(() =>
          client.send(
            new UpdateItemCommand({
              TableName: table,
              Key: keys.head,
              UpdateExpression: 'SET #epoch = if_not_exists(#epoch, :one) + :one, #since = :now',
              ConditionExpression: 'attribute_not_exists(#since)',
              ExpressionAttributeNames: { '#epoch': 'epoch', '#since': 'restoring' },
              ExpressionAttributeValues: { ':one': { N: '1' }, ':now': { N: String(at) } },
            }),
          ),
        ),
      );
      const { epoch, restored } = await self.head();
      return { epoch, since: restored?.since ?? at };
    },

    endRestore: () =>
      attempt('putting the ledger to use', async () => {
        await patiently(() =>
          client.send(
            new UpdateItemCommand({
              TableName: table,
              Key: keys.head,
              UpdateExpression: 'SET #home = :home REMOVE #since, #by',
              ExpressionAttributeNames: { '#home': 'table', '#since': 'restoring', '#by': 'replacedBy' },
              ExpressionAttributeValues: { ':home': { S: table } },
            }),
          ),
        );
      }),

    domain: async (domain) => bodyOf<DomainRow>(await get(keys.domain(domain), `domain ${domain}`)),
    host: async (name) => bodyOf<HostRow>(await get(keys.host(name), `host ${name}`)),
    trail: async (subject) => bodyOf<TrailRow>(await get(keys.trail(subject), `the trail of ${subject}`)),
    request: async (domain, key) =>
      bodyOf<RequestRow>(await get(keys.request(domain, key), `a request for ${domain}`)),

    audit: async (subject, { after = 0, limit }) => {
      const range = behind(auditPartition(subject), digits(after));
      const items = await query(`the audit trail of ${subject}`, range, limit);
      const events = items.map((item) => bodyOf<AuditEvent>(item)).filter((event) => event !== undefined);
      const gap = events.findIndex(({ n }, index) => n !== after + 1 + index);
      return gap === -1 ? events : events.slice(0, gap);
    },

    newestEvents: async ({ subject, before, limit }) => {
      const ask = (input: Omit<QueryCommandInput, 'TableName'>) => query('the audit trail', input, limit);
      const items =
        subject === undefined
          ? (await Promise.all(newestOfAll(before).map(ask))).flat().toSorted(byPlace).slice(0, limit)
          : await ask(newestOf(subject, before));
      return items.map((item) => bodyOf<AuditEvent>(item)).filter((event) => event !== undefined);
    },

    domains: async ({ after, limit }) => {
      // One more than asked for tells whether there is a next page. No name sorts before '!' (a key is never empty).
      const items = await query('the domains', behind('domain', after ?? '!'), limit + 1);
      const rows = items
        .slice(0, limit)
        .map((item) => bodyOf<DomainRow>(item))
        .filter((row) => row !== undefined);
      const last = rows.at(-1);
      return items.length > limit && last !== undefined ? { rows, next: last.domain } : { rows };
    },

    hostRows: async ({ after, limit }) => {
      const items = await query('the hosts', behind('host', after ?? '!'), limit + 1);
      const rows = items
        .slice(0, limit)
        .map((item) => bodyOf<HostRow>(item))
        .filter((row) => row !== undefined);
      const last = rows.at(-1);
      return items.length > limit && last !== undefined ? { rows, next: last.name } : { rows };
    },

    saveDrift: async (report) => {
      await attempt(`saving what an audit of ${report.subject} found`, () =>
        client.send(new PutItemCommand({ TableName: table, Item: driftItem(report) })),
      );
    },
    driftOf: async (subject) =>
      bodyOf<DriftReport>(await get(keys.drift(subject), `what an audit of ${subject} found`)),
    drift: async ({ after, limit }) => {
      const items = await query('what audits found', behind('drift', after ?? '!'), limit + 1);
      const reports = items
        .slice(0, limit)
        .map((item) => bodyOf<DriftReport>(item))
        .filter((report) => report !== undefined);
      const last = reports.at(-1);
      return items.length > limit && last !== undefined ? { reports, next: last.subject } : { reports };
    },

    saveReport: (row, most) => saveReport({ client, table }, row, most),
    reports: async (domain, { from, to, after, limit }) => {
      const [first, below] = namesOf(from, to);
      const range = behind(reportPartition(domain), after ?? first, below);
      const items = await query(`the reports on ${domain}`, range, limit + 1);
      const rows = items
        .slice(0, limit)
        .map((item) => bodyOf<ReportRow>(item))
        .filter((row) => row !== undefined);
      const last = items[limit - 1];
      return items.length > limit && last !== undefined ? { rows, next: behindOf(last) } : { rows };
    },

    commit: async (commit) => {
      checkCommit(commit);
      const parts = transactionOf(table, commit);
      if (parts.length === 0) return;
      try {
        const TransactItems = parts.map(({ write }) => write);
        await client.send(new TransactWriteItemsCommand({ TransactItems }));
      } catch (error) {
        throw refusalOf(error, parts);
      }
    },

    nextPlace: async (pool) => {
      const [{ epoch }, last] = await Promise.all([head(), get(keys.last(pool), `pool ${pool}`)]);
      return { epoch, n: (numberOf(last, 'n') ?? 0) + 1 };
    },

    log: async (pool, after) => {
      const range = behind(poolPartition(pool), digits(after + 1), digits(Number.MAX_SAFE_INTEGER));
      const items = await query(`the log of pool ${pool}`, range);
      const entries = items.map((item) => bodyOf<LogEntry>(item)).filter((entry) => entry !== undefined);
      const gap = entries.findIndex(({ place }, index) => place.n !== after + 1 + index);
      return gap === -1 ? entries : entries.slice(0, gap);
    },

    due: async (now, limit) => {
      const found = await Promise.all(
        dueShardNames.map((shard) =>
          query(
            'what is due',
            {
              IndexName: dueIndex.name,
              KeyConditionExpression: '#shard = :shard AND #at < :before',
              ExpressionAttributeNames: { '#shard': dueIndex.partitionKey, '#at': dueIndex.sortKey },
              ExpressionAttributeValues: { ':shard': { S: shard }, ':before': { S: dueBefore(now) } },
            },
            limit,
          ),
        ),
      );
      return found
        .flat()
        .toSorted(byDueAt)
        .slice(0, limit)
        .map((item) => ({ domain: textOf(item, sortKey), zone: textOf(item, 'zone') }));
    },

    lease: (name, holder, now, length) =>
      onCondition(`leasing ${name}`, () =>
        client.send(
          new PutItemCommand({
            TableName: table,
            Item: { ...keys.lease(name), holder: { S: holder }, until: { N: String(now + length) } },
            ConditionExpression: 'attribute_not_exists(#pk) OR #holder = :holder OR #until <= :now',
            ExpressionAttributeNames: { '#pk': partitionKey, '#holder': 'holder', '#until': 'until' },
            ExpressionAttributeValues: { ':holder': { S: holder }, ':now': { N: String(now) } },
          }),
        ),
      ),

    release: async (name, holder) => {
      await onCondition(`releasing ${name}`, () =>
        client.send(
          new DeleteItemCommand({
            TableName: table,
            Key: keys.lease(name),
            ConditionExpression: '#holder = :holder',
            ExpressionAttributeNames: { '#holder': 'holder' },
            ExpressionAttributeValues: { ':holder': { S: holder } },
          }),
        ),
      );
    },
  };
  return self;
};
