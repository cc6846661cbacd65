// The role that an account with zones of its own gives to Selkie in another: a template that its administrators read and
// deploy there, without CDK. It allows what the reconcile function has for zones at home, and only that function, with the
// external id of the fleet file, may take it on.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  App,
  Aws,
  BootstraplessSynthesizer,
  CfnOutput,
  CfnParameter,
  type IStackSynthesizer,
  Stack,
} from 'aws-cdk-lib';
import { AccountPrincipal, ManagedPolicy, Role } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { SelkieError } from '../core/errors.ts';
import type { Fleet, FleetZone } from '../core/policy.ts';
import { acknowledgeWildcard } from './acknowledge.ts';
import { recordAccess, zonesInUse } from './zone-access.ts';

interface ZoneRoleProps {
  readonly fleet: Fleet;
  /** The fleet's zones under this role. */
  readonly zones: readonly FleetZone[];
  readonly role: Required<NonNullable<FleetZone['role']>>;
  /** Name of Selkie's own stack, as a default. */
  readonly stackName: string;
}

class ZoneRoleStack extends Stack {
  constructor(scope: Construct, id: string, { fleet, zones, role, stackName }: ZoneRoleProps) {
    const [, , , , account = '', path = ''] = role.arn.split(':');
    super(scope, id, {
      description: `For account ${account}: lets Selkie change the DKIM, SPF and DMARC records of ${zones
        .map(({ name }) => name)
        .join(', ')
        .slice(0, 200)}`,
      // CDK's own types differ by an `undefined`.
      synthesizer: new BootstraplessSynthesizer() as IStackSynthesizer,
    });
    const controlPlane = new CfnParameter(this, 'ControlPlaneAccount', {
      description: 'The account that Selkie runs in',
      allowedPattern: '^[0-9]{12}$',
    }).valueAsString;
    const stack = new CfnParameter(this, 'StackName', {
      description: "The name of Selkie's stack there",
      default: stackName,
      allowedPattern: '^[A-Za-z][A-Za-z0-9-]{0,30}$',
    }).valueAsString;
    const parts = path.split('/').slice(1);
    const zoneRole = new Role(this, 'Zones', {
      description: 'Selkie: changes DKIM key records, by CREATE and DELETE of TXT',
      roleName: parts.at(-1) ?? '',
      path: parts.length === 1 ? '/' : `/${parts.slice(0, -1).join('/')}/`,
      // Restore only reads, by a session policy. By pattern, so that this role may be there first, and outlives a function's role that is made anew.
      assumedBy: new AccountPrincipal(controlPlane).withConditions({
        StringEquals: { 'sts:ExternalId': role.externalId },
        ArnLike: {
          'aws:PrincipalArn': ['Reconcile', 'Restore'].map(
            (name) => `arn:${Aws.PARTITION}:iam::${controlPlane}:role/${stack}-${name}*`,
          ),
        },
      }),
    });
    // The fleet file names this one role for its zones.
    const access = recordAccess(this, fleet, zones, 1);
    for (const [index, statements] of (access?.roles[0]?.documents ?? []).entries()) {
      const policy = new ManagedPolicy(this, `Zones${index + 1}`, {
        description: 'Selkie: TXT records of the fleet, by CREATE and DELETE',
        statements: [...statements],
        roles: [zoneRole],
      });
      for (const { arn, reason } of access?.wildcards ?? []) acknowledgeWildcard(policy, arn, reason);
    }
    new CfnOutput(this, 'RoleArn', { value: zoneRole.roleArn, description: 'For role.arn in fleet.yaml' });
  }
}

/**
 * The template of the role that the fleet file names at `zone`, for all of the fleet's zones under it.
 * @throws invalid: no such zone, or one without role or external id
 */
export const zoneRoleStack = (app: App, fleet: Fleet, zone: string, stackName: string): Stack => {
  const entry = fleet.zones.get(zone);
  if (entry === undefined)
    throw new SelkieError(
      'invalid',
      `The fleet has no zone ${zone}; it has ${[...fleet.zones.keys()].slice(0, 5).join(', ')}.`,
      { field: 'zone' },
    );
  const { role } = entry;
  if (role === undefined)
    throw new SelkieError(
      'invalid',
      `Zone ${zone} has no role in the fleet file: it lies in Selkie's own account. For one in another account write role: { arn: arn:aws:iam::ACCOUNT:role/selkie-zones, externalId: … }.`,
      { field: 'zone' },
    );
  if (role.externalId === undefined)
    throw new SelkieError(
      'invalid',
      `The role of zone ${zone} has no externalId in the fleet file. Choose one (any text of 2 to 1,224 letters, digits and +=,.@:/-_, such as a UUID): without it the role could be taken on for somebody else.`,
      { field: 'externalId' },
    );
  const zones = zonesInUse(fleet).filter(
    (one) => one.role?.arn === role.arn && one.role.externalId === role.externalId,
  );
  if (zones.length === 0)
    throw new SelkieError('invalid', `No domain of the fleet has its key records in zone ${zone}.`, {
      field: 'zone',
    });
  return new ZoneRoleStack(app, 'selkie-zones', {
    fleet,
    zones,
    role: { arn: role.arn, externalId: role.externalId },
    stackName,
  });
};

/** As plain data, for `aws cloudformation deploy`. @throws as `zoneRoleStack` */
export const zoneRoleTemplate = (fleet: Fleet, zone: string, stackName: string): Record<string, unknown> => {
  const outdir = mkdtempSync(join(tmpdir(), 'selkie-zone-role-'));
  try {
    const app = new App({ analyticsReporting: false, outdir });
    const stack = zoneRoleStack(app, fleet, zone, stackName);
    return app.synth().getStackByName(stack.stackName).template as Record<string, unknown>;
  } finally {
    rmSync(outdir, { recursive: true });
  }
};
