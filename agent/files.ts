// Files that survive a crash, and folders that only this user may enter. Touches the file system only.
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SelkieError } from '../core/errors.ts';

/** Suffix of files that were not finished. */
export const unfinished = '.tmp';

/** Whether a system call failed with this code: errno(3). */
export const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

/** Whether it failed, at first or in the end, since a disk takes no writes: read-only, full, or beyond a quota. */
export const isUnwritable = (error: unknown): boolean =>
  ['EROFS', 'ENOSPC', 'EDQUOT'].some((code) => isCode(error, code)) ||
  (error instanceof Error && error.cause !== undefined && isUnwritable(error.cause));

/** Makes the folder (0700) where it is missing. @throws SelkieError unsafe where others may enter the one that is there */
export const privateFolder = async (path: string): Promise<void> => {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0)
    throw new SelkieError('unsafe', `Others may enter ${path}, which holds private keys: chmod 700 ${path}`);
};

/** Names in a folder are on the disk only after its own fsync. */
export const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};

/** Content on the disk under this name, 0600. The name itself is on the disk after `syncFolder` only. */
export const writeSynced = async (path: string, content: string | Uint8Array): Promise<void> => {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
};

/** Puts the new content in place of the old, whole or not at all: after a crash the file holds one or the other. */
export const replaceFile = async (path: string, content: string | Uint8Array): Promise<void> => {
  const draft = `${path}.${randomBytes(6).toString('hex')}${unfinished}`;
  try {
    await writeSynced(draft, content);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
};

/** The file's text; undefined where there is none. */
export const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
};
