// Counters and gauges whose values are asked for when somebody looks, so that nothing is done for them before. No I/O.
import { Counter, Gauge, type Registry } from 'prom-client';

type Values = () => Iterable<readonly [string, number]>;

export interface Instruments {
  counter(name: string, help: string, value: () => number): void;
  /** One value for each value of a label. */
  counters(name: string, help: string, label: string, values: Values): void;
  /** Not shown where it has no value. */
  gauge(name: string, help: string, value: () => number | undefined | Promise<number | undefined>): void;
  gauges(name: string, help: string, label: string, values: Values): void;
}

export const instruments = (registry: Registry): Instruments => {
  const registers = [registry];
  return {
    counter: (name, help, value) =>
      void new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(value());
        },
      }),
    counters: (name, help, label, values) =>
      void new Counter({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset();
          for (const [of, value] of values()) this.inc({ [label]: of }, value);
        },
      }),
    gauge: (name, help, value) =>
      void new Gauge({
        name,
        help,
        registers,
        async collect() {
          const known = await value();
          if (known === undefined) this.remove();
          else this.set(known);
        },
      }),
    gauges: (name, help, label, values) =>
      void new Gauge({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset();
          for (const [of, value] of values()) this.set({ [label]: of }, value);
        },
      }),
  };
};
