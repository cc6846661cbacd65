import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { PolicyStatement, Role } from 'aws-cdk-lib/aws-iam';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, test } from 'vitest';
import { ledgerTable } from '../../core/table.ts';
import { fleetOf, list, plain, root, stackOf, statementsOf, templateOf } from './synthesised.ts';

const fleet = fleetOf({ 'example.jp': ['example.jp'] });
const template = templateOf(fleet);

/** The statement that allows `action`, of the function whose role begins so. */
const statement = (role: string, action: string) =>
  statementsOf(template, role).find((one) => list(one.Action).includes(action));

describe('what is kept', () => {
  test('the ledger survives deployments, mistakes and deletion of the stack', () => {
    template.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        DeletionProtectionEnabled: true,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        TimeToLiveSpecification: { AttributeName: ledgerTable.expires, Enabled: true },
        KeySchema: [
          { AttributeName: ledgerTable.partitionKey, KeyType: 'HASH' },
          { AttributeName: ledgerTable.sortKey, KeyType: 'RANGE' },
        ],
        GlobalSecondaryIndexes: [ledgerTable.dueIndex, ledgerTable.trailIndex].map((index) => ({
          IndexName: index.name,
          KeySchema: [
            { AttributeName: index.partitionKey, KeyType: 'HASH' },
            { AttributeName: index.sortKey, KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: [...index.projected] },
        })),
      },
    });
  });

  test('so do both keys; the one for secrets rotates, the one for bundles signs P-256', () => {
    template.allResources('AWS::KMS::Key', { DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
    template.hasResourceProperties('AWS::KMS::Key', { EnableKeyRotation: true, KeySpec: Match.absent() });
    template.hasResourceProperties('AWS::KMS::Key', { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
    template.resourceCountIs('AWS::KMS::Key', 2);
  });
});

describe('what is published', () => {
  test('lies in one bucket that is kept, is not public, and speaks TLS alone', () => {
    template.resourceCountIs('AWS::S3::Bucket', 1);
    template.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      },
    });
    template.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: {
        Statement: [
          { Effect: 'Deny', Action: 's3:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
          {
            Effect: 'Deny',
            Action: 's3:*',
            Condition: { NumericLessThan: { 's3:TlsVersion': 1.2 } },
          },
        ],
      },
    });
  });
});

