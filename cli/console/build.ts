// The console's files: built by Vite out of console/ when somebody first asks for them, kept under the hash of what they were
// made from, and held in memory (docs/adr/0014-console.md). As a program of its own it builds into the folder that it is told.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, SelkieError } from '../../core/errors.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const source = join(root, 'console');
/** What the page imports of core; all of it, since it is little. */
const shared = join(root, 'core');
const cache = join(root, 'node_modules/.cache/selkie-console');

export interface ConsoleFile {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** By their paths below the console's: `index.html`, `assets/…`. */
export type ConsoleFiles = ReadonlyMap<string, ConsoleFile>;

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const filesOf = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();

/** Of all that the files are made from: the sources, this file, and the versions of what builds them. */
const keyOf = async (): Promise<string> => {
  const hash = createHash('sha256');
  const made = [...(await filesOf(source)), ...(await filesOf(shared)), fileURLToPath(import.meta.url)];
  for (const name of ['vite', 'preact']) {
    const manifest = join(root, 'node_modules', name, 'package.json');
    if (existsSync(manifest)) made.push(manifest);
  }
  for (const file of made)
    hash
      .update(file.slice(root.length))
      .update('\0')
      .update(await readFile(file));
  return hash.digest('hex').slice(0, 32);
};

const read = async (folder: string): Promise<ConsoleFiles> => {
  const found = new Map<string, ConsoleFile>();
  for (const file of await filesOf(folder))
    found.set(file.slice(folder.length + 1), {
      type: types[extname(file)] ?? 'application/octet-stream',
      body: new Uint8Array(await readFile(file)),
    });
  return found;
};

/** For the next start. Where it cannot be kept it is built again, which takes a second. */
const keep = async (built: string, kept: string): Promise<void> => {
  const beside = `${kept}.${process.pid}`;
  try {
    await mkdir(cache, { recursive: true });
    await cp(built, beside, { recursive: true });
    await rename(beside, kept);
  } catch {
    await rm(beside, { recursive: true, force: true });
  }
};

/** @throws unavailable: it cannot be built here */
const build = async (): Promise<ConsoleFiles> => {
  if (!existsSync(join(root, 'node_modules/vite')))
    throw new SelkieError(
      'unavailable',
      'the console is built by Vite, which is not installed here: run npm ci without --omit=dev',
    );
  const kept = join(cache, await keyOf());
  if (existsSync(join(kept, 'index.html'))) return read(kept);
  const built = await mkdtemp(join(tmpdir(), 'selkie-console-'));
  try {
    // In a process of its own: what builds it takes memory that whoever runs for months need not hold.
    await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), built], { cwd: root });
    await keep(built, kept);
    return await read(built);
  } catch (cause) {
    throw new SelkieError('unavailable', `the console cannot be built: ${describe(cause)}`, { cause });
  } finally {
    await rm(built, { recursive: true, force: true });
  }
};

let building: Promise<ConsoleFiles> | undefined;

/** @throws unavailable */
export const consoleFiles = (): Promise<ConsoleFiles> => {
  building ??= build().catch((error: unknown) => {
    building = undefined;
    throw error;
  });
  return building;
};

if (import.meta.main) {
  const { build: bundle } = await import('vite');
  const [outDir = join(dirname(source), 'dist')] = process.argv.slice(2);
  await bundle({
    root: source,
    base: '/console/',
    configFile: false,
    envDir: false,
    logLevel: 'warn',
    build: { outDir, emptyOutDir: true, target: 'es2023', modulePreload: false, assetsInlineLimit: 0 },
  });
}
