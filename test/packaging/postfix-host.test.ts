// What an administrator does on a host with Debian's chrooted Postfix: install, enrol, setup, doctor, mail, uninstall. Postfix is
// the machine's own, inside the host's overlay; what it is given it discards.
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import { instant } from '../../core/time.ts';
import { parseFleet } from '../../fleet/read.ts';
import { buildPackage } from '../tools/built-package.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import { fields, makeKey, makeSigner, seal } from '../tools/sealed.ts';
import { type SystemdHost, startSystemdHost } from '../tools/systemd-host.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

const name = 'mx1.example.com';
const queue = [
  'active',
  'bounce',
  'corrupt',
  'defer',
  'deferred',
  'flush',
  'hold',
  'incoming',
  'maildrop',
  'pid',
  'private',
  'public',
  'saved',
  'trace',
];

describeWith(['systemd', 'dpkg-deb', 'postfix'], 'a mail host with a chrooted Postfix', () => {
  const out = makeFolder();
  let host: SystemdHost;
  let submission: number;
  beforeAll(async () => {
    const deb = await buildPackage('deb', out);
    host = await startSystemdHost();
    await host.write('/root/agent.deb', readFileSync(deb));
    submission = await freePort();
    const settings = [
      'inet_interfaces=loopback-only',
      'default_transport=discard',
      'mydestination=',
      `myhostname=${name}`,
    ];
    await host.does('postconf', '-e', 'maillog_file=/var/log/postfix.log', ...settings);
    await host.does('postconf', '-MX', 'smtp/inet');
    await host.does('postconf', '-M', `${submission}/inet=127.0.0.1:${submission} inet n - y - - smtpd`);
    await host.does('mkdir', '-p', ...queue.map((folder) => `/var/spool/postfix/${folder}`));
    await host.does('postfix', 'set-permissions');
    await host.does('postfix', 'start');
  }, 120_000);
  afterAll(async () => {
    await host?.run(['postfix', 'stop']);
    await host?.close();
    rmSync(out, { recursive: true, force: true });
  });

  it('is set up, signs what is submitted, and is put back', async () => {
    await host.does('dpkg', '-i', '/root/agent.deb');
    const before = await host.does('cat', '/etc/postfix/main.cf');
    await host.write(
      '/etc/selkie-agent.yaml',
      'milter: {listen: "unix:/var/spool/postfix/selkie-agent/milter.sock", group: postfix}\nrecords: {check: false}\n',
    );
    const signer = await makeSigner();
    await host.write('/root/bundle-key.json', JSON.stringify(signer.jwk));
    const entryText = await host.does(
      ...['selkie-agent', 'enrol', '--name', name, '--bundle-key', '/root/bundle-key.json'],
      ...['--endpoint-host', '127.0.0.1', '--push-port', String(await freePort()), '--pool', 'main'],
    );
    const entry = parseFleet(
      `domains: { example.com: }\nzones: { example.com: { id: Z0123456789ABC } }\npools: [main]\n${entryText}`,
      { file: 'fleet.yaml', version: 1 },
    ).hosts.get(name);
    if (entry === undefined) throw new Error(entryText);
    await host.does('systemctl', 'start', 'selkie-agent.service');
    const now = instant(Math.floor(Date.now() / 1000) * 1000);
    const changes = [makeKey('example.com', '240128', 'signing', 'rsa2048')];
    const jwe = await seal(entry, signer, changes, fields({ place: { epoch: 1, n: 1 }, from: null }, now));
    await createHttpsTransport({ timeoutMs: 10_000 }).push(entry, jwe);

    expect(await host.does('selkie-agent', 'setup', '--apply')).toContain('unix:selkie-agent/milter.sock');
    const { out: seen } = await host.run(['selkie-agent', 'doctor']);
    expect(seen).toMatch(/^✓ milter: answers at/m);
    expect(seen).toMatch(/^✓ Postfix \(postfix\): goes through unix:selkie-agent\/milter\.sock$/m);

    const mail = 'From: a@example.com\nTo: b@example.net\nSubject: hello\n\nGood day.\n';
    const { status } = await host.run(['sendmail', '-f', 'a@example.com', 'b@example.net'], mail);
    expect(status).toBe(0);
    const line = 'DKIM-Signature field added (s=240128, d=example.com)';
    let log = '';
    for (const until = Date.now() + 15_000; !log.includes(line); await wait(200)) {
      log = await host.journal('selkie-agent.service');
      if (Date.now() > until) throw new Error(`${log}\n${await host.does('tail', '/var/log/postfix.log')}`);
    }
    // The queue is asked with the service's rights: no complaint.
    expect(log).not.toContain('queues:');

    const { out: said, err } = await host.run(['dpkg', '--no-act', '-r', 'selkie-agent']);
    expect(`${said}${err}`).toContain('Would remove');
    const warned = await host.run(['sh', '/var/lib/dpkg/info/selkie-agent.prerm', 'deconfigure']);
    expect(warned.err).toContain('selkie-agent uninstall --apply');

    await host.does('systemctl', 'start', 'selkie-agent.service');
    await host.does('selkie-agent', 'uninstall', '--apply');
    expect(await host.does('cat', '/etc/postfix/main.cf')).toBe(before);
    const removed = await host.run(['dpkg', '-r', 'selkie-agent']);
    expect(removed.err).not.toContain('Postfix still sends');
  }, 90_000);
});
