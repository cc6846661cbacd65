// The template itself, deployed by an imitation of CloudFormation as far as it goes, and then used: functions with the
// environment that the template gives them make a key and publish its record, with the queue, ledger and keys of the template.
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DescribeTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  CreateHostedZoneCommand,
  ListResourceRecordSetsCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import { ListSecretsCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { Template } from 'aws-cdk-lib/assertions';
import type { SQSEvent } from 'aws-lambda';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { compileFleet } from '../../core/compiled-fleet.ts';
import type { Fleet } from '../../core/policy.ts';
import { ledgerTable } from '../../core/table.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import { type Moto, motoClient, motoEnv, startMoto } from '../tools/moto.ts';
import { makeFolder } from '../tools/temporary-folder.ts';
import { fleetOf, stackOf } from './synthesised.ts';

/** What moto 5.2 does not make from a template; the other suites of this folder look at these. */
const missing = [
  'AWS::ApiGatewayV2::Api',
  'AWS::ApiGatewayV2::Integration',
  'AWS::ApiGatewayV2::Route',
  'AWS::ApiGatewayV2::Stage',
  'AWS::CloudWatch::Alarm',
  // Its metrics are those of the API, which is not there.
  'AWS::CloudWatch::Dashboard',
  'AWS::Lambda::EventInvokeConfig',
  // For the API, which is not there.
  'AWS::Lambda::Permission',
  'AWS::Logs::MetricFilter',
  // It makes the policy, and gives it no name.
  'AWS::S3::BucketPolicy',
  'AWS::SNS::TopicPolicy',
  'AWS::SQS::QueuePolicy',
  'AWS::Scheduler::Schedule',
  // Calls its function, which moto would run in a container.
  'Custom::SelkieFleet',
];

interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly DependsOn?: readonly string[];
}

/** moto takes tags of KMS keys in another form. It makes every key a symmetric one: nothing is signed here. */
const untagged = (resource: Resource): Resource => {
  if (resource.Type !== 'AWS::KMS::Key') return resource;
  const { Tags: _, ...Properties } = resource.Properties ?? {};
  return { ...resource, Properties };
};

/** The template without those resources, and without what points at them. */
const without = (template: { Resources: Record<string, Resource>; Outputs: Record<string, unknown> }) => {
  const gone = new Set(
    Object.entries(template.Resources).flatMap(([id, { Type }]) => (missing.includes(Type) ? [id] : [])),
  );
  const points = (value: unknown): boolean =>
    [...gone].some((id) => JSON.stringify(value).includes(`"${id}"`));
  return {
    ...template,
    Resources: Object.fromEntries(
      Object.entries(template.Resources)
        .filter(([id]) => !gone.has(id))
        .map(([id, { DependsOn = [], ...rest }]) => [
          id,
          { ...untagged(rest), DependsOn: DependsOn.filter((one) => !gone.has(one)) },
        ]),
    ),
    Outputs: Object.fromEntries(Object.entries(template.Outputs).filter(([, value]) => !points(value))),
  };
};

