// Worlds that failed once, made as small as they would fail, with the defect that they found. Each has to stay whole.

import type { Scenario } from './scenario.ts';

export const regressions: readonly { readonly found: string; readonly scenario: Scenario }[] = [];
