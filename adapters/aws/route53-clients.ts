// Route 53's clients for the zones of a fleet: with the function's own rights, or those of a role, in this account or the
// zone's. Calls sts:AssumeRole.
//
// A role's sessions are made for what they do. To read: one for all zones, which can change nothing. To change: one for each
// batch, which can change that zone and those names alone, whatever the role allows beside: a role of the coarse form
// (infra/zone-access.ts) allows every key name in some hundred zones.
import { setTimeout as sleep } from 'node:timers/promises';
import { Route53Client, type Route53ClientConfig } from '@aws-sdk/client-route-53';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { hasCode, SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import type { FleetZone } from '../../core/policy.ts';
import { type Duration, seconds } from '../../core/time.ts';
import { spread } from '../jitter.ts';
import { toSelkieError } from './errors.ts';

/** @param changing the names whose records the client changes; absent: it only reads */
export type Route53Clients = (zone: FleetZone, changing?: readonly string[]) => Route53Client;

export interface Route53ClientsOptions {
  /** ARN of this account's role for a zone without a role of its own; absent or undefined: the function's own rights. */
  readonly zonesRole?: (zone: FleetZone) => string | undefined;
  readonly sts?: STSClient;
  /** Region and endpoint of a test. */
  readonly route53?: Route53ClientConfig;
  /** Waits before a role is assumed again; given by tests. */
  readonly pause?: (length: Duration) => Promise<void>;
}

type Role = NonNullable<FleetZone['role']>;

/** STS takes no longer policy for a session: characters, without white space. */
const policyLimit = 2_048;

/** What a new role or a new policy takes to be seen everywhere, mostly. After it the engine tries again, for days. */
const patience: readonly Duration[] = [seconds(1), seconds(3), seconds(6)];

const sdkName = (error: unknown): string => (error instanceof Error ? error.name : '');

const arn = (role: Role, resource: string): string => `arn:${role.arn.split(':')[1]}:route53:::${resource}`;

const reading = (role: Role): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: 'route53:ListResourceRecordSets', Resource: arn(role, 'hostedzone/*') },
      { Effect: 'Allow', Action: 'route53:GetChange', Resource: arn(role, 'change/*') },
    ],
  });

const changeKey = 'route53:ChangeResourceRecordSets';

/** Not `Null: false`, which the role says: a session has only what both allow. */
const changingOnly = (role: Role, zone: FleetZone, names: readonly string[]): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: changeKey,
        Resource: arn(role, `hostedzone/${zone.id}`),
        Condition: {
          'ForAllValues:StringEquals': {
            [`${changeKey}RecordTypes`]: ['TXT'],
            [`${changeKey}Actions`]: ['CREATE', 'DELETE'],
          },
          'ForAllValues:StringLike': { [`${changeKey}NormalizedRecordNames`]: names },
        },
      },
    ],
  });

/** STS says no more than that: which of these it is, the role's trust policy tells. */
const notAllowed = (role: Role, cause: SelkieError): SelkieError =>
  new SelkieError(
    'denied',
    `The role ${role.arn} does not let itself be assumed: see that it exists, that its trust policy names this function's role, and that ${
      role.externalId === undefined
        ? 'it asks for no external id (fleet.yaml gives none: zones[].role.externalId)'
        : 'the external id that it asks for is what fleet.yaml says (zones[].role.externalId)'
    }. ${cause.message}`,
    { cause },
  );

/**
 * The names of a zone that key records, DMARC records and authorizations of reports can have: where those of a batch are too
 * many for one policy.
 */
const patterns = (zone: string): readonly string[] =>
  zone.split('.').includes('_domainkey')
    ? [`*.${zone}`]
    : [
        `*._domainkey.${zone}`,
        `*._domainkey.*.${zone}`,
        `_dmarc.${zone}`,
        `_dmarc.*.${zone}`,
        `*._report._dmarc.${zone}`,
        `*._report._dmarc.*.${zone}`,
      ];

