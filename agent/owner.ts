// Files that an administrator's command makes in the state folder belong to whoever owns the folder: the daemon has a user of
// its own, and root's 0600 would be closed to it. Changes owners only, and only as root.
import { chown, stat } from 'node:fs/promises';

/** Gives files of `dir` to the owner of `dir`. Nothing where this process is not root. */
export const giveTo = async (dir: string, ...paths: readonly string[]): Promise<void> => {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(dir);
  for (const path of paths) await chown(path, uid, gid);
};
