// How the ledger's rows lie in its DynamoDB table: one item each, the row as JSON beside the attributes that conditions
// and the due index read. Pure: no client, no network.
//
//   pk            sk             holds
//   head          head           epoch, fleetVersion
//   domain        NAME           v, body, zone; dueShard and dueAt where it is due some time
//   host          NAME           v, body
//   selector#DOM  SELECTOR       (that it was used, for ever)
//   pool#POOL     last           n: the last number of the pool's log
//   log#POOL      N, padded      body: one transaction's changes
//   request#DOM   k#KEY          body
//   lease         NAME           holder, until
//
// A log entry is one item: a Query is only read-committed against transactions, so that of two items written together
// one may be seen before the other. Numbers have no gaps, so what is not yet readable in order shows as a gap.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html (isolation levels)

import { createHash } from 'node:crypto';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { SelkieError } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import { dueShards, ledgerTable } from '../../core/table.ts';
import type { Instant } from '../../core/time.ts';
import type { HostRow, LogEntry, RequestRow } from '../../engine/ports.ts';

export type Item = Record<string, AttributeValue>;

export const key = (pk: string, sk: string): Item => ({
  [ledgerTable.partitionKey]: { S: pk },
  [ledgerTable.sortKey]: { S: sk },
});

export const headKey = key('head', 'head');
export const lastKey = (pool: string): Item => key(`pool#${pool}`, 'last');

/** Numbers whose order as text is their order. */
const padded = (n: number): string => String(Math.floor(n)).padStart(16, '0');
export const logPartition = (pool: string): string => `log#${pool}`;
export const logSort = padded;

const number = (n: number): AttributeValue => ({ N: String(n) });

/** Less than the 400 KB that an item may have. */
const largestBody = 390_000;

const body = (what: string, value: unknown): AttributeValue => {
  const text = JSON.stringify(value);
  if (new TextEncoder().encode(text).length > largestBody)
    throw new SelkieError('invalid', `${what} is larger than the ledger can hold in one item (400 KB)`);
  return { S: text };
};

export const numberIn = (item: Item | undefined, name: string): number | undefined =>
  item?.[name]?.N === undefined ? undefined : Number(item[name].N);

/** The body was written by this file from the same type. */
export const bodyOf = <T>(item: Item | undefined): T | undefined =>
  item?.body?.S === undefined ? undefined : (JSON.parse(item.body.S) as T);

/** FNV-1a of the zone: a zone's domains are due in one shard. */
const shardOf = (zone: string): string => {
  let hash = 0x811c9dc5;
  for (const char of zone) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return String((hash >>> 0) % dueShards);
};

export const shards: readonly string[] = Array.from({ length: dueShards }, (_, n) => String(n));

/** After every domain that is due at `at`, and before those that are due later. */
export const dueBound = (at: Instant): string => `${padded(at)}~`;

export const domainItem = (row: DomainRow): Item => {
  const { partitionKey, sortKey } = ledgerTable.dueIndex;
  return {
    ...key('domain', row.domain),
    v: number(row.version),
    zone: { S: row.zone },
    body: body(`the row of ${row.domain}`, row),
    ...(row.wakeAt === undefined
      ? {}
      : {
          [partitionKey]: { S: shardOf(row.zone) },
          [sortKey]: { S: `${padded(row.wakeAt)}#${row.domain}` },
        }),
  };
};

export const hostItem = (row: HostRow): Item => ({
  ...key('host', row.name),
  v: number(row.version),
  body: body(`the row of host ${row.name}`, row),
});

export const entryItem = (pool: string, entry: LogEntry): Item => ({
  ...key(logPartition(pool), logSort(entry.place.n)),
  body: body(`entry ${entry.place.n} of the log of pool ${pool}`, entry),
});

/** A sort key holds 1 to 1,024 bytes; what a client sends may be anything. */
export const requestKey = (domain: string, idempotencyKey: string): Item =>
  key(`request#${domain}`, createHash('sha256').update(idempotencyKey).digest('base64url'));

export const requestItem = (row: RequestRow): Item => ({
  ...requestKey(row.domain, row.idempotencyKey),
  body: body('a request', row),
});
