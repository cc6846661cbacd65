// What people were asked to change in zones that no program can change, as items of the ledger's table beside those of
// ledger-items.ts: pk `hand#ZONE`, sk the change's id; version, body. Calls dynamodb:Query, GetItem, PutItem and DeleteItem.
import {
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  paginateQuery,
} from '@aws-sdk/client-dynamodb';
import { ledgerTable } from '../../core/table.ts';
import type { HandChange, HandChanges } from '../../engine/ports.ts';
import { toSelkieError } from './errors.ts';
import type { Item } from './ledger-items.ts';

const { partitionKey, sortKey } = ledgerTable;

const partition = (zone: string): string => `hand#${zone}`;
const key = (zone: string, id: string): Item => ({
  [partitionKey]: { S: partition(zone) },
  [sortKey]: { S: id },
});

const read = (zone: string, item: Item): HandChange => ({
  zone,
  id: item[sortKey]?.S ?? '',
  version: Number(item.version?.N),
  items: JSON.parse(item.body?.S ?? '[]'),
});

export const createDynamoHandChanges = ({
  client,
  table,
}: {
  readonly client: DynamoDBClient;
  readonly table: string;
}): HandChanges => {
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw toSelkieError(error, what);
    }
  };
  return {
    of: (zone) =>
      attempt(`reading what is asked for by hand in ${zone}`, async () => {
        const found: HandChange[] = [];
        const pages = paginateQuery(
          { client },
          {
            TableName: table,
            ConsistentRead: true,
            KeyConditionExpression: '#pk = :zone',
            ExpressionAttributeNames: { '#pk': partitionKey },
            ExpressionAttributeValues: { ':zone': { S: partition(zone) } },
          },
        );
        for await (const { Items: items = [] } of pages) found.push(...items.map((item) => read(zone, item)));
        return found;
      }),

    find: (zone, id) =>
      attempt(`reading the change ${id} of ${zone}`, async () => {
        const command = new GetItemCommand({ TableName: table, Key: key(zone, id), ConsistentRead: true });
        const { Item: item } = await client.send(command);
        return item === undefined ? undefined : read(zone, item);
      }),

    save: ({ zone, id, version, items }) =>
      attempt(`writing the change ${id} of ${zone}`, async () => {
        const condition =
          version === 0
            ? {
                ConditionExpression: 'attribute_not_exists(#pk)',
                ExpressionAttributeNames: { '#pk': partitionKey },
              }
            : {
                ConditionExpression: '#version = :version',
                ExpressionAttributeNames: { '#version': 'version' },
                ExpressionAttributeValues: { ':version': { N: String(version) } },
              };
        await client.send(
          new PutItemCommand({
            TableName: table,
            Item: {
              ...key(zone, id),
              version: { N: String(version + 1) },
              body: { S: JSON.stringify(items) },
            },
            ...condition,
          }),
        );
      }),

    remove: (zone, id) =>
      attempt(`forgetting the change ${id} of ${zone}`, async () => {
        await client.send(new DeleteItemCommand({ TableName: table, Key: key(zone, id) }));
      }),
  };
};
