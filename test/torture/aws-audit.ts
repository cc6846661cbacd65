// What an AWS account holds when all is over: read from the services themselves. Reads only.
import { type AttributeValue, type DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { ListResourceRecordSetsCommand, type Route53Client } from '@aws-sdk/client-route-53';
import { ListSecretsCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

export interface Audit {
  /** Names of all TXT records, lower case, without a final dot. */
  readonly txt: readonly string[];
  /** Names of the secrets that are not scheduled for deletion. */
  readonly secrets: readonly string[];
  readonly items: readonly Readonly<Record<string, AttributeValue>>[];
}

interface Account {
  readonly table: string;
  readonly zoneIds: readonly string[];
  readonly dynamo: DynamoDBClient;
  readonly secretsManager: SecretsManagerClient;
  readonly route53: Route53Client;
}

const txtOf = async ({ route53, zoneIds }: Account): Promise<string[]> => {
  const names: string[] = [];
  for (const HostedZoneId of zoneIds) {
    const { ResourceRecordSets = [] } = await route53.send(
      new ListResourceRecordSetsCommand({ HostedZoneId, MaxItems: 1_000 }),
    );
    for (const { Name = '', Type } of ResourceRecordSets)
      if (Type === 'TXT') names.push(Name.replace(/\.$/, ''));
  }
  return names;
};

const secretsOf = async ({ secretsManager }: Account): Promise<string[]> => {
  const names: string[] = [];
  let from: string | undefined;
  do {
    const { SecretList = [], NextToken } = await secretsManager.send(
      new ListSecretsCommand({ MaxResults: 100, ...(from === undefined ? {} : { NextToken: from }) }),
    );
    for (const { Name = '', DeletedDate } of SecretList) if (DeletedDate === undefined) names.push(Name);
    from = NextToken;
  } while (from !== undefined);
  return names;
};

const itemsOf = async ({ dynamo, table }: Account): Promise<Record<string, AttributeValue>[]> => {
  const items: Record<string, AttributeValue>[] = [];
  let from: Record<string, AttributeValue> | undefined;
  do {
    const page = await dynamo.send(
      new ScanCommand({
        TableName: table,
        ConsistentRead: true,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      }),
    );
    items.push(...(page.Items ?? []));
    from = page.LastEvaluatedKey;
  } while (from !== undefined);
  return items;
};

export const audit = async (account: Account): Promise<Audit> => ({
  txt: await txtOf(account),
  secrets: await secretsOf(account),
  items: await itemsOf(account),
});
