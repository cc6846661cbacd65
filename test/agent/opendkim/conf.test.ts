import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lookAt, neededLines } from '../../../agent/drivers/opendkim/view.ts';
import { readConf } from '../../../agent/opendkim/conf.ts';
import { tcpConnections, unixConnections } from '../../../agent/opendkim/connections.ts';
import { parseSocket } from '../../../agent/opendkim/socket.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const conf = (text: string, more: Readonly<Record<string, string>> = {}): string => {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(more)) writeFileSync(join(folder, name), content);
  const file = join(folder, 'opendkim.conf');
  writeFileSync(file, text);
  return file;
};

describe('opendkim.conf(5)', () => {
  it('names in any case, comments, the last word, Boolean by its first letter', async () => {
    const read = await readConf(
      conf(
        '# KeyTable x\n  keytable\tfile:/a   # mine\nKeyTable file:/b\r\nRequireSafeKeys  No way\nSocket\n',
      ),
    );
    expect(read.get('KeyTable')).toBe('file:/b');
    expect(read.flag('RequireSafeKeys', true)).toBe(false);
    expect(read.flag('Syslog', true)).toBe(true);
    expect(read.get('Socket')).toBe('');
    expect(read.settings.map(({ line }) => line)).toEqual([2, 3, 4, 5]);
  });

  it('includes files in their place, and no file that includes itself', async () => {
    const file = conf('Mode s\nInclude more\nUMask 007\n', { more: 'Mode v\nUMask 002\n' });
    const read = await readConf(file);
    expect([read.get('Mode'), read.get('UMask')]).toEqual(['v', '007']);
    await expect(readConf(conf('Include opendkim.conf\n'))).rejects.toThrow(/include each other too deep/);
    await expect(readConf(conf('Include nothing\n'))).rejects.toThrow(/nothing cannot be read/);
  });
});

describe('an OpenDKIM that no keys can be kept for', () => {
  const tables = 'KeyTable file:/etc/k\nSigningTable refile:/etc/s\nSocket inet:8891@localhost\n';
  it.each([
    [
      'Socket inet:1\n',
      /names no KeyTable\. Add: "KeyTable file:\/etc\/opendkim\/KeyTable", "SigningTable refile:/,
    ],
    ['Domain a\nSelector b\nKeyFile /c\n', /signs with one KeyFile for all domains/],
    [
      'KeyTable file:/etc/k\n',
      /names no SigningTable\. Add: "SigningTable refile:\/etc\/opendkim\/SigningTable";/,
    ],
    [`${tables}SignatureAlgorithm ed25519-sha256\n`, /one algorithm for all keys, and Selkie keeps RSA keys/],
    [`${tables}Mode v\n`, /OpenDKIM signs nothing\. Say "Mode sv"/],
    [`${tables}ChangeRootDirectory /srv\n`, /leave it out/],
    [`${tables}SigningTable db:/etc/s.db\n`, /Selkie edits file: and refile: tables, not db: ones/],
    [`${tables}UserID nobody-at-all\n`, /UserID nobody-at-all is no user of this host/],
    [tables.replace(/Socket.*/, ''), /names no Socket/],
    [tables.replace(/Socket.*/, 'Socket inet:submission'), /neither local:\/PATH nor inet:PORT@HOST/],
  ])('%j', async (text, why) => {
    await expect(lookAt(conf(text))).rejects.toThrow(why);
  });

  it('says which lines it needs', async () => {
    expect(neededLines(await readConf(conf(tables)))).toEqual([]);
    expect(neededLines(await readConf(conf('KeyTable file:/etc/k\n')))).toEqual([
      'SigningTable refile:/etc/opendkim/SigningTable',
    ]);
  });
});

describe('Socket (opendkim(8), -p)', () => {
  it.each([
    ['local:/run/opendkim/opendkim.sock', { path: '/run/opendkim/opendkim.sock' }],
    ['unix:/a', { path: '/a' }],
    ['/a', { path: '/a' }],
    ['inet:8891@localhost', { host: 'localhost', port: 8_891 }],
    ['inet:8891', { host: '127.0.0.1', port: 8_891 }],
    ['inet:8891@0.0.0.0', { host: '127.0.0.1', port: 8_891 }],
    ['inet6:8891@[::1]', { host: '::1', port: 8_891 }],
    ['inet6:8891', { host: '::1', port: 8_891 }],
  ])('%s', (value, target) => expect(parseSocket(value)).toEqual(target));
});

describe('connections as the kernel lists them (proc(5))', () => {
  it('unix: accepted ones of this path, and whether anybody listens', () => {
    const text = [
      'Num       RefCount Protocol Flags    Type St Inode Path',
      '0000000000000000: 00000002 00000000 00010000 0001 01 11111 /run/a.sock',
      '0000000000000000: 00000003 00000000 00000000 0001 03 22222 /run/a.sock',
      '0000000000000000: 00000003 00000000 00000000 0001 03 33333',
      '0000000000000000: 00000003 00000000 00000000 0001 03 44444 /run/b.sock',
      '0000000000000000: 00000002 00000000 00000000 0001 02     0 /run/a.sock',
    ].join('\n');
    expect(unixConnections(text, '/run/a.sock')).toEqual({ listening: true, open: ['unix:22222'] });
    expect(unixConnections(text, '/run/b.sock').listening).toBe(false);
  });

  it('tcp: those of this local port that are not over', () => {
    const row = (local: string, remote: string, state: string, inode: number) =>
      `   0: 0100007F:${local} 0100007F:${remote} ${state} 00000000:00000000 00:00000000 00000000   102        0 ${inode} 1 x`;
    const text = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      row('22BB', '0000', '0A', 1),
      row('22BB', 'C001', '01', 2),
      row('C001', '22BB', '01', 3),
      row('22BB', 'C002', '08', 4),
      row('22BB', 'C003', '06', 0),
    ].join('\n');
    expect(tcpConnections(text, 8_891)).toEqual({ listening: true, open: ['tcp:2', 'tcp:4'] });
  });
});
