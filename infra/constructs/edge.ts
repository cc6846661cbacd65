// One Lambda function: its bundle, its log group, and a role that may do nothing but write that log until statements are
// added. The SDK is bundled, so that what runs is what was tested. Each call is traced by X-Ray.

import { join } from 'node:path';
import type { Duration } from 'aws-cdk-lib';
import { Policy, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, CfnFunction, type ILayerVersion, Runtime } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledgeWildcard } from '../acknowledge.ts';
import { esModule } from '../es-module.ts';

export interface EdgeProps {
  readonly description: string;
  /** Folder that holds package-lock.json. */
  readonly root: string;
  /** Exports `handler`. */
  readonly entry: string;
  readonly memorySize: number;
  readonly timeout: Duration;
  readonly fleet: ILayerVersion;
  readonly environment: Readonly<Record<string, string>>;
  readonly statements: readonly PolicyStatement[];
}

export class Edge extends Construct {
  readonly role: Role;
  readonly function: NodejsFunction;
  readonly logGroup: LogGroup;

  constructor(scope: Construct, id: string, props: EdgeProps) {
    super(scope, id);
    this.logGroup = new LogGroup(this, 'Log', { retention: RetentionDays.THREE_MONTHS });
    this.role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    this.logGroup.grantWrite(this.role);
    for (const statement of props.statements) this.role.addToPolicy(statement);
    this.function = new NodejsFunction(this, 'Function', {
      description: props.description,
      entry: props.entry,
      projectRoot: props.root,
      depsLockFilePath: join(props.root, 'package-lock.json'),
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: props.memorySize,
      timeout: props.timeout,
      environment: { ...props.environment },
      layers: [props.fleet],
      role: this.role,
      logGroup: this.logGroup,
      awsSdkConnectionReuse: false, // version 3 of the SDK keeps connections anyway
      bundling: {
        format: OutputFormat.ESM,
        ...esModule,
        bundleAwsSDK: true,
        minify: true,
        sourceMap: false,
      },
    });
    this.trace();
  }

  /** By a policy of its own: the one that CDK would widen is excused for no wildcard. */
  private trace(): void {
    const policy = this.unscoped('Traces', ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'], {
      because: 'X-Ray has no resources for traces: its service reference lists none for these two actions.',
    });
    // Lambda refuses a function that is to trace and may not.
    this.function.node.addDependency(policy);
    const resource = this.function.node.defaultChild;
    if (resource instanceof CfnFunction) resource.tracingConfig = { mode: 'Active' };
  }

  /** Actions that know no resources, in a policy that holds nothing else. */
  unscoped(id: string, actions: string[], { because }: { readonly because: string }): Policy {
    const policy = new Policy(this, id, {
      statements: [new PolicyStatement({ actions, resources: ['*'] })],
      roles: [this.role],
    });
    acknowledgeWildcard(policy, '*', because);
    return policy;
  }
}
