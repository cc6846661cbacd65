// What tells people: one topic, and alarms that each name their runbook in docs/operations.md. The functions say what
// happens in lines of JSON with a level; filters of their logs count those.

import { Duration } from 'aws-cdk-lib';
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import { Dashboard, GraphWidget, type IMetric, MathExpression, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { FilterPattern, MetricFilter } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Edge } from './edge.ts';
import { healthMetrics, healthThresholds } from './health.ts';
import { addAlarm, type Threshold } from './threshold.ts';

export interface WatchProps {
  /** Begins the names of metrics and of the dashboard. */
  readonly name: string;
  readonly tick: Edge;
  readonly reconcile: Edge;
  readonly api: Edge;
  /** Compares a new fleet with the ledger. */
  readonly guard: Edge;
  readonly http: HttpApi;
  readonly queue: Queue;
  readonly dead: Queue;
  /** Mails with reports that were not taken in; absent: none comes by mail. */
  readonly failedReports?: Queue;
  /** Hears the alarms, once it has confirmed. */
  readonly email?: string;
}

const sum = { statistic: 'sum', period: Duration.minutes(5) };
const most = { statistic: 'max', period: Duration.minutes(5) };

const total = (metrics: Readonly<Record<string, IMetric>>, label = 'all functions'): IMetric =>
  new MathExpression({
    expression: Object.keys(metrics).join(' + '),
    usingMetrics: { ...metrics },
    period: sum.period,
    label,
  });

export class Watch extends Construct {
  readonly topic: Topic;

  constructor(scope: Construct, id: string, props: WatchProps) {
    super(scope, id);
    const { tick, reconcile, api, guard, http, queue, dead, failedReports, email, name } = props;
    this.topic = new Topic(this, 'Topic', { displayName: `${name}: DKIM keys`, enforceSSL: true });
    if (email !== undefined) this.topic.addSubscription(new EmailSubscription(email));

    const edges = { tick, reconcile, api };
    const said = (level: 'alarm' | 'trouble'): IMetric => {
      const metricName = `${level}s`;
      for (const [edge, { logGroup }] of Object.entries(edges))
        new MetricFilter(this, `${level}-${edge}`, {
          logGroup,
          filterPattern: FilterPattern.stringValue('$.level', '=', level),
          metricNamespace: `Selkie/${name}`,
          metricName,
          metricValue: '1',
          defaultValue: 0,
        });
      return new Metric({ namespace: `Selkie/${name}`, metricName, ...sum });
    };
    new MetricFilter(this, 'refusals', {
      logGroup: guard.logGroup,
      filterPattern: FilterPattern.stringValue('$.level', '=', 'alarm'),
      metricNamespace: `Selkie/${name}`,
      metricName: 'refusals',
      metricValue: '1',
      defaultValue: 0,
    });
    const of = (what: 'metricErrors' | 'metricThrottles'): IMetric =>
      total(
        Object.fromEntries(
          Object.entries(edges).map(([edge, one]) => [`${edge}${what}`, one.function[what](sum)]),
        ),
      );

    const graphs = {
      alarms: said('alarm'),
      troubles: said('trouble'),
      dead: dead.metricApproximateNumberOfMessagesVisible(most),
      waiting: queue.metricApproximateAgeOfOldestMessage(most),
      errors: of('metricErrors'),
      throttles: of('metricThrottles'),
      // Minus, since all alarms here are for too much.
      idle: new MathExpression({
        expression: '5 - ticks',
        usingMetrics: { ticks: tick.function.metricInvocations(sum) },
        period: sum.period,
        label: 'minutes without a tick',
      }),
      failures: http.metricServerError(sum),
      // It is called by deployments alone, and in vain where it fails, which CloudFormation finds out by its time-out.
      refusals: total(
        {
          refusals: new Metric({ namespace: `Selkie/${name}`, metricName: 'refusals', ...sum }),
          errors: guard.function.metricErrors(sum),
          throttles: guard.function.metricThrottles(sum),
        },
        'fleets refused',
      ),
    };
    const thresholds: readonly Threshold[] = [
      {
        runbook: 'a-person-should-look',
        says: 'Selkie said something that a person should look at: its log has the sentence.',
        metric: graphs.alarms,
        above: 0,
      },
      {
        runbook: 'trouble-that-stays',
        says: 'Something has been tried again for half an hour without success.',
        metric: graphs.troubles,
        above: 0,
        periods: 6,
      },
      {
        runbook: 'dead-units',
        says: 'Units of work failed five times.',
        metric: graphs.dead,
        above: 0,
      },
      {
        runbook: 'work-that-waits',
        says: 'Work has waited in the queue for a quarter of an hour.',
        metric: graphs.waiting,
        above: Duration.minutes(15).toSeconds(),
        periods: 2,
      },
      { runbook: 'function-errors', says: 'A function failed.', metric: graphs.errors, above: 0, periods: 2 },
      {
        runbook: 'functions-throttled',
        says: 'Lambda refused to start a function.',
        metric: graphs.throttles,
        above: 0,
        periods: 3,
      },
      {
        runbook: 'no-tick',
        says: 'The clock stands: nothing that is due is begun.',
        metric: graphs.idle,
        above: 3,
        periods: 2,
        silence: 'breaching',
      },
      {
        runbook: 'api-failures',
        says: 'The API answered 5xx.',
        metric: graphs.failures,
        above: 0,
        periods: 2,
      },
      {
        runbook: 'fleet-refused',
        says: 'A new fleet was refused, or forced, or could not be compared with the ledger.',
        metric: graphs.refusals,
        above: 0,
      },
      ...(failedReports === undefined
        ? []
        : [
            {
              runbook: 'reports-not-taken-in',
              says: 'A mail with DMARC reports was not taken in, after all tries.',
              metric: failedReports.metricApproximateNumberOfMessagesVisible(most),
              above: 0,
            },
          ]),
    ];
    const health = healthMetrics(name);
    for (const threshold of [...thresholds, ...healthThresholds(health)])
      addAlarm(this, name, this.topic, threshold);

    const graph = (title: string, ...left: IMetric[]): GraphWidget =>
      new GraphWidget({ title, left, width: 12, height: 6 });
    new Dashboard(this, 'Dashboard', {
      dashboardName: name,
      widgets: [
        [
          graph('Alarms and troubles', graphs.alarms, graphs.troubles),
          graph('Work', graphs.waiting, graphs.dead),
        ],
        [
          graph(
            'Rotations',
            ...['RotationsOverdue', 'PhasesPastDeadline', 'KeysOlderThanPolicy'].flatMap(
              (one) => health[one] ?? [],
            ),
          ),
          graph(
            'Hosts, drift, quotas and refused fleets',
            ...['HostsSilent', 'DriftFound', 'CallsThrottled'].flatMap((one) => health[one] ?? []),
            graphs.refusals,
          ),
        ],
        [
          graph('Functions', graphs.errors, graphs.throttles, graphs.idle),
          graph('API', http.metricCount(sum), graphs.failures, http.metricClientError(sum)),
        ],
        [
          graph(
            'Seconds a call',
            ...Object.values(edges).map((edge) =>
              edge.function.metricDuration({ ...most, statistic: 'p99' }),
            ),
          ),
        ],
      ],
    });
  }
}
