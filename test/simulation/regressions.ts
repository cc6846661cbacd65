// Worlds that failed once, made as small as they would fail, each with the defect that it found. They have to stay whole. A
// seed alone would not do: what it stands for changes with the generator.

import { readdirSync, readFileSync } from 'node:fs';
import type { Scenario } from './scenario.ts';

const folder = new URL('regressions/', import.meta.url);

export interface Regression {
  readonly found: string;
  readonly invariant: number;
  readonly scenario: Scenario;
}

export const regressions: readonly Regression[] = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .toSorted()
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Regression);
