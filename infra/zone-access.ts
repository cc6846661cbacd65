// What may be done to DNS, from the fleet: change TXT records by CREATE and DELETE, at names below the `_domainkey` of the
// fleet's own domains and at those of their SPF and DMARC records, in their zones. UPSERT is never allowed: it would overwrite what is not ours (invariant 4).
//
// `ForAllValues` holds of an empty list too, hence `Null: false`. A request's names must all match one statement, so a zone's
// patterns are never split over two.
//
// Two forms. `exact`: a statement for each zone, with its names. `coarse`, where there are more zones than policies can name
// twice: one pattern for all. A role of the coarse form is only ever assumed for one batch, with a session policy that names
// its zone and names (adapters/aws/route53-clients.ts). Where one role's policies cannot name all zones either, there are
// several, each with zones of its own, in the fleet's order: one more zone then moves few from one role to the next.

import { Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IConstruct } from 'constructs';
import { SelkieError } from '../core/errors.ts';
import type { Fleet, FleetDomain, FleetZone } from '../core/policy.ts';
import { wantedRecords } from '../core/policy-records/wanted.ts';

/** IAM's limit is 6,144 characters without white space; the rest is the document around the statements. */
const documentLimit = 6_000;
/** A role takes ten managed policies by default. */
const documentsLimit = 8;
/** Above it, a zone's domains are covered by patterns of the zone. */
const namesLimit = 2_000;
/** Names of SPF records in the patterns of a zone. */
const spfLimit = 3_500;
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

interface Document {
  size: number;
  readonly statements: PolicyStatement[];
}

/** Into the first document that has room for it, or a new one. */
const put = (documents: Document[], statement: PolicyStatement): void => {
  const own = size(statement);
  const room = documents.find((document) => document.size + own <= documentLimit);
  if (room === undefined) documents.push({ size: own, statements: [statement] });
  else {
    room.size += own;
    room.statements.push(statement);
  }
};

/** Into as few documents as first fit finds. */
const pack = (statements: readonly PolicyStatement[]): PolicyStatement[][] => {
  const documents: Document[] = [];
  for (const statement of statements) put(documents, statement);
  return documents.map((document) => document.statements);
};

/** A zone, and names in it that no pattern of the coarse form covers. */
interface Used {
  readonly zone: FleetZone;
  readonly listed: readonly string[];
}

/** Zones whose statements are one. */
const groups = (used: readonly Used[], patterns: readonly string[]): readonly (readonly Used[])[] => {
  const found: Used[][] = [];
  // An ARN of a zone takes about 60 characters; the statement's frame about 500.
  const sizeOf = (one: Used): number => 60 + JSON.stringify(one.listed).length;
  let room = 0;
  for (const one of used) {
    const last = found.at(-1);
    if (last === undefined || last.length >= zonesPerStatement || sizeOf(one) > room) {
      found.push([one]);
      room = documentLimit - 600 - JSON.stringify(patterns).length - sizeOf(one);
    } else {
      last.push(one);
      room -= sizeOf(one);
    }
  }
  return found;
};

/** Adopted key records that lie where only their CNAMEs lead. */
const adoptedElsewhere = (domains: readonly FleetDomain[]): string[] =>
  domains.flatMap(({ adopted = [] }) => adopted.flatMap(({ record }) => record ?? []));

/** What the fleet writes into one zone. */
interface ZoneNames {
  /** Domains whose key records lie in it. */
  readonly keys: FleetDomain[];
  /** Names of DMARC records and of authorizations of reports. */
  readonly dmarc: string[];
  /** Names of SPF records: any name may be one, so they are always listed. */
  readonly spf: string[];
}

const namesByZone = (fleet: Fleet): ReadonlyMap<string, ZoneNames> => {
  const zones = new Map<string, ZoneNames>();
  const of = (zone: string): ZoneNames => {
    const known = zones.get(zone) ?? { keys: [], dmarc: [], spf: [] };
    zones.set(zone, known);
    return known;
  };
  for (const entry of fleet.domains.values()) {
    of(entry.zone).keys.push(entry);
    for (const { kind, name, zone } of wantedRecords(entry, fleet.zones))
      if (zone !== undefined) of(zone)[kind === 'spf' ? 'spf' : 'dmarc'].push(name);
  }
  return zones;
};