describe('what sets it to work', () => {
  test('a unit is tried five times, then kept for people, with an alarm', () => {
    template.hasResourceProperties('AWS::SQS::Queue', {
      VisibilityTimeout: 720,
      SqsManagedSseEnabled: true,
      RedrivePolicy: { maxReceiveCount: 5, deadLetterTargetArn: Match.anyValue() },
    });
    template.hasResourceProperties('AWS::SQS::Queue', {
      MessageRetentionPeriod: 14 * 86_400,
      RedrivePolicy: Match.absent(),
    });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: 'selkie-dead-units',
      MetricName: 'ApproximateNumberOfMessagesVisible',
      ComparisonOperator: 'GreaterThanThreshold',
      Threshold: 0,
    });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: 24 },
    });
  });

  test('only its own queue sends to the dead-letter queue', () => {
    template.hasResourceProperties('AWS::SQS::Queue', {
      QueueName: 'selkie-units',
      RedrivePolicy: Match.anyValue(),
    });
    const [dead] = Object.values(
      template.findResources('AWS::SQS::Queue', { Properties: { RedrivePolicy: Match.absent() } }),
    );
    expect(dead?.Properties.RedriveAllowPolicy).toEqual({
      redrivePermission: 'byQueue',
      sourceQueueArns: [expect.objectContaining({ 'Fn::Join': expect.anything() })],
    });
    expect(plain(dead?.Properties.RedriveAllowPolicy.sourceQueueArns[0])).toMatch(/:selkie-units$/);
  });

  test('nobody speaks to a queue without TLS', () => {
    const policies = Object.values(template.findResources('AWS::SQS::QueuePolicy'));
    expect(policies).toHaveLength(2);
    for (const policy of policies)
      expect(policy.Properties.PolicyDocument.Statement).toContainEqual(
        expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      );
  });

  test('the clock ticks each minute, a tick that is a minute late is dropped, and once a day all is audited', () => {
    template.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(1 minute)',
      State: 'ENABLED',
      Target: { RetryPolicy: { MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 1 } },
    });
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      MaximumEventAgeInSeconds: 60,
      MaximumRetryAttempts: 1,
    });
    template.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: Match.stringLikeRegexp('^cron\\('),
      Target: { Input: JSON.stringify({ audit: true }), RetryPolicy: { MaximumRetryAttempts: 5 } },
    });
    template.resourceCountIs('AWS::Scheduler::Schedule', 2);
    expect(statementsOf(template, 'MinuteRole').map((one) => [one.Action, plain(one.Resource)])).toEqual([
      ['lambda:InvokeFunction', expect.stringMatching(/^<TickFunction\w+\.Arn>$/)],
    ]);
  });

  test("operators sign with AWS credentials; open are only the hosts' two paths, to their own signature, and the public bundle keys", () => {
    const routes = Object.values(template.findResources('AWS::ApiGatewayV2::Route')).map(({ Properties }) => [
      Properties.RouteKey,
      Properties.AuthorizationType,
    ]);
    expect(Object.fromEntries(routes)).toEqual({
      'ANY /v1/{proxy+}': 'AWS_IAM',
      'POST /v1/hosts/{host}/pull': 'NONE',
      'POST /v1/hosts/{host}/acknowledgements': 'NONE',
      'GET /v1/bundle-keys': 'NONE',
      'GET /openapi.json': 'AWS_IAM',
    });
    template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      AccessLogSettings: {
        DestinationArn: Match.anyValue(),
        Format: Match.not(Match.stringLikeRegexp('authorization|header')),
      },
      DefaultRouteSettings: { ThrottlingRateLimit: 20, ThrottlingBurstLimit: 40 },
      RouteSettings: {
        'POST /v1/hosts/{host}/pull': { ThrottlingRateLimit: 50 },
        'POST /v1/hosts/{host}/acknowledgements': { ThrottlingRateLimit: 50 },
      },
    });
  });
});

