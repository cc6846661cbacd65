// Sizes of the functions' bundles, built in memory with the options of infra/constructs/edge.ts, against their goals.

import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { esModule } from '../infra/es-module.ts';
import type { Table } from './table.ts';

/** Kilobytes of 1,000 bytes. */
const goals = {
  tick: { bytes: 600, gzipped: 180 },
  reconcile: { bytes: 600, gzipped: 180 },
  api: { bytes: 1000, gzipped: 260 },
};

const verdict = (kilobytes: number, goal: number): string =>
  kilobytes <= goal ? 'met' : `not reached: ${(goal / kilobytes).toFixed(2)} of the goal`;

export const bundles = async (): Promise<Table> => {
  const rows: string[][] = [];
  for (const [name, goal] of Object.entries(goals)) {
    const { outputFiles } = await build({
      entryPoints: [`functions/${name}/handler.ts`],
      absWorkingDir: `${import.meta.dirname}/..`,
      bundle: true,
      write: false,
      outdir: 'out',
      platform: 'node',
      format: 'esm',
      ...esModule,
      banner: { js: esModule.banner },
      minify: true,
      sourcemap: false,
      logLevel: 'error',
    });
    const bytes = Buffer.concat(outputFiles.map((file) => file.contents));
    const sizes = [
      ['minified', bytes.length / 1000, goal.bytes],
      ['gzipped', gzipSync(bytes, { level: 9 }).length / 1000, goal.gzipped],
    ] as const;
    for (const [form, size, limit] of sizes)
      rows.push([name, form, `${size.toFixed(1)} KB`, `${limit} KB`, verdict(size, limit)]);
  }
  return { title: 'bundles', columns: ['function', 'form', 'size', 'goal', 'verdict'], rows };
};
