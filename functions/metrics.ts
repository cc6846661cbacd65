// Metrics as lines of the log: CloudWatch's embedded metric format, by hand. docs/adr/0010-metrics-by-hand.md says why not by
// a library.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

import type { Metric } from '../engine/ports.ts';

const namespace = 'Selkie';
/** Names in a line, for the person whom the alarm sends to it. */
const mostNames = 20;

export interface Meter {
  count(metric: Metric, n: number, what?: readonly string[]): void;
  /** Writes what was counted since the last time, if anything was. */
  flush(): void;
}

/** @param service the dimension `Service`: the stack's name @param now milliseconds since 1970 @param write takes one object a line */
export const createMeter = (options: {
  readonly service: string;
  readonly now: () => number;
  readonly write: (line: Readonly<Record<string, unknown>>) => void;
}): Meter => {
  const counts = new Map<Metric, { n: number; what: string[] }>();
  return {
    count: (metric, n, what = []) => {
      const before = counts.get(metric) ?? { n: 0, what: [] };
      counts.set(metric, { n: before.n + n, what: [...before.what, ...what].slice(0, mostNames) });
    },
    flush: () => {
      if (counts.size === 0) return;
      const counted = [...counts];
      counts.clear();
      const what = counted.flatMap(([metric, { what: names }]) =>
        names.length === 0 ? [] : [[metric, names] as const],
      );
      options.write({
        _aws: {
          Timestamp: options.now(),
          CloudWatchMetrics: [
            {
              Namespace: namespace,
              Dimensions: [['Service']],
              Metrics: counted.map(([Name]) => ({ Name, Unit: 'Count' })),
            },
          ],
        },
        Service: options.service,
        ...Object.fromEntries(counted.map(([metric, { n }]) => [metric, n])),
        // Not a metric: which ones, for a query of the log.
        ...(what.length === 0 ? {} : { which: Object.fromEntries(what) }),
      });
    },
  };
};
