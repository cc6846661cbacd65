// Users and groups that this host's own files name. Reads /etc/passwd and /etc/group.
import { readFile } from 'node:fs/promises';

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface Accounts {
  readonly users: readonly User[];
  readonly groups: readonly {
    readonly name: string;
    readonly gid: number;
    readonly members: readonly string[];
  }[];
}

/** passwd(5), group(5). Accounts that only a directory server knows are not seen. */
export const parseAccounts = (passwd: string, group: string): Accounts => {
  const rows = (text: string): string[][] => text.split('\n').map((line) => line.split(':'));
  return {
    users: rows(passwd).flatMap(([name = '', , uid, gid]) =>
      gid === undefined ? [] : [{ name, uid: Number(uid), gid: Number(gid) }],
    ),
    groups: rows(group).flatMap(([name = '', , gid, members = '']) =>
      gid === undefined
        ? []
        : [{ name, gid: Number(gid), members: members.split(',').filter((m) => m !== '') }],
    ),
  };
};

export const readAccounts = async (): Promise<Accounts> =>
  parseAccounts(await readFile('/etc/passwd', 'utf8'), await readFile('/etc/group', 'utf8'));
