// What each function may do, whole: the table below is compared with the template, action by action and resource by resource.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { replicaKeysTemplate } from '../../infra/replica-keys.ts';
import {
  fleetOf,
  list,
  plain,
  root,
  type Statement,
  stackOf,
  statementsOf,
  templateOf,
} from './synthesised.ts';

const template = templateOf(fleetOf({ 'example.jp': ['example.jp'] }));
const here = '<AWS::Region>:<AWS::AccountId>';

/** `<LedgerTable59A5D4A1.Arn>` → `Ledger`: the construct that a reference leads to. */
const short = (resource: string): string =>
  resource.replaceAll(
    /<(Ledger|DisclosedKeys|ReportMailsBucket|ReportMailsFailed|WorkUnits|WorkDead|KeysSecrets|KeysBundles2?|\w+?Log|\w+?Function)[0-9A-F]{0,8}\w*(\.Arn)?>/g,
    '<$1>',
  );

const sorted = <T>(actions: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(actions).toSorted(([a], [b]) => (a < b ? -1 : 1)));

const granted = (role: string, of: Template = template): Record<string, string[]> => {
  const table: Record<string, Set<string>> = {};
  for (const { Effect, Action, Resource } of statementsOf(of, role)) {
    expect(Effect).toBe('Allow');
    for (const action of list(Action)) {
      table[action] ??= new Set();
      for (const resource of list(Resource)) table[action].add(short(plain(resource)));
    }
  }
  return Object.fromEntries(
    Object.entries(table)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([action, resources]) => [action, [...resources].toSorted()]),
  );
};

const secrets = [`arn:<AWS::Partition>:secretsmanager:${here}:secret:selkie/*`];

const readLedger = {
  'dynamodb:GetItem': ['<Ledger>'],
  'dynamodb:Query': ['<Ledger>', '<Ledger>/index/due'],
};
const writeLedger = {
  'dynamodb:ConditionCheckItem': ['<Ledger>'],
  'dynamodb:DeleteItem': ['<Ledger>'],
  'dynamodb:PutItem': ['<Ledger>'],
  'dynamodb:UpdateItem': ['<Ledger>'],
};
const traces = { 'xray:PutTelemetryRecords': ['*'], 'xray:PutTraceSegments': ['*'] };
const log = (name: string) => ({
  'logs:CreateLogStream': [`<${name}Log>`],
  'logs:PutLogEvents': [`<${name}Log>`],
});
const seal = {
  'kms:Decrypt': ['<KeysSecrets>'],
  'kms:GetPublicKey': ['<KeysBundles>'],
  'kms:Sign': ['<KeysBundles>'],
  'secretsmanager:GetSecretValue': secrets,
};

const readDisclosed = {
  's3:GetObject': ['<DisclosedKeys>/*'],
  's3:ListBucket': ['<DisclosedKeys>'],
};

