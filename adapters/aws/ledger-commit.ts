// One commit as one DynamoDB transaction, and what its refusal means. Touches nothing: ledger.ts sends it.
//
// The conditions make a commit safe; ClientRequestToken is no substitute, for it only makes *one* call idempotent, and
// for ten minutes. The SDK makes one for each call and sends it again with each of its retries, so a transaction whose
// answer was lost is mostly answered as done. Where it is not (a later call, another worker, after ten minutes), our
// own commit meets us as `conflict`: the caller loads again and finds its work done.

import type { TransactWriteItem } from '@aws-sdk/client-dynamodb';
import type { SelkieError } from '../../core/errors.ts';
import { ledgerTable } from '../../core/table.ts';
import type { Commit } from '../../engine/ports.ts';
import { refusal } from '../commit.ts';
import { cancellationReasons, toSelkieError } from './errors.ts';
import {
  checkSizes,
  domainItem,
  entryItem,
  eventItem,
  hostItem,
  type Item,
  keys,
  requestItem,
  trailItem,
} from './ledger-items.ts';

/** One item of a transaction, and the error that it stands for where its condition fails. */
interface Part {
  readonly write: TransactWriteItem;
  readonly what: string;
  readonly refused: SelkieError;
}

const absent = {
  ConditionExpression: 'attribute_not_exists(#pk)',
  ExpressionAttributeNames: { '#pk': ledgerTable.partitionKey },
};

const unless = (version: number) =>
  version === 0
    ? absent
    : {
        ConditionExpression: '#version = :version',
        ExpressionAttributeNames: { '#version': 'version' },
        ExpressionAttributeValues: { ':version': { N: String(version) } },
      };

const appendParts = (table: string, { pool, place, changes }: NonNullable<Commit['append']>): Part[] => {
  const first = place.n === 1;
  return [
    {
      // A stale worker's place, from before a restore, may not enter the new epoch's log. Appends to two pools in the
      // same milliseconds may meet here (TransactionConflict); the loser asks for its place again.
      write: {
        ConditionCheck: {
          TableName: table,
          Key: keys.head,
          ConditionExpression: `#epoch = :epoch${place.epoch === 1 ? ' OR attribute_not_exists(#epoch)' : ''}`,
          ExpressionAttributeNames: { '#epoch': 'epoch' },
          ExpressionAttributeValues: { ':epoch': { N: String(place.epoch) } },
        },
      },
      what: 'the epoch',
      refused: refusal.epoch(pool, place.epoch),
    },
    {
      write: {
        Put: {
          TableName: table,
          Item: { ...keys.last(pool), n: { N: String(place.n) } },
          ...(first
            ? absent
            : {
                ConditionExpression: '#n = :before',
                ExpressionAttributeNames: { '#n': 'n' },
                ExpressionAttributeValues: { ':before': { N: String(place.n - 1) } },
              }),
        },
      },
      what: `the last number of pool ${pool}`,
      refused: refusal.place(pool, place.n),
    },
    {
      write: { Put: { TableName: table, Item: entryItem(pool, { place, changes }), ...absent } },
      what: `entry ${place.n} of pool ${pool}’s log`,
      refused: refusal.place(pool, place.n),
    },
  ];
};

const put = (table: string, item: Item, condition: object, what: string, refused: SelkieError): Part => ({
  write: { Put: { TableName: table, Item: item, ...condition } },
  what,
  refused,
});

/**
 * The parts of a transaction, in any order: each names another item.
 * @throws invalid where an item, or all of them, is larger than DynamoDB takes
 */
export const transactionOf = (table: string, commit: Commit): readonly Part[] => {
  const { domains = [], hosts = [], trails = [], reserve = [], append, request, audit = [] } = commit;
  const parts = [
    ...domains.map((row) =>
      put(
        table,
        domainItem({ ...row, version: row.version + 1 }),
        unless(row.version),
        `the row of domain ${row.domain}`,
        refusal.row('domain', row.domain, row.version),
      ),
    ),
    ...hosts.map((row) =>
      put(
        table,
        hostItem({ ...row, version: row.version + 1 }),
        unless(row.version),
        `the row of host ${row.name}`,
        refusal.row('host', row.name, row.version),
      ),
    ),
    ...trails.map((row) =>
      put(
        table,
        trailItem({ ...row, version: row.version + 1 }),
        unless(row.version),
        `the row of trail ${row.subject}`,
        refusal.row('trail', row.subject, row.version),
      ),
    ),
    ...(append === undefined ? [] : appendParts(table, append)),
    ...(request === undefined
      ? []
      : [
          put(
            table,
            requestItem(request),
            absent,
            `a request for ${request.domain}`,
            refusal.request(request.domain),
          ),
        ]),
    ...reserve.map(({ domain, selector }) =>
      put(
        table,
        keys.selector(domain, selector),
        absent,
        `selector ${selector} of ${domain}`,
        refusal.selector(domain, selector),
      ),
    ),
    ...audit.map((event) =>
      put(
        table,
        eventItem(event),
        absent,
        `event ${event.n} of ${event.subject}`,
        refusal.event(event.subject, event.n),
      ),
    ),
  ];
  checkSizes(
    parts.flatMap(({ write, what }) =>
      write.Put?.Item === undefined ? [] : [{ item: write.Put.Item, what }],
    ),
  );
  return parts;
};

/**
 * What a refused transaction means: `conflict` where any row, place or request was not as expected, or where another
 * transaction was at one of the items; `exists` only where nothing failed but selectors.
 */
export const refusalOf = (error: unknown, parts: readonly Part[]): SelkieError => {
  const reasons = cancellationReasons(error);
  if (reasons.some((reason) => reason !== 'None' && reason !== 'ConditionalCheckFailed'))
    return toSelkieError(error, 'a commit to the ledger');
  const refused = parts
    .filter((_, index) => reasons[index] === 'ConditionalCheckFailed')
    .map((part) => part.refused);
  return (
    refused.find(({ code }) => code === 'conflict') ??
    refused[0] ??
    toSelkieError(error, 'a commit to the ledger')
  );
};
