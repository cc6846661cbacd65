// The checks can fail: each defect of the list is planted in a process of its own, and has to be caught.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { Tally } from '../summary.ts';
import { defects } from './list.ts';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Worlds within which a defect has to be caught; docs/reliability.md says how many each takes. */
const mostWorlds = 1_500;

const seedsUntilCaught = async (name: string): Promise<Tally> => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--import',
      path('preload.ts'),
      path('../main.ts'),
      '--seeds',
      String(mostWorlds),
      '--jobs',
      '1',
      '--json',
      '--quiet',
    ],
    { env: { ...process.env, SELKIE_DEFECT: name }, maxBuffer: 2 ** 26 },
  ).catch((error: { code?: number; stdout?: string; stderr?: string }) => {
    // 1: it was caught. Anything else is a patch that does not fit, or a crash.
    if (error.code !== 1) throw new Error(`defect ${name}: ${error.stderr ?? String(error)}`);
    return { stdout: error.stdout ?? '' };
  });
  return JSON.parse(stdout) as Tally;
};

describe('defects', () => {
  test('there are at least 25, each with a name of its own', () => {
    expect(new Set(defects.map(({ name }) => name)).size).toBe(defects.length);
    expect(defects.length).toBeGreaterThanOrEqual(25);
  });

  test.concurrent.each(defects)('$name: $says', { timeout: 600_000 }, async ({ name }) => {
    const { failures, worlds } = await seedsUntilCaught(name);
    expect(failures.length, `not caught in ${worlds} worlds`).toBe(1);
  });
});
