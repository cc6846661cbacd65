// `npm run bench [-- name…]`: measures and prints. Nothing is left running or lying about.

import { Command } from 'commander';
import { body } from './body.ts';
import { bundles } from './bundles.ts';
import { planner } from './planner.ts';
import { rotation } from './rotation.ts';
import { synth } from './synth.ts';
import { printTable, progress } from './table.ts';

const benches = { rotation, planner, bundles, body, synth };
const isBench = (name: string): name is keyof typeof benches => Object.hasOwn(benches, name);

await new Command('bench')
  .description(`measures ${Object.keys(benches).join(', ')}: all, or those named`)
  .argument('[name...]', Object.keys(benches).join(', '))
  .action(async (given: string[]) => {
    const unknown = given.find((name) => !isBench(name));
    if (unknown !== undefined)
      throw new Error(`no benchmark is called ${unknown}: take ${Object.keys(benches).join(', ')}`);
    for (const name of given.length === 0 ? Object.keys(benches) : given)
      if (isBench(name)) {
        progress(name);
        printTable(await benches[name]());
      }
  })
  .parseAsync()
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
