// How audit events are asked for, the newest first: of one trail by its partition, of all by the trail index, which lies in some
// shards. Touches nothing: ledger.ts sends it.

import type { QueryCommandInput } from '@aws-sdk/client-dynamodb';
import { ledgerTable } from '../../core/table.ts';
import { afterAllPlaces, numberBefore } from '../trail-place.ts';
import { auditPartition, digits, type Item, textOf, trailShardNames } from './ledger-items.ts';

const { partitionKey, sortKey, trailIndex } = ledgerTable;

type Query = Omit<QueryCommandInput, 'TableName'>;

const newest = (names: readonly [string, string], partition: string, below: string): Query => ({
  ScanIndexForward: false,
  KeyConditionExpression: '#pk = :pk AND #sk < :below',
  ExpressionAttributeNames: { '#pk': names[0], '#sk': names[1] },
  ExpressionAttributeValues: { ':pk': { S: partition }, ':below': { S: below } },
});

/** @throws invalid: `before` is no place */
export const newestOf = (subject: string, before: string | undefined): Query => ({
  ConsistentRead: true,
  ...newest([partitionKey, sortKey], auditPartition(subject), digits(numberBefore(before))),
});

/** One of each shard: together they hold what is wanted. */
export const newestOfAll = (before: string | undefined): readonly Query[] =>
  trailShardNames.map((shard) => ({
    IndexName: trailIndex.name,
    ...newest([trailIndex.partitionKey, trailIndex.sortKey], shard, before ?? afterAllPlaces),
  }));

export const byPlace = (a: Item, b: Item): number =>
  textOf(a, trailIndex.sortKey) < textOf(b, trailIndex.sortKey) ? 1 : -1;
