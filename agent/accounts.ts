// Users and groups of this host, as far as OpenDKIM's check of key files looks at them. Reads /etc/passwd and /etc/group.
import { readFile } from 'node:fs/promises';
import { SelkieError } from '../../core/errors.ts';

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

/** passwd(5), group(5). Accounts that only a directory server knows are not seen; OpenDKIM's own check sees them. */
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

/**
 * The user of opendkim.conf's `UserID` (`USER` or `USER:GROUP`, names or numbers).
 * @throws SelkieError invalid where this host does not know it
 */
export const userOf = (accounts: Accounts, userId: string): User => {
  const [name = '', group] = userId.split(/[:.]/);
  const user = accounts.users.find((one) => one.name === name || String(one.uid) === name);
  const gid =
    group === undefined || group === ''
      ? user?.gid
      : accounts.groups.find((one) => one.name === group || String(one.gid) === group)?.gid;
  if (user === undefined || gid === undefined)
    throw new SelkieError('invalid', `opendkim.conf's UserID ${userId} is no user of this host.`, {
      field: 'UserID',
    });
  return { ...user, gid };
};
