// The keeper of OpenDKIM as its service runs it: OpenDKIM's own user, the hardening in force, Debian's OpenDKIM as Debian's
// service starts it.
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import type { Result } from '../../agent/doctor/check.ts';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { verifyAck } from '../../contract/acknowledgement.ts';
import type { KeyChange } from '../../contract/manifest.ts';
import type { FleetHost } from '../../core/policy.ts';
import { instant } from '../../core/time.ts';
import { parseFleet } from '../../fleet/read.ts';
import * as mailauth from '../oracles/mailauth.ts';
import { buildPackage } from '../tools/built-package.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import { fields, makeKey, makeSigner, seal, skew, type TestSigner, turned } from '../tools/sealed.ts';
import { type SystemdHost, startSystemdHost } from '../tools/systemd-host.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

const name = 'mx1.example.com';
const domain = 'example.com';
const [first, second] = [
  makeKey(domain, '240128', 'standby', 'rsa2048'),
  makeKey(domain, '240428', 'standby', 'rsa2048'),
];
const records = Object.fromEntries(
  [first, second].map(({ selector, publicKey }) => [
    `${selector}._domainkey.${domain}`,
    `v=DKIM1; k=rsa; p=${publicKey}`,
  ]),
);
const raw = Buffer.from(
  `From: someone@${domain}\r\nTo: you@other.example\r\nDate: Sun, 28 Jan 2024 12:00:00 +0000\r\nSubject: hello\r\n\r\nGood day.\r\n`,
);
const unit = 'selkie-agent-opendkim.service';

