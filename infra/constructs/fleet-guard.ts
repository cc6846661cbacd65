// Asks, before anything that works by the fleet is changed, whether the fleet may replace the one before: a custom resource
// whose function compares it with the ledger (functions/fleet-guard). A refusal fails the deployment, which rolls back.

import { createHash } from 'node:crypto';
import { CustomResource, Duration } from 'aws-cdk-lib';
import { Construct, type IConstruct } from 'constructs';
import { compileFleet } from '../../core/compiled-fleet.ts';
import type { Fleet } from '../../core/policy.ts';
import type { Edge } from './edge.ts';

export interface FleetGuardProps {
  /** Of functions/fleet-guard/handler.ts, with the new fleet's layer, SELKIE_TABLE, SELKIE_FLEET and `readLedger`. Its timeout: `FleetGuard.timeout`. */
  readonly edge: Edge;
  readonly fleet: Fleet;
  /** The ledger's. */
  readonly table: string;
}

export class FleetGuard extends Construct {
  /** Reading 100,000 rows takes about a minute. */
  static readonly timeout = Duration.minutes(5);

  private readonly check: CustomResource;

  constructor(scope: Construct, id: string, { edge, fleet, table }: FleetGuardProps) {
    super(scope, id);
    this.check = new CustomResource(this, 'Check', {
      resourceType: 'Custom::SelkieFleet',
      serviceToken: edge.function.functionArn,
      // Longer than the function may take, and not the hour that CloudFormation waits by default.
      serviceTimeout: Duration.minutes(10),
      // A change of these is what has CloudFormation ask.
      properties: {
        Fleet: createHash('sha256').update(compileFleet(fleet)).digest('hex'),
        Version: String(fleet.version),
        Table: table,
        ...(fleet.force === undefined ? {} : { Force: fleet.force.reason }),
      },
    });
    // Its rights come first.
    this.check.node.addDependency(edge.role);
  }

  /** These are changed only when the fleet was not refused. */
  before(...constructs: readonly IConstruct[]): void {
    for (const construct of constructs) construct.node.addDependency(this.check);
  }
}
