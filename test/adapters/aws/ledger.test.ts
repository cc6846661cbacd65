import { Agent } from 'node:http';
import {
  type AttributeValue,
  DynamoDBClient,
  RestoreTableToPointInTimeCommand,
  ScanCommand,
  TransactionCanceledException,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDynamoLedger, noteReplaced } from '../../../adapters/aws/ledger.ts';
import { refusalOf, transactionOf } from '../../../adapters/aws/ledger-commit.ts';
import { domainItem, dueBefore, entryItem, requestItem, sizeOf } from '../../../adapters/aws/ledger-items.ts';
import { ledgerTable } from '../../../core/table.ts';
import { days, instant, minutes } from '../../../core/time.ts';
import type { Commit, Ledger } from '../../../engine/ports.ts';
import { ledgerContract } from '../../contracts/ledger.ts';
import { domainRow, hostRow, logEntry, requestRow, t } from '../../contracts/ledger-rows.ts';
import { freePort } from '../../tools/free-port.ts';
import { createTable } from '../../tools/ledger-table.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

const full: Commit = {
  domains: [domainRow('a.example.com', { version: 3 })],
  hosts: [hostRow('mx1')],
  append: { pool: 'main', ...logEntry(7) },
  request: requestRow('a.example.com', 'k'),
  reserve: [{ domain: 'a.example.com', selector: '240128' }],
};

test('a request expires 30 days after it, in the seconds that DynamoDB reads', () => {
  const row = requestRow('a.example.com', 'k');
  expect(requestItem(row)[ledgerTable.expires]).toEqual({ N: String((row.at + days(30) + 995) / 1_000) });
});

