// Who OpenDKIM runs as. Pure.
import { SelkieError } from '../../core/errors.ts';
import type { Accounts, User } from '../accounts.ts';

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
