// The queue on SQS: the sending side alone; Lambda's event source does the receiving. Calls sqs:SendMessage.
import { setTimeout as sleep } from 'node:timers/promises';
import { SendMessageBatchCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { formatUnit } from '../../contract/unit.ts';
import { SelkieError } from '../../core/errors.ts';
import { type Duration, milliseconds, seconds } from '../../core/time.ts';
import type { Queue } from '../../engine/ports.ts';
import { requireDelay } from '../queue-delay.ts';
import { toSelkieError } from './errors.ts';

export interface SqsQueueOptions {
  readonly client: SQSClient;
  /** The queue's URL; a standard queue, since a FIFO queue takes no delay for each message. */
  readonly url: string;
  /** Waits before a refused part is sent again; given by tests. */
  readonly pause?: (length: Duration) => Promise<void>;
}

/** What one SendMessageBatch takes. The service's limit on bytes is 256 KiB at the least; a unit of 1,000 names is near 250. */
const batchLimit = { messages: 10, bytes: 256 * 1_024 };

/** Waits before parts that were refused are sent again. */
const pauses: readonly Duration[] = [milliseconds(100), milliseconds(400)];

/** In the order they came, each batch within the limits. @throws invalid where one body alone is too long */
const batches = (bodies: readonly string[]): string[][] => {
  const made: string[][] = [];
  let room = 0;
  for (const body of bodies) {
    // Names are ASCII: a character is a byte.
    if (body.length > batchLimit.bytes)
      throw new SelkieError(
        'invalid',
        `A unit of ${body.length} bytes does not fit in a message: name fewer domains.`,
      );
    const last = made.at(-1);
    if (last === undefined || last.length === batchLimit.messages || room < body.length) {
      made.push([body]);
      room = batchLimit.bytes - body.length;
    } else {
      last.push(body);
      room -= body.length;
    }
  }
  return made;
};

/** Beside the port's errors `send` throws: invalid, where the delay is over 15 minutes or a unit is not of the right form. */
export const createSqsQueue = ({
  client,
  url,
  pause = async (length) => {
    await sleep(length);
  },
}: SqsQueueOptions): Queue => {
  /** Sends one batch; returns what the service refused, and why. */
  const attempt = async (
    bodies: readonly string[],
    delaySeconds: number,
  ): Promise<{ refused: string[]; code: string | undefined; ours: boolean }> => {
    const answer = await client.send(
      new SendMessageBatchCommand({
        QueueUrl: url,
        Entries: bodies.map((body, i) => ({
          Id: String(i),
          MessageBody: body,
          DelaySeconds: delaySeconds,
        })),
      }),
    );
    // Whatever is not said to be sent, is not: sending twice is allowed, losing is not.
    const sent = new Set(answer.Successful?.map(({ Id }) => Id));
    const [failed] = answer.Failed ?? [];
    return {
      refused: bodies.filter((_, i) => !sent.has(String(i))),
      code: failed?.Code,
      ours: answer.Failed?.some(({ SenderFault }) => SenderFault === true) ?? false,
    };
  };

  const sendBatch = async (bodies: readonly string[], delaySeconds: number): Promise<void> => {
    let result = await attempt(bodies, delaySeconds);
    for (const length of pauses) {
      if (result.refused.length === 0 || result.ours) break;
      await pause(length);
      result = await attempt(result.refused, delaySeconds);
    }
    if (result.refused.length > 0)
      throw new SelkieError(
        result.ours ? 'invalid' : 'unavailable',
        `SQS refused ${result.refused.length} of ${bodies.length} messages (${result.code ?? 'without a reason'})${result.ours ? '' : '; they are sent again later'}.`,
      );
  };

  return {
    async send(units, delay = milliseconds(0)) {
      requireDelay(delay);
      // Rounded up: a delay is a promise not to look before.
      const delaySeconds = Math.ceil(delay / seconds(1));
      const all = batches(units.map(formatUnit));
      try {
        for (const bodies of all) await sendBatch(bodies, delaySeconds);
      } catch (error) {
        throw toSelkieError(error, 'Sending units of work to SQS');
      }
    },
  };
};
