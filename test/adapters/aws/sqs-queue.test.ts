import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type SendMessageBatchCommandInput,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSqsQueue } from '../../../adapters/aws/sqs-queue.ts';
import { parseUnit } from '../../../contract/unit.ts';
import { milliseconds, seconds } from '../../../core/time.ts';
import type { Unit } from '../../../engine/ports.ts';
import { queueContract } from '../../contracts/queue.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

const host = (n: number): Unit => ({ kind: 'host', host: `mx${n}` });

describeWith(['moto_server'], 'SQS', () => {
  let moto: Moto;
  let client: SQSClient;
  beforeAll(async () => {
    moto = await startMoto();
    client = new SQSClient({ ...motoClient(moto.url), maxAttempts: 1 });
  });
  afterAll(async () => {
    client?.destroy();
    await moto?.stop();
  });
  const makeQueue = async (): Promise<string> => {
    const made = await client.send(new CreateQueueCommand({ QueueName: `selkie-${randomUUID()}` }));
    return made.QueueUrl ?? '';
  };
  const receive = async (url: string, atLeast: number): Promise<Unit[]> => {
    const units: Unit[] = [];
    for (let empty = 0; empty < (units.length < atLeast ? 3 : 1); ) {
      const answer = await client.send(
        new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 0 }),
      );
      const messages = answer.Messages ?? [];
      if (messages.length === 0) {
        empty += 1;
        continue;
      }
      units.push(...messages.map(({ Body }) => parseUnit(Body ?? '')));
      await client.send(
        new DeleteMessageBatchCommand({
          QueueUrl: url,
          Entries: messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle })),
        }),
      );
    }
    return units;
  };

  queueContract('SQS', async () => {
    const url = await makeQueue();
    return {
      queue: createSqsQueue({ client, url }),
      receive: (atLeast) => receive(url, atLeast),
      // The delay is kept by the server's own clock.
      pass: async (length) => {
        await sleep(length);
      },
      stop: async () => {},
    };
  });

  test('a queue that is not there is not found', async () => {
    const queue = createSqsQueue({ client, url: `${moto.url}/123456789012/none` });
    await expect(queue.send([host(1)])).rejects.toMatchObject({ code: 'not-found' });
  });

  test('a unit that its reader would refuse is not sent', async () => {
    const url = await makeQueue();
    const queue = createSqsQueue({ client, url });
    await expect(queue.send([host(1), { kind: 'host', host: 'MX 2' }])).rejects.toMatchObject({
      code: 'invalid',
    });
    expect(await receive(url, 0)).toEqual([]);
  });
});

describe('SQS that refuses parts of a batch', () => {
  /** A client that answers with what `answer` says of each call's entries, by the body's place in the whole. */
  const open = (refuse: (body: string, call: number) => 'ours' | 'theirs' | 'silent' | undefined) => {
    const calls: SendMessageBatchCommandInput[] = [];
    const waits: number[] = [];
    const client = new SQSClient({ ...motoClient('http://127.0.0.1:9'), maxAttempts: 1 });
    client.middlewareStack.add(
      () => async (args) => {
        const input = args.input as SendMessageBatchCommandInput;
        calls.push(input);
        const judged = (input.Entries ?? []).map((entry) => ({
          entry,
          verdict: refuse(entry.MessageBody ?? '', calls.length),
        }));
        return {
          response: {},
          output: {
            $metadata: {},
            Successful: judged
              .filter(({ verdict }) => verdict === undefined)
              .map(({ entry }) => ({ Id: entry.Id })),
            Failed: judged
              .filter(({ verdict }) => verdict === 'ours' || verdict === 'theirs')
              .map(({ entry, verdict }) => ({
                Id: entry.Id,
                Code: 'Refused',
                SenderFault: verdict === 'ours',
              })),
          },
        };
      },
      { step: 'initialize' },
    );
    const queue = createSqsQueue({
      client,
      url: 'http://127.0.0.1:9/queue',
      pause: async (length) => {
        waits.push(length);
      },
    });
    const bodies = () =>
      calls.map(({ Entries }) => Entries?.map(({ MessageBody }) => MessageBody?.match(/mx\d+/)?.[0]));
    return { queue, calls, waits, bodies };
  };
  const count = (n: number): Unit[] => Array.from({ length: n }, (_, i) => host(i));

  test('sends tens', async () => {
    const { queue, calls } = open(() => undefined);
    await queue.send(count(25));
    expect(calls.map(({ Entries }) => Entries?.length)).toEqual([10, 10, 5]);
    expect(new Set(calls[0]?.Entries?.map(({ Id }) => Id)).size).toBe(10);
  });

  test('keeps each batch within 256 KiB', async () => {
    const { queue, calls } = open(() => undefined);
    const long = (n: number): Unit => ({
      kind: 'cohort',
      domains: Array.from(
        { length: 500 },
        (_, i) => `${'a'.repeat(60)}.${'b'.repeat(60)}.d${n}-${i}.example`,
      ),
    });
    await queue.send([1, 2, 3, 4, 5, 6].map(long));
    const sizes = calls.map(({ Entries }) =>
      (Entries ?? []).reduce((sum, { MessageBody }) => sum + (MessageBody?.length ?? 0), 0),
    );
    expect(sizes).toHaveLength(2);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(262_144);
  });

  test('rounds delays up to whole seconds', async () => {
    const { queue, calls } = open(() => undefined);
    await queue.send([host(1)]);
    await queue.send([host(1)], milliseconds(1));
    await queue.send([host(1)], seconds(30));
    expect(calls.map(({ Entries }) => Entries?.[0]?.DelaySeconds)).toEqual([0, 1, 30]);
  });

  test.each(['theirs', 'silent'] as const)('sends again only what was refused (%s)', async (verdict) => {
    const { queue, waits, bodies } = open((body, call) =>
      call < 3 && /mx[13]"/.test(body) ? verdict : undefined,
    );
    await queue.send(count(4));
    expect(bodies()).toEqual([
      ['mx0', 'mx1', 'mx2', 'mx3'],
      ['mx1', 'mx3'],
      ['mx1', 'mx3'],
    ]);
    expect(waits).toEqual([100, 400]);
  });

  test('throws what stays refused', async () => {
    const { queue, calls } = open((body) => (body.includes('mx1') ? 'theirs' : undefined));
    await expect(queue.send(count(3))).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('Refused'),
    });
    expect(calls).toHaveLength(3);
  });

  test('does not repeat what is our own fault', async () => {
    const { queue, calls } = open((body) => (body.includes('mx1') ? 'ours' : undefined));
    await expect(queue.send(count(3))).rejects.toMatchObject({ code: 'invalid' });
    expect(calls).toHaveLength(1);
  });
});
