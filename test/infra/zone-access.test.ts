import { readFileSync } from 'node:fs';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { SelkieStack } from '../../infra/stack.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import {
  fleetOf,
  list,
  plain,
  type Statement,
  stackOf,
  statementsOf,
  templateOf,
  withStandIns,
} from './synthesised.ts';

const change = 'route53:ChangeResourceRecordSets';
const key = (name: string): string => `${change}${name}`;
const names = (statement: Statement): unknown =>
  statement.Condition?.['ForAllValues:StringLike']?.[key('NormalizedRecordNames')];
const of = (statements: readonly Statement[], action: string): Statement[] =>
  statements.filter((statement) => list(statement.Action).includes(action));
const zoneArn = (index: number | string): string => `arn:<AWS::Partition>:route53:::hostedzone/${index}`;
const zoneId = (index: number): string => `Z${String(index).padStart(20, '0')}`;

/** `count` zones of one domain each. */
const many = (count: number) =>
  fleetOf(
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`zone-${i}.example`, [`zone-${i}.example`]])),
  );

// Invariant 4
test('of a zone that people change nothing is allowed', () => {
  const fleet = fleetOf({ 'example.jp': ['example.jp'], 'b.jp': ['b.jp'] });
  const manual = {
    ...fleet,
    zones: new Map([...fleet.zones, ['b.jp', { name: 'b.jp', id: 'manual', provider: 'manual' as const }]]),
  };
  const statements = statementsOf(templateOf(manual), 'ReconcileRole');
  const arns = [change, 'route53:ListResourceRecordSets'].flatMap((action) =>
    of(statements, action).flatMap((statement) => list(statement.Resource).map(plain)),
  );
  expect(new Set(arns)).toEqual(new Set([zoneArn(zoneId(0))]));
});

describe('what the reconcile function may do to DNS', () => {
  const fleet = fleetOf({
    'example.jp': ['example.jp', 'mail.example.jp'],
    '_domainkey.b.jp': ['b.jp'],
    'unused.jp': [],
  });
  const template = templateOf(fleet);
  const statements = statementsOf(template, 'ReconcileRole');

  // Invariant 4
  test("changes are CREATE and DELETE of TXT at the fleet's own key names, zone by zone", () => {
    const changes = of(statements, change);
    expect(changes.map((statement) => [list(statement.Resource).map(plain), names(statement)])).toEqual([
      [[zoneArn(zoneId(0))], ['*._domainkey.example.jp', '*._domainkey.mail.example.jp']],
      [[zoneArn(zoneId(1))], ['*._domainkey.b.jp']],
    ]);
    for (const statement of changes) {
      expect(statement.Action).toBe(change);
      expect(statement.Condition?.['ForAllValues:StringEquals']).toEqual({
        [key('RecordTypes')]: ['TXT'],
        [key('Actions')]: ['CREATE', 'DELETE'],
      });
      // ForAllValues holds of nothing at all
      expect(statement.Condition?.Null).toEqual({
        [key('RecordTypes')]: 'false',
        [key('Actions')]: 'false',
        [key('NormalizedRecordNames')]: 'false',
      });
    }
  });

  test('records are listed in the same zones, changes are looked up by their ids, and nothing else is asked', () => {
    expect(
      of(statements, 'route53:ListResourceRecordSets').flatMap((one) => list(one.Resource).map(plain)),
    ).toEqual([zoneArn(zoneId(0)), zoneArn(zoneId(1))]);
    expect(of(statements, 'route53:GetChange').map((one) => plain(one.Resource))).toEqual([
      'arn:<AWS::Partition>:route53:::change/*',
    ]);
    const actions = new Set(
      statements.flatMap((one) => list(one.Action)).filter((action) => action.startsWith('route53:')),
    );
    expect(actions).toEqual(new Set([change, 'route53:ListResourceRecordSets', 'route53:GetChange']));
  });

  test('no other function has any of it', () => {
    for (const role of ['TickRole', 'ApiRole', 'MinuteRole'])
      expect(
        statementsOf(template, role)
          .flatMap((one) => list(one.Action))
          .filter((action) => /^(route53|sts):/.test(action)),
      ).toEqual([]);
  });
});

describe('zones in other accounts', () => {
  const role = (account: string) => ({ arn: `arn:aws:iam::${account}:role/selkie`, externalId: 'abc' });
  test('are reached by their roles alone, each role once, with its external id', () => {
    const fleet = fleetOf({ 'a.jp': ['a.jp'], 'b.jp': ['b.jp'], 'c.jp': ['c.jp'] }, [
      role('111111111111'),
      role('111111111111'),
      { arn: 'arn:aws:iam::222222222222:role/r' },
    ]);
    const statements = statementsOf(templateOf(fleet), 'ReconcileRole');
    expect(of(statements, 'sts:AssumeRole').map((one) => [one.Resource, one.Condition])).toEqual([
      ['arn:aws:iam::111111111111:role/selkie', { StringEquals: { 'sts:ExternalId': 'abc' } }],
      ['arn:aws:iam::222222222222:role/r', undefined],
    ]);
    expect(
      statements.flatMap((one) => list(one.Action)).filter((action) => action.startsWith('route53:')),
    ).toEqual([]);
  });
});

