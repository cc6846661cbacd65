// Drives a deployment on an imitation of AWS as EventBridge, SQS's event source, operators and mail would: sweeps, units of
// work by two workers at once, orders with an Idempotency-Key that are repeated until they are answered, and messages
// through every host's milter, verified against every name server at once.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteMessageCommand, GetQueueAttributesCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { parseUnit } from '../../contract/unit.ts';
import { describe } from '../../core/errors.ts';
import type { DomainRow, Rotation } from '../../core/key/evidence.ts';
import { rotationState } from '../../core/key/state.ts';
import { keyRecordName } from '../../core/names.ts';
import { tick, workOn } from '../../engine/tick.ts';
import * as mailauth from '../oracles/mailauth.ts';
import type { Random } from '../simulation/random.ts';
import type { Place } from './aws-place.ts';
import type { Records } from './strict-account.ts';

export type OrderKind = 'rotate' | 'emergency' | 'unsigned emergency' | 'rollback' | 'abort';

export interface Driver {
  /** One sweep; a failed one is not repeated, the next one comes soon. */
  sweep(): Promise<void>;
  /** Waits until no unit is on the queue or at work, or `patience` milliseconds have passed. Whether it is so. */
  quiet(patience: number): Promise<boolean>;
  /** Repeats it with the same Idempotency-Key until it is answered. Resolves with the status: 202, or the refusal. */
  order(domain: string, kind: OrderKind): Promise<number>;
  /** One message for each domain on each host, verified. */
  mail(): Promise<void>;
  readonly figures: {
    readonly units: number;
    readonly failedUnits: number;
    readonly messages: number;
    readonly signatures: number;
    readonly repeatedOrders: number;
    readonly lostToDeadLetters: number;
  };
  /** Idempotency-Key → the rotations that it was answered with. */
  readonly answers: ReadonlyMap<string, ReadonlySet<string>>;
  stop(): Promise<void>;
}

/** As the stack's queue: after this many receipts a message goes to the dead letters. */
const mostReceipts = 5;
/** Tries of an order before whoever asks gives up. */
const mostTries = 40;

const joined = (records: Records): Record<string, string> =>
  Object.fromEntries(
    [...records].map(([name, set]) => [name, (set.values[0] ?? '').replaceAll(/^"|"\s*"|"$/g, '')]),
  );

export const isUnsignedNow = (row: DomainRow | undefined): boolean =>
  row?.rotations.some((rotation) => rotation.unsigned === true && rotationState(row, rotation) !== 'done') ??
  false;

