// Lets the reconcile function change the records of the zones in its own account. Where its policies name the zones one by one,
// they are the function's own. Where they cannot, it takes on a role for each batch, narrowed to it, and where one role is not
// enough, each zone has one of several: which, a file in the fleet's layer says.

import { Fn } from 'aws-cdk-lib';
import { ManagedPolicy, PolicyStatement, Role } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { acknowledgeWildcard } from '../acknowledge.ts';
import type { RecordAccess } from '../zone-access.ts';
import type { Edge } from './edge.ts';
import { zoneGroupsPath } from './fleet-layer.ts';

export interface ZoneRolesProps {
  readonly edge: Edge;
  readonly access: RecordAccess;
}

export class ZoneRoles extends Construct {
  readonly policies: readonly ManagedPolicy[];
  /** Policies of the function itself. */
  readonly own: number;

  constructor(scope: Construct, id: string, { edge, access }: ZoneRolesProps) {
    super(scope, id);
    const { form, roles, wildcards } = access;
    const changers =
      form === 'exact'
        ? [edge.role]
        : roles.map(
            (_, index) =>
              new Role(this, `Role${index + 1}`, {
                description:
                  'Selkie: taken on for one batch of record changes, with a policy that names its records',
                assumedBy: edge.role,
              }),
          );
    const changes = roles.flatMap(({ documents }, index) =>
      documents.map((statements, n) => {
        const policy = new ManagedPolicy(this, `Records${index + 1}x${n + 1}`, {
          description: 'Selkie: TXT records of the fleet, by CREATE and DELETE',
          statements: [...statements],
          roles: changers.slice(index, index + 1),
        });
        for (const { arn, reason } of wildcards) acknowledgeWildcard(policy, arn, reason);
        return policy;
      }),
    );
    this.policies = form === 'exact' ? changes : [...changes, this.takeOn(edge, changers)];
    this.own = form === 'exact' ? changes.length : 1;
  }

  private takeOn(edge: Edge, changers: readonly Role[]): ManagedPolicy {
    const arns = changers.map(({ roleArn }) => roleArn);
    edge.function.addEnvironment('SELKIE_ZONES_ROLES', Fn.join(',', arns));
    if (changers.length > 1) edge.function.addEnvironment('SELKIE_ZONE_GROUPS', zoneGroupsPath);
    return new ManagedPolicy(this, 'Roles', {
      description: 'Selkie: roles that change the records of the fleet',
      statements: [new PolicyStatement({ actions: ['sts:AssumeRole'], resources: arns })],
      roles: [edge.role],
    });
  }
}