describe('a transaction that DynamoDB cancelled', () => {
  const parts = transactionOf('ledger', full);
  const meaning = (reasons: Readonly<Record<number, string>>) =>
    refusalOf(
      new TransactionCanceledException({
        message: 'Transaction cancelled',
        $metadata: { httpStatusCode: 400 },
        CancellationReasons: parts.map((_, index) => ({ Code: reasons[index] ?? 'None' })),
      }),
      parts,
    );
  const last = parts.length - 1;
  const failed = 'ConditionalCheckFailed';

  test.each<[string, Readonly<Record<number, string>>, string, RegExp]>([
    ['a domain', { 0: failed }, 'conflict', /domain a\.example\.com is no longer at version 3/],
    ['a host', { 1: failed }, 'conflict', /host mx1 has a row already/],
    ['the epoch', { 2: failed }, 'conflict', /the epoch is no longer 1/],
    ['the last number', { 3: failed }, 'conflict', /7 is not the next number of pool main/],
    ['the request', { 5: failed }, 'conflict', /Idempotency-Key was answered before/],
    [
      'the selector alone',
      { [last]: failed },
      'exists',
      /selector 240128 of a\.example\.com was used before/,
    ],
    ['the selector and the host', { [last]: failed, 1: failed }, 'conflict', /host mx1/],
    ['another transaction at a row', { 0: 'TransactionConflict' }, 'conflict', /TransactionConflict/],
    [
      'another transaction at the selector',
      { [last]: 'TransactionConflict' },
      'conflict',
      /TransactionConflict/,
    ],
    [
      'another transaction, and a selector that was used',
      { 0: 'TransactionConflict', [last]: failed },
      'conflict',
      /TransactionConflict/,
    ],
    ['too many requests', { 0: 'ThrottlingError' }, 'throttled', /ThrottlingError/],
    ['the throughput', { 1: 'ProvisionedThroughputExceeded' }, 'throttled', /Throughput/],
    ['a right', { 2: 'AccessDenied' }, 'denied', /AccessDenied/],
  ])('for %s', (_, reasons, code, message) => {
    const error = meaning(reasons);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test.each([
    ['TransactionInProgressException', 400, 'conflict'],
    ['ProvisionedThroughputExceededException', 400, 'throttled'],
    ['ThrottlingException', 400, 'throttled'],
    ['InternalServerError', 500, 'unavailable'],
    ['AccessDeniedException', 400, 'denied'],
  ])('%s', (name, httpStatusCode, code) => {
    const error = Object.assign(new Error(name), { name, $metadata: { httpStatusCode } });
    expect(refusalOf(error, parts).code).toBe(code);
  });
});

describe('items', () => {
  test('are never due early, and due in the very millisecond', () => {
    const dueAt = domainItem(domainRow('a.example.com', { wakeAt: instant(1_000) })).dueAt?.S ?? '';
    expect(dueAt < dueBefore(instant(1_000))).toBe(true);
    expect(dueAt < dueBefore(instant(999))).toBe(false);
    const between = domainItem(domainRow('a.example.com', { wakeAt: instant(1_000.5) })).dueAt?.S ?? '';
    expect(between < dueBefore(instant(1_000))).toBe(false);
    expect(between < dueBefore(instant(1_001))).toBe(true);
  });

  test('a row without wakeAt has nothing of the due index', () => {
    expect(Object.keys(domainItem(domainRow('a.example.com')))).toEqual(['pk', 'sk', 'version', 'body']);
  });

  test('sizes count names and UTF-8', () => {
    expect(sizeOf({ pk: { S: 'ü🦭' }, n: { N: '12' } })).toBe(2 + 6 + 1 + 2);
  });

  test('one too large, or all together, is a clear error before it is sent', () => {
    const row = (name: string, size: number) =>
      domainRow(name, { taken: [{ at: t(0), selector: 's', reason: 'x'.repeat(size) }] });
    expect(() => transactionOf('t', { domains: [row('a.example.com', 400 * 1_024)] })).toThrow(
      /the row of domain a\.example\.com is 409\d{3} bytes.*409600/,
    );
    const domains = Array.from({ length: 11 }, (_, n) => row(`d${n}.example.com`, 380_000));
    expect(() => transactionOf('t', { domains })).toThrow(/a commit is 4\d{6} bytes.*split/);
    expect(transactionOf('t', { domains: domains.slice(0, 10) })).toHaveLength(10);
    const changes = Array(500).fill({ ...logEntry(1).changes[0], publicKey: 'x'.repeat(900) });
    expect(() => transactionOf('t', { append: { ...logEntry(1), pool: 'main', changes } })).toThrow(
      /entry 1 of pool main’s log is/,
    );
  });
});

describeWith(['moto_server'], 'on moto', () => {
  // moto's transactions are not isolated from each other while it serves several requests at once, as DynamoDB's are:
  // so all clients share one connection. Workers still meet between each one's requests. What DynamoDB answers where
  // two transactions do meet (TransactionConflict) is tested above.
  const httpAgent = new Agent({ keepAlive: true, maxSockets: 1 });
  let moto: Moto;
  let tables = 0;
  beforeAll(async () => {
    moto = await startMoto();
  });
  afterAll(async () => {
    httpAgent.destroy();
    await moto.stop();
  });

  const connect = (options: { maxAttempts?: number } = {}): DynamoDBClient =>
    new DynamoDBClient({ ...motoClient(moto.url), requestHandler: { httpAgent }, ...options });

  const freshTable = async (): Promise<string> => {
    const table = `ledger-${++tables}`;
    const client = connect();
    await createTable(client, table);
    client.destroy();
    return table;
  };

  ledgerContract('DynamoDB', async () => {
    const table = await freshTable();
    const clients = [connect(), connect()];
    const [first, second] = clients.map((client) => createDynamoLedger({ client, table }));
    if (first === undefined || second === undefined) throw new Error('unreachable');
    return {
      ledger: first,
      second: async () => second,
      close: async () => {
        for (const client of clients) client.destroy();
      },
    };
  });

  describe('what a client in the middle sees and does', () => {
    let table: string;
    let client: DynamoDBClient;
    let ledger: Ledger;
    beforeEach(async () => {
      table = await freshTable();
      client = connect({ maxAttempts: 1 });
      ledger = createDynamoLedger({ client, table });
    });

    interface Sent {
      readonly command: string;
      readonly input: Readonly<Record<string, unknown>>;
    }
    const listen = (): Sent[] => {
      const sent: Sent[] = [];
      client.middlewareStack.add(
        (next, context) => (args) => {
          sent.push({ command: String(context.commandName), input: args.input as Sent['input'] });
          return next(args);
        },
        { step: 'initialize' },
      );
      return sent;
    };

    /** Does to each HTTP answer what `change` says, within the SDK's retries. */
    const onAnswers = (to: DynamoDBClient, change: (response: Record<string, unknown>) => void): void =>
      to.middlewareStack.add(
        (next) => async (args) => {
          const result = await next(args);
          change(result.response as Record<string, unknown>);
          return result;
        },
        { step: 'deserialize', priority: 'low' },
      );
    const onDates = (dates: readonly (string | undefined)[]) => {
      const left = [...dates];
      onAnswers(client, (response) => {
        const headers = response.headers as Record<string, string>;
        const date = left.shift();
        if (date === undefined) delete headers.date;
        else headers.date = date;
      });
    };

    test('every read is consistent, but for what is due', async () => {
      const sent = listen();
      await ledger.head();
      await ledger.domain('a.example.com');
      await ledger.host('mx1');
      await ledger.request('a.example.com', 'k');
      await ledger.domains({ limit: 2 });
      await ledger.nextPlace('main');
      await ledger.log('main', 0);
      expect(sent.length).toBeGreaterThanOrEqual(7);
      for (const { input } of sent) expect(input).toMatchObject({ ConsistentRead: true });
      sent.length = 0;
      await ledger.due(t(0), 5);
      for (const { input } of sent) {
        expect(input).toMatchObject({ IndexName: 'due' });
        expect(input.ConsistentRead).toBeUndefined();
      }
    });

    test('the ledger’s time is the service’s, from the answer’s Date, and never goes back', async () => {
      onDates([
        'Sun, 28 Jan 2024 09:00:05 GMT',
        'Sun, 28 Jan 2024 09:00:04 GMT',
        'Sun, 28 Jan 2024 09:00:06 GMT',
      ]);
      expect((await ledger.head()).at).toBe(t(5_000));
      expect((await ledger.head()).at).toBe(t(5_000));
      expect((await ledger.head()).at).toBe(t(6_000));
    });

    test('without a Date there is no time: no clock of ours takes its place', async () => {
      onDates([undefined, 'soon']);
      await expect(ledger.head()).rejects.toMatchObject({ code: 'unavailable' });
      await expect(ledger.head()).rejects.toThrow(/no Date/);
    });

    test('the log ends before an entry that a query does not show yet', async () => {
      for (const n of [1, 2, 3, 4]) await ledger.commit({ append: { pool: 'main', ...logEntry(n) } });
      const hidden = entryItem('main', logEntry(2)).sk?.S;
      client.middlewareStack.add(
        (next) => async (args) => {
          const result = await next(args);
          const output = result.output as { Items?: Record<string, AttributeValue>[] };
          if (output.Items !== undefined) output.Items = output.Items.filter((item) => item.sk?.S !== hidden);
          return result;
        },
        { step: 'initialize' },
      );
      const seen = async (after: number) => (await ledger.log('main', after)).map(({ place }) => place.n);
      expect(await seen(0)).toEqual([1]);
      expect(await seen(1)).toEqual([]);
      expect(await seen(2)).toEqual([3, 4]);
    });

    const resets = () => {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    };

    test('a commit whose answer is lost is unavailable; again it is a conflict, and found done', async () => {
      let lose = true;
      onAnswers(client, () => {
        if (lose) resets();
      });
      const commit: Commit = {
        domains: [domainRow('a.example.com', { pool: 'ours' })],
        reserve: [{ domain: 'a.example.com', selector: '240128' }],
      };
      await expect(ledger.commit(commit)).rejects.toMatchObject({ code: 'unavailable' });
      lose = false;
      // Not `exists`, which would say that the selector is somebody else's.
      await expect(ledger.commit(commit)).rejects.toMatchObject({ code: 'conflict' });
      expect(await ledger.domain('a.example.com')).toMatchObject({ version: 1, pool: 'ours' });
    });

    test('the SDK’s retries bear one token, so that DynamoDB knows them for one call', async () => {
      const retrying = connect({ maxAttempts: 3 });
      const bodies: string[] = [];
      retrying.middlewareStack.add(
        (next) => (args) => {
          bodies.push(new TextDecoder().decode((args.request as { body: Uint8Array }).body));
          return bodies.length === 1 ? Promise.reject(connectionReset()) : next(args);
        },
        { step: 'finalizeRequest', priority: 'low' },
      );
      const connectionReset = () => Object.assign(new Error('reset'), { code: 'ECONNRESET' });
      const one = createDynamoLedger({ client: retrying, table });
      await one.commit({ domains: [domainRow('a.example.com')] });
      await one.commit({ domains: [domainRow('b.example.com')] });
      const tokens = bodies.map(
        (body) => (JSON.parse(body) as { ClientRequestToken?: string }).ClientRequestToken,
      );
      expect(tokens).toHaveLength(3);
      expect(tokens[0]).toMatch(/^[\w-]{8,36}$/);
      expect(tokens[1]).toBe(tokens[0]);
      expect(tokens[2]).not.toBe(tokens[0]);
      retrying.destroy();
    });

    test('the head waits out a transaction that is at it', async () => {
      let conflicts = 3;
      client.middlewareStack.add(
        // A read meets no transaction.
        (next, { commandName }) =>
          (args) =>
            commandName === 'UpdateItemCommand' && conflicts-- > 0
              ? Promise.reject(
                  Object.assign(new Error('ongoing'), {
                    name: 'TransactionConflictException',
                    $metadata: { httpStatusCode: 400 },
                  }),
                )
              : next(args),
        { step: 'finalizeRequest' },
      );
      await ledger.installFleet(5);
      conflicts = 3;
      expect((await ledger.beginRestore()).epoch).toBe(2);
      conflicts = 100;
      await expect(ledger.installFleet(6)).rejects.toMatchObject({ code: 'conflict' });
    });

    test('a copy of the table under another name is known for one, until it is brought up', async () => {
      await ledger.installFleet(5);
      const copy = `${table}-copy`;
      await client.send(
        new RestoreTableToPointInTimeCommand({ SourceTableName: table, TargetTableName: copy }),
      );
      const restored = createDynamoLedger({ client, table: copy });
      const says = `the table ${copy} was restored from a backup of ${table}`;
      expect((await restored.head()).restored).toEqual({ says });
      const { since } = await restored.beginRestore();
      expect((await restored.head()).restored).toEqual({ says, since });
      await noteReplaced({ client, table }, copy);
      const { restored: none, replacedBy } = await ledger.head();
      expect([none, replacedBy]).toEqual([undefined, copy]);
      await restored.endRestore();
      const { at: _, ...head } = await restored.head();
      expect(head).toEqual({ epoch: 2, fleetVersion: 5 });
      // The other way round it is the copy.
      const back = createDynamoLedger({ client, table });
      expect((await back.head()).replacedBy).toBe(copy);
    });

    test('an empty table that stands in for a lost one waits, and one that is in use does not', async () => {
      const standIn = createDynamoLedger({ client, table, lost: true });
      expect((await standIn.head()).restored?.says).toContain('stands in for a ledger that is lost');
      await standIn.beginRestore();
      await standIn.endRestore();
      expect((await standIn.head()).restored).toBeUndefined();
      await standIn.installFleet(5);
      expect((await standIn.head()).restored).toBeUndefined();
    });

    test('what the table holds of a commit is what the stack and people may rely on', async () => {
      await ledger.commit({
        domains: [domainRow('a.example.com', { wakeAt: t(0) })],
        append: { pool: 'main', ...logEntry(1) },
        reserve: [{ domain: 'a.example.com', selector: '240128' }],
      });
      const { Items = [] } = await client.send(new ScanCommand({ TableName: table }));
      expect(Items.map(({ pk, sk }) => `${pk?.S} ${sk?.S}`).toSorted()).toEqual([
        'domain a.example.com',
        'pool#main 0000000000000001',
        'pool#main last',
        'selector#a.example.com 240128',
      ]);
    });

    test('a missing table is not found, a missing service unavailable', async () => {
      const lost = createDynamoLedger({ client, table: 'another' });
      await expect(lost.domain('a.example.com')).rejects.toMatchObject({ code: 'not-found' });
      const nowhere = new DynamoDBClient({
        ...motoClient(`http://127.0.0.1:${await freePort()}`),
        maxAttempts: 1,
      });
      const silent = createDynamoLedger({ client: nowhere, table });
      for (const call of [
        silent.head(),
        silent.domains({ limit: 1 }),
        silent.commit({ domains: [domainRow('a.example.com')] }),
        silent.lease('zone/a', 'w', t(0), minutes(1)),
        silent.due(t(0), 1),
      ])
        await expect(call).rejects.toMatchObject({ code: 'unavailable' });
      nowhere.destroy();
    });
  });
});
