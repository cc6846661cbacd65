// The DynamoDB ledger against moto_server, through the real SDK client.
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll } from 'vitest';
import { createDynamoLedger } from '../../../adapters/aws/ledger.ts';
import { ledgerContract } from '../../contracts/ledger.ts';
import { createTable } from '../../tools/ledger-table.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

/**
 * One request at a time, over all clients: moto answers a refused transaction by putting back its whole state of before,
 * and what another request wrote meanwhile is lost with it. Workers still interleave between their requests.
 */
const oneAtATime = (): ((client: DynamoDBClient) => DynamoDBClient) => {
  let last: Promise<unknown> = Promise.resolve();
  return (client) => {
    client.middlewareStack.add(
      (next) => (args) => {
        const mine = last.then(() => next(args));
        last = mine.catch(() => undefined);
        return mine;
      },
      { step: 'finalizeRequest', name: 'oneAtATime', priority: 'low' },
    );
    return client;
  };
};

describeWith(['moto_server'], 'on moto', () => {
  let moto: Moto;
  let tables = 0;
  beforeAll(async () => {
    moto = await startMoto();
  });
  afterAll(() => moto.stop());

  ledgerContract('DynamoDB', async () => {
    const table = `ledger-${tables++}`;
    const clients: DynamoDBClient[] = [];
    const inTurn = oneAtATime();
    const worker = () => {
      const client = inTurn(new DynamoDBClient(motoClient(moto.url)));
      clients.push(client);
      return createDynamoLedger({ client, table });
    };
    await createTable(new DynamoDBClient(motoClient(moto.url)), table);
    return {
      ledger: worker(),
      second: async () => worker(),
      close: async () => {
        for (const client of clients) client.destroy();
      },
    };
  });
});
