import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, test } from 'vitest';
import { zoneRoleStack, zoneRoleTemplate } from '../../infra/zone-role.ts';
import { fleetOf, list, plain, type Statement, statementsOf } from './synthesised.ts';

const role = { arn: 'arn:aws:iam::222222222222:role/teams/mail/selkie-zones', externalId: 'selkie-example' };
const fleet = fleetOf(
  { 'a.jp': ['a.jp'], 'b.jp': ['b.jp', 'mail.b.jp'], 'c.jp': ['c.jp'], 'd.jp': ['d.jp'], 'unused.jp': [] },
  [
    role,
    role,
    { arn: 'arn:aws:iam::333333333333:role/other', externalId: 'x' },
    { arn: 'arn:aws:iam::444444444444:role/r' },
    { arn: 'arn:aws:iam::555555555555:role/unused', externalId: 'x' },
  ],
);

describe('the role of a zone in another account', () => {
  const app = new App();
  const stack = zoneRoleStack(app, fleet, 'a.jp', 'selkie-test');
  const template = Template.fromStack(stack);

  test('is the one that the fleet file names', () => {
    template.hasResourceProperties('AWS::IAM::Role', { RoleName: 'selkie-zones', Path: '/teams/mail/' });
    template.resourceCountIs('AWS::IAM::Role', 1);
  });

  test('is taken on by the reconcile function alone, and only with the external id', () => {
    const [found] = Object.values(template.findResources('AWS::IAM::Role'));
    const trust: (Statement & { readonly Principal: { readonly AWS: unknown } })[] =
      found?.Properties.AssumeRolePolicyDocument.Statement ?? [];
    const [statement, ...others] = trust;
    expect(others).toEqual([]);
    expect(statement?.Action).toBe('sts:AssumeRole');
    expect(plain(statement?.Principal.AWS)).toBe('arn:<AWS::Partition>:iam::<ControlPlaneAccount>:root');
    expect(Object.keys(statement?.Condition ?? {}).toSorted()).toEqual(['ArnLike', 'StringEquals']);
    expect(statement?.Condition?.StringEquals).toEqual({ 'sts:ExternalId': 'selkie-example' });
    const callers = statement?.Condition?.ArnLike?.['aws:PrincipalArn'];
    expect(Array.isArray(callers) ? callers.map(plain) : []).toEqual([
      'arn:<AWS::Partition>:iam::<ControlPlaneAccount>:role/<StackName>-Reconcile*',
      'arn:<AWS::Partition>:iam::<ControlPlaneAccount>:role/<StackName>-Restore*',
    ]);
    expect(template.toJSON().Parameters).toEqual({
      ControlPlaneAccount: expect.objectContaining({ AllowedPattern: '^[0-9]{12}$' }),
      StackName: expect.objectContaining({ Default: 'selkie-test' }),
    });
  });

  test('may change the key records of the zones under it, of no other, and nothing else', () => {
    const statements = statementsOf(template, 'Zones');
    expect(new Set(statements.flatMap(({ Action }) => list(Action)))).toEqual(
      new Set(['route53:GetChange', 'route53:ListResourceRecordSets', 'route53:ChangeResourceRecordSets']),
    );
    const changes = statements.filter(({ Action }) => Action === 'route53:ChangeResourceRecordSets');
    expect(
      changes.map(({ Resource, Condition }) => [
        plain(Resource).split('/').at(-1),
        Condition?.['ForAllValues:StringLike']?.['route53:ChangeResourceRecordSetsNormalizedRecordNames'],
        Condition?.['ForAllValues:StringEquals'],
        Object.values(Condition?.Null ?? {}),
      ]),
    ).toEqual(
      [
        ['Z00000000000000000000', ['*._domainkey.a.jp']],
        ['Z00000000000000000001', ['*._domainkey.b.jp', '*._domainkey.mail.b.jp']],
      ].map((one) => [
        ...one,
        {
          'route53:ChangeResourceRecordSetsRecordTypes': ['TXT'],
          'route53:ChangeResourceRecordSetsActions': ['CREATE', 'DELETE'],
        },
        ['false', 'false', 'false'],
      ]),
    );
    expect(JSON.stringify(template.toJSON())).not.toContain('UPSERT');
  });

  test('gives cdk-nag nothing to find', () => {
    expect(new AwsSolutionsChecks().validateScope(stack).violations).toEqual([]);
  });

  test('needs nothing of CDK where it is deployed', () => {
    const text = JSON.stringify(zoneRoleTemplate(fleet, 'b.jp', 'selkie'));
    expect(text).not.toMatch(/cdk/i);
    // One template for all zones under one role.
    expect(JSON.parse(text)).toEqual(zoneRoleTemplate(fleet, 'a.jp', 'selkie'));
  });

  test.each([
    ['e.jp', 'The fleet has no zone e.jp'],
    ['d.jp', 'has no externalId'],
    ['unused.jp', 'No domain of the fleet'],
  ])('%s is refused: %s', (zone, says) => {
    expect(() => zoneRoleTemplate(fleet, zone, 'selkie')).toThrow(says);
  });

  test('more zones than one role can name are refused: the fleet file gives the others a second one', () => {
    const zones = Array.from({ length: 1_000 }, (_, i) => `zone-${i}.example`);
    const large = fleetOf(
      Object.fromEntries(zones.map((name) => [name, [name]])),
      zones.map(() => role),
    );
    expect(() => zoneRoleTemplate(large, 'zone-0.example', 'selkie')).toThrow(/can name 560: put the others/);
  });

  test("a zone of Selkie's own account is refused with what to write for another", () => {
    expect(() => zoneRoleTemplate(fleetOf({ 'a.jp': ['a.jp'] }), 'a.jp', 'selkie')).toThrow(/role: \{ arn:/);
  });
});