const fits = (names: readonly string[], limit: number): boolean => JSON.stringify(names).length <= limit;

/**
 * A batch must match one statement whole, so a zone of very many SPF records is open to all TXT records; what is not ours is safe
 * there by what a change says: exactly the set that it deletes.
 */
const spfNames = (zone: string, spf: readonly string[]): readonly string[] =>
  fits(spf, spfLimit) ? spf : [zone, `*.${zone}`];

/** The names that a zone's statement allows. `*` of IAM matches dots too. */
const namesOf = (zone: string, { keys, dmarc, spf }: ZoneNames): string[] => {
  const exact = [
    ...keys.map(({ domain, cname }) =>
      cname === undefined ? `*._domainkey.${domain}` : `*._domainkey.${domain}.${cname}`,
    ),
    ...adoptedElsewhere(keys),
    ...dmarc,
    ...spf,
  ];
  if (fits(exact, namesLimit)) return exact;
  const ofKeys = zone.split('.').includes('_domainkey')
    ? [`*.${zone}`]
    : [`*._domainkey.${zone}`, `*._domainkey.*.${zone}`, ...adoptedElsewhere(keys)];
  const ofDmarc =
    dmarc.length === 0
      ? []
      : [`_dmarc.${zone}`, `_dmarc.*.${zone}`, `*._report._dmarc.${zone}`, `*._report._dmarc.*.${zone}`];
  return [...(keys.length === 0 ? [] : ofKeys), ...ofDmarc, ...spfNames(zone, spf)];
};

/** The hosted zones that hold a domain's records; others of the file are not touched, and people change the manual ones. */
export const zonesInUse = (fleet: Fleet): readonly FleetZone[] => {
  const used = namesByZone(fleet);
  return [...fleet.zones.values()].filter(({ name, provider }) => used.has(name) && provider !== 'manual');
};

/** What one role may change. */
export interface RoleAccess {
  readonly zones: readonly FleetZone[];
  /** Of one policy each; at most eight. */
  readonly documents: readonly (readonly PolicyStatement[])[];
}

export interface RecordAccess {
  readonly form: 'exact' | 'coarse';
  /** Exact: one. */
  readonly roles: readonly RoleAccess[];
  /** Resources with a wildcard, and why. */
  readonly wildcards: readonly { readonly arn: string; readonly reason: string }[];
}

/** Statements of the coarse form, on as few roles as take them. `always`: what each role has besides. */
const spread = (
  statements: readonly { readonly zones: readonly FleetZone[]; readonly statement: PolicyStatement }[],
  always: () => readonly PolicyStatement[],
): readonly RoleAccess[] => {
  const roles: { zones: FleetZone[]; documents: Document[] }[] = [];
  for (const { zones, statement } of statements) {
    const last = roles.at(-1);
    const fits = last?.documents.some((document) => document.size + size(statement) <= documentLimit);
    if (last !== undefined && (fits === true || last.documents.length < documentsLimit)) {
      put(last.documents, statement);
      last.zones.push(...zones);
    } else {
      const next: Document[] = [];
      for (const one of [...always(), statement]) put(next, one);
      roles.push({ zones: [...zones], documents: next });
    }
  }
  return roles.map(({ zones, documents }) => ({
    zones,
    documents: documents.map((document) => document.statements),
  }));
};

/**
 * What changes the records of `zones`, all of one account.
 * @param rolesLimit how many roles there may be
 * @throws invalid where there are more zones than these roles' policies can name: about 560 each
 */
