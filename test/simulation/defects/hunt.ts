// Looks for the planted defect (preload.ts): first in the world that was made for it, if there is one, then in the worlds of
// the seeds 1, 2, 3 …; says as JSON where it was caught.

import { scenarioOf } from '../scenario.ts';
import { runScenario } from '../world.ts';
import { defects } from './list.ts';

// Nobody reads where a simulated failure was thrown.
Error.stackTraceLimit = 0;

const most = Number(process.argv[2] ?? 1_000);
const { world } = defects.find(({ name }) => name === process.env.SELKIE_DEFECT) ?? {};

const hunt = async () => {
  const [directed] = world === undefined ? [] : (await runScenario(world)).violations;
  if (directed !== undefined) return { worlds: 1, made: true, ...directed };
  for (let seed = 1; seed <= most; seed += 1) {
    const [violation] = (await runScenario(scenarioOf(seed))).violations;
    if (violation !== undefined) return { worlds: seed, made: false, ...violation };
  }
  return undefined;
};

process.stdout.write(`${JSON.stringify((await hunt()) ?? null)}\n`);