const table = {
  TickRole: { ...readLedger, ...writeLedger, ...traces, ...log('Tick'), 'sqs:SendMessage': ['<WorkUnits>'] },
  ApiRole: {
    ...readLedger,
    'dynamodb:Query': [...readLedger['dynamodb:Query'], '<Ledger>/index/trail'],
    ...writeLedger,
    ...traces,
    ...log('Api'),
    ...seal,
    ...readDisclosed,
    'sqs:SendMessage': ['<WorkUnits>'],
  },
  ReconcileRole: {
    ...readLedger,
    ...writeLedger,
    ...traces,
    ...log('Reconcile'),
    ...seal,
    ...readDisclosed,
    's3:PutObject': ['<DisclosedKeys>/*.pem', '<DisclosedKeys>/*/index.json'],
    'kms:GenerateDataKey': ['<KeysSecrets>'],
    'route53:ChangeResourceRecordSets': ['arn:<AWS::Partition>:route53:::hostedzone/Z00000000000000000000'],
    'route53:GetChange': ['arn:<AWS::Partition>:route53:::change/*'],
    'route53:ListResourceRecordSets': ['arn:<AWS::Partition>:route53:::hostedzone/Z00000000000000000000'],
    'secretsmanager:CreateSecret': secrets,
    'secretsmanager:DeleteSecret': secrets,
    'secretsmanager:DescribeSecret': secrets,
    'secretsmanager:ListSecrets': ['*'],
    'secretsmanager:RemoveRegionsFromReplication': secrets,
    'secretsmanager:TagResource': secrets,
    'sqs:ChangeMessageVisibility': ['<WorkUnits>'],
    'sqs:DeleteMessage': ['<WorkUnits>'],
    'sqs:GetQueueAttributes': ['<WorkUnits>'],
    'sqs:GetQueueUrl': ['<WorkUnits>'],
    'sqs:ReceiveMessage': ['<WorkUnits>'],
    'sqs:SendMessage': ['<WorkUnits>'],
  },
  // It makes no key, seals no bundle, and changes no record.
  RestoreRole: {
    ...readLedger,
    ...writeLedger,
    ...traces,
    ...log('Restore'),
    'kms:Decrypt': ['<KeysSecrets>'],
    'route53:ListResourceRecordSets': ['arn:<AWS::Partition>:route53:::hostedzone/Z00000000000000000000'],
    'secretsmanager:GetSecretValue': secrets,
    'secretsmanager:ListSecrets': ['*'],
    'sqs:SendMessage': ['<WorkUnits>'],
  },
  FleetGuardRole: { ...readLedger, ...traces, ...log('FleetGuard') },
  DailyRole: { 'lambda:InvokeFunction': ['<TickFunction>'] },
  MinuteRole: { 'lambda:InvokeFunction': ['<TickFunction>'] },
};

describe('least privilege', () => {
  test.each(Object.entries(table))('%s may do this and nothing else', (role, actions) => {
    expect(granted(role)).toEqual(
      Object.fromEntries(Object.entries(actions).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    );
  });

  test('every role of the stack is in that table', () => {
    const roles = Object.keys(template.findResources('AWS::IAM::Role')).map((id) =>
      id.replace(/[0-9A-F]{8}$/, ''),
    );
    expect(roles.toSorted()).toEqual(Object.keys(table).toSorted());
  });

  test('no action has a wildcard', () => {
    for (const role of Object.keys(table))
      for (const action of Object.keys(granted(role))) expect(action).not.toContain('*');
  });

  // Service Authorization Reference: the services' actions without resource types.
  test('a resource that is nothing but a wildcard belongs to an action that knows none', () => {
    const wild = Object.keys(table).flatMap((role) =>
      Object.entries(granted(role)).flatMap(([action, resources]) =>
        resources.includes('*') ? [action] : [],
      ),
    );
    expect(new Set(wild)).toEqual(new Set([...Object.keys(traces), 'secretsmanager:ListSecrets']));
  });

  test('UPSERT is in no policy, nor any type but TXT', () => {
    const text = JSON.stringify(template.toJSON());
    expect(text).not.toContain('UPSERT');
    const changes = Object.keys(table)
      .flatMap((role) => statementsOf(template, role))
      .filter((one) => list(one.Action).includes('route53:ChangeResourceRecordSets'));
    expect(changes.length).toBeGreaterThan(0);
    for (const { Condition } of changes) {
      const all = Condition?.['ForAllValues:StringEquals'] ?? {};
      expect(all['route53:ChangeResourceRecordSetsRecordTypes']).toEqual(['TXT']);
      expect(all['route53:ChangeResourceRecordSetsActions']).toEqual(['CREATE', 'DELETE']);
    }
  });
});

describe('what the adapters call', () => {
  const service: Readonly<Record<string, string>> = {
    'client-dynamodb': 'dynamodb',
    'client-kms': 'kms',
    'client-route-53': 'route53',
    'client-s3': 's3',
    'client-secrets-manager': 'secretsmanager',
    'client-sqs': 'sqs',
    'client-sts': 'sts',
  };
  /** Actions that stand for a command: a transaction asks for the rights of its parts, a batch for those of one. */
  const parts: Readonly<Record<string, readonly string[]>> = {
    'dynamodb:TransactWriteItems': ['dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem'],
    'dynamodb:TransactGetItems': ['dynamodb:GetItem'],
    'dynamodb:BatchWriteItem': ['dynamodb:PutItem', 'dynamodb:DeleteItem'],
    's3:ListObjectsV2': ['s3:ListBucket'],
    'sqs:SendMessageBatch': ['sqs:SendMessage'],
    // Only where the fleet has zones under roles, or more than policies can name: zone-access.test.ts.
    'sts:AssumeRole': [],
    // Of the function that takes in reports, below.
    's3:GetObject': [],
  };
  const folder = join(root, 'adapters/aws');
  const called = new Set(
    readdirSync(folder).flatMap((file) => {
      const text = readFileSync(join(folder, file), 'utf8');
      return [...text.matchAll(/import (?:type )?\{([^}]*)\} from '@aws-sdk\/([\w-]+)'/g)].flatMap(
        ([, names = '', client = '']) =>
          [...names.matchAll(/\b(\w+)Command\b/g)].map(([, name]) => `${service[client]}:${name}`),
      );
    }),
  );

  test('is allowed to the reconcile function, which uses them all', () => {
    expect(called.size).toBeGreaterThan(10);
    const allowed = Object.keys(table.ReconcileRole);
    const missing = [...called].flatMap((one) => parts[one] ?? [one]).filter((one) => !allowed.includes(one));
    expect(missing).toEqual([]);
  });

  test('is all that is allowed', () => {
    const used = new Set([...called].flatMap((one) => [one, ...(parts[one] ?? [])]));
    const byServices = [
      // Lambda's: the event source, the log, the traces; KMS by way of Secrets Manager; tags and conditions of a write.
      /^(logs|xray|sqs|lambda):/,
      /^kms:(Decrypt|GenerateDataKey)$/,
      /^secretsmanager:TagResource$/,
      /^dynamodb:ConditionCheckItem$/,
    ];
    const unused = Object.keys(table.ReconcileRole).filter(
      (one) => !used.has(one) && !byServices.some((form) => form.test(one)),
    );
    expect(unused).toEqual([]);
  });
});

