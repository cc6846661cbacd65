// Creates the ledger's DynamoDB table in an imitation of AWS, as the stack creates it in AWS.
import { CreateTableCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ledgerTable } from '../../core/table.ts';

export const createTable = async (client: DynamoDBClient, table: string): Promise<void> => {
  const { partitionKey, sortKey, dueIndex } = ledgerTable;
  const names = [partitionKey, sortKey, dueIndex.partitionKey, dueIndex.sortKey];
  const schema = (hash: string, range: string) => [
    { AttributeName: hash, KeyType: 'HASH' as const },
    { AttributeName: range, KeyType: 'RANGE' as const },
  ];
  await client.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: names.map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: schema(partitionKey, sortKey),
      GlobalSecondaryIndexes: [
        {
          IndexName: dueIndex.name,
          KeySchema: schema(dueIndex.partitionKey, dueIndex.sortKey),
          Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: [...dueIndex.projected] },
        },
      ],
    }),
  );
};