describe('what tells people', () => {
  const alarms = Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(
    ({ Properties }) => Properties,
  );

  test('each alarm says what to do, in a section that is there, when it begins and when it ends', () => {
    const operations = readFileSync(join(root, 'docs/operations.md'), 'utf8');
    expect(alarms.length).toBeGreaterThan(0);
    for (const { AlarmDescription, AlarmActions, OKActions } of alarms) {
      const [, anchor = ''] = /docs\/operations\.md#([a-z-]+)$/.exec(AlarmDescription) ?? [];
      expect(operations, AlarmDescription).toMatch(new RegExp(`^### ${anchor}$`, 'm'));
      expect(AlarmActions).toHaveLength(1);
      expect(OKActions).toEqual(AlarmActions);
    }
  });

  test('a fleet that was refused, or could not be judged, is an alarm', () => {
    const found = alarms.find(({ AlarmName }) => AlarmName === 'selkie-fleet-refused');
    const parts = found?.Metrics.flatMap(({ MetricStat }: { MetricStat?: { Metric: unknown } }) =>
      MetricStat === undefined ? [] : [MetricStat.Metric],
    );
    const ofGuard = [{ Name: 'FunctionName', Value: { Ref: expect.stringMatching(/^FleetGuardFunction/) } }];
    expect(parts).toEqual([
      { Namespace: 'Selkie/selkie', MetricName: 'refusals' },
      { Namespace: 'AWS/Lambda', MetricName: 'Errors', Dimensions: ofGuard },
      { Namespace: 'AWS/Lambda', MetricName: 'Throttles', Dimensions: ofGuard },
    ]);
    expect(found).toMatchObject({ EvaluationPeriods: 1, Threshold: 0 });
  });

  test('a mail with reports that was not taken in ends in a queue, which has an alarm', () => {
    const mailed = Template.fromStack(stackOf(fleet, { reports: 'reports.example.jp' }));
    const [queue] = Object.entries(mailed.findResources('AWS::SQS::Queue')).filter(([id]) =>
      id.startsWith('ReportMails'),
    );
    expect(queue?.[1].Properties).toEqual(
      expect.objectContaining({ MessageRetentionPeriod: 14 * 86_400, SqsManagedSseEnabled: true }),
    );
    mailed.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      FunctionName: { Ref: Match.stringLikeRegexp('^ReportsFunction') },
      MaximumEventAgeInSeconds: 6 * 3_600,
      MaximumRetryAttempts: 2,
      DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': [queue?.[0], 'Arn'] } } },
    });
    mailed.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: 'selkie-reports-not-taken-in',
      AlarmDescription: Match.stringLikeRegexp('docs/operations.md#reports-not-taken-in$'),
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Dimensions: [{ Name: 'QueueName', Value: { 'Fn::GetAtt': [queue?.[0], 'QueueName'] } }],
      AlarmActions: [{ Ref: Match.stringLikeRegexp('^WatchTopic') }],
    });
    expect(readFileSync(join(root, 'docs/operations.md'), 'utf8')).toMatch(/^### reports-not-taken-in$/m);
    const policies = Object.values(mailed.findResources('AWS::SQS::QueuePolicy')).filter(({ Properties }) =>
      JSON.stringify(Properties.Queues).includes(queue?.[0] ?? 'none'),
    );
    expect(policies).toHaveLength(1);
    // Where none comes by mail, there is nothing to watch.
    expect(alarms.map(({ AlarmName }) => AlarmName)).not.toContain('selkie-reports-not-taken-in');
  });

  test('what functions say with a level is counted, of each function', () => {
    const filters = Object.values(template.findResources('AWS::Logs::MetricFilter')).map(({ Properties }) => [
      plain(Properties.LogGroupName).replace(/Log.*/, ''),
      Properties.FilterPattern,
      Properties.MetricTransformations[0].MetricName,
    ]);
    expect(filters.toSorted()).toEqual(
      ['Api', 'Reconcile', 'Tick']
        .flatMap((edge) => ['alarm', 'trouble'].map((level) => [edge, level] as const))
        .map(([edge, level]) => [`<${edge}`, `{ $.level = "${level}" }`, `${level}s`])
        .concat([['<FleetGuard', '{ $.level = "alarm" }', 'refusals']])
        .toSorted(),
    );
  });

  test('what functions count is watched under the name of this stack', () => {
    const found = alarms
      .filter(({ Namespace }) => Namespace === 'Selkie')
      .map(({ AlarmName, MetricName, Dimensions, TreatMissingData }) => [
        AlarmName,
        MetricName,
        Dimensions,
        TreatMissingData,
      ]);
    const dimension = [{ Name: 'Service', Value: 'selkie' }];
    expect(found.toSorted()).toEqual([
      ['selkie-calls-throttled', 'CallsThrottled', dimension, 'notBreaching'],
      // Said once a day: until then all is as it was.
      ['selkie-drift', 'DriftFound', dimension, 'ignore'],
      ['selkie-host-silent', 'HostsSilent', dimension, 'notBreaching'],
      ['selkie-key-too-old', 'KeysOlderThanPolicy', dimension, 'notBreaching'],
      ['selkie-phase-past-deadline', 'PhasesPastDeadline', dimension, 'notBreaching'],
      ['selkie-rotation-overdue', 'RotationsOverdue', dimension, 'notBreaching'],
    ]);
  });

  // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
  test('no alarm looks at more than CloudWatch allows: a day, or a week where a period is an hour', () => {
    for (const { AlarmName, EvaluationPeriods, Period, Metrics } of alarms) {
      const period =
        Period ??
        Math.max(
          ...Metrics.flatMap(
            ({ MetricStat }: { MetricStat?: { Period: number } }) => MetricStat?.Period ?? [],
          ),
        );
      expect(EvaluationPeriods * period, AlarmName).toBeLessThanOrEqual(period >= 3_600 ? 604_800 : 86_400);
    }
  });

  test('a clock that stands still is an alarm though nothing is said', () => {
    expect(alarms.find(({ AlarmName }) => AlarmName === 'selkie-no-tick')).toMatchObject({
      TreatMissingData: 'breaching',
    });
  });

  test('alarms go to a topic, by TLS only, and to an address where one is told', () => {
    template.resourceCountIs('AWS::SNS::Topic', 1);
    template.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      },
    });
    template.resourceCountIs('AWS::SNS::Subscription', 0);
    Template.fromStack(stackOf(fleet, { alarmEmail: 'mail@example.jp' })).hasResourceProperties(
      'AWS::SNS::Subscription',
      { Protocol: 'email', Endpoint: 'mail@example.jp' },
    );
  });
});

