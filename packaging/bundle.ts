// The agent as one file, and what is owed to the authors of what is in it. Reads the repository; writes nothing.
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { esModule } from '../infra/es-module.ts';

export const repository = join(import.meta.dirname, '..');

export const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
  readonly version: string;
};

export interface Notice {
  readonly name: string;
  readonly license: string;
  /** Its licence file, as it is. */
  readonly text: string;
}

export interface Bundle {
  /** An ES module. */
  readonly code: string;
  /** Of each npm package in it, by name. */
  readonly notices: readonly Notice[];
}

/** `node_modules/@scope/name/…` → `@scope/name`. */
const packageOf = (path: string): string | undefined =>
  /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];

const noticeOf = async (name: string): Promise<Notice> => {
  const folder = join(repository, 'node_modules', name);
  const { license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    license?: string;
  };
  const file = (await readdir(folder)).find((entry) => /^(licen[cs]e|copying)([.-]|$)/i.test(entry));
  if (license === undefined)
    throw new Error(`${name} does not say its licence: look at it before it is shipped`);
  return { name, license, text: file === undefined ? '' : await readFile(join(folder, file), 'utf8') };
};

/** Legible, not minified: what goes wrong on a host is told by its stack. */
export const bundleAgent = async (): Promise<Bundle> => {
  const { outputFiles, metafile } = await build({
    entryPoints: ['agent/main.ts'],
    absWorkingDir: repository,
    bundle: true,
    write: false,
    outfile: 'agent.js',
    platform: 'node',
    format: 'esm',
    ...esModule,
    banner: { js: esModule.banner },
    sourcemap: false,
    metafile: true,
    logLevel: 'error',
  });
  const [output] = Object.values(metafile.outputs);
  const used = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  const names = new Set(used.map(([path]) => packageOf(path)).filter((name) => name !== undefined));
  return {
    // The wrapper names the Node to run it with. Letters beyond Latin-1 are in comments only, for esbuild escapes them
    // elsewhere; one of them doubles the memory that the text takes as long as the agent runs.
    code: (outputFiles[0]?.text ?? '').replace(/^#!.*\n/, '').replaceAll(/[\u0100-\uffff]/g, '?'),
    notices: await Promise.all([...names].sort().map(noticeOf)),
  };
};