describeWith(['moto_server'], 'the template on moto', () => {
  const folder = makeFolder();
  let moto: Moto;
  let fleet: Fleet;
  let outputs: Readonly<Record<string, string>>;
  let made: readonly { readonly type: string; readonly id: string; readonly physical: string }[];

  /** moto tells services apart by the scope of a signature, which it does not verify. */
  const ask = async (service: string, path: string, init: RequestInit = {}): Promise<string> => {
    const response = await fetch(`${moto.url}${path}`, {
      ...init,
      headers: {
        ...init.headers,
        authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
      },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${service} answered ${response.status}: ${text.slice(0, 500)}`);
    return text;
  };
  const cloudFormation = (action: string, parameters: Readonly<Record<string, string>>): Promise<string> =>
    ask('cloudformation', '/', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ Action: action, Version: '2010-05-15', ...parameters }).toString(),
    });
  const inXml = (xml: string, tag: string): string[] =>
    [...xml.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, 'g'))].map(([, text = '']) => text);

  beforeAll(async () => {
    moto = await startMoto();
    const { HostedZone } = await new Route53Client(motoClient(moto.url)).send(
      new CreateHostedZoneCommand({ Name: 'example.jp', CallerReference: randomUUID() }),
    );
    const port = await freePort();
    const base = fleetOf({ 'example.jp': ['example.jp'] });
    fleet = {
      ...base,
      version: Date.now(),
      zones: new Map([
        [
          'example.jp',
          {
            name: 'example.jp',
            id: (HostedZone?.Id ?? '').replace('/hostedzone/', ''),
            // Nobody answers there: the record waits to be seen.
            nameServers: [`127.0.0.1:${port}`],
          },
        ],
      ]),
    };
    const template = without(Template.fromStack(stackOf(fleet)).toJSON() as Parameters<typeof without>[0]);
    // Where CDK puts the code of functions: moto wants to find something there.
    const bucket = 'cdk-hnb659fds-assets-123456789012-eu-west-1';
    await ask('s3', `/${bucket}`, {
      method: 'PUT',
      body: '<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>',
    });
    for (const [, key = ''] of JSON.stringify(template).matchAll(/"S3Key":"([^"]+)"/g))
      await ask('s3', `/${bucket}/${key}`, { method: 'PUT', body: 'code' });
    // What CDK asks of an account that it deploys to.
    await ask('ssm', '/', {
      method: 'POST',
      headers: { 'x-amz-target': 'AmazonSSM.PutParameter', 'content-type': 'application/x-amz-json-1.1' },
      body: JSON.stringify({ Name: '/cdk-bootstrap/hnb659fds/version', Value: '21', Type: 'String' }),
    });
    await cloudFormation('CreateStack', {
      StackName: 'selkie',
      TemplateBody: JSON.stringify(template),
      'Capabilities.member.1': 'CAPABILITY_IAM',
    });
    const stack = await cloudFormation('DescribeStacks', { StackName: 'selkie' });
    expect(inXml(stack, 'StackStatus')).toEqual(['CREATE_COMPLETE']);
    const [keys, values] = [inXml(stack, 'OutputKey'), inXml(stack, 'OutputValue')];
    outputs = Object.fromEntries(
      // moto's queues are at the host that it answers as.
      keys.map((key, index) => [key, (values[index] ?? '').replace(/^https:\/\/sqs[^/]*/, moto.url)]),
    );
    const resources = await cloudFormation('DescribeStackResources', { StackName: 'selkie' });
    made = resources
      .split('<member>')
      .slice(1)
      .map((member) => {
        const [type = '', id = '', physical = ''] = [
          'ResourceType',
          'LogicalResourceId',
          'PhysicalResourceId',
        ].map((tag) => inXml(member, tag)[0]);
        return { type, id, physical };
      });
  }, 120_000);
  afterAll(async () => {
    await moto.stop();
    rmSync(folder, { recursive: true });
    vi.restoreAllMocks();
  });

  test('makes every resource but those that moto lacks', () => {
    const template = Template.fromStack(stackOf(fleet)).toJSON() as { Resources: Record<string, Resource> };
    const wanted = Object.entries(template.Resources)
      .filter(([, { Type }]) => !missing.includes(Type))
      .map(([id]) => id);
    expect(made.map(({ id }) => id).toSorted()).toEqual(wanted.toSorted());
    for (const type of missing)
      expect(Object.values(template.Resources).map(({ Type }) => Type)).toContain(type);
  });

  test('the ledger cannot be deleted at once, and the queue gives up after five tries', async () => {
    const config = motoClient(moto.url);
    const { Table } = await new DynamoDBClient(config).send(
      new DescribeTableCommand({ TableName: outputs.TableName }),
    );
    expect(Table).toMatchObject({
      DeletionProtectionEnabled: true,
      KeySchema: [{ AttributeName: ledgerTable.partitionKey }, { AttributeName: ledgerTable.sortKey }],
      GlobalSecondaryIndexes: [
        { IndexName: ledgerTable.dueIndex.name },
        { IndexName: ledgerTable.trailIndex.name },
      ],
    });

    const { Attributes } = await new SQSClient(config).send(
      new GetQueueAttributesCommand({ QueueUrl: outputs.QueueUrl, AttributeNames: ['All'] }),
    );
    expect(JSON.parse(Attributes?.RedrivePolicy ?? '{}')).toMatchObject({ maxReceiveCount: 5 });
    expect(Attributes?.QueueArn).toMatch(/:selkie-units$/);
  });

  test('functions with the environment of the template publish the first key', async () => {
    vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
    const { Functions } = JSON.parse(await ask('lambda', '/2015-03-31/functions')) as {
      Functions: { FunctionName: string; Environment: { Variables: Record<string, string> } }[];
    };
    const reconcileName = made.find(({ id }) => id.startsWith('ReconcileFunction'))?.physical;
    const variables = Functions.find(({ FunctionName }) => FunctionName === reconcileName)?.Environment
      .Variables;
    const fleetFile = join(folder, 'fleet.json');
    writeFileSync(fleetFile, compileFleet(fleet));
    Object.assign(process.env, motoEnv(moto.url), variables, {
      SELKIE_FLEET: fleetFile,
      SELKIE_QUEUE_URL: outputs.QueueUrl,
    });
    expect(variables?.SELKIE_QUEUE_URL).toMatch(/\/selkie-units$/);
    const { handler: tick } = await import('../../functions/tick/handler.ts');
    const { handler: reconcile } = await import('../../functions/reconcile/handler.ts');

    const config = motoClient(moto.url);
    const sqs = new SQSClient(config);
    const published = async (): Promise<string | undefined> => {
      const { ResourceRecordSets = [] } = await new Route53Client(config).send(
        new ListResourceRecordSetsCommand({ HostedZoneId: fleet.zones.get('example.jp')?.id }),
      );
      return ResourceRecordSets.find(({ Type }) => Type === 'TXT')?.Name;
    };
    for (const until = Date.now() + 60_000; (await published()) === undefined; ) {
      if (Date.now() > until) throw new Error('no record is published');
      await tick();
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl: outputs.QueueUrl, MaxNumberOfMessages: 10 }),
      );
      await reconcile({
        Records: Messages.map(({ MessageId: messageId, Body: body }) => ({ messageId, body })),
      } as SQSEvent);
      for (const { ReceiptHandle } of Messages)
        await sqs.send(new DeleteMessageCommand({ QueueUrl: outputs.QueueUrl, ReceiptHandle }));
    }
    expect(await published()).toMatch(/^\d{6}\._domainkey\.example\.jp\.$/);
    const { SecretList = [] } = await new SecretsManagerClient(config).send(new ListSecretsCommand({}));
    expect(SecretList.map(({ Name }) => Name)).toEqual([expect.stringMatching(/^selkie\//)]);
    const secretKey = made.find(({ id }) => id.startsWith('KeysSecrets'))?.physical ?? '-';
    expect(SecretList[0]?.KmsKeyId).toContain(secretKey);
  }, 120_000);
});