describeWith(['systemd', 'dpkg-deb', 'opendkim', 'postfix'], 'the keeper of OpenDKIM', () => {
  const out = makeFolder();
  let host: SystemdHost;
  let signer: TestSigner;
  let entry: FleetHost;
  let milter: number;
  let at = 0;
  beforeAll(async () => {
    const deb = await buildPackage('deb', out);
    host = await startSystemdHost();
    await host.write('/root/agent.deb', readFileSync(deb));
    signer = await makeSigner();
    milter = await freePort();
  }, 120_000);
  afterAll(async () => {
    await host?.close();
    rmSync(out, { recursive: true, force: true });
  });

  const push = async (changes: readonly KeyChange[]) => {
    const place = { epoch: 1, n: at + 1 };
    const from = at === 0 ? null : { epoch: 1, n: at };
    at += 1;
    const now = instant(Math.floor(Date.now() / 1000) * 1000);
    const jwe = await seal(entry, signer, changes, fields({ place, from }, now));
    const answer = await createHttpsTransport({ timeoutMs: 30_000 }).push(entry, jwe);
    return verifyAck(answer, { host: name, signingKey: entry.signingKey, now: instant(Date.now()), skew });
  };
  /** What OpenDKIM signs with, on a new connection; it verifies. */
  const signing = async (): Promise<readonly string[]> => {
    const sent = await sendThroughMilter(
      { host: '127.0.0.1', port: milter },
      { from: `someone@${domain}`, to: ['you@other.example'], raw, macros: { i: 'Q1' } },
    );
    const signatures = await mailauth.verify(sent.raw, records);
    return signatures.map(({ selector, result }) => `${selector} ${result}`);
  };

  /** The mends of what the doctor finds, by check. */
  const mendsOf = async (): Promise<Record<string, readonly string[]>> => {
    const { out: said } = await host.run(['selkie-agent', 'doctor', '--json']);
    const { checks } = JSON.parse(said) as { checks: readonly Result[] };
    const bad = checks.filter(({ findings }) => findings.length > 0);
    return Object.fromEntries(
      bad.map(({ name: check, findings }) => [check, findings.flatMap(({ mends }) => mends)]),
    );
  };

  const groups = async (): Promise<readonly string[]> =>
    (await host.does('id', '-nG', 'opendkim')).trim().split(' ');

  it('puts keys to work in a hardened service, as OpenDKIM’s user, and rotates them', async () => {
    await host.does('dpkg', '-i', '/root/agent.deb');
    await host.does('install', '-d', '-o', 'opendkim', '-g', 'opendkim', '/etc/opendkim');
    await host.write(
      '/etc/opendkim.conf',
      [
        'UserID opendkim',
        'Mode s',
        'Canonicalization relaxed/relaxed',
        `Socket inet:${milter}@127.0.0.1`,
        'PidFile /run/opendkim/opendkim.pid',
        'KeyTable /etc/opendkim/KeyTable',
        'SigningTable refile:/etc/opendkim/SigningTable',
        'Syslog yes',
        '',
      ].join('\n'),
    );
    for (const table of ['KeyTable', 'SigningTable'])
      await host.does('install', '-o', 'opendkim', '-g', 'opendkim', '/dev/null', `/etc/opendkim/${table}`);
    await host.does('install', '-d', '-o', 'opendkim', '-g', 'opendkim', '/run/opendkim');
    // It was masked for the boot only.
    await host.does('rm', '/etc/systemd/system/opendkim.service');
    await host.does('systemctl', 'daemon-reload');
    await host.does('systemctl', 'start', 'opendkim.service');

    await host.write('/etc/selkie-agent.yaml', 'driver: opendkim\nrecords: {check: false}\n');
    await host.write('/root/bundle-key.json', JSON.stringify(signer.jwk));
    const entryText = await host.does(
      ...['selkie-agent', 'enrol', '--name', name, '--bundle-key', '/root/bundle-key.json'],
      ...['--endpoint-host', '127.0.0.1', '--push-port', String(await freePort()), '--pool', 'main'],
    );
    const fleet = parseFleet(
      `domains: { example.com: }\nzones: { example.com: { id: Z0123456789ABC } }\ndefaults: { algorithms: [rsa2048] }\npools: [main]\n${entryText}`,
      { file: 'fleet.yaml', version: 1 },
    );
    const found = fleet.hosts.get(name);
    if (found === undefined) throw new Error(entryText);
    entry = found;
    await host.does('systemctl', 'disable', '--now', 'selkie-agent.service');
    await host.does('systemctl', 'enable', '--now', unit);
    expect(await host.does('stat', '-c', '%U', '/var/lib/selkie-agent/agent.json')).toBe('opendkim\n');

    expect((await push([{ ...first, duty: 'signing' }, second])).cursor).toEqual({ epoch: 1, n: 1 });
    const becomes = async (wanted: string): Promise<void> => {
      let last: unknown;
      for (const until = Date.now() + 20_000; Date.now() < until; await wait(200)) {
        last = await signing();
        if (JSON.stringify(last) === JSON.stringify([wanted])) return;
      }
      throw new Error(`${JSON.stringify(last)} is not ${wanted}:\n${await host.journal(unit)}`);
    };
    await becomes('240128 pass');
    const { failed } = await push([turned(second, 'signing')]);
    expect(failed).toEqual({});
    await becomes('240428 pass');
    await push([turned(first, 'none')]);
    expect(await mendsOf()).not.toHaveProperty('state folder');
    expect(await mendsOf()).not.toHaveProperty('agent');
    // postqueue(1) tells those of its group only.
    expect(await groups()).toContain('postdrop');
    expect(await mendsOf()).not.toHaveProperty('queue');
    await host.does('gpasswd', '-d', 'opendkim', 'postdrop');
    expect(await mendsOf()).toMatchObject({
      queue: ['usermod -aG postdrop opendkim && systemctl restart selkie-agent-opendkim'],
    });
    // As when OpenDKIM comes after the agent.
    await host.does('sh', '/var/lib/dpkg/info/selkie-agent.postinst', 'triggered', '/usr/sbin/opendkim');
    expect(await mendsOf()).not.toHaveProperty('queue');
    const keys = await host.does(
      'find',
      '/var/lib/selkie-agent/opendkim',
      '-type',
      'f',
      '-printf',
      '%u %m\n',
    );
    expect(keys).toMatch(/^opendkim 600$/m);
    expect((await host.does('systemctl', 'show', '-P', 'NRestarts', unit)).trim()).toBe('0');
    await host.does('systemctl', 'stop', unit);
    // OpenDKIM signs on without its keeper.
    expect(await signing()).toEqual(['240428 pass']);
    await host.does('chown', '-R', 'selkie-agent:', '/var/lib/selkie-agent');
    expect(await mendsOf()).toMatchObject({
      'state folder': expect.arrayContaining(['chown -R opendkim: /var/lib/selkie-agent']),
      agent: expect.arrayContaining([`systemctl start ${unit.replace(/\.service$/, '')}`]),
    });
    await host.does('dpkg', '-P', 'selkie-agent');
    expect(await groups()).not.toContain('postdrop');
  }, 90_000);
});
