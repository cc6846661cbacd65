// One alarm: what it looks at, when it goes off, and where its runbook stands.

import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';

export interface Threshold {
  /** A heading of docs/operations.md, and the alarm's name behind the stack's. */
  readonly runbook: string;
  readonly says: string;
  readonly metric: IMetric;
  readonly above: number;
  /** The last periods of the metric that are looked at. */
  readonly periods?: number;
  /** How many of them must be above; all by default. */
  readonly of?: number;
  /** What no data means: by default nothing bad; `breaching`, bad news; `ignore`, that all is as it was. */
  readonly silence?: 'breaching' | 'ignore';
}

const missing = {
  breaching: TreatMissingData.BREACHING,
  ignore: TreatMissingData.IGNORE,
  fine: TreatMissingData.NOT_BREACHING,
};

/** @param name begins the alarm's name @param topic hears when it begins and when it ends */
export const addAlarm = (scope: Construct, name: string, topic: ITopic, threshold: Threshold): Alarm => {
  const { runbook, says, metric, above, periods = 1, of, silence = 'fine' } = threshold;
  const alarm = new Alarm(scope, runbook, {
    alarmName: `${name}-${runbook}`,
    alarmDescription: `${says} What to do: docs/operations.md#${runbook}`,
    metric,
    threshold: above,
    comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
    evaluationPeriods: periods,
    ...(of === undefined ? {} : { datapointsToAlarm: of }),
    treatMissingData: missing[silence],
  });
  alarm.addAlarmAction(new SnsAction(topic));
  alarm.addOkAction(new SnsAction(topic));
  return alarm;
};
