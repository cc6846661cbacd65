// The dead-letter queue of a deployment on AWS: units of work that failed each time. Asks SQS with the operator's own credentials
// (sqs:GetQueueUrl, sqs:GetQueueAttributes).

import {
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  QueueDoesNotExist,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { type Seen, skipped, sound, wrong } from '../../agent/doctor/check.ts';
import { describe } from '../../core/errors.ts';

export interface Deployment {
  readonly stack: string;
  readonly profile?: string | undefined;
  readonly region?: string | undefined;
}

const deadArn = (policy: string | undefined): string | undefined => {
  const { deadLetterTargetArn } = JSON.parse(policy ?? '{}') as { deadLetterTargetArn?: string };
  return deadLetterTargetArn;
};

export const deadLetters = async ({ stack, profile, region }: Deployment): Promise<Seen> => {
  const client = new SQSClient({
    ...(profile === undefined ? {} : { profile }),
    ...(region === undefined ? {} : { region }),
    maxAttempts: 2,
  });
  const urlOf = async (name: string): Promise<string | undefined> =>
    (await client.send(new GetQueueUrlCommand({ QueueName: name }))).QueueUrl;
  try {
    // The name that the stack gives its queue.
    const QueueUrl = await urlOf(`${stack}-units`);
    const units = await client.send(
      new GetQueueAttributesCommand({
        QueueUrl,
        AttributeNames: ['RedrivePolicy', 'ApproximateNumberOfMessages'],
      }),
    );
    const arn = deadArn(units.Attributes?.RedrivePolicy);
    if (arn === undefined)
      return wrong(`the queue ${stack}-units has no dead-letter queue`, 'npx cdk deploy');
    const dead = await client.send(
      new GetQueueAttributesCommand({
        QueueUrl: await urlOf(arn.split(':').at(-1) ?? ''),
        AttributeNames: ['ApproximateNumberOfMessages'],
      }),
    );
    const n = Number(dead.Attributes?.ApproximateNumberOfMessages ?? 0);
    if (n > 0)
      return wrong(
        `${n} ${n === 1 ? 'unit' : 'units'} of work failed each time (docs/operations.md, dead-units)`,
        `aws sqs start-message-move-task --source-arn ${arn}`,
      );
    return sound(`none; ${units.Attributes?.ApproximateNumberOfMessages ?? 0} units wait to be done`);
  } catch (error) {
    if (error instanceof QueueDoesNotExist)
      return wrong(
        `there is no queue ${stack}-units: was the stack ${stack} deployed here?`,
        'npx cdk deploy',
      );
    // Whoever may call the API need not be one who may look at queues.
    return skipped(`${describe(error)} (sqs:GetQueueUrl and sqs:GetQueueAttributes on ${stack}-units)`);
  } finally {
    client.destroy();
  }
};
