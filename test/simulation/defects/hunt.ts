// Looks for the planted defect (preload.ts): first in the world that was made for it, if there is one, and in others that
// differ from it by their seed, then in the worlds of the seeds 1, 2, 3 …; says as JSON where it was caught.

import { scenarioOf } from '../scenario-records.ts';
import { runScenario } from '../world.ts';
import { defects } from './list.ts';

// Nobody reads where a simulated failure was thrown.
Error.stackTraceLimit = 0;

const most = Number(process.argv[2] ?? 1_000);
/** What its minutes bring changes with every change of the code: one of so many will do. */
const madeWorlds = 300;
const { world } = defects.find(({ name }) => name === process.env.SELKIE_DEFECT) ?? {};

const hunt = async () => {
  for (let seed = 0; seed < madeWorlds && world !== undefined; seed += 1) {
    const [violation] = (await runScenario(seed === 0 ? world : { ...world, seed })).violations;
    if (violation !== undefined) return { worlds: seed + 1, made: true, ...violation };
  }
  for (let seed = 1; seed <= most; seed += 1) {
    const [violation] = (await runScenario(scenarioOf(seed))).violations;
    if (violation !== undefined) return { worlds: seed, made: false, ...violation };
  }
  return undefined;
};

process.stdout.write(`${JSON.stringify((await hunt()) ?? null)}\n`);
