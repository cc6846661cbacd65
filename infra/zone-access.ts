// What the reconcile function may do to DNS, from the fleet: change TXT records by CREATE and DELETE, at names below the
// `_domainkey` of the fleet's own domains, in their zones. UPSERT is never allowed: it would overwrite what is not ours
// (invariant 4).
//
// `ForAllValues` holds of an empty list too, hence `Null: false`. A request's names must all match one statement, so a zone's
// patterns are never split over two.

import { Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { SelkieError } from '../core/errors.ts';
import type { Fleet, FleetZone } from '../core/policy.ts';

/** IAM's limit is 6,144 characters without white space; the rest is the document around the statements. */
const documentLimit = 6_000;
/** A role takes ten managed policies by default. */
const documentsLimit = 8;
/** Above it, a zone's domains are covered by patterns of the zone. */
const namesLimit = 2_000;
/** Zones in one statement of the coarse form: about 60 characters each. */
const zonesPerStatement = 80;

const condition = (key: string): string => `route53:ChangeResourceRecordSets${key}`;

const changeRecords = (zoneArns: string[], names: string[]): PolicyStatement =>
  new PolicyStatement({
    actions: ['route53:ChangeResourceRecordSets'],
    resources: zoneArns,
    conditions: {
      'ForAllValues:StringEquals': {
        [condition('RecordTypes')]: ['TXT'],
        [condition('Actions')]: ['CREATE', 'DELETE'],
      },
      'ForAllValues:StringLike': { [condition('NormalizedRecordNames')]: names },
      Null: {
        [condition('RecordTypes')]: 'false',
        [condition('Actions')]: 'false',
        [condition('NormalizedRecordNames')]: 'false',
      },
    },
  });

const listRecords = (zoneArns: string[]): PolicyStatement =>
  new PolicyStatement({ actions: ['route53:ListResourceRecordSets'], resources: zoneArns });

const size = (statement: PolicyStatement): number => JSON.stringify(statement.toStatementJson()).length + 1;

const chunks = <T>(items: readonly T[], length: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / length) }, (_, i) =>
    items.slice(i * length, (i + 1) * length),
  );

/** Into as few documents as first fit finds. */
const pack = (statements: readonly PolicyStatement[]): PolicyStatement[][] => {
  const documents: { size: number; statements: PolicyStatement[] }[] = [];
  for (const statement of statements) {
    const own = size(statement);
    const room = documents.find((document) => document.size + own <= documentLimit);
    if (room === undefined) documents.push({ size: own, statements: [statement] });
    else {
      room.size += own;
      room.statements.push(statement);
    }
  }
  return documents.map((document) => document.statements);
};

/** The names that a zone's statement allows. `*` of IAM matches dots too. */
const namesOf = (zone: string, domains: readonly string[]): string[] => {
  const exact = domains.map((domain) => `*._domainkey.${domain}`);
  if (JSON.stringify(exact).length <= namesLimit) return exact;
  return zone.split('.').includes('_domainkey')
    ? [`*.${zone}`]
    : [`*._domainkey.${zone}`, `*._domainkey.*.${zone}`];
};

const assumeRole = (role: NonNullable<FleetZone['role']>): PolicyStatement =>
  new PolicyStatement({
    actions: ['sts:AssumeRole'],
    resources: [role.arn],
    ...(role.externalId === undefined
      ? {}
      : { conditions: { StringEquals: { 'sts:ExternalId': role.externalId } } }),
  });

export interface ZoneAccess {
  /** Of one policy each; at most eight. */
  readonly documents: readonly (readonly PolicyStatement[])[];
  /** Resources with a wildcard, and why. */
  readonly wildcards: readonly { readonly arn: string; readonly reason: string }[];
}

/** @throws invalid where the fleet has more zones in this account than policies can name: about 600 */
export const zoneAccess = (scope: Construct, fleet: Fleet): ZoneAccess => {
  const stack = Stack.of(scope);
  const arn = (resource: string, resourceName: string): string =>
    stack.formatArn({ service: 'route53', region: '', account: '', resource, resourceName });
  const byZone = Map.groupBy(fleet.domains.values(), (entry) => entry.zone);
  const used = [...fleet.zones.values()].filter((zone) => byZone.has(zone.name));
  const own = used.filter((zone) => zone.role === undefined);
  const ownArns = own.map((zone) => arn('hostedzone', zone.id));
  const roles = new Map(
    used.flatMap(({ role }) => (role === undefined ? [] : [[`${role.arn} ${role.externalId ?? ''}`, role]])),
  );
  const change = {
    arn: arn('change', '*'),
    reason:
      'Route 53 gives a change its id when it accepts it. What can be read is whether it has reached all servers.',
  };
  const everyZone = {
    arn: arn('hostedzone', '*'),
    reason:
      "The fleet has more zones than policies of one role can name twice. What can be read is what the name servers answer to anybody; changes stay limited to the fleet's zones.",
  };
  const common = [
    ...(own.length === 0
      ? []
      : [new PolicyStatement({ actions: ['route53:GetChange'], resources: [change.arn] })]),
    ...[...roles.values()].map(assumeRole),
  ];

  const fine = pack([
    ...common,
    ...chunks(ownArns, zonesPerStatement).map(listRecords),
    ...own.map((zone) =>
      changeRecords(
        [arn('hostedzone', zone.id)],
        namesOf(zone.name, byZone.get(zone.name)?.map((entry) => entry.domain) ?? []),
      ),
    ),
  ]);
  if (fine.length <= documentsLimit) return { documents: fine, wildcards: [change] };

  const coarse = pack([
    ...common,
    listRecords([everyZone.arn]),
    ...chunks(ownArns, zonesPerStatement).map((arns) => changeRecords(arns, ['*._domainkey.*'])),
  ]);
  if (coarse.length <= documentsLimit) return { documents: coarse, wildcards: [change, everyZone] };
  throw new SelkieError(
    'invalid',
    `The fleet has ${own.length} zones in this account and ${roles.size} roles for others, more than the policies of one role can name: move zones to another account under one role, or split the fleet into two stacks.`,
  );
};
