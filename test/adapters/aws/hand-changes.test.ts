import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll } from 'vitest';
import { createDynamoHandChanges } from '../../../adapters/aws/hand-changes.ts';
import { handChangesContract } from '../../contracts/hand-changes.ts';
import { createTable } from '../../tools/ledger-table.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

describeWith(['moto_server'], 'on moto', () => {
  let moto: Moto;
  let client: DynamoDBClient;
  let tables = 0;
  beforeAll(async () => {
    moto = await startMoto();
    client = new DynamoDBClient(motoClient(moto.url));
  }, 60_000);
  afterAll(async () => {
    client?.destroy();
    await moto?.stop();
  });
  handChangesContract('DynamoDB', async () => {
    tables += 1;
    const table = `hand-${tables}`;
    await createTable(client, table);
    const store = createDynamoHandChanges({ client, table });
    return [store, store];
  });
});