export const createDriver = (place: Place, random: Random, log: (line: string) => void): Driver => {
  const { watch, sqs, queueUrl: QueueUrl } = place;
  const figures = {
    units: 0,
    failedUnits: 0,
    messages: 0,
    signatures: 0,
    repeatedOrders: 0,
    lostToDeadLetters: 0,
  };
  const answers = new Map<string, Set<string>>();
  /** Of a host and a domain: it has signed once, so from then on it always does. */
  const hasSigned = new Set<string>();
  let running = true;
  /** Consumers that are at work. */
  let busy = 0;

  const consume = async (n: number): Promise<void> => {
    const worker = place.worker(n);
    while (running) {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: 3,
          MessageSystemAttributeNames: ['ApproximateReceiveCount'],
        }),
      );
      if (Messages.length === 0) {
        await sleep(40);
        continue;
      }
      busy += 1;
      for (const { Body = '', ReceiptHandle, Attributes } of Messages) {
        figures.units += 1;
        let done = true;
        try {
          const unit = parseUnit(Body);
          await worker.use((world) => workOn(world, unit));
        } catch (error) {
          done = false;
          figures.failedUnits += 1;
          log(`unit failed: ${Body.slice(0, 120)}: ${describe(error)}`);
          watch.printed(describe(error));
        }
        const dead = !done && Number(Attributes?.ApproximateReceiveCount ?? 1) >= mostReceipts;
        if (dead) figures.lostToDeadLetters += 1;
        // SQS delivers at least once: now and then a message comes again though it was done.
        if (dead || (done && !random.chance(0.03)))
          await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle })).catch(() => {});
      }
      busy -= 1;
    }
  };
  const consumers = [consume(0), consume(1)].map((loop) =>
    loop.catch((error: unknown) => {
      if (running) watch.violate(`a consumer of the queue ended: ${describe(error)}`);
    }),
  );

  const post = async (path: string, key: string, body: object): Promise<{ status: number; id?: string }> => {
    const response = await fetch(`${place.api}/v1/domains/${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': key,
      },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    watch.printed(text);
    if (response.status !== 202) {
      log(`POST ${path}: ${response.status} ${text.slice(0, 300)}`);
      return { status: response.status };
    }
    return { status: 202, id: (JSON.parse(text) as { rotation: { id: string } }).rotation.id };
  };

  const order: Driver['order'] = async (domain, kind) => {
    const key = randomUUID();
    const path = `${domain}/${kind === 'rollback' || kind === 'abort' ? kind : 'rotations'}`;
    const body =
      kind === 'rotate' || kind === 'rollback' || kind === 'abort'
        ? {}
        : {
            kind: 'emergency',
            ...(kind === 'emergency' ? {} : { unsigned: true }),
            reason: 'said to be stolen',
          };
    const known = new Set<string>();
    answers.set(key, known);
    for (let tries = 1; ; tries += 1) {
      const asked = [post(path, key, body)];
      // Two at once: whoever asks has lost patience.
      if (random.chance(0.2)) asked.push(post(path, key, body));
      const got = await Promise.all(asked);
      for (const { id } of got) if (id !== undefined) known.add(id);
      if (known.size > 1) watch.violate(`7: the key ${key} is answered with two rotations of ${domain}`);
      const final = got.find(({ status }) => status < 500);
      if (got.some(({ status }) => status === 404))
        watch.violate(`7: an order to ${kind} ${domain} (key ${key}) is answered with 404`);
      // Now and then the answer is lost on its way to whoever asked, who asks again.
      if (final !== undefined && !random.chance(0.15)) return final.status;
      if (tries >= mostTries) return got[0]?.status ?? 0;
      figures.repeatedOrders += 1;
      await sleep(random.int(50, 300));
    }
  };

  const mailOf = async (host: string, port: number, domain: string): Promise<void> => {
    const id = randomUUID();
    const raw = `From: Jo <jo@${domain}>\r\nTo: rcpt@example.com\r\nSubject: ${id}\r\nDate: ${new Date(place.now()).toUTCString()}\r\nMessage-ID: <${id}@${domain}>\r\n\r\nHello.\r\n`;
    const { verdict, raw: out } = await sendThroughMilter(
      { host: '127.0.0.1', port },
      { macros: { i: id }, from: `jo@${domain}`, to: ['rcpt@example.com'], raw: Buffer.from(raw) },
    );
    figures.messages += 1;
    if (verdict !== 'accept') watch.violate(`3: ${host} answers a message of ${domain} with ${verdict}`);
    const views = place.views();
    const [first = {}, ...others] = views.map(joined);
    const results = await mailauth.verify(out, first);
    const row = watch.domains.get(domain);
    const wanted = place.domains.get(domain)?.algorithms.length ?? 0;
    if (results.length < wanted && hasSigned.has(`${host} ${domain}`) && !isUnsignedNow(row))
      watch.violate(`3: ${host} signs a message of ${domain} with ${results.length} of ${wanted} keys`);
    if (results.length === wanted) hasSigned.add(`${host} ${domain}`);
    for (const { selector, result } of results) {
      figures.signatures += 1;
      watch.signed(domain, selector);
      if (watch.isCompromised(domain, selector)) continue;
      const name = keyRecordName(selector, domain);
      if (result !== 'pass')
        watch.violate(`1: a message that ${host} signed with ${name} does not verify: ${result}`);
      if (others.some((other) => other[name] !== first[name]))
        watch.violate(`2: ${host} signs with ${name}, which not every name server shows`);
    }
  };

  return {
    figures,
    answers,
    sweep: async () => {
      try {
        await place.worker(random.int(0, 1)).use(tick);
      } catch (error) {
        log(`sweep failed: ${describe(error)}`);
        watch.printed(describe(error));
      }
    },
    quiet: async (patience) => {
      for (const until = Date.now() + patience; Date.now() < until; await sleep(50)) {
        const { Attributes } = await sqs.send(
          new GetQueueAttributesCommand({
            QueueUrl,
            AttributeNames: ['ApproximateNumberOfMessages'],
          }),
        );
        // What failed is hidden for a while and comes again: it is not waited for.
        if (busy === 0 && Number(Attributes?.ApproximateNumberOfMessages ?? 0) === 0) return true;
      }
      return false;
    },
    order,
    mail: async () => {
      for (const [host, port] of place.milters)
        for (const domain of place.domains.keys()) await mailOf(host, port, domain);
    },
    stop: async () => {
      running = false;
      await Promise.all(consumers);
    },
  };
};

/** A rotation is over: it signs everywhere, or was given up. */
export const isOver = (row: DomainRow, rotation: Rotation): boolean =>
  ['done', 'aborted'].includes(rotationState(row, rotation));
