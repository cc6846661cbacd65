// Postfix's own files, kept before they are changed and put back byte by byte: `main.cf.org` once, then with the date.
// Touches main.cf, master.cf and their copies.
import { createHash, randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  constants,
  copyFile,
  lstat,
  readFile,
  realpath,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { join } from 'node:path';
import { SelkieError } from '../../core/errors.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import { syncFolder } from '../files.ts';

export type PostfixFile = 'main.cf' | 'master.cf';

export const digestOf = async (configDirectory: string, file: PostfixFile): Promise<string> =>
  createHash('sha256')
    .update(await readFile(join(configDirectory, file)))
    .digest('hex');

/** A copy with the original's mode and owner. */
const copyWithOwner = async (from: string, to: string): Promise<void> => {
  await copyFile(from, to, constants.COPYFILE_EXCL);
  const { mode, uid, gid } = await stat(from);
  await chmod(to, mode & 0o7777);
  await chown(to, uid, gid);
};

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** Copies the file beside itself: `.org` the first time, then `.2026-11-24`, `.2026-11-24-2`. Returns the copy's name. */
export const backUp = async (configDirectory: string, file: PostfixFile, now: Instant): Promise<string> => {
  const day = formatInstant(now).slice(0, 10);
  const name = (n: number): string =>
    n === 0 ? `${file}.org` : n === 1 ? `${file}.${day}` : `${file}.${day}-${n}`;
  for (let n = 0; n < 1_000; n += 1) {
    const copy = join(configDirectory, name(n));
    if (await isThere(copy)) continue;
    await copyWithOwner(join(configDirectory, file), copy);
    await syncFolder(configDirectory);
    return name(n);
  }
  throw new SelkieError(
    'invalid',
    `${configDirectory} has a thousand copies of ${file} of ${day}: remove some.`,
  );
};

/** Puts a copy's bytes in the file's place, whole or not at all; the copy stays. */
export const restore = async (configDirectory: string, file: PostfixFile, backup: string): Promise<void> => {
  // Where main.cf is a link, its target is what is replaced.
  const path = await realpath(join(configDirectory, file));
  const draft = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await copyWithOwner(join(configDirectory, backup), draft);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(configDirectory);
};