describe('large fleets', () => {
  const documents = (count: number) => {
    const template = templateOf(many(count));
    return {
      sizes: Object.entries(template.findResources('AWS::IAM::ManagedPolicy'))
        .filter(([id]) => id.startsWith('ZonesRecords'))
        .map(([, policy]) => plainSize(policy.Properties.PolicyDocument)),
      template,
      statements: statementsOf(template, 'ReconcileRole'),
    };
  };
  /** As IAM counts, its references resolved to the longest partition. */
  const plainSize = (document: unknown): number =>
    JSON.stringify(document, (_, value) =>
      value !== null && typeof value === 'object' && 'Fn::Join' in value ? plain(value) : value,
    ).replaceAll('<AWS::Partition>', 'aws-us-gov').length;

  test('whoever brings a restored ledger up lists them, by name up to 80 zones', () => {
    const lists = (count: number) =>
      statementsOf(documents(count).template, 'RestoreRole').filter(
        ({ Action }) => Action === 'route53:ListResourceRecordSets',
      );
    expect(lists(80).flatMap(({ Resource }) => list(Resource))).toHaveLength(80);
    expect(lists(81).map(({ Resource }) => plain(Resource))).toEqual([
      'arn:<AWS::Partition>:route53:::hostedzone/*',
    ]);
    for (const count of [80, 81])
      expect(of(statementsOf(documents(count).template, 'RestoreRole'), change)).toEqual([]);
  });

  test('60 zones still have a statement each', () => {
    const { sizes, statements } = documents(60);
    expect(of(statements, change)).toHaveLength(60);
    expect(sizes.length).toBeLessThanOrEqual(8);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(6_144);
  });

  test('500 zones, the quota of an account, share one pattern of a role that is taken on for each batch', () => {
    const { sizes, statements, template } = documents(500);
    expect(
      statements.flatMap((one) => list(one.Action)).filter((action) => action.startsWith('route53:')),
    ).toEqual([]);
    expect(of(statements, 'sts:AssumeRole').map((one) => [plain(one.Resource), one.Condition])).toEqual([
      [expect.stringMatching(/^<Zones\w+\.Arn>$/), undefined],
    ]);
    const changer = statementsOf(template, 'Zones');
    const changes = of(changer, change);
    expect(changes.flatMap((one) => list(one.Resource))).toHaveLength(500);
    for (const one of changes) {
      expect(names(one)).toEqual(['*._domainkey.*']);
      expect(one.Condition?.['ForAllValues:StringEquals']).toEqual({
        [key('RecordTypes')]: ['TXT'],
        [key('Actions')]: ['CREATE', 'DELETE'],
      });
      expect(one.Condition?.Null).toEqual({
        [key('RecordTypes')]: 'false',
        [key('Actions')]: 'false',
        [key('NormalizedRecordNames')]: 'false',
      });
    }
    expect(new Set(changer.flatMap((one) => list(one.Action)))).toEqual(
      new Set([change, 'route53:ListResourceRecordSets', 'route53:GetChange']),
    );
    expect(sizes.length).toBeLessThanOrEqual(8);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(6_144);
  });

  test('that role is taken on by the reconcile function alone, which is told of it', () => {
    const { template } = documents(500);
    const [zones] = Object.entries(template.findResources('AWS::IAM::Role')).filter(([id]) =>
      id.startsWith('Zones'),
    );
    expect(zones?.[1].Properties.AssumeRolePolicyDocument.Statement).toEqual([
      {
        Action: 'sts:AssumeRole',
        Effect: 'Allow',
        Principal: { AWS: { 'Fn::GetAtt': [expect.stringMatching(/^ReconcileRole/), 'Arn'] } },
      },
    ]);
    const told = Object.entries(template.findResources('AWS::Lambda::Function')).map(
      ([id, { Properties }]) => [
        id.replace(/Function.*/, ''),
        plain(Properties.Environment.Variables.SELKIE_ZONES_ROLES ?? ''),
      ],
    );
    expect(Object.fromEntries(told)).toEqual({
      Tick: '',
      Api: '',
      FleetGuard: '',
      Restore: '',
      Reconcile: `<${zones?.[0]}.Arn>`,
    });
  });

  describe('2,000 zones, more than one role’s policies can name', () => {
    const stack = stackOf(many(2_000));
    const template = Template.fromStack(stack);
    const roles = Object.entries(template.findResources('AWS::IAM::Role')).filter(([id]) =>
      id.startsWith('Zones'),
    );
    const zonesOf = (id: string): string[] =>
      of(statementsOf(template, id), change).flatMap((one) => list(one.Resource).map(plain));

    test('have several, each with zones of its own, in the order of the fleet', () => {
      expect(roles.length).toBe(4);
      const byRole = roles.map(([id]) => zonesOf(id));
      expect(byRole.flat()).toEqual(Array.from({ length: 2_000 }, (_, i) => zoneArn(zoneId(i))));
      for (const zones of byRole) expect(zones.length).toBeGreaterThan(300);
    });

    test('none of the roles may do anything else, nor be taken on by anybody else', () => {
      for (const [id, { Properties }] of roles) {
        const statements = statementsOf(template, id);
        expect(new Set(statements.flatMap((one) => list(one.Action)))).toEqual(
          new Set([change, 'route53:ListResourceRecordSets', 'route53:GetChange']),
        );
        for (const one of of(statements, change)) {
          expect(names(one)).toEqual(['*._domainkey.*']);
          expect(one.Condition?.['ForAllValues:StringEquals']).toEqual({
            [key('RecordTypes')]: ['TXT'],
            [key('Actions')]: ['CREATE', 'DELETE'],
          });
        }
        expect(Properties.AssumeRolePolicyDocument.Statement).toEqual([
          {
            Action: 'sts:AssumeRole',
            Effect: 'Allow',
            Principal: { AWS: { 'Fn::GetAtt': [expect.stringMatching(/^ReconcileRole/), 'Arn'] } },
          },
        ]);
      }
      const taken = of(statementsOf(template, 'ReconcileRole'), 'sts:AssumeRole');
      expect(taken.flatMap((one) => list(one.Resource).map(plain))).toEqual(
        roles.map(([id]) => `<${id}.Arn>`),
      );
    });

    test('policies are such as IAM takes: 6,144 characters, eight of a role', () => {
      const policies = Object.entries(template.findResources('AWS::IAM::ManagedPolicy'));
      for (const [, policy] of policies)
        expect(plainSize(policy.Properties.PolicyDocument)).toBeLessThanOrEqual(6_144);
      for (const [role] of roles) {
        const own = policies.filter(([, { Properties }]) =>
          Properties.Roles.some((one: unknown) => plain(one) === `<${role}>`),
        );
        expect(own.length).toBeLessThanOrEqual(8);
      }
    });

    test('the reconcile function is told the roles, and where it finds which zones each has', () => {
      const told = Object.entries(template.findResources('AWS::Lambda::Function')).flatMap(
        ([id, { Properties }]) => {
          const { SELKIE_ZONES_ROLES, SELKIE_ZONE_GROUPS } = Properties.Environment.Variables;
          return SELKIE_ZONES_ROLES === undefined && SELKIE_ZONE_GROUPS === undefined
            ? []
            : [
                [
                  id.replace(/Function.*/, ''),
                  list(SELKIE_ZONES_ROLES['Fn::Join'][1]).map(plain),
                  SELKIE_ZONE_GROUPS,
                ],
              ];
        },
      );
      expect(told).toEqual([
        ['Reconcile', roles.map(([id]) => `<${id}.Arn>`), '/opt/fleet/zone-groups.json'],
      ]);
    });
  });

  test('one zone more moves few from one role to the next', () => {
    const groupsOf = (count: number, skipped: number): ReadonlyMap<string, string> => {
      const fleet = many(count);
      const template = templateOf({
        ...fleet,
        domains: new Map([...fleet.domains].filter(([name]) => name !== `zone-${skipped}.example`)),
      });
      return new Map(
        Object.keys(template.findResources('AWS::IAM::Role'))
          .filter((id) => id.startsWith('ZonesRole'))
          .flatMap((id) =>
            of(statementsOf(template, id), change).flatMap((one) =>
              list(one.Resource).map((arn) => [plain(arn), id] as const),
            ),
          ),
      );
    };
    const [before, after] = [groupsOf(1_000, 0), groupsOf(1_000, -1)];
    const moved = [...before].filter(([arn, role]) => after.get(arn) !== role);
    expect(new Set(before.values()).size).toBe(2);
    expect(moved.length).toBeLessThanOrEqual(2);
  });

  // 1 MB, 500 resources: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
  test('7,800 zones still are a template that CloudFormation takes', { timeout: 60_000 }, () => {
    const folder = temporaryFolder();
    const app = new App({ context: { 'aws:cdk:bundling-stacks': [] }, outdir: folder });
    withStandIns((functions) => new SelkieStack(app, 'selkie', { fleet: many(7_800), functions }));
    const { templateFullPath } = app.synth().getStackByName('selkie');
    const text = readFileSync(templateFullPath, 'utf8');
    expect(text.length).toBeLessThan(1_000_000);
    const { Resources } = JSON.parse(text);
    expect(Object.keys(Resources).length).toBeLessThanOrEqual(500);
    expect(Object.keys(Resources).filter((id) => id.startsWith('ZonesRole')).length).toBeGreaterThan(13);
  });

  test('more than a template has room for is refused with the mend', () => {
    expect(() => templateOf(many(8_000))).toThrow(/has room for 78\d\d: move zones to another account/);
  });

  test('a zone of thousands of domains has patterns of its own, in one statement: a batch must match one whole', () => {
    const fleet = fleetOf({
      'example.jp': Array.from({ length: 3_000 }, (_, i) => `d${i}.example.jp`),
      'b.jp': ['b.jp'],
    });
    const changes = of(statementsOf(templateOf(fleet), 'ReconcileRole'), change);
    expect(changes.map(names)).toEqual([
      ['*._domainkey.example.jp', '*._domainkey.*.example.jp'],
      ['*._domainkey.b.jp'],
    ]);
  });
});