describe('a ledger that was restored to another table', () => {
  const restored = Template.fromStack(
    stackOf(fleetOf({ 'example.jp': ['example.jp'] }), { ledgerTable: 'selkie-restored-1' }),
  );
  const arn = `arn:<AWS::Partition>:dynamodb:${here}:table/selkie-restored-1`;
  const onTables = (role: string) =>
    statementsOf(restored, role)
      .filter(({ Action }) => list(Action).some((one) => one.startsWith('dynamodb:')))
      .map(({ Action, Resource }) => [list(Action), list(Resource).map(plain).map(short)] as const);

  test.each(['TickRole', 'ReconcileRole', 'ApiRole'])('%s works on that one alone', (role) => {
    for (const [, resources] of onTables(role))
      for (const one of resources) expect([arn, `${arn}/index/due`, `${arn}/index/trail`]).toContain(one);
    expect(onTables(role).map(([actions]) => actions)).toEqual([
      ['dynamodb:GetItem'],
      ['dynamodb:Query'],
      // Operators ask for the audit trail.
      ...(role === 'ApiRole' ? [['dynamodb:Query']] : []),
      ['dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem', 'dynamodb:ConditionCheckItem'],
    ]);
  });

  test('and whoever brings it up may note that in the one before', () => {
    expect(onTables('RestoreRole').filter(([, [resource]]) => resource === '<Ledger>')).toEqual([
      [['dynamodb:UpdateItem'], ['<Ledger>']],
    ]);
  });
});

