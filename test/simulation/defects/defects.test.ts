// The checks can fail: each defect of the list is planted in a process of its own, and has to be caught.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { runScenario } from '../world.ts';
import { defects } from './list.ts';

/** A file beside this one. */
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Worlds within which a defect has to be caught; docs/reliability.md says how many each takes. */
const mostWorlds = 1_000;

interface Caught {
  readonly worlds: number;
  readonly says: string;
}

/** Null: it was not caught. Rejects where a patch does not fit the code. */
const hunt = async (name: string): Promise<Caught | null> => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', path('preload.ts'), path('hunt.ts'), String(mostWorlds)],
    { env: { ...process.env, SELKIE_DEFECT: name } },
  );
  return JSON.parse(stdout) as Caught | null;
};

describe('defects', () => {
  test('there are at least 25, each with a name of its own', () => {
    expect(new Set(defects.map(({ name }) => name)).size).toBe(defects.length);
    expect(defects.length).toBeGreaterThanOrEqual(25);
  });

  test.each(defects.filter(({ world }) => world !== undefined))(
    'the world made for $name is whole without it',
    async ({ world }) => {
      if (world === undefined) throw new Error('unreachable');
      expect((await runScenario(world)).violations).toEqual([]);
    },
  );

  test.each(defects)('$name: $says', { timeout: 300_000 }, async ({ name }) => {
    expect(await hunt(name), `not caught in ${mostWorlds} worlds`).not.toBeNull();
  });
});
