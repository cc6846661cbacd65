import { Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { readSettings } from '../../infra/settings.ts';
import { fleetOf, plain, stackOf, statementsOf } from './synthesised.ts';

const settings = (context: Readonly<Record<string, unknown>>) => readSettings((name) => context[name]);
const thumbprint = 'A'.repeat(43);

describe('settings', () => {
  test('nothing chosen is a production of one region', () => {
    expect(settings({})).toEqual({
      fleet: 'fleet.yaml',
      stackName: 'selkie',
      stage: 'production',
      ephemeral: false,
      multiRegion: false,
      bundleKeys: { signing: 1, retired: [] },
      vaultKeys: { current: 1 },
      ledgerLost: false,
    });
  });

  test('a stage names the stack, unless the stack has a name', () => {
    expect(settings({ stage: 'test' })).toMatchObject({ stackName: 'selkie-test', stage: 'test' });
    expect(settings({ stage: 'test', stack: 'dkim' })).toMatchObject({ stackName: 'dkim', stage: 'test' });
  });

  test('words of the command line and values of cdk.json mean the same', () => {
    const said = {
      stage: 'test',
      ephemeral: 'true',
      multiRegion: 'true',
      bundleKey: '2',
      bundleKeyNext: '3',
    };
    const written = { stage: 'test', ephemeral: true, multiRegion: true, bundleKey: 2, bundleKeyNext: 3 };
    expect(settings(said)).toEqual(settings(written));
    expect(settings(said)).toMatchObject({ bundleKeys: { signing: 2, next: 3 }, ephemeral: true });
  });

  test.each([
    [{ stage: 'Test 1' }, 'stage'],
    [{ stage: '../other' }, 'stage'],
    [{ stack: 'a'.repeat(40) }, 'stack'],
    [{ ephemeral: 'yes', stage: 'test' }, 'ephemeral'],
    // Nobody destroys what is not marked as a test.
    [{ ephemeral: true }, 'ephemeral'],
    [{ ephemeral: true, stack: 'selkie' }, 'ephemeral'],
    [{ multiRegion: 1 }, 'multiRegion'],
    [{ bundleKey: 0 }, 'bundleKey'],
    [{ bundleKey: 'alias/x' }, 'bundleKey'],
    // A key that is announced must be the one that follows: any other would leave hosts behind.
    [{ bundleKeyNext: 3 }, 'bundleKeyNext'],
    [{ bundleKey: 2, bundleKeyNext: 2 }, 'bundleKeyNext'],
    [{ bundleKeysRetired: 'key-1' }, 'bundleKeysRetired'],
    [{ fleet: 3 }, 'fleet'],
    [{ reports: 'reports example' }, 'reports'],
    [{ reports: 'dmarc@example.jp' }, 'reports'],
    [{ quotaShare: 2 }, 'quotaShare'],
    [{ quotaShare: 'all' }, 'quotaShare'],
    [{ quotaShare: 0 }, 'quotaShare'],
    [{ quotaRequests: 0 }, 'quotaRequests'],
    [{ quotaRequests: 'more' }, 'quotaRequests'],
    // A reason is for those who read it later.
    [{ force: 'y' }, 'force'],
    [{ force: true }, 'force'],
    [{ ledgerTable: 'a table' }, 'ledgerTable'],
    [{ ledgerTable: 'arn:aws:dynamodb:eu-west-1:123456789012:table/x' }, 'ledgerTable'],
    [{ ledgerLost: 'yes' }, 'ledgerLost'],
    [{ vaultKey: 0 }, 'vaultKey'],
    [{ vaultKeyArn: 'mrk-1' }, 'vaultKeyArn'],
    [{ bundleKeyArn: 'alias/selkie' }, 'bundleKeyArn'],
  ])('%j is refused with the name of the setting', (context, field) => {
    expect(() => settings(context)).toThrow(expect.objectContaining({ code: 'invalid', field }));
  });
});

const fleet = fleetOf({ 'example.jp': ['example.jp'] });

describe('succession of bundle keys', () => {
  const keysOf = (template: Template): string[] =>
    Object.keys(template.findResources('AWS::KMS::Key', { Properties: { KeySpec: 'ECC_NIST_P256' } }));
  const environment = (template: Template): Record<string, string> => {
    const [, reconcile] =
      Object.entries(template.findResources('AWS::Lambda::Function')).find(([id]) =>
        id.startsWith('Reconcile'),
      ) ?? [];
    return Object.fromEntries(
      Object.entries(reconcile?.Properties.Environment.Variables ?? {})
        .filter(([name]) => name.startsWith('SELKIE_BUNDLE'))
        .map(([name, value]) => [name, plain(value).replace(/[0-9A-F]{8}\.Arn/, '')]),
    );
  };
  const template = (bundleKeys: { signing: number; next?: number; retired: readonly string[] }) =>
    Template.fromStack(stackOf(fleet, { bundleKeys }));
  const [first, announced, switched, retired] = [
    template({ signing: 1, retired: [] }),
    template({ signing: 1, next: 2, retired: [] }),
    template({ signing: 2, retired: [] }),
    template({ signing: 2, retired: [thumbprint] }),
  ];

  test('each step is one deployment that makes at most one key, and never lets go of one', () => {
    const [a, b, c, d] = [first, announced, switched, retired].map(keysOf);
    expect([a?.length, b?.length]).toEqual([1, 2]);
    expect(b).toEqual(expect.arrayContaining(a ?? []));
    expect(c).toEqual(b);
    expect(d).toEqual(b);
  });

  test('functions are told which signs, which is announced and which is trusted no more', () => {
    expect(environment(first)).toEqual({ SELKIE_BUNDLE_KEY: '<KeysBundles>' });
    expect(environment(announced)).toEqual({
      SELKIE_BUNDLE_KEY: '<KeysBundles>',
      SELKIE_BUNDLE_KEY_NEXT: '<KeysBundles2>',
    });
    expect(environment(switched)).toEqual({ SELKIE_BUNDLE_KEY: '<KeysBundles2>' });
    expect(environment(retired)).toEqual({
      SELKIE_BUNDLE_KEY: '<KeysBundles2>',
      SELKIE_BUNDLE_KEYS_RETIRED: thumbprint,
    });
  });

  test('only the key that signs may sign', () => {
    const signers = (of: Template): string[] =>
      statementsOf(of, 'ApiRole')
        .filter(({ Action }) => Action === 'kms:Sign')
        .map(({ Resource }) => plain(Resource).replace(/[0-9A-F]{8}\.Arn/, ''));
    expect(signers(announced)).toEqual(['<KeysBundles>']);
    expect(signers(switched)).toEqual(['<KeysBundles2>']);
  });

  test('an output names the command for each thumbprint', () => {
    expect(Object.keys(announced.findOutputs('*'))).toEqual(
      expect.arrayContaining(['BundleKeyArn', 'NextBundleKeyArn']),
    );
    expect(Object.keys(first.findOutputs('*'))).not.toContain('NextBundleKeyArn');
  });
});

test('what may be spent of the quota is told to the functions, where it was chosen', () => {
  const told = (chosen: { readonly quotaShare?: number; readonly quotaRequests?: number } = {}) =>
    Object.entries(Template.fromStack(stackOf(fleet, chosen)).findResources('AWS::Lambda::Function'))
      .filter(([id]) => id.startsWith('Reconcile'))
      .map(([, { Properties }]) => Properties.Environment.Variables)
      .map((told) => [told.SELKIE_QUOTA_SHARE, told.SELKIE_QUOTA_REQUESTS]);
  expect(told()).toEqual([[undefined, undefined]]);
  expect(told({ quotaShare: 0.5 })).toEqual([['0.5', undefined]]);
  expect(told({ quotaRequests: 50 })).toEqual([[undefined, '50']]);
});

const variables = (template: Template, name: string): Record<string, string> => {
  const [, found] =
    Object.entries(template.findResources('AWS::Lambda::Function')).find(([id]) => id.startsWith(name)) ?? [];
  return Object.fromEntries(
    Object.entries(found?.Properties.Environment.Variables ?? {}).map(([variable, value]) => [
      variable,
      plain(value).replace(/[0-9A-F]{8}(\.Arn)?>/, '>'),
    ]),
  );
};

describe('recovery', () => {
  const edges = ['Tick', 'Reconcile', 'Api', 'Restore'];

  test('a restored table takes the place of the own one, which stays as it is', () => {
    const [before, after] = [stackOf(fleet), stackOf(fleet, { ledgerTable: 'selkie-restored-1' })].map(
      (stack) => Template.fromStack(stack),
    );
    if (before === undefined || after === undefined) throw new Error('no template');
    expect(after.findResources('AWS::DynamoDB::Table')).toEqual(before.findResources('AWS::DynamoDB::Table'));
    for (const edge of [...edges, 'FleetGuard'])
      expect(variables(after, edge).SELKIE_TABLE, edge).toBe('selkie-restored-1');
    // Were it empty, nothing would begin in it.
    for (const edge of edges) expect(variables(after, edge).SELKIE_LEDGER_LOST, edge).toBe('true');
    expect(variables(after, 'Restore').SELKIE_TABLE_REPLACED).toBe('<LedgerTable>');
    expect(after.toJSON().Outputs.TableName.Value).toBe('selkie-restored-1');
    // Another table has the guard look before anything follows it.
    const asked = (of: Template) =>
      Object.values(of.findResources('Custom::SelkieFleet')).map(({ Properties }) => Properties.Table);
    expect(asked(after)).toEqual(['selkie-restored-1']);
    expect(asked(before)).not.toEqual(asked(after));
  });

  test('an empty ledger that stands in for a lost one waits in every function', () => {
    const template = Template.fromStack(stackOf(fleet, { ledgerLost: true }));
    for (const edge of edges) expect(variables(template, edge).SELKIE_LEDGER_LOST, edge).toBe('true');
    expect(variables(Template.fromStack(stackOf(fleet)), 'Tick').SELKIE_LEDGER_LOST).toBeUndefined();
  });

  test('another vault key encrypts what is new, and those before still decrypt', () => {
    const template = Template.fromStack(stackOf(fleet, { vaultKeys: { current: 2 } }));
    expect(variables(template, 'Reconcile').SELKIE_SECRET_KEY).toBe('<KeysSecrets2>');
    const allowed = (role: string, action: string) =>
      statementsOf(template, role)
        .filter(({ Action }) => Action === action)
        .flatMap(({ Resource }) => [Resource].flat())
        .map((one) => plain(one).replace(/[0-9A-F]{8}\.Arn>/, '>'));
    for (const role of ['ReconcileRole', 'ApiRole', 'RestoreRole'])
      expect(allowed(role, 'kms:Decrypt'), role).toEqual(['<KeysSecrets>', '<KeysSecrets2>']);
    expect(allowed('ReconcileRole', 'kms:GenerateDataKey')).toEqual(['<KeysSecrets2>']);
    template.resourceCountIs('AWS::KMS::Key', 3);
  });

  test('in a second region the replicas are the keys, and others may follow them', () => {
    const arn = (id: string) => `arn:aws:kms:eu-central-1:123456789012:key/mrk-${id}`;
    const there = (vault: number, bundle: number) =>
      Template.fromStack(
        stackOf(fleet, {
          vaultKeys: { current: vault, first: arn('a1') },
          bundleKeys: { signing: bundle, retired: [], first: arn('b1') },
        }),
      );
    const first = there(1, 1);
    first.resourceCountIs('AWS::KMS::Key', 0);
    expect(variables(first, 'Reconcile')).toMatchObject({
      SELKIE_SECRET_KEY: arn('a1'),
      SELKIE_BUNDLE_KEY: arn('b1'),
    });
    const next = there(2, 2);
    next.resourceCountIs('AWS::KMS::Key', 2);
    expect(variables(next, 'Reconcile')).toMatchObject({
      SELKIE_SECRET_KEY: '<KeysSecrets2>',
      SELKIE_BUNDLE_KEY: '<KeysBundles2>',
    });
  });
});

describe('stages', () => {
  const kept = (template: Template): string[] =>
    Object.entries(template.toJSON().Resources as Record<string, { DeletionPolicy?: string }>)
      .filter(([, { DeletionPolicy }]) => DeletionPolicy === 'Retain')
      .map(([id]) => id.replace(/[0-9A-F]{8}$/, ''));

  test('keys, ledger and logs outlive every stack', () => {
    expect(kept(Template.fromStack(stackOf(fleet, { stage: 'test' }))).toSorted()).toEqual([
      'ApiLog',
      'DisclosedKeys',
      'FleetGuardLog',
      'HttpAccessLog',
      'KeysBundles',
      'KeysSecrets',
      'LedgerTable',
      'ReconcileLog',
      'RestoreLog',
      'TickLog',
    ]);
  });

  test('but one that says that it is a test', () => {
    const template = Template.fromStack(stackOf(fleet, { stage: 'test', ephemeral: true }));
    expect(kept(template)).toEqual([]);
    template.hasResourceProperties('AWS::DynamoDB::Table', { DeletionProtectionEnabled: false });
  });

  test('whatever can bear tags says project and stage', () => {
    const template = Template.fromStack(stackOf(fleet, { stage: 'test' }));
    for (const type of [
      'AWS::DynamoDB::Table',
      'AWS::KMS::Key',
      'AWS::Lambda::Function',
      'AWS::SQS::Queue',
      'AWS::SNS::Topic',
      'AWS::Logs::LogGroup',
      'AWS::IAM::Role',
    ])
      template.allResourcesProperties(type, {
        Tags: Match.arrayWith([
          { Key: 'project', Value: 'selkie' },
          { Key: 'stage', Value: 'test' },
        ]),
      });
  });

  test('keys can be replicated where that was chosen', () => {
    Template.fromStack(stackOf(fleet)).allResourcesProperties('AWS::KMS::Key', {
      MultiRegion: Match.absent(),
    });
    Template.fromStack(stackOf(fleet, { multiRegion: true })).allResourcesProperties('AWS::KMS::Key', {
      MultiRegion: true,
    });
  });
});
