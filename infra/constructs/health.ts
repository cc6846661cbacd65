// The product's own metrics, which functions write into their logs (CloudWatch's embedded metric format), and their alarms.
// Data only.
//
// A late row is counted when something looks at it, which may be once an hour: so an hour is a period, and any of the last
// three that is bad keeps an alarm up.

import { Duration } from 'aws-cdk-lib';
import { type IMetric, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Threshold } from './threshold.ts';

const hour = { statistic: 'max', period: Duration.hours(1) };

const looks: Readonly<
  Record<string, Omit<Threshold, 'metric' | 'above'> & { statistic: string; period: Duration }>
> = {
  RotationsOverdue: {
    runbook: 'rotation-overdue',
    says: 'A rotation should have begun or ended a day ago.',
    ...hour,
    periods: 3,
    of: 1,
  },
  PhasesPastDeadline: {
    runbook: 'phase-past-deadline',
    says: 'A step of a key takes longer than its deadline.',
    ...hour,
    periods: 3,
    of: 1,
  },
  KeysOlderThanPolicy: {
    runbook: 'key-too-old',
    says: 'A key signs that should have been rotated long ago.',
    ...hour,
    periods: 3,
    of: 1,
  },
  HostsSilent: {
    runbook: 'host-silent',
    says: 'A mail host has not been heard of.',
    statistic: 'max',
    period: Duration.minutes(15),
  },
  DriftFound: {
    runbook: 'drift',
    says: 'The daily audit found records, secrets or hosts that are not as the ledger says.',
    ...hour,
    // It is said once a day.
    silence: 'ignore',
  },
  CallsThrottled: {
    runbook: 'calls-throttled',
    says: 'AWS has refused calls as too many for half an hour, or our share of a quota is spent.',
    statistic: 'sum',
    period: Duration.minutes(15),
    periods: 2,
  },
};

/** @param service the dimension `Service`: the stack's name */
export const healthMetrics = (service: string): Readonly<Record<string, IMetric>> =>
  Object.fromEntries(
    Object.entries(looks).map(([metricName, { statistic, period }]) => [
      metricName,
      new Metric({
        namespace: 'Selkie',
        metricName,
        dimensionsMap: { Service: service },
        statistic,
        period,
      }),
    ]),
  );

export const healthThresholds = (metrics: Readonly<Record<string, IMetric>>): Threshold[] =>
  Object.entries(looks).flatMap(([name, { statistic: _, period: __, ...threshold }]) => {
    const metric = metrics[name];
    return metric === undefined ? [] : [{ ...threshold, metric, above: 0 }];
  });
