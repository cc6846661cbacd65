// Makes a failing scenario smaller, as long as it goes on breaking the same invariant: by delta debugging (Zeller,
// Hildebrandt 2002) over what happens in it, then over its domains and hosts, then over its length.

import type { Violation } from './checker.ts';
import type { Scenario } from './scenario.ts';
import { runScenario } from './world.ts';

/** Runs that shrinking may cost. */
const mostRuns = 400;

export interface Shrunk {
  readonly scenario: Scenario;
  readonly violation: Violation;
  readonly runs: number;
}

/** All but the `n`-th of `parts` nearly equal pieces of a list. */
const without = <T>(list: readonly T[], n: number, parts: number): readonly T[] => {
  const size = Math.ceil(list.length / parts);
  return [...list.slice(0, n * size), ...list.slice((n + 1) * size)];
};

export const shrink = async (scenario: Scenario, violation: Violation): Promise<Shrunk> => {
  let smallest = { scenario, violation };
  let runs = 0;
  const stillFails = async (smaller: Scenario): Promise<boolean> => {
    if (runs >= mostRuns) return false;
    runs += 1;
    const [first] = (await runScenario(smaller)).violations;
    if (first?.invariant !== violation.invariant) return false;
    smallest = { scenario: smaller, violation: first };
    return true;
  };
  const reduce = async <T>(
    least: number,
    of: (from: Scenario) => readonly T[],
    put: (from: Scenario, list: readonly T[]) => Scenario,
  ): Promise<void> => {
    for (let parts = 2; of(smallest.scenario).length > least; ) {
      const list = of(smallest.scenario);
      let smaller = false;
      for (let n = 0; n < Math.min(parts, list.length) && !smaller; n += 1) {
        const rest = without(list, n, parts);
        smaller = rest.length >= least && (await stillFails(put(smallest.scenario, rest)));
      }
      if (smaller) parts = Math.max(2, parts - 1);
      else if (parts >= list.length) return;
      else parts = Math.min(list.length, parts * 2);
      if (runs >= mostRuns) return;
    }
  };
  // What happens after the failure is no cause of it.
  const failedAt = violation.at - Date.parse(scenario.start);
  await stillFails({
    ...scenario,
    length: Math.min(scenario.length, Math.max(1, failedAt + 1)),
    items: scenario.items.filter(({ at }) => at <= failedAt),
  });
  await reduce(
    0,
    ({ items }) => items,
    (from, items) => ({ ...from, items }),
  );
  await reduce(1, ({ domains }) => domains, withDomains);
  await reduce(
    1,
    ({ hosts }) => hosts,
    (from, hosts) => ({ ...from, hosts }),
  );
  for (const simpler of simplifications) await stillFails(simpler(smallest.scenario));
  return { ...smallest, runs };
};

const withDomains = (from: Scenario, domains: Scenario['domains']): Scenario => {
  const names = new Set(domains.map(({ domain }) => domain));
  return {
    ...from,
    domains,
    items: from.items.filter((item) => !('domain' in item) || names.has(item.domain)),
  };
};

const simplifications: readonly ((from: Scenario) => Scenario)[] = [
  (from) => ({ ...from, workers: 1 }),
  (from) => ({ ...from, slowness: 0 }),
  (from) => ({ ...from, messages: 0 }),
  (from) => ({ ...from, serverLag: 1_000, syncDelay: 1_000 }),
];
