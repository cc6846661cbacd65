// Time of a `cdk synth` into an empty folder: a process of its own, bundling and all.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { progress, type Table } from './table.ts';

const limitMs = 300_000;

export const synth = async (): Promise<Table> => {
  const out = mkdtempSync(join(tmpdir(), 'selkie-synth-'));
  const root = join(import.meta.dirname, '..');
  progress('cdk synth');
  const started = performance.now();
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      const child = spawn(join(root, 'node_modules/.bin/cdk'), ['synth', '--quiet', '--output', out], {
        cwd: root,
        stdio: ['ignore', 'ignore', 'inherit'],
        timeout: limitMs,
        env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}` },
      });
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0)
      throw new Error(`cdk synth ended with ${code ?? 'a signal'}: run npm run synth to see why`);
    const took = (performance.now() - started) / 1000;
    return { title: 'synth', columns: ['what', 'time'], rows: [['cold cdk synth', `${took.toFixed(1)} s`]] };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
};
