// Writes what is kept of aggregate reports into the ledger's table: the report and the count of its day in one transaction, so that
// neither a report that comes twice nor many that come at once make more of them than there may be.

import { setTimeout as sleep } from 'node:timers/promises';
import {
  type DynamoDBClient,
  TransactionCanceledException,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import type { ReportRow } from '../../core/reports/report.ts';
import { ledgerTable } from '../../core/table.ts';
import { toSelkieError } from './errors.ts';
import { checkSizes, expiry, keys, reportItem } from './ledger-items.ts';

/** Others that count a report of the same day get in the way for some milliseconds each. */
const tries = 12;
const firstPause = 10;
const longestPause = 500;

/** @throws unavailable, throttled */
export const saveReport = async (
  { client, table }: { readonly client: DynamoDBClient; readonly table: string },
  row: ReportRow,
  most: number,
): Promise<'saved' | 'known' | 'full'> => {
  const Item = reportItem(row);
  checkSizes([{ item: Item, what: `the report ${row.id} of ${row.reporter}` }]);
  const command = new TransactWriteItemsCommand({
    TransactItems: [
      {
        Put: {
          TableName: table,
          Item,
          ConditionExpression: 'attribute_not_exists(#pk)',
          ExpressionAttributeNames: { '#pk': ledgerTable.partitionKey },
        },
      },
      {
        Update: {
          TableName: table,
          Key: keys.reportsOfDay(row.domain, row.day),
          UpdateExpression: 'SET #expires = :expires ADD #n :one',
          ConditionExpression: 'attribute_not_exists(#n) OR #n < :most',
          ExpressionAttributeNames: { '#n': 'n', '#expires': ledgerTable.expires },
          ExpressionAttributeValues: {
            ':one': { N: '1' },
            ':most': { N: String(most) },
            ':expires': expiry(row.expires)[ledgerTable.expires] ?? { N: '0' },
          },
        },
      },
    ],
  });
  for (let n = 1, pause = firstPause; ; n += 1, pause = Math.min(pause * 2, longestPause)) {
    try {
      await client.send(command);
      return 'saved';
    } catch (error) {
      const codes =
        error instanceof TransactionCanceledException
          ? (error.CancellationReasons ?? []).map(({ Code }) => Code)
          : [];
      const [report, count] = codes.map((code) => code === 'ConditionalCheckFailed');
      if (report === true) return 'known';
      if (count === true) return 'full';
      if (n >= tries || !codes.includes('TransactionConflict'))
        throw toSelkieError(error, `saving a report on ${row.domain}`);
      await sleep(pause);
    }
  }
};
