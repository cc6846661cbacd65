// Plants a defect: `node --import ./test/simulation/defects/preload.ts …` with SELKIE_DEFECT=name. The patched text exists
// only in the memory of that process. A patch that no longer fits the code is an error, never a defect that is not there.

import { registerHooks } from 'node:module';
import { defects } from './list.ts';

const name = process.env.SELKIE_DEFECT;
const defect = defects.find((each) => each.name === name);
if (defect === undefined) throw new Error(`SELKIE_DEFECT is "${name}": there is no such defect`);

const root = new URL('../../../', import.meta.url).href;

registerHooks({
  load: (url, context, next) => {
    const loaded = next(url, context);
    const patches = defect.patches.filter(({ file }) => url === root + file);
    if (patches.length === 0) return loaded;
    let source =
      typeof loaded.source === 'string'
        ? loaded.source
        : new TextDecoder().decode(loaded.source as Uint8Array);
    for (const { file, find, put } of patches) {
      if (source.split(find).length !== 2)
        throw new Error(
          `defect ${defect.name}: "${find}" stands ${source.split(find).length - 1} times in ${file}, not once`,
        );
      source = source.replace(find, () => put);
    }
    return { ...loaded, source };
  },
});
