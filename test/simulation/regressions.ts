// Worlds that failed once, made as small as they would fail, each with the defect that it found. They have to stay whole. A
// seed alone would not do: what it stands for changes with the generator.

import { readdirSync, readFileSync } from 'node:fs';
import type { Scenario } from './scenario.ts';

const folder = new URL('regressions/', import.meta.url);

export interface Regression {
  /** Of its file. */
  readonly name: string;
  readonly found: string;
  readonly invariant: number;
  readonly scenario: Scenario;
}

export const regressions: readonly Regression[] = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .toSorted()
  .map((file) => {
    const { found, invariant, scenario } = JSON.parse(
      readFileSync(new URL(file, folder), 'utf8'),
    ) as Regression;
    return { name: file.slice(0, -'.json'.length), found, invariant, scenario };
  });

/** The world that found it. */
export const worldThatFound = (name: string): Scenario => {
  const found = regressions.find((regression) => regression.name === name);
  if (found === undefined) throw new Error(`no world of that name: ${name}`);
  return found.scenario;
};
