// KeyTable and SigningTable on the disk: read, kept a copy of as administrators do (`KeyTable.org` once, dated ones after),
// and put in place whole. Touches those files and nothing else in their directories.
import { randomBytes } from 'node:crypto';
import { chmod, chown, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, SelkieError } from '../../../core/errors.ts';
import { readIfThere, syncFolder, unfinished } from '../../files.ts';

export interface TableFile {
  /** Symbolic links resolved: what is replaced is the file, not the link. */
  readonly path: string;
  /** Empty where there is no such file yet. */
  readonly text: string;
  readonly exists: boolean;
}

export const readTableFile = async (path: string): Promise<TableFile> => {
  const real = await realpath(path).catch(() => path);
  try {
    const text = await readIfThere(real);
    return { path: real, text: text ?? '', exists: text !== undefined };
  } catch (error) {
    throw new SelkieError('unavailable', `${path} cannot be read: ${describe(error)}`, { cause: error });
  }
};

const pad = (n: number): string => String(n).padStart(2, '0');

/** `20261103-091500` in the host's time zone, as `date` says it. */
export const dateSuffix = (now: number): string => {
  const date = new Date(now);
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(pad).join('');
  return `${day}-${[date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join('')}`;
};

/** Owner and mode as the file has them that is replaced; OpenDKIM reads tables as its own user. */
const likeness = async (path: string): Promise<{ mode: number; uid?: number; gid?: number }> => {
  try {
    const { mode, uid, gid } = await stat(path);
    return { mode: mode & 0o777, uid, gid };
  } catch {
    return { mode: 0o644 };
  }
};

const writeLike = async (
  path: string,
  text: string,
  { mode, uid, gid }: { mode: number; uid?: number; gid?: number },
): Promise<void> => {
  const draft = `${path}.${randomBytes(6).toString('hex')}${unfinished}`;
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await chmod(draft, mode);
    if (uid !== undefined && gid !== undefined && process.getuid?.() === 0) await chown(draft, uid, gid);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw error;
  }
};

const explain = (path: string, error: unknown): SelkieError => {
  const folder = dirname(path);
  const denied =
    error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM');
  return new SelkieError(
    denied ? 'denied' : 'unavailable',
    denied
      ? `${path} cannot be replaced: selkie-agent's user may not write to the directory ${folder}. Let it (chown it to that user), or move the tables into a directory of OpenDKIM's user and say so in opendkim.conf.`
      : `${path} cannot be written: ${describe(error)}`,
    { cause: error },
  );
};

const dated = /^\d{8}-\d{6}$/;

/** Keeps a copy of what is there now: `.org` the first time, then by date, the newest `keep` of them. */
export const backUp = async (file: TableFile, now: number, keep: number): Promise<void> => {
  if (!file.exists) return;
  const [folder, name] = [dirname(file.path), basename(file.path)];
  try {
    const like = await likeness(file.path);
    const present = await readdir(folder);
    const copy = `${name}.${present.includes(`${name}.org`) ? dateSuffix(now) : 'org'}`;
    // What was there at the second's beginning is what a person wants back.
    if (!present.includes(copy)) await writeLike(join(folder, copy), file.text, like);
    const dates = present
      .filter((other) => other.startsWith(`${name}.`) && dated.test(other.slice(name.length + 1)))
      .sort();
    for (const old of dates.slice(0, Math.max(0, dates.length + 1 - keep)))
      await rm(join(folder, old), { force: true });
  } catch (error) {
    throw explain(file.path, error);
  }
};

/**
 * Puts the text in place, on the disk when this returns.
 * @param expected what the file held when the text was made from it
 * @throws SelkieError conflict where somebody else wrote it meanwhile; denied, unavailable where it cannot be written: it
 *   is as it was
 */
export const replaceTable = async (file: TableFile, expected: string, text: string): Promise<void> => {
  const present = await readTableFile(file.path);
  if (present.text !== expected)
    throw new SelkieError('conflict', `${file.path} was changed by somebody else just now.`);
  if (present.exists && present.text === text) return;
  try {
    await writeLike(file.path, text, await likeness(file.path));
    await syncFolder(dirname(file.path));
  } catch (error) {
    throw explain(file.path, error);
  }
};
