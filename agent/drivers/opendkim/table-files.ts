// KeyTable and SigningTable on the disk: read, kept a copy of as administrators do (`KeyTable.org` once, dated ones after),
// and put in place whole. Touches those files and nothing else in their directories.
import { randomBytes } from 'node:crypto';
import { chmod, chown, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, SelkieError } from '../../../core/errors.ts';
import { isCode, readIfThere, syncFolder, unfinished, writeSynced } from '../../files.ts';

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
const dateSuffix = (now: number): string => {
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

/** Content on the disk under a name of its own, to be renamed. */
const draftLike = async (
  path: string,
  text: string,
  { mode, uid, gid }: { mode: number; uid?: number; gid?: number },
): Promise<string> => {
  const draft = `${path}.${randomBytes(6).toString('hex')}${unfinished}`;
  try {
    await writeSynced(draft, text);
    await chmod(draft, mode);
    if (uid !== undefined && gid !== undefined && process.getuid?.() === 0) await chown(draft, uid, gid);
    return draft;
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw error;
  }
};

const explain = (path: string, error: unknown): SelkieError => {
  const folder = dirname(path);
  const denied = isCode(error, 'EACCES') || isCode(error, 'EPERM');
  return new SelkieError(
    denied ? 'denied' : 'unavailable',
    denied
      ? `${path} cannot be replaced: selkie-agent's user may not write to the directory ${folder}. Let it (chown it to that user), or move the tables into a directory of OpenDKIM's user and say so in opendkim.conf.`
      : `${path} cannot be written: ${describe(error)}`,
    { cause: error },
  );
};

const dated = /^\d{8}-\d{6}$/;
/** What a crash left of `draftLike`. */
const leftover = /^[0-9a-f]{12}\.tmp$/;

/**
 * Keeps a copy of what is there now: `.org` the first time, then by date, the newest `keep` of them. None of what the newest
 * copy says already: attempts that fail again and again would push out what a person wants back.
 */
export const backUp = async (
  file: TableFile,
  now: number,
  keep: number,
  same: (a: string, b: string) => boolean,
): Promise<void> => {
  if (!file.exists) return;
  const [folder, name] = [dirname(file.path), basename(file.path)];
  try {
    const present = (await readdir(folder)).filter((other) => other.startsWith(`${name}.`));
    const suffixes = present.map((other) => other.slice(name.length + 1));
    for (const suffix of suffixes)
      if (leftover.test(suffix)) await rm(join(folder, `${name}.${suffix}`), { force: true });
    const dates = suffixes.filter((suffix) => dated.test(suffix)).sort();
    const suffix = suffixes.includes('org') ? dateSuffix(now) : 'org';
    const newest = dates.at(-1) ?? (suffixes.includes('org') ? 'org' : undefined);
    // Twice in a second: what was there at its beginning is what a person wants back.
    if (newest === suffix) return;
    const copied = newest === undefined ? undefined : await readIfThere(join(folder, `${name}.${newest}`));
    if (copied !== undefined && same(copied, file.text)) return;
    const copy = join(folder, `${name}.${suffix}`);
    await rename(await draftLike(copy, file.text, await likeness(file.path)), copy);
    for (const old of dates.slice(0, Math.max(0, dates.length + 1 - keep)))
      await rm(join(folder, `${name}.${old}`), { force: true });
  } catch (error) {
    throw explain(file.path, error);
  }
};

/** A text that lies ready beside the file that it is to replace. */
export interface Draft {
  /**
   * Puts it in place, on the disk when this returns.
   * @throws SelkieError conflict where somebody else wrote the file since it was read
   */
  commit(): Promise<void>;
  discard(): Promise<void>;
}

/**
 * Everything that a full disk or a missing permission forbids is done here, before anything changes.
 * @param file as it was read when the text was made from it
 * @throws SelkieError denied, unavailable
 */
const draftTable = async (file: TableFile, text: string): Promise<Draft> => {
  if (file.exists && file.text === text) return { commit: async () => {}, discard: async () => {} };
  try {
    const draft = await draftLike(file.path, text, await likeness(file.path));
    return {
      async commit() {
        const present = await readTableFile(file.path);
        if (present.text !== file.text)
          throw new SelkieError(
            'conflict',
            `${file.path} was changed by somebody else just now; it is read again soon.`,
          );
        try {
          await rename(draft, file.path);
          await syncFolder(dirname(file.path));
        } catch (error) {
          throw explain(file.path, error);
        }
      },
      discard: () => rm(draft, { force: true }),
    };
  } catch (error) {
    throw explain(file.path, error);
  }
};

/** Both texts in place of both files, in this order; on failure as much as was not done is left out. */
export const replaceTables = async (
  changes: readonly (readonly [TableFile, string])[],
  between: (file: TableFile) => Promise<void> = async () => {},
): Promise<void> => {
  const drafts: (readonly [TableFile, Draft])[] = [];
  try {
    for (const [file, text] of changes) drafts.push([file, await draftTable(file, text)]);
    for (const [file, draft] of drafts) {
      await draft.commit();
      await between(file);
    }
  } finally {
    for (const [, draft] of drafts) await draft.discard().catch(() => undefined);
  }
};
