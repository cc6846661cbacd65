// What the driver works with, as it is at this moment: opendkim.conf, the process, its user, its socket, the two tables.
import { existsSync } from 'node:fs';
import { SelkieError } from '../../../core/errors.ts';
import { type Accounts, readAccounts, type User } from '../../accounts.ts';
import type { MilterTarget } from '../../milter/client.ts';
import { type OpendkimConf, readConf } from '../../opendkim/conf.ts';
import { findOpendkim, type OpendkimProcess } from '../../opendkim/process.ts';
import { parseSocket } from '../../opendkim/socket.ts';
import { type TablePlace, tablePlace } from '../../opendkim/table.ts';
import { userOf } from '../../opendkim/user-id.ts';

export interface OpendkimView {
  readonly conf: OpendkimConf;
  /** Undefined where OpenDKIM does not run. */
  readonly process: OpendkimProcess | undefined;
  /** Whom OpenDKIM reads keys as. */
  readonly user: User;
  readonly accounts: Accounts;
  readonly target: MilterTarget;
  readonly keyTable: TablePlace;
  readonly signingTable: TablePlace;
}

/** The lines that opendkim.conf needs for its keys to be kept, less those that it has. */
export const neededLines = (conf: OpendkimConf): string[] => [
  ...(conf.get('KeyTable') === undefined ? ['KeyTable file:/etc/opendkim/KeyTable'] : []),
  ...(conf.get('SigningTable') === undefined ? ['SigningTable refile:/etc/opendkim/SigningTable'] : []),
];

const refuse = (field: string, message: string): never => {
  throw new SelkieError('invalid', message, { field });
};

const checkConf = (conf: OpendkimConf): { keyTable: TablePlace; signingTable: TablePlace } => {
  const [keys, signing] = [conf.get('KeyTable'), conf.get('SigningTable')];
  if (keys === undefined || signing === undefined) {
    const single =
      conf.get('KeyFile') === undefined
        ? ''
        : ' It signs with one KeyFile for all domains, which cannot be rotated without an interruption.';
    return refuse(
      keys === undefined ? 'KeyTable' : 'SigningTable',
      `${conf.file} names no ${keys === undefined ? 'KeyTable' : 'SigningTable'}.${single} Add: ${neededLines(
        conf,
      )
        .map((line) => `"${line}"`)
        .join(', ')}; rows of your own for what it signs today; and restart OpenDKIM.`,
    );
  }
  const algorithm = conf.get('SignatureAlgorithm') ?? 'rsa-sha256';
  if (algorithm.toLowerCase() !== 'rsa-sha256')
    return refuse(
      'SignatureAlgorithm',
      `${conf.file} says SignatureAlgorithm ${algorithm}. OpenDKIM signs with one algorithm for all keys, and Selkie keeps RSA keys for it: leave the line out.`,
    );
  const mode = conf.get('Mode') ?? 'sv';
  if (!mode.includes('s'))
    return refuse(
      'Mode',
      `${conf.file} says Mode ${mode}: OpenDKIM signs nothing. Say "Mode sv" or "Mode s".`,
    );
  if (conf.get('ChangeRootDirectory') !== undefined)
    return refuse(
      'ChangeRootDirectory',
      `${conf.file} says ChangeRootDirectory, where paths mean something else to OpenDKIM than to Selkie: leave it out (a systemd unit can confine OpenDKIM).`,
    );
  return { keyTable: tablePlace('KeyTable', keys), signingTable: tablePlace('SigningTable', signing) };
};

const opendkimUser = (conf: OpendkimConf, accounts: Accounts, running: OpendkimProcess | undefined): User => {
  if (running !== undefined) {
    const user = accounts.users.find(({ uid }) => uid === running.uid);
    return { name: user?.name ?? String(running.uid), uid: running.uid, gid: running.gid };
  }
  const id = conf.get('UserID');
  if (id !== undefined) return userOf(accounts, id);
  // Whoever starts it: its unit says. Selkie's keeper runs as the same.
  const uid = process.geteuid?.() ?? 0;
  return (
    accounts.users.find((one) => one.uid === uid) ?? { name: String(uid), uid, gid: process.getegid?.() ?? 0 }
  );
};

/**
 * @param file opendkim.conf
 * @throws SelkieError invalid where OpenDKIM's configuration is none that keys can be kept for, saying what to write; denied
 *   where this process may not do it
 */
export const lookAt = async (file: string): Promise<OpendkimView> => {
  const conf = await readConf(file);
  const tables = checkConf(conf);
  const accounts = await readAccounts();
  const running = await findOpendkim(conf);
  const user = opendkimUser(conf, accounts, running);
  const uid = process.geteuid?.() ?? 0;
  if (uid !== 0 && uid !== user.uid)
    throw new SelkieError(
      'denied',
      `OpenDKIM runs as ${user.name}; whoever keeps its keys must own them and signal it: run selkie-agent as ${user.name}, or as root.`,
    );
  const socket = running?.socket ?? conf.get('Socket');
  if (socket === undefined)
    return refuse('Socket', `${conf.file} names no Socket: add the one that Postfix's smtpd_milters names.`);
  return {
    conf,
    process: running,
    user,
    accounts,
    target: parseSocket(socket),
    ...tables,
  };
};

/** For the operator: why OpenDKIM cannot be asked. */
export const absence = ({ conf, process: running, target }: OpendkimView): string =>
  running === undefined
    ? `OpenDKIM does not run with ${conf.file}: start it (systemctl start opendkim).`
    : `OpenDKIM (process ${running.pid}) does not answer${'path' in target && !existsSync(target.path) ? `: there is no socket ${target.path}` : ''}; see its log (journalctl -u opendkim).`;
