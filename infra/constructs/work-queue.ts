// The queue of units of work and its dead-letter queue. A unit that is lost here is found again by the next tick, so the
// dead-letter queue is for people: its alarm (watch.ts) says that some unit fails each time.

import { Duration, Stack } from 'aws-cdk-lib';
import { CfnQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

export interface WorkQueueProps {
  /** Of the function that receives. */
  readonly workerTimeout: Duration;
}

export class WorkQueue extends Construct {
  readonly queue: Queue;
  readonly dead: Queue;

  constructor(scope: Construct, id: string, { workerTimeout }: WorkQueueProps) {
    super(scope, id);
    this.dead = new Queue(this, 'Dead', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    // By a name of its own: each of the two queues names the other, and CloudFormation makes one of them first.
    const queueName = `${Stack.of(this).stackName}-units`;
    this.queue = new Queue(this, 'Units', {
      queueName,
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // Six times the timeout, as Lambda asks of its event sources: throttled batches are tried again within it.
      visibilityTimeout: Duration.seconds(6 * workerTimeout.toSeconds()),
      retentionPeriod: Duration.days(1),
      deadLetterQueue: { queue: this.dead, maxReceiveCount: 5 },
    });
    const dead = this.dead.node.defaultChild;
    if (dead instanceof CfnQueue)
      dead.redriveAllowPolicy = {
        redrivePermission: 'byQueue',
        sourceQueueArns: [Stack.of(this).formatArn({ service: 'sqs', resource: queueName })],
      };
  }
}
