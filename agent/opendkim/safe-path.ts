// Whether OpenDKIM will take a private key from this path: its RequireSafeKeys check (dkimf_securefile, dkimf_checkfsnode),
// done before a key is put to work, since OpenDKIM does it for each message and puts the mail off where it fails. Reads
// the file system's metadata only.
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Accounts, User } from '../accounts.ts';

/** What the check looks at of a file or directory. */
export interface FileNode {
  readonly path: string;
  readonly directory: boolean;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
}

/** Somebody who is neither root nor OpenDKIM and may do what the group may. */
const stranger = (gid: number, user: User, { users, groups }: Accounts): string | undefined =>
  users.find((one) => one.gid === gid && one.uid !== user.uid && one.uid !== 0)?.name ??
  groups.find((group) => group.gid === gid)?.members.find((name) => name !== user.name && name !== 'root');

/** Whether this user may go through the directory; OpenDKIM's own check leaves this to the system. */
const mayEnter = ({ uid, gid, mode }: FileNode, user: User, { groups }: Accounts): boolean => {
  if (user.uid === 0) return true;
  if (uid === user.uid) return (mode & 0o100) !== 0;
  const member = gid === user.gid || groups.some((one) => one.gid === gid && one.members.includes(user.name));
  return (mode & (member ? 0o010 : 0o001)) !== 0;
};

/** Why OpenDKIM, run as `user`, would refuse it, with the command that mends it; undefined where it takes it. */
export const nodeFault = (node: FileNode, user: User, accounts: Accounts): string | undefined => {
  const { path, directory, uid, gid, mode } = node;
  if (directory) {
    if ((mode & 0o002) !== 0)
      return `everybody may write to the directory ${path} (OpenDKIM refuses keys below it, sticky bit or not): chmod o-w ${path}, or keep the keys elsewhere`;
    const other = (mode & 0o020) === 0 ? undefined : stranger(gid, user, accounts);
    if (other !== undefined)
      return `the group of the directory ${path} may write to it, and ${other} is in that group: chmod g-w ${path}`;
    if ((mode & 0o200) !== 0 && uid !== 0 && uid !== user.uid)
      return `the directory ${path} belongs to user ${uid}, who is neither root nor OpenDKIM's ${user.name}: chown ${user.name} ${path}`;
    return mayEnter(node, user, accounts)
      ? undefined
      : `OpenDKIM's user ${user.name} may not enter the directory ${path}: chmod o+x ${path}, or keep the keys elsewhere`;
  }
  if (uid !== 0 && uid !== user.uid)
    return `the file ${path} belongs to user ${uid}, who is neither root nor OpenDKIM's ${user.name}: chown ${user.name} ${path}`;
  if ((mode & 0o006) !== 0) return `everybody may read or write the file ${path}: chmod 600 ${path}`;
  const other = (mode & 0o060) === 0 ? undefined : stranger(gid, user, accounts);
  return other === undefined
    ? undefined
    : `the group of the file ${path} may read or write it, and ${other} is in that group: chmod 600 ${path}`;
};

/** From the root down, symbolic links resolved, `path` itself last. */
const nodesTo = async (path: string): Promise<FileNode[]> => {
  const paths = [await realpath(path)];
  for (let above = dirname(paths[0] ?? '/'); above !== paths[0]; above = dirname(above)) {
    paths.unshift(above);
    if (above === '/') break;
  }
  return Promise.all(
    paths.map(async (one) => {
      const { uid, gid, mode } = await stat(one);
      return { path: one, directory: (mode & 0o170000) === 0o040000, uid, gid, mode: mode & 0o7777 };
    }),
  );
};

/** The first of a path's directories, or the file itself, that OpenDKIM would refuse, and what mends it. */
export const pathFault = async (
  path: string,
  user: User,
  accounts: Accounts,
): Promise<string | undefined> => {
  for (const node of await nodesTo(path)) {
    const fault = nodeFault(node, user, accounts);
    if (fault !== undefined) return fault;
  }
  return undefined;
};