describe('reports by mail', () => {
  /** The bucket of retired keys is another. */
  const ofMails = (of: Template, type: string) =>
    Object.entries(of.findResources(type)).flatMap(([id, resource]) =>
      id.startsWith('ReportMails') ? [resource] : [],
    );
  const mailed = Template.fromStack(
    stackOf(fleetOf({ 'example.jp': ['example.jp'] }), { reports: 'reports.example.jp' }),
  );

  test('the function that takes them in may read mails, and read and write the ledger', () => {
    const mails = '<ReportMailsBucket>/incoming/*';
    expect(granted('ReportsRole', mailed)).toEqual(
      sorted({
        ...readLedger,
        ...writeLedger,
        ...traces,
        ...log('Reports'),
        's3:GetObject': [mails],
        // Lambda sends there what failed for good, with the function's rights.
        'sqs:SendMessage': ['<ReportMailsFailed>'],
      }),
    );
    expect(
      Object.keys(mailed.findResources('AWS::IAM::Role'))
        .map((id) => id.replace(/[0-9A-F]{8}$/, ''))
        .toSorted(),
    ).toEqual([...Object.keys(table), 'ReportsRole'].toSorted());
    for (const role of Object.keys(table)) expect(granted(role, mailed)).toEqual(granted(role));
  });

  test('the bucket is closed, but for SES of this account, over TLS; mails are gone in a month', () => {
    const [bucket] = ofMails(mailed, 'AWS::S3::Bucket');
    expect(bucket?.Properties).toMatchObject({
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      LifecycleConfiguration: { Rules: [{ ExpirationInDays: 30, Status: 'Enabled' }] },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
    });
    const [policy] = ofMails(mailed, 'AWS::S3::BucketPolicy');
    const statements = policy?.Properties.PolicyDocument.Statement as (Statement & {
      Principal: Record<string, string>;
    })[];
    const denied = statements.filter(({ Effect }) => Effect === 'Deny');
    expect(denied.map(({ Action, Principal }) => [Action, Principal])).toEqual([
      ['s3:*', { AWS: '*' }],
      ['s3:*', { AWS: '*' }],
    ]);
    expect(denied.map(({ Condition }) => Condition)).toEqual([
      { Bool: { 'aws:SecureTransport': 'false' } },
      { NumericLessThan: { 's3:TlsVersion': 1.2 } },
    ]);
    const allowed = statements.filter(({ Effect }) => Effect === 'Allow');
    expect(allowed.map(({ Action, Principal }) => [Action, Principal])).toEqual([
      ['s3:PutObject', { Service: 'ses.amazonaws.com' }],
    ]);
    expect(JSON.stringify(allowed[0]?.Condition)).toContain('AWS::AccountId');
  });

  test('SES alone, of this account, may call the function', () => {
    const permissions = Object.values(mailed.findResources('AWS::Lambda::Permission')).filter(
      ({ Properties }) => Properties.Principal === 'ses.amazonaws.com',
    );
    expect(permissions.map(({ Properties }) => Properties.SourceAccount)).toEqual([
      { Ref: 'AWS::AccountId' },
    ]);
  });

  test('nothing of it is there where no domain is named', () => {
    for (const type of ['AWS::SES::ReceiptRule', 'AWS::SES::EmailIdentity'])
      expect(template.findResources(type)).toEqual({});
    expect(ofMails(mailed, 'AWS::S3::Bucket')).toHaveLength(1);
    expect(ofMails(template, 'AWS::S3::Bucket')).toEqual([]);
  });
});

describe('copies of secrets in other regions', () => {
  const replicas = ['eu-central-1', 'ap-northeast-1'];
  const copied = Template.fromStack(
    stackOf(
      { ...fleetOf({ 'example.jp': ['example.jp'] }), vault: { layout: 'per-key', replicas } },
      { multiRegion: true },
    ),
  );
  const find = (from: Template, action: string): Statement[] =>
    statementsOf(from, 'ReconcileRole').filter(({ Action }) => list(Action).includes(action));

  test('go to the regions of the fleet alone', () => {
    for (const action of ['CreateSecret', 'ReplicateSecretToRegions'])
      expect(find(copied, `secretsmanager:${action}`).map(({ Condition }) => Condition)).toEqual([
        expect.objectContaining({
          'ForAllValues:StringEquals': { 'secretsmanager:AddReplicaRegions': replicas },
        }),
      ]);
  });

  test('lie under the same key there, which works for them alone', () => {
    const there = find(copied, 'kms:Encrypt');
    expect(there.map(({ Resource }) => short(plain(Resource)))).toEqual(
      replicas.map((region) => `arn:<AWS::Partition>:kms:${region}:<AWS::AccountId>:key/<KeysSecrets>`),
    );
    expect(there.map(({ Condition }) => Condition?.StringEquals)).toEqual(
      replicas.map((region) => ({ 'kms:ViaService': `secretsmanager.${region}.amazonaws.com` })),
    );
  });

  test('are not made where the fleet has none', () => {
    expect(find(template, 'secretsmanager:CreateSecret')[0]?.Condition?.Null).toEqual({
      'secretsmanager:AddReplicaRegions': 'true',
    });
    expect(find(template, 'secretsmanager:ReplicateSecretToRegions')).toEqual([]);
    expect(find(template, 'kms:Encrypt')).toEqual([]);
  });
});

