// Disclosed keys in a folder, for a web server to show: what is in it is public, so that others may read it. May touch its
// folder only.

import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Disclosure } from '../../engine/ports.ts';
import { createFileDisclosure, type Files } from '../disclosed/files.ts';
import { fileError, syncFolder, systemCode } from './private-file.ts';

/** `undefined` where there is no such file or folder. */
const ifThere = async <T>(work: Promise<T>): Promise<T | undefined> => {
  try {
    return await work;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
};

/** Durable when it returns, and never seen half: the private key is destroyed next, and this is what is left of it. */
const replace = async (file: string, text: string): Promise<void> => {
  const folder = dirname(file);
  const made = await mkdir(folder, { recursive: true, mode: 0o755 });
  if (made !== undefined) {
    await syncFolder(dirname(made));
    await syncFolder(dirname(folder));
  }
  const temporary = join(folder, `.${basename(file)}~${randomUUID()}`);
  try {
    const handle = await open(temporary, 'wx', 0o644);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
};

/** A folder, which is made when the first key is published. */
export const openDisclosedFolder = (folder: string): Disclosure => {
  const doing = async <T>(what: string, path: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw fileError(`${join(folder, path)} could not be ${what}`, error);
    }
  };
  const files: Files = {
    read: (path) => doing('read', path, () => ifThere(readFile(join(folder, path), 'utf8'))),
    write: (path, text) => doing('written', path, () => replace(join(folder, path), text)),
    names: (path) => doing('listed', path, async () => (await ifThere(readdir(join(folder, path)))) ?? []),
  };
  return createFileDisclosure(files);
};
