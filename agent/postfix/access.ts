// Whether Postfix reaches the signer: asks the milter itself, and looks at who may open a unix socket. Connects, and reads
// file modes.
import { stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { describe } from '../../core/errors.ts';
import { isCode } from '../files.ts';
import { type MilterTarget, openMilter } from '../milter/client.ts';
import type { Exec } from './exec.ts';
import type { Instance } from './read.ts';

/** Where an address of Postfix's leads; undefined where it is neither inet nor unix. */
export const targetOf = (address: string, queueDirectory: string): MilterTarget | undefined => {
  const [, path] = /^(?:unix|local):(.+)$/.exec(address) ?? [];
  if (path !== undefined) return { path: isAbsolute(path) ? path : join(queueDirectory, path) };
  const [, host, port] = /^inet:(.+):(\d+)$/.exec(address) ?? [];
  return host === undefined ? undefined : { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
};

/** Why nobody answers as a milter there; undefined where somebody does. */
export const milterTrouble = async (target: MilterTarget): Promise<string | undefined> => {
  try {
    const milter = await openMilter(target, { timeout: 5_000 });
    await milter.close();
    return undefined;
  } catch (error) {
    return describe(error);
  }
};

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly groups: readonly number[];
}

/** By id(1); undefined where there is no such user. */
export const userOf = async (exec: Exec, name: string): Promise<User | undefined> => {
  const [uid, groups] = await Promise.all([exec('id', ['-u', name]), exec('id', ['-G', name])]);
  if (uid.code !== 0 || groups.code !== 0) return undefined;
  return { name, uid: Number(uid.out), groups: groups.out.trim().split(/\s+/).map(Number) };
};

const may = async (user: User, path: string, bit: 1 | 2): Promise<boolean> => {
  const { mode, uid, gid } = await stat(path);
  const shift = uid === user.uid ? 6 : user.groups.includes(gid) ? 3 : 0;
  return ((mode >> shift) & bit) !== 0;
};

export interface AccessTrouble {
  readonly problem: string;
  readonly mend: string;
}

/** Why a user may not connect to a unix socket: unix(7) asks for search on every folder above, and write on the socket. */
const socketAccess = async (
  user: User,
  path: string,
  service: string,
): Promise<AccessTrouble | undefined> => {
  const folders: string[] = [];
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    folders.unshift(folder);
    if (folder === dirname(folder)) break;
  }
  try {
    for (const folder of folders)
      if (!(await may(user, folder, 1)))
        return {
          problem: `${user.name} may not enter ${folder}, where the signer's socket is`,
          mend: `chgrp ${user.name} ${folder} && chmod g+x ${folder}`,
        };
    if (await may(user, path, 2)) return undefined;
  } catch (error) {
    if (isCode(error, 'ENOENT'))
      return { problem: `there is no socket ${path}`, mend: `systemctl start ${service}` };
    throw error;
  }
  return {
    problem: `${user.name} may not write to the socket ${path}`,
    mend:
      service === 'selkie-agent'
        ? `set in /etc/selkie-agent.yaml: milter: { group: ${user.name}, mode: "0660" }, then systemctl restart selkie-agent`
        : `usermod -aG ${service} ${user.name} && systemctl restart postfix`,
  };
};

/** The same for Postfix's own user; undefined where it may, or its user is not known here. */
export const postfixAccess = async (
  exec: Exec,
  instance: Instance,
  path: string,
  service: string,
): Promise<AccessTrouble | undefined> => {
  const user = await userOf(exec, instance.setting('mail_owner'));
  return user === undefined ? undefined : socketAccess(user, path, service);
};
