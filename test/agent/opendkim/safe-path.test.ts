import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAccounts, readAccounts } from '../../../agent/accounts.ts';
import { type FileNode, nodeFault, pathFault } from '../../../agent/opendkim/safe-path.ts';
import { userOf } from '../../../agent/opendkim/user-id.ts';
import { testKey } from '../../oracles/records.ts';
import { describeWith } from '../../tools/machine.ts';
import { startOpendkim } from '../../tools/opendkim.ts';

const accounts = parseAccounts(
  'root:x:0:0::/root:/bin/sh\nopendkim:x:102:105::/run:/bin/false\nmail:x:8:8::/var/mail:/bin/false\n',
  'root:x:0:\nopendkim:x:105:postfix\nmail:x:8:\nkeys:x:200:opendkim\nempty:x:201:\n',
);
const user = userOf(accounts, 'opendkim');

const directory: FileNode = { path: '/keys', directory: true, uid: 0, gid: 0, mode: 0o755 };
const file: FileNode = { path: '/keys/a.pem', directory: false, uid: 102, gid: 105, mode: 0o600 };

describe('what OpenDKIM takes a private key from', () => {
  it('UserID is a name or a number, with a group or without', () => {
    expect(userOf(accounts, 'opendkim')).toEqual({ name: 'opendkim', uid: 102, gid: 105 });
    expect(userOf(accounts, '102:mail')).toEqual({ name: 'opendkim', uid: 102, gid: 8 });
    expect(() => userOf(accounts, 'nobody')).toThrow(/UserID nobody is no user of this host/);
    expect(() => userOf(accounts, 'opendkim:none')).toThrow(/no user/);
  });

  it.each<[string, FileNode, RegExp | undefined]>([
    ['a directory of root', directory, undefined],
    ['one of OpenDKIM, closed', { ...directory, uid: 102, mode: 0o700 }, undefined],
    ['one that everybody may write to', { ...directory, mode: 0o757 }, /: chmod o-w \/keys,/],
    ['sticky as well', { ...directory, mode: 0o1777 }, /sticky bit or not/],
    ['writable by a group of nobody else', { ...directory, gid: 200, mode: 0o775 }, undefined],
    ['writable by an empty group', { ...directory, gid: 201, mode: 0o775 }, undefined],
    [
      'writable by a group with a member',
      { ...directory, gid: 105, mode: 0o775 },
      /postfix is in that group: chmod g-w/,
    ],
    ['writable by a user of that group', { ...directory, gid: 8, mode: 0o775 }, /mail is in that group/],
    ['of somebody else', { ...directory, uid: 8 }, /chown opendkim \/keys$/],
    [
      'that OpenDKIM may not enter',
      { ...directory, mode: 0o700 },
      /may not enter the directory \/keys: chmod o\+x/,
    ],
    ['that its group may enter', { ...directory, gid: 200, mode: 0o710 }, undefined],
    ['a file', file, undefined],
    ['a file of root', { ...file, uid: 0 }, undefined],
    ['a file of somebody else', { ...file, uid: 8 }, /chown opendkim/],
    ['a file that everybody may read', { ...file, mode: 0o604 }, /chmod 600 \/keys\/a\.pem$/],
    ['a file that a group may read', { ...file, mode: 0o640 }, /postfix is in that group: chmod 600/],
    ['a file that a group of its own may read', { ...file, gid: 200, mode: 0o640 }, undefined],
  ])('%s', (_, node, why) => {
    const fault = nodeFault(node, user, accounts);
    if (why === undefined) expect(fault).toBeUndefined();
    else expect(fault).toMatch(why);
  });
});

describeWith(['opendkim'], 'the check of key paths, held against OpenDKIM itself', () => {
  it('agrees on every mode and owner of the file, its directory and the one above', {
    timeout: 120_000,
  }, async () => {
    if (process.getuid?.() !== 0) return;
    const opendkim = await startOpendkim();
    onTestFinished(opendkim.end);
    const above = join(opendkim.folder, 'above');
    const folder = join(above, 'keys');
    const key = join(folder, 'a.pem');
    mkdirSync(folder, { recursive: true });
    writeFileSync(key, testKey('example.com', 'mail').key.export({ type: 'pkcs8', format: 'pem' }));
    const link = join(opendkim.folder, 'link');
    symlinkSync(folder, link);
    writeFileSync(
      opendkim.keyTable,
      `direct example.com:mail:${key}\nlinked example.com:mail:${join(link, 'a.pem')}\n`,
    );
    writeFileSync(opendkim.signingTable, '*@example.com direct\n*@example.net linked\n');
    await opendkim.kill();
    await opendkim.start();
    const present = await readAccounts();
    const who = { name: 'opendkim', uid: opendkim.uid, gid: opendkim.gid };
    const uids = [0, opendkim.uid, 8];
    const gids = [0, opendkim.gid, 8];
    const mailer = await opendkim.connect();
    let refused = 0;
    for (const path of [key, folder, above])
      for (const mode of statSync(path).isFile()
        ? [0o600, 0o640, 0o660, 0o604, 0o400, 0o602]
        : [0o700, 0o755, 0o775, 0o777, 0o1777, 0o711, 0o750])
        for (const uid of uids)
          for (const gid of gids) {
            for (const other of [above, folder]) {
              chownSync(other, 0, 0);
              chmodSync(other, 0o755);
            }
            chownSync(key, opendkim.uid, opendkim.gid);
            chmodSync(key, 0o600);
            chownSync(path, uid, gid);
            chmodSync(path, mode);
            const fault = await pathFault(key, who, present);
            const verdicts: string[] = [];
            for (const from of ['user@example.com', 'user@example.net'])
              verdicts.push((await mailer.send(from)).verdict);
            const wanted = fault === undefined ? 'accept' : 'tempfail';
            // A file of root's that only root may read passes the check, and then cannot be read: no concern of paths.
            if (path === key && uid === 0 && gid !== opendkim.gid) continue;
            if (path === key && uid === 0 && (mode & 0o040) === 0) continue;
            expect([path, mode.toString(8), uid, gid, ...verdicts]).toEqual([
              path,
              mode.toString(8),
              uid,
              gid,
              wanted,
              wanted,
            ]);
            if (wanted === 'tempfail') refused += 1;
          }
    await mailer.close();
    expect(refused).toBeGreaterThan(20);
  });
});