describe('the functions', () => {
  test('run on Node 24 on ARM, are traced, and are told where everything is', () => {
    const functions = Object.values(template.findResources('AWS::Lambda::Function'));
    expect(functions).toHaveLength(5);
    for (const { Properties } of functions) {
      expect(Properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        Handler: 'index.handler',
        TracingConfig: { Mode: 'Active' },
      });
      expect(Properties.Layers).toHaveLength(1);
    }
    const told = Object.fromEntries(
      Object.entries(template.findResources('AWS::Lambda::Function')).map(([id, { Properties }]) => [
        id.replace(/Function[0-9A-F]{8}$/, ''),
        Properties.Environment.Variables as Record<string, unknown>,
      ]),
    );
    const all = [
      'SELKIE_BUNDLE_KEY',
      'SELKIE_DISCLOSED_BUCKET',
      'SELKIE_FLEET',
      'SELKIE_QUEUE_URL',
      'SELKIE_SECRET_KEY',
      'SELKIE_SECRET_PREFIX',
      'SELKIE_TABLE',
    ];
    expect(
      Object.fromEntries(
        Object.entries(told).map(([name, variables]) => [name, Object.keys(variables).sort()]),
      ),
    ).toEqual({
      Tick: all,
      Reconcile: all,
      Api: all,
      Restore: all,
      FleetGuard: ['SELKIE_FLEET', 'SELKIE_TABLE'],
    });
    expect(told.Reconcile).toMatchObject({
      SELKIE_FLEET: '/opt/fleet/fleet.json',
      SELKIE_SECRET_PREFIX: 'selkie',
    });
  });

  test('a fleet is compared with the ledger before functions and rights follow it', () => {
    const resources = template.toJSON().Resources as Record<
      string,
      { readonly Type: string; readonly DependsOn?: readonly string[] }
    >;
    const [check = ''] = Object.keys(template.findResources('Custom::SelkieFleet'));
    const waits = (id: string): boolean => resources[id]?.DependsOn?.includes(check) ?? false;
    const works = Object.entries(resources).filter(
      ([id, { Type }]) =>
        ['AWS::Lambda::Function', 'AWS::IAM::ManagedPolicy'].includes(Type) && !id.startsWith('FleetGuard'),
    );
    expect(works.length).toBeGreaterThanOrEqual(4);
    for (const [id] of works) expect(waits(id), id).toBe(true);
    // It changes nothing itself.
    expect(statementsOf(template, 'FleetGuardRole').flatMap(({ Action }) => list(Action))).toEqual(
      expect.arrayContaining(['dynamodb:GetItem', 'dynamodb:Query']),
    );
  });

  test('private keys are read by those that seal bundles, made and destroyed by one, and by way of Secrets Manager alone', () => {
    expect(statement('TickRole', 'secretsmanager:GetSecretValue')).toBeUndefined();
    expect(statement('TickRole', 'kms:Decrypt')).toBeUndefined();
    for (const role of ['ReconcileRole', 'ApiRole', 'RestoreRole']) {
      expect(plain(statement(role, 'secretsmanager:GetSecretValue')?.Resource)).toMatch(
        /:secret:selkie\/\*$/,
      );
      expect(Object.keys(statement(role, 'kms:Decrypt')?.Condition?.StringEquals ?? {})).toEqual([
        'kms:ViaService',
      ]);
      expect(
        list(statement(role, 'kms:Decrypt')?.Condition?.StringLike?.['kms:EncryptionContext:SecretARN']).map(
          plain,
        ),
      ).toEqual([expect.stringMatching(/:secret:selkie\/\*$/), 'RequestToValidateKeyAccess']);
    }
    for (const action of ['CreateSecret', 'DeleteSecret', 'TagResource'])
      expect(statement('ApiRole', `secretsmanager:${action}`)).toBeUndefined();
  });

  // Invariant 5
  test('a secret is made under our key, never overwritten, and never destroyed at once', () => {
    expect(
      Object.keys(statement('ReconcileRole', 'secretsmanager:CreateSecret')?.Condition?.StringEquals ?? {}),
    ).toEqual(['secretsmanager:KmsKeyArn']);
    for (const action of ['CreateSecret', 'TagResource'])
      expect(statement('ReconcileRole', `secretsmanager:${action}`)?.Condition).toMatchObject({
        'ForAllValues:StringLike': { 'aws:TagKeys': ['selkie:*'] },
      });
    expect(statement('ReconcileRole', 'secretsmanager:DeleteSecret')?.Condition).toEqual({
      BoolIfExists: { 'secretsmanager:ForceDeleteWithoutRecovery': 'false' },
    });
    expect(statement('ReconcileRole', 'secretsmanager:PutSecretValue')).toBeUndefined();
    expect(statement('ReconcileRole', 'secretsmanager:UpdateSecret')).toBeUndefined();
  });

  test('bundles are signed with ES256 of whole manifests', () => {
    for (const role of ['ReconcileRole', 'ApiRole'])
      expect(statement(role, 'kms:Sign')?.Condition).toEqual({
        StringEquals: { 'kms:SigningAlgorithm': 'ECDSA_SHA_256', 'kms:MessageType': 'RAW' },
      });
    expect(statement('TickRole', 'kms:Sign')).toBeUndefined();
  });
});

describe('cdk-nag', () => {
  test.each([
    ['one zone', fleet],
    [
      '500 zones',
      fleetOf(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`z${i}.jp`, [`z${i}.jp`]]))),
    ],
  ])('finds nothing without a reason, with %s', (_, some) => {
    expect(new AwsSolutionsChecks().validateScope(stackOf(some)).violations).toEqual([]);
  });

  test('finds nothing without a reason where reports come by mail', () => {
    const stack = stackOf(fleet, { reports: 'reports.example.jp' });
    expect(new AwsSolutionsChecks().validateScope(stack).violations).toEqual([]);
  });

  test('an acknowledged wildcard excuses no other', () => {
    const stack = stackOf(fleet);
    const role = stack.node.findChild('Reconcile').node.findChild('Role');
    if (!(role instanceof Role)) throw new Error('no role');
    role.addToPolicy(new PolicyStatement({ actions: ['s3:GetObject'], resources: ['arn:aws:s3:::*'] }));
    expect(new AwsSolutionsChecks().validateScope(stack).violations?.map((found) => found.ruleName)).toEqual([
      'AwsSolutions-IAM5[Resource::arn:aws:s3:::*]',
    ]);
  });
});
