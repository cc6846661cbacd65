// Makes what a deployment needs in an empty account of moto: the ledger's table, the queue, two KMS keys, the hosted zones.
import { randomUUID } from 'node:crypto';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { CreateHostedZoneCommand, Route53Client } from '@aws-sdk/client-route-53';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { createTable } from '../tools/ledger-table.ts';
import { motoClient } from '../tools/moto.ts';

export interface AccountFacts {
  readonly table: string;
  readonly queueUrl: string;
  /** ARN of the symmetric key, and id of the key that signs bundles. */
  readonly secretKey: string;
  readonly bundleKey: string;
  /** Zone → hosted zone id. */
  readonly zoneIds: ReadonlyMap<string, string>;
}

export const makeAccount = async (url: string, zones: readonly string[]): Promise<AccountFacts> => {
  const config = motoClient(url);
  const [kms, sqs, route53] = [new KMSClient(config), new SQSClient(config), new Route53Client(config)];
  const table = 'selkie';
  await createTable(new DynamoDBClient(config), table);
  const { QueueUrl: queueUrl = '' } = await sqs.send(
    // In true time: what fails comes again soon.
    new CreateQueueCommand({ QueueName: 'selkie', Attributes: { VisibilityTimeout: '3' } }),
  );
  const secretKey = await kms.send(new CreateKeyCommand({}));
  const bundleKey = await kms.send(
    new CreateKeyCommand({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }),
  );
  const zoneIds = new Map<string, string>();
  for (const zone of zones) {
    const { HostedZone } = await route53.send(
      new CreateHostedZoneCommand({ Name: zone, CallerReference: randomUUID() }),
    );
    zoneIds.set(zone, (HostedZone?.Id ?? '').replace('/hostedzone/', ''));
  }
  return {
    table,
    queueUrl,
    secretKey: secretKey.KeyMetadata?.Arn ?? '',
    bundleKey: bundleKey.KeyMetadata?.KeyId ?? '',
    zoneIds,
  };
};
