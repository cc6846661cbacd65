// Adds up what worlds were like, and says it to people.

import { states } from '../../core/key/state.ts';
import type { Violation } from './checker.ts';
import { Coverage } from './coverage.ts';
import type { Cryptography, Figures } from './parts.ts';
import { callPorts } from './scenario.ts';
import { scenarioOf } from './scenario-records.ts';
import { runScenario } from './world.ts';

/** Of many worlds; it travels between threads. */
export interface Tally {
  worlds: number;
  figures: Figures;
  struck: [string, number][];
  met: [string, string[]][];
  failures: { readonly seed: number; readonly violation: Violation }[];
}

export const emptyTally = (): Tally => ({
  worlds: 0,
  figures: {
    rotations: 0,
    events: 0,
    commits: 0,
    signed: 0,
    verified: 0,
    tempfailed: 0,
    forgiven: 0,
    checks: 0,
  },
  struck: [],
  met: [],
  failures: [],
});

/** Runs the worlds of these seeds, in this thread. */
export const runSeeds = async (
  seeds: Iterable<number>,
  options: { readonly stopAtFirst?: boolean; readonly real?: Cryptography } = {},
): Promise<Tally> => {
  const tally = emptyTally();
  const coverage = new Coverage();
  for (const seed of seeds) {
    const outcome = await runScenario(
      scenarioOf(seed),
      options.real === undefined ? {} : { real: options.real },
    );
    tally.worlds += 1;
    for (const [name, value] of Object.entries(outcome.figures) as [keyof Figures, number][])
      tally.figures[name] += value;
    coverage.add(outcome.coverage);
    const [violation] = outcome.violations;
    if (violation !== undefined) tally.failures.push({ seed, violation });
    if (violation !== undefined && options.stopAtFirst === true) break;
  }
  tally.struck = [...coverage.struck];
  tally.met = [...coverage.met].map(([fault, states]) => [fault, [...states]]);
  return tally;
};

export const addTally = (to: Tally, from: Tally): void => {
  to.worlds += from.worlds;
  for (const [name, value] of Object.entries(from.figures) as [keyof Figures, number][])
    to.figures[name] += value;
  const coverage = new Coverage();
  coverage.add(to);
  coverage.add(from);
  to.struck = [...coverage.struck];
  to.met = [...coverage.met].map(([fault, states]) => [fault, [...states]]);
  to.failures.push(...from.failures);
};

const count = (n: number): string => n.toLocaleString('en-US');

/** Every kind of fault that scenario.ts can bring about. */
export const allFaults: readonly string[] = [
  'call refused',
  'call lost',
  'call late',
  'call slow',
  'call crash-before',
  'call crash-after',
  'rotate',
  'emergency',
  'rollback',
  'abort',
  'exclude',
  'policy',
  'leave',
  'vanish',
  'remove-host',
  'server-stuck',
  'server-down',
  'never-in-sync',
  'ids-forgotten',
  'foreign-record',
  'hand-edit',
  'host-off',
  'host-cut-off',
  'disk-corrupts',
  'host-wiped',
  'host-restored',
  'clock-skew',
  'schedule-stops',
  'queue-storm',
  'leases-fail',
  'eventual-reads',
  'deploy',
  'records',
  'hand-policy',
];

/** `fault × state` pairs that never met. */
export const unmet = (tally: Tally): readonly string[] => {
  const met = new Map(tally.met.map(([fault, states]) => [fault, new Set(states)]));
  return allFaults.flatMap((fault) =>
    states.filter((state) => met.get(fault)?.has(state) !== true).map((state) => `${fault} × ${state}`),
  );
};

export const summaryOf = (tally: Tally, seconds: number): string => {
  const { figures } = tally;
  const struck = new Map(tally.struck);
  const missing = unmet(tally);
  return [
    `${count(tally.worlds)} worlds, ${count(figures.rotations)} rotations in ${seconds.toFixed(1)} s: ${Math.round(figures.rotations / seconds)} a second`,
    `${count(figures.signed)} messages signed and followed; ${count(figures.verified)} verifications, ${count(figures.tempfailed)} of which found no server, ${count(figures.forgiven)} forgiven by the table`,
    `${count(figures.checks)} checks of the judge in ${count(figures.events)} events, ${count(figures.commits)} commits of the ledger`,
    'faults:',
    ...allFaults.map((fault) => `  ${fault.padEnd(18)} ${count(struck.get(fault) ?? 0).padStart(12)}`),
    missing.length === 0
      ? `each of ${allFaults.length} kinds of fault has met each of ${states.length} states of a key, on ${callPorts.length} ports`
      : `never met: ${missing.join(', ')}`,
    tally.failures.length === 0 ? 'no violation' : `${tally.failures.length} VIOLATIONS`,
  ].join('\n');
};
