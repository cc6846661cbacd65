// Messages that no worker can work on, on moto's SQS with the stack's redrive policy: each ends in the dead letters after five
// receipts, and the others of its batch are done. Lambda's event source is imitated by the driver of test/e2e/aws-place.ts.
import { GetQueueAttributesCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type AwsPlace, isDone, makeAwsPlace } from '../e2e/aws-place.ts';
import { describeWith } from '../tools/machine.ts';

const zone = 'example.jp';
const domain = `mail.${zone}`;

const poison: readonly (readonly [what: string, body: string])[] = [
  ['not JSON', 'hello'],
  ['cut JSON', '{"kind":"zone","zone":"example.jp"'],
  ['JSON, and no object', '[]'],
  ['null', 'null'],
  ['no kind', '{}'],
  ['an unknown kind', '{"kind":"everything"}'],
  ['a kind of another type', '{"kind":7}'],
  ['domains that are a text', '{"kind":"cohort","domains":"mail.example.jp"}'],
  ['domains that are numbers', '{"kind":"cohort","domains":[1]}'],
  ['no domains', '{"kind":"cohort"}'],
  ['a zone that is no name', '{"kind":"audit","zone":"../../etc"}'],
  ['a host that is an object', '{"kind":"host","host":{"name":"mx1.example.jp"}}'],
  ['a prototype', '{"__proto__":{"kind":"host"},"host":"mx1.example.jp"}'],
  [
    'more domains than a unit has',
    JSON.stringify({ kind: 'cohort', domains: Array.from({ length: 1_001 }, (_, n) => `d${n}.jp`) }),
  ],
  // As long as SQS takes: 262,144 bytes.
  ['256 KB', ((head) => `${head}${'x'.repeat(262_144 - head.length - 2)}"}`)('{"kind":"cohort","domains":"')],
];

/** What a unit may name without being poison: there is nothing to do, or no longer. */
const harmless: readonly (readonly [what: string, body: string])[] = [
  ['a zone that no fleet has', '{"kind":"audit","zone":"gone.example"}'],
  ['a domain that no fleet has', `{"kind":"cohort","domains":["other.${zone}"]}`],
  ['domains of no cohort', `{"kind":"cohort","domains":["other.example","${domain}"]}`],
  ['a cohort of nobody', '{"kind":"cohort","domains":[]}'],
  ['a unit of an older version', `{"kind":"zone","zone":"${zone}","domains":["${domain}"]}`],
  ['a host that no fleet has', '{"kind":"host","host":"gone.example.jp"}'],
  ['a field of a later version', `{"kind":"cohort","domains":["${domain}"],"later":true}`],
];

describeWith(['moto_server', 'named'], 'poison on the queue', () => {
  let place: AwsPlace;
  const said: string[] = [];

  beforeAll(async () => {
    vi.spyOn(process.stdout, 'write').mockImplementation((line) => {
      said.push(String(line));
      return true;
    });
    for (const method of ['log', 'info', 'warn', 'error'] as const)
      vi.spyOn(console, method).mockImplementation((...line) => {
        said.push(line.map(String).join(' '));
      });
    place = await makeAwsPlace({
      zones: [{ name: zone }],
      domains: [{ domain, zone }],
      hosts: [{ name: 'mx1.example.jp', reached: 'push' }],
      visibility: 0,
    });
  }, 120_000);
  afterAll(async () => {
    await place?.close();
    vi.restoreAllMocks();
  });

  const put = async (bodies: readonly (readonly [string, string])[]) => {
    for (const [, MessageBody] of bodies)
      await place.sqs.send(new SendMessageCommand({ QueueUrl: place.queueUrl, MessageBody }));
  };
  const waiting = async (QueueUrl: string): Promise<number> => {
    const { Attributes } = await place.sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl,
        AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
      }),
    );
    return (
      Number(Attributes?.ApproximateNumberOfMessages) +
      Number(Attributes?.ApproximateNumberOfMessagesNotVisible)
    );
  };
  const deadLetters = async (): Promise<string[]> => {
    const bodies: string[] = [];
    for (;;) {
      const { Messages = [] } = await place.sqs.send(
        new ReceiveMessageCommand({
          QueueUrl: place.deadUrl,
          MaxNumberOfMessages: 10,
          VisibilityTimeout: 600,
        }),
      );
      if (Messages.length === 0) return bodies;
      bodies.push(...Messages.map(({ Body = '' }) => Body));
    }
  };

  test('ends in the dead letters, while a whole first rotation goes on around it', async () => {
    await put(poison);
    const refusals = new Map<string, number>();
    const { deliver } = place;
    const counting = async () => {
      const { failed } = await deliver(10);
      for (const body of failed) refusals.set(body, (refusals.get(body) ?? 0) + 1);
    };
    await place.until(async () => {
      await counting();
      return isDone(await place.status(domain));
    });
    for (const end = Date.now() + 30_000; (await waiting(place.queueUrl)) > 0 && Date.now() < end; )
      await counting();
    expect(await waiting(place.queueUrl)).toBe(0);
    expect((await deadLetters()).toSorted()).toEqual(poison.map(([, body]) => body).toSorted());
    for (const times of refusals.values()) expect(times).toBeLessThanOrEqual(5);
    // A word for each of them, and none repeats a whole body.
    for (const line of said) expect(line.length).toBeLessThan(4_000);
    expect(said.join('\n')).toContain('The unit of work');
  }, 120_000);

  test.each(harmless)('is not: %s', async (...one) => {
    await put([one]);
    for (let batches = 0; batches < 20 && (await waiting(place.queueUrl)) > 0; batches += 1)
      expect((await place.deliver(10)).failed).toEqual([]);
    expect(await waiting(place.queueUrl)).toBe(0);
    expect(await deadLetters()).toEqual([]);
  });
});
