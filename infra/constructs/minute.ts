// The clock: each minute one invocation of the tick function. A tick that comes late is worth nothing, since the next one
// sees all that it would have seen; so nothing is tried again beyond a minute.

import { Duration, Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Schedule, ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import { Construct } from 'constructs';

const minute = Duration.minutes(1);

export class Minute extends Construct {
  constructor(scope: Construct, id: string, handler: IFunction) {
    super(scope, id);
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    });
    role.addToPolicy(
      new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [handler.functionArn] }),
    );
    handler.configureAsyncInvoke({ maxEventAge: minute, retryAttempts: 1 });
    new Schedule(this, 'Schedule', {
      description: 'Selkie: finds what is due',
      schedule: ScheduleExpression.rate(minute),
      // The role as it stands: the target would add every version of the function.
      target: new LambdaInvoke(handler, {
        role: role.withoutPolicyUpdates(),
        maxEventAge: minute,
        retryAttempts: 1,
      }),
    });
  }
}