/**
 * The policies that narrow a role to one batch, from the narrowest on: the later ones for where STS finds the first too large.
 */
export const sessionPolicies = (role: Role, zone: FleetZone, changing?: readonly string[]): string[] => {
  if (changing === undefined) return [reading(role)];
  const names = [...new Set(changing.map(lowerName))];
  const exact = changingOnly(role, zone, names);
  // An SPF record stands at its domain, an adopted key's at any name that a CNAME leads to.
  const elsewhere = names.filter((name) => !name.includes('._domainkey.') && !/(^|\.)_dmarc\./.test(name));
  const wide = changingOnly(role, zone, [...patterns(zone.name), ...elsewhere]);
  const fitting = [exact, wide].filter((policy) => policy.length <= policyLimit);
  // A batch of very many SPF records, each at a name of its own: its zone, all of it.
  return wide.length <= policyLimit
    ? fitting
    : [...fitting, changingOnly(role, zone, [zone.name, `*.${zone.name}`])];
};

/**
 * @returns the same client each time for what only reads; for changes by a role, one for each call
 * The clients' requests throw `denied` where the role cannot be assumed, also where it is too new to be seen.
 */
export const createRoute53Clients = ({
  zonesRole,
  sts = new STSClient({}),
  route53 = {},
  pause = async (length) => {
    await sleep(length);
  },
}: Route53ClientsOptions = {}): Route53Clients => {
  // The engine tries again with patience of its own; the SDK's tries would only spend the account's quota.
  const own = new Route53Client({ ...route53, maxAttempts: 2 });

  const assume = async (role: Role, policies: readonly string[]) => {
    const [Policy, ...wider] = policies;
    const command = new AssumeRoleCommand({
      RoleArn: role.arn,
      RoleSessionName: 'selkie',
      ...(role.externalId === undefined ? {} : { ExternalId: role.externalId }),
      ...(Policy === undefined ? {} : { Policy }),
    });
    for (let attempt = 0; ; attempt++) {
      try {
        return (await sts.send(command)).Credentials;
      } catch (error) {
        // STS measures a policy once more, packed.
        if (sdkName(error) === 'PackedPolicyTooLargeException' && wider.length > 0)
          return assume(role, wider);
        const length = patience[attempt];
        if (!/^AccessDenied/.test(sdkName(error)) || length === undefined) throw error;
        await pause(spread(length));
      }
    }
  };

  const sessionOf = (role: Role, policies: readonly string[]): Route53Client =>
    new Route53Client({
      ...route53,
      maxAttempts: 2,
      // The connections are shared: a session of its own costs no handshake.
      requestHandler: own.config.requestHandler,
      credentials: async () => {
        const what = `Assuming the role ${role.arn}`;
        const given = await assume(role, policies).catch((error: unknown): never => {
          const known = toSelkieError(error, what);
          throw hasCode(known, 'denied') ? notAllowed(role, known) : known;
        });
        if (given?.AccessKeyId === undefined || given.SecretAccessKey === undefined)
          throw new SelkieError('denied', `${what} gave no credentials.`);
        return {
          accessKeyId: given.AccessKeyId,
          secretAccessKey: given.SecretAccessKey,
          ...(given.SessionToken === undefined ? {} : { sessionToken: given.SessionToken }),
          ...(given.Expiration === undefined ? {} : { expiration: given.Expiration }),
        };
      },
    });

  const readers = new Map<string, Route53Client>();
  return (zone, changing) => {
    const ours = zonesRole?.(zone);
    const role = zone.role ?? (ours === undefined ? undefined : { arn: ours });
    if (role === undefined) return own;
    const policies = sessionPolicies(role, zone, changing);
    if (changing !== undefined) return sessionOf(role, policies);
    const key = `${role.arn} ${role.externalId ?? ''}`;
    const reader = readers.get(key) ?? sessionOf(role, policies);
    readers.set(key, reader);
    return reader;
  };
};
