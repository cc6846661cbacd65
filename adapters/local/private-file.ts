// Files that bear secrets: written once and durably, readable by their owner alone. May touch the folders it is given.
import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, SelkieError } from '../../core/errors.ts';

/** Windows keeps no permission bits and cannot fsync a folder; there the user's profile guards its files. */
const posix = process.platform !== 'win32';

export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** What went wrong with a file as a SelkieError; one that already is stays as it is. */
export const fileError = (doing: string, error: unknown): SelkieError => {
  if (error instanceof SelkieError) return error;
  const code = systemCode(error);
  return code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
    ? new SelkieError('denied', `${doing}: not permitted (${describe(error)}).`, { cause: error })
    : new SelkieError('unavailable', `${doing}: ${describe(error)}.`, { cause: error });
};

export const syncFolder = async (folder: string): Promise<void> => {
  if (!posix) return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** The mend is in the sentence, since only the owner can say whether somebody has read it meanwhile. */
const refuseShared = async (path: string, mode: '600' | '700'): Promise<void> => {
  if (!posix) return;
  const found = await stat(path);
  if ((found.mode & 0o077) !== 0)
    throw new SelkieError(
      'denied',
      `${path} can be reached by other users (mode ${(found.mode & 0o777).toString(8)}): run "chmod ${mode} ${path}", and consider whether they may have read what it guards.`,
    );
};

/**
 * Makes `folder` with mode 0700 where it is missing, and syncs its parent.
 * @throws denied where it is there and other users can reach it: the sentence has the `chmod`
 */
export const privateFolder = async (folder: string): Promise<void> => {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) {
    // mkdir's mode is cut by the umask, never widened; chmod gives exactly 0700.
    if (posix) await chmod(folder, 0o700);
    await syncFolder(dirname(made));
    await syncFolder(dirname(folder));
  }
  await refuseShared(folder, '700');
};

/** Not a DNS character, so that a temporary file's name begins with no other file's name. */
const temporaryMark = '~';

/** Whether `name` is a temporary file of `target`, left by a process that died. */
export const isTemporaryOf = (target: string, name: string): boolean =>
  name.startsWith(`.${target}${temporaryMark}`);

/**
 * Writes `bytes` to `path` with mode 0600, unless something is there: the file is whole and durable before it has its
 * name, and of two writers exactly one wins. Returns whether this one did. Durable in both cases when it returns.
 */
export const writeOnce = async (path: string, bytes: Uint8Array): Promise<boolean> => {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}${temporaryMark}${randomUUID()}`);
  const handle = await open(temporary, 'wx', 0o600);
  let won = true;
  try {
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // link, not rename: rename would replace what another writer has put there.
    await link(temporary, path).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw error;
      won = false;
    });
  } finally {
    await unlink(temporary);
  }
  await syncFolder(folder);
  return won;
};

/**
 * Reads a file that only its owner may reach. Undefined where there is none.
 * @throws denied where other users can reach it: the sentence has the `chmod`
 */
export const readPrivate = async (path: string): Promise<Uint8Array | undefined> => {
  try {
    await refuseShared(path, '600');
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
};
