// The audit of each day: one invocation of the tick function, with an input that says so. It only sends units of work; where it
// fails it is tried again for some hours, and the next day audits anew.

import { Duration, Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import { Construct } from 'constructs';

export class Daily extends Construct {
  /** @param handler the tick function (functions/tick/handler.ts) */
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
    new Schedule(this, 'Schedule', {
      description: 'Selkie: compares every record, secret, row and host with the ledger',
      // At an hour at which few people change zones by hand, and some are awake somewhere.
      schedule: ScheduleExpression.cron({ minute: '17', hour: '4' }),
      // The role as it stands: the target would add every version of the function.
      target: new LambdaInvoke(handler, {
        role: role.withoutPolicyUpdates(),
        input: ScheduleTargetInput.fromObject({ audit: true }),
        maxEventAge: Duration.hours(3),
        retryAttempts: 5,
      }),
    });
  }
}