export const recordAccess = (
  scope: IConstruct,
  fleet: Fleet,
  zones: readonly FleetZone[],
  rolesLimit: number,
): RecordAccess | undefined => {
  if (zones.length === 0) return undefined;
  const stack = Stack.of(scope);
  const arn = (resource: string, resourceName: string): string =>
    stack.formatArn({ service: 'route53', region: '', account: '', resource, resourceName });
  const byZone = namesByZone(fleet);
  const nothing: ZoneNames = { keys: [], dmarc: [], spf: [] };
  const arns = zones.map((zone) => arn('hostedzone', zone.id));
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
  const getChange = (): PolicyStatement =>
    new PolicyStatement({ actions: ['route53:GetChange'], resources: [change.arn] });

  const exact = pack([
    getChange(),
    ...chunks(arns, zonesPerStatement).map(listRecords),
    ...zones.map((zone) =>
      changeRecords([arn('hostedzone', zone.id)], namesOf(zone.name, byZone.get(zone.name) ?? nothing)),
    ),
  ]);
  if (exact.length <= documentsLimit)
    return { form: 'exact', roles: [{ zones, documents: exact }], wildcards: [change] };

  const used = zones.map((zone) => {
    const { keys, spf } = byZone.get(zone.name) ?? nothing;
    return { zone, listed: [...spfNames(zone.name, [...spf, ...adoptedElsewhere(keys)])] };
  });
  const patterns = [
    '*._domainkey.*',
    ...(zones.some(({ name }) => (byZone.get(name)?.dmarc.length ?? 0) > 0)
      ? ['_dmarc.*', '*._report._dmarc.*']
      : []),
  ];
  const roles = spread(
    groups(used, patterns).map((group) => ({
      zones: group.map(({ zone }) => zone),
      statement: changeRecords(
        group.map(({ zone }) => arn('hostedzone', zone.id)),
        [...patterns, ...group.flatMap(({ listed }) => listed)],
      ),
    })),
    () => [getChange(), listRecords([everyZone.arn])],
  );
  if (roles.length <= rolesLimit) return { form: 'coarse', roles, wildcards: [change, everyZone] };
  const named = roles.slice(0, rolesLimit).reduce((sum, role) => sum + role.zones.length, 0);
  throw new SelkieError(
    'invalid',
    rolesLimit === 1
      ? `The fleet has ${zones.length} zones under one role of another account, and the policies of one role can name ${named}: put the others under a second role of that account (zones[].role).`
      : `The fleet has ${zones.length} zones in one account, and a stack's template has room for ${named}: move zones to another account under a role of their own, or split the fleet into two stacks.`,
  );
};

/** For whoever reads the records of `zones`, all of one account, and changes none. */
export const listAccess = (
  scope: IConstruct,
  zones: readonly FleetZone[],
): { readonly statements: readonly PolicyStatement[]; readonly wildcard?: string } => {
  const arn = (id: string): string =>
    Stack.of(scope).formatArn({
      service: 'route53',
      region: '',
      account: '',
      resource: 'hostedzone',
      resourceName: id,
    });
  if (zones.length === 0) return { statements: [] };
  return zones.length <= zonesPerStatement
    ? { statements: [listRecords(zones.map(({ id }) => arn(id)))] }
    : { statements: [listRecords([arn('*')])], wildcard: arn('*') };
};

const assumeRole = ({ arn, externalId }: NonNullable<FleetZone['role']>): PolicyStatement =>
  new PolicyStatement({
    actions: ['sts:AssumeRole'],
    resources: [arn],
    ...(externalId === undefined ? {} : { conditions: { StringEquals: { 'sts:ExternalId': externalId } } }),
  });

/**
 * Statements for the roles of zones in other accounts, each once, packed into documents.
 * @throws invalid where they do not fit beside `beside` other documents of the same role
 */
export const assumeRoles = (fleet: Fleet, beside: number): readonly (readonly PolicyStatement[])[] => {
  const roles = new Map(
    zonesInUse(fleet).flatMap(({ role }) =>
      role === undefined ? [] : [[`${role.arn} ${role.externalId ?? ''}`, role]],
    ),
  );
  const documents = pack([...roles.values()].map(assumeRole));
  // Nine of ten: one is kept for whoever runs the account.
  if (documents.length + beside > documentsLimit + 1)
    throw new SelkieError(
      'invalid',
      `The fleet has zones under ${roles.size} roles of other accounts, more than the policies of one role can name beside its own zones: put more of the zones under one role, or split the fleet into two stacks.`,
    );
  return documents;
};