test("the keys' replicas of another region are used for what the keys are used for, there", () => {
  const { Resources, Parameters } = replicaKeysTemplate('selkie') as {
    Resources: Record<
      string,
      {
        Type: string;
        DeletionPolicy: string;
        Properties: { KeyPolicy: { Statement: (Statement & { Sid: string })[] } };
      }
    >;
    Parameters: Record<string, { AllowedPattern: string }>;
  };
  const uses = Object.entries(Resources).map(([id, { Type, DeletionPolicy, Properties }]) => {
    expect([Type, DeletionPolicy]).toEqual(['AWS::KMS::ReplicaKey', 'Retain']);
    const use = Properties.KeyPolicy.Statement.find(({ Sid }) => Sid === 'Use');
    return [id, list(use?.Action ?? []), Object.keys(use?.Condition ?? {})];
  });
  expect(uses).toEqual([
    ['Secrets', ['kms:Decrypt', 'kms:GenerateDataKey', 'kms:Encrypt'], ['StringEquals', 'StringLike']],
    ['Bundles', ['kms:Sign'], ['StringEquals']],
  ]);
  // A key of one region cannot be replicated: said before the deployment begins.
  const form = new RegExp(Parameters.BundleKeyArn?.AllowedPattern ?? '-');
  expect(form.test('arn:aws:kms:eu-west-1:123456789012:key/mrk-0123456789abcdef')).toBe(true);
  expect(form.test('arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef')).toBe(false);
});

describe('the keys themselves', () => {
  const keys = Object.entries(template.findResources('AWS::KMS::Key'));
  const policyOf = (id: string): (Statement & { readonly Sid: string })[] =>
    keys.find(([name]) => name.startsWith(id))?.[1].Properties.KeyPolicy.Statement ?? [];
  const use = (id: string): Statement | undefined => policyOf(id).find(({ Sid }) => Sid === 'Use');

  test('the one for secrets works through Secrets Manager alone, for secrets below our prefix', () => {
    expect(use('KeysSecrets')?.Action).toEqual(['kms:Decrypt', 'kms:GenerateDataKey']);
    expect(
      JSON.parse(
        JSON.stringify(use('KeysSecrets')?.Condition ?? {}, (_, value) =>
          value !== null && typeof value === 'object' && 'Fn::Join' in value ? plain(value) : value,
        ),
      ),
    ).toEqual({
      StringEquals: { 'kms:ViaService': 'secretsmanager.<AWS::Region>.amazonaws.com' },
      StringLike: { 'kms:EncryptionContext:SecretARN': [secrets[0], 'RequestToValidateKeyAccess'] },
    });
  });

  test('the one for bundles signs ES256 of whole manifests, and nothing else', () => {
    expect(use('KeysBundles')?.Action).toBe('kms:Sign');
    expect(use('KeysBundles')?.Condition).toEqual({
      StringEquals: { 'kms:SigningAlgorithm': 'ECDSA_SHA_256', 'kms:MessageType': 'RAW' },
    });
  });

  test('administrators have no action that uses a key or lends it', () => {
    for (const [id] of keys) {
      const statements = policyOf(id);
      expect(statements.map(({ Sid }) => Sid)).toEqual(['Administration', 'Use']);
      for (const action of list(statements[0]?.Action ?? []))
        expect(action).not.toMatch(/\*|:(Decrypt|Encrypt|Sign|ReEncrypt|Generate|CreateGrant|DeriveShared)/);
    }
  });
});
