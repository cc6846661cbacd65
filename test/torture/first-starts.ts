// First starts: folders in which nothing is yet, where the process is killed while it makes its keys, files and first key
// set. Each must come up all the same, and sign.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { audit } from './audit.ts';
import type { Chance } from './chance.ts';
import type { MovedClock } from './clock.ts';
import { domains } from './fleet.ts';
import { setStage } from './stage.ts';
import type { Tally } from './tally.ts';

/** Kills of one folder before it is left alone. */
const kills = 3;
/** Milliseconds until both domains sign, on a busy machine. */
const patience = 30_000;

export const firstStarts = async (options: {
  readonly folders: number;
  readonly base: string;
  readonly fleet: string;
  readonly log: string;
  readonly clock: MovedClock;
  readonly chance: Chance;
  readonly tally: Tally;
}): Promise<void> => {
  const { folders, base, chance, tally, ...rest } = options;
  for (let folder = 1; folder <= folders; folder += 1) {
    const dir = join(base, `first-${folder}`);
    const stage = await setStage({ ...rest, dir, tally });
    for (let n = 0; n < kills; n += 1) {
      const life = stage.life();
      // Most of a start is the loading of code: nothing can be torn there.
      await life.until(life.isUp, chance.often(0.5) ? chance.between(300, 1_500) : patience);
      await life.until(() => false, chance.between(0, 400));
      await stage.kill();
      stage.start();
    }
    await stage.life().kill();
    if (!(await stage.startUp())) continue;
    const life = stage.life();
    const signs = (): boolean =>
      domains.every(({ domain }) => life.output().includes(`${domain} signs with`));
    if (!(await life.until(signs, patience)))
      tally.violation(`a first start that was killed ${kills} times does not come to sign: ${life.output()}`);
    const { violations } = await audit(dir, stage.ports().dns);
    for (const each of violations) tally.violation(`${each} (after a first start)`);
    await life.kill();
    tally.count('first starts');
    if (violations.length === 0) rmSync(dir, { recursive: true, force: true });
  }
};