describe('SPF and DMARC records', () => {
  const records = {
    spf: { value: 'v=spf1 mx -all' },
    dmarc: { value: 'v=DMARC1; p=none; rua=mailto:a@b.jp,mailto:a@elsewhere.example' },
  };
  /** Every domain of a fleet has both. */
  const withRecords = (fleet: ReturnType<typeof fleetOf>): ReturnType<typeof fleetOf> => ({
    ...fleet,
    domains: new Map([...fleet.domains].map(([name, entry]) => [name, { ...entry, ...records }])),
  });

  // Invariant 4
  test('are changed at their own names, each in its own zone, and nowhere else', () => {
    const fleet = withRecords(fleetOf({ 'example.jp': ['mail.example.jp'], 'b.jp': [] }));
    const changes = of(statementsOf(templateOf(fleet), 'ReconcileRole'), change);
    expect(changes.map((statement) => [list(statement.Resource).map(plain), names(statement)])).toEqual([
      [[zoneArn(zoneId(0))], ['*._domainkey.mail.example.jp', '_dmarc.mail.example.jp', 'mail.example.jp']],
      [[zoneArn(zoneId(1))], ['mail.example.jp._report._dmarc.b.jp']],
    ]);
  });

  test('lie in the zone above where the keys have one of their own', () => {
    const fleet = withRecords(fleetOf({ '_domainkey.example.jp': ['example.jp'], 'example.jp': [] }));
    const changes = of(statementsOf(templateOf(fleet), 'ReconcileRole'), change);
    expect(changes.map(names)).toEqual([['*._domainkey.example.jp'], ['_dmarc.example.jp', 'example.jp']]);
  });

  test('of 500 zones: patterns for DMARC, every SPF name, in policies that IAM takes', () => {
    const template = templateOf(withRecords(many(500)));
    const changes = of(statementsOf(template, 'Zones'), change);
    expect(changes.flatMap((one) => list(one.Resource))).toHaveLength(500);
    const allowed = changes.flatMap((one) => names(one) as string[]);
    expect(allowed.filter((name) => name.startsWith('zone-'))).toHaveLength(500);
    expect(new Set(allowed.filter((name) => !name.startsWith('zone-')))).toEqual(
      new Set(['*._domainkey.*', '_dmarc.*', '*._report._dmarc.*']),
    );
    for (const one of changes)
      expect(
        list(one.Resource).every((arn) => {
          const index = Number(plain(arn).slice(-20));
          return (names(one) as string[]).includes(`zone-${index}.example`);
        }),
      ).toBe(true);
    const sizes = Object.values(template.findResources('AWS::IAM::ManagedPolicy')).map(
      (policy) =>
        JSON.stringify(policy.Properties.PolicyDocument, (_, value) =>
          value !== null && typeof value === 'object' && 'Fn::Join' in value ? plain(value) : value,
        ).replaceAll('<AWS::Partition>', 'aws-us-gov').length,
    );
    expect(Math.max(...sizes)).toBeLessThanOrEqual(6_144);
  });

  test('of a zone of thousands: what a batch changes matches one statement whole', () => {
    const fleet = withRecords(
      fleetOf({ 'example.jp': Array.from({ length: 3_000 }, (_, i) => `d${i}.example.jp`) }),
    );
    const [only, ...more] = of(statementsOf(templateOf(fleet), 'ReconcileRole'), change);
    expect(more).toEqual([]);
    expect(only === undefined ? [] : names(only)).toEqual([
      '*._domainkey.example.jp',
      '*._domainkey.*.example.jp',
      '_dmarc.example.jp',
      '_dmarc.*.example.jp',
      '*._report._dmarc.example.jp',
      '*._report._dmarc.*.example.jp',
      'example.jp',
      '*.example.jp',
    ]);
  });
});
