// An account of moto for suites of the vault: clients whose calls are counted, refused where the service would, and cut off
// where a test wants a worker to die.
import {
  DeleteItemCommand,
  DynamoDBClient,
  type DynamoDBClientConfig,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import {
  DescribeSecretCommand,
  ListSecretsCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { ledgerTable } from '../../../core/table.ts';
import { createTable } from '../../tools/ledger-table.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

export interface Clients {
  readonly secrets: SecretsManagerClient;
  readonly dynamo: DynamoDBClient;
  /** Names of the calls, in order. */
  readonly calls: string[];
  /** The worker dies at call `n` (from 0 on), before or after its effect: that call and all behind it fail. */
  dieAt(n: number, when: 'before' | 'after'): void;
}

const lost = (): Error =>
  Object.assign(new Error('the worker is gone'), { name: 'TimeoutError', code: 'ETIMEDOUT' });

/** What the service refuses and moto takes: a secret above 64 KB, whether its bytes are counted or their base64. */
const tooLarge = (input: unknown): boolean => {
  const { SecretBinary: bytes } = input as { readonly SecretBinary?: Uint8Array };
  return bytes !== undefined && Math.ceil(bytes.length / 3) * 4 > 65_536;
};

export interface Account {
  readonly table: string;
  clients(region?: string): Clients;
  /** Names of the secrets that are not scheduled for deletion. */
  secrets(): Promise<readonly string[]>;
  isScheduled(name: string): Promise<boolean>;
  /** `pk / sk` of all items of the table. */
  items(): Promise<readonly string[]>;
  /** As after a restore to a time before all of it. */
  emptyTable(): Promise<void>;
  stop(): Promise<void>;
}

export const startAccount = async (): Promise<Account> => {
  const moto: Moto = await startMoto();
  const made: { destroy(): void }[] = [];
  const table = 'ledger';
  const config = (region?: string): DynamoDBClientConfig => ({
    ...motoClient(moto.url),
    ...(region === undefined ? {} : { region }),
    // moto answers 500 now and then where two calls meet.
    maxAttempts: 3,
  });
  const plain = { secrets: new SecretsManagerClient(config()), dynamo: new DynamoDBClient(config()) };
  made.push(plain.secrets, plain.dynamo);
  await createTable(plain.dynamo, table);

  // A transaction of moto that fails takes back what others wrote meanwhile: calls of the table go one after the other.
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(send: () => Promise<T>): Promise<T> => {
    const turn = queue.then(send, send);
    queue = turn.catch(() => {});
    return turn;
  };

  const keysOf = async () => {
    const { partitionKey, sortKey } = ledgerTable;
    const { Items: items = [] } = await plain.dynamo.send(new ScanCommand({ TableName: table }));
    return items.map((item) => ({ pk: item[partitionKey]?.S ?? '', sk: item[sortKey]?.S ?? '' }));
  };

  return {
    table,
    clients: (region) => {
      const calls: string[] = [];
      let death: { readonly n: number; readonly when: 'before' | 'after' } | undefined;
      const secrets = new SecretsManagerClient(config(region));
      const dynamo = new DynamoDBClient(config(region));
      made.push(secrets, dynamo);
      const watched = async <T>(name: string, input: unknown, send: () => Promise<T>): Promise<T> => {
        const n = calls.push(name) - 1;
        if (death !== undefined && (n > death.n || (n === death.n && death.when === 'before'))) throw lost();
        if (tooLarge(input))
          throw Object.assign(new Error('Secret value is too long'), { name: 'InvalidParameterException' });
        const answer = await send();
        if (n === death?.n) throw lost();
        return answer;
      };
      secrets.middlewareStack.add(
        (next, context) => (args) => watched(String(context.commandName), args.input, () => next(args)),
        { step: 'initialize' },
      );
      dynamo.middlewareStack.add(
        (next, context) => (args) =>
          watched(String(context.commandName), args.input, () => inTurn(() => next(args))),
        { step: 'initialize' },
      );
      return {
        secrets,
        dynamo,
        calls,
        dieAt: (n, when) => {
          death = { n, when };
        },
      };
    },
    secrets: async () => {
      const names: string[] = [];
      let token: string | undefined;
      do {
        const page = await plain.secrets.send(
          new ListSecretsCommand({ MaxResults: 100, ...(token === undefined ? {} : { NextToken: token }) }),
        );
        names.push(...(page.SecretList ?? []).map(({ Name: name = '' }) => name));
        token = page.NextToken;
      } while (token !== undefined);
      return names;
    },
    isScheduled: async (name) =>
      (await plain.secrets.send(new DescribeSecretCommand({ SecretId: name }))).DeletedDate !== undefined,
    items: async () => (await keysOf()).map(({ pk, sk }) => `${pk} / ${sk}`),
    emptyTable: async () => {
      const { partitionKey, sortKey } = ledgerTable;
      for (const { pk, sk } of await keysOf())
        await plain.dynamo.send(
          new DeleteItemCommand({
            TableName: table,
            Key: { [partitionKey]: { S: pk }, [sortKey]: { S: sk } },
          }),
        );
    },
    stop: async () => {
      for (const client of made) client.destroy();
      await moto.stop();
    },
  };
};
