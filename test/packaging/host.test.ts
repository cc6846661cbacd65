// The .deb on a mail host with a real systemd: installed, enrolled, signing, reloaded, stopped in the middle of a message,
// started again by the watchdog, updated, removed and purged. The hardening of the service is in force all the while.
import { readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { encodeCommand } from '../../agent/milter/wire-command.ts';
import type { KeyChange } from '../../contract/manifest.ts';
import type { FleetHost } from '../../core/policy.ts';
import { instant } from '../../core/time.ts';
import { parseFleet } from '../../fleet/read.ts';
import { version } from '../../packaging/bundle.ts';
import * as mailauth from '../oracles/mailauth.ts';
import { buildPackage } from '../tools/built-package.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import { fields, makeKey, makeSigner, seal, type TestSigner, turned } from '../tools/sealed.ts';
import { type SystemdHost, startSystemdHost } from '../tools/systemd-host.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

const name = 'mx1.example.com';
const domain = 'example.com';
const [first, second] = [makeKey(domain, '240128e'), makeKey(domain, '240428', 'standby', 'rsa2048')];
const keyTypes = { ed25519: 'ed25519', rsa2048: 'rsa' } as const;
const records = Object.fromEntries(
  [first, second].map(({ selector, algorithm, publicKey }) => [
    `${selector}._domainkey.${domain}`,
    `v=DKIM1; k=${keyTypes[algorithm as keyof typeof keyTypes]}; p=${publicKey}`,
  ]),
);
const raw = Buffer.from(
  `From: someone@${domain}\r\nTo: you@other.example\r\nSubject: hello\r\n\r\nGood day.\r\n`,
);
const unit = 'selkie-agent.service';

describeWith(['systemd', 'dpkg-deb'], 'a mail host with the .deb', () => {
  const out = makeFolder();
  let host: SystemdHost;
  let signer: TestSigner;
  let entry: FleetHost;
  let ports: { readonly milter: number; readonly push: number; readonly metrics: number };
  let at = 0;

  beforeAll(async () => {
    const deb = await buildPackage('deb', out);
    host = await startSystemdHost();
    await host.write('/root/agent.deb', readFileSync(deb));
    signer = await makeSigner();
    ports = { milter: await freePort(), push: await freePort(), metrics: await freePort() };
  }, 120_000);
  afterAll(async () => {
    await host?.close();
    rmSync(out, { recursive: true, force: true });
  });

  const property = async (what: string): Promise<string> =>
    (await host.does('systemctl', 'show', '-P', what, unit)).trim();
  const eventually = async (condition: () => Promise<boolean>, what: string): Promise<void> => {
    for (const until = Date.now() + 20_000; !(await condition()); await wait(100))
      if (Date.now() > until) throw new Error(`${what}; but:\n${await host.journal(unit)}`);
  };
  const push = async (changes: readonly KeyChange[]): Promise<void> => {
    const place = { epoch: 1, n: at + 1 };
    const from = at === 0 ? null : { epoch: 1, n: at };
    at += 1;
    const jwe = await seal(
      entry,
      signer,
      changes,
      fields({ place, from }, instant(Math.floor(Date.now() / 1000) * 1000)),
    );
    await createHttpsTransport({ timeoutMs: 5_000 }).push(entry, jwe);
  };
  /** Selectors with which a message is signed; each signature verifies. */
  const signing = async (): Promise<readonly string[]> => {
    const target = { host: '127.0.0.1', port: ports.milter };
    const sent = await sendThroughMilter(target, {
      from: `someone@${domain}`,
      to: ['you@other.example'],
      raw,
    });
    expect(sent.verdict).toBe('accept');
    const signatures = await mailauth.verify(sent.raw, records);
    for (const { result } of signatures) if (result !== 'none') expect(result).toBe('pass');
    return signatures.filter(({ result }) => result === 'pass').map(({ selector }) => selector);
  };
  const edit = async (change: (text: string) => string): Promise<void> =>
    host.write('/etc/selkie-agent.yaml', change(await host.does('cat', '/etc/selkie-agent.yaml')));

  it('has the user, the folders and the services, and nothing runs before the host is enrolled', async () => {
    const said = await host.does('dpkg', '-i', '/root/agent.deb');
    expect(said).toContain('not enrolled yet');
    expect(await host.does('getent', 'passwd', 'selkie-agent')).toMatch(
      /:\/var\/lib\/selkie-agent:.*nologin$/m,
    );
    expect(await host.does('stat', '-c', '%A %U %G', '/var/lib/selkie-agent')).toBe(
      'drwx------ selkie-agent selkie-agent\n',
    );
    expect(await host.does('selkie-agent', '--help')).toMatch(/^Usage: selkie-agent/);
    expect(await host.does('selkie-agent', '--version')).toBe(`${version}\n`);
    expect((await host.does('systemctl', 'is-enabled', unit)).trim()).toBe('enabled');
    await host.does('systemctl', 'start', unit);
    expect(await property('ActiveState')).toBe('inactive');
    expect(await property('ConditionResult')).toBe('no');
    expect((await host.does('dpkg', '--verify', 'selkie-agent')).trim()).toBe('');
  });

  it('has services that systemd finds nothing wrong with', async () => {
    const units = ['selkie-agent.service', 'selkie-agent-opendkim.service'];
    for (const one of units) {
      const { status, err } = await host.run([
        'systemd-analyze',
        'verify',
        '--man=no',
        `/usr/lib/systemd/system/${one}`,
      ]);
      expect({ status, err: err.split('\n').filter((line) => line.includes('selkie')) }).toEqual({
        status: 0,
        err: [],
      });
    }
  });

  it('is enrolled by root, and what root wrote is the agent’s', async () => {
    await host.write('/root/bundle-key.json', JSON.stringify(signer.jwk));
    const entryText = await host.does(
      ...['selkie-agent', 'enrol', '--name', name, '--bundle-key', '/root/bundle-key.json'],
      ...['--endpoint-host', '127.0.0.1', '--push-port', String(ports.push), '--pool', 'main'],
    );
    const fleet = parseFleet(
      `domains: { example.com: }\nzones: { example.com: { id: Z0123456789ABC } }\npools: [main]\n${entryText}`,
      { file: 'fleet.yaml', version: 1 },
    );
    const found = fleet.hosts.get(name);
    if (found === undefined) throw new Error(entryText);
    entry = found;
    const owners = await host.does('find', '/var/lib/selkie-agent', '-printf', '%u\n');
    expect(new Set(owners.trim().split('\n'))).toEqual(new Set(['selkie-agent']));
  });

  it('starts, says that it is ready, and signs; the journal has the lines that administrators know', async () => {
    await edit((text) =>
      text
        .replace('listen: inet:8891@127.0.0.1', `listen: inet:${ports.milter}@127.0.0.1`)
        .replace(/^#metrics: .*/m, `metrics: 127.0.0.1:${ports.metrics}`)
        // There is no DNS here that knows our domain.
        .replace('check: true', 'check: false'),
    );
    // `start` returns when READY=1 has come.
    await host.does('systemctl', 'start', unit);
    expect(await property('StatusText')).toContain(`${name} signs at inet:${ports.milter}@127.0.0.1`);
    await push([{ ...first, duty: 'signing' }, second]);
    expect(await signing()).toEqual(['240128e']);
    await push([turned(second, 'signing')]);
    expect(await signing()).toEqual(['240428', '240128e']);
    const line = `DKIM-Signature field added (s=240128e, d=${domain})`;
    await eventually(async () => (await host.journal(unit)).includes(line), 'the line was not logged');
    const entries = (await host.does('journalctl', '-o', 'json', '-u', unit)).trim().split('\n');
    const logged = entries.map((text) => JSON.parse(text)).find(({ MESSAGE }) => MESSAGE.includes(line));
    expect(logged).toMatchObject({ PRIORITY: '6', MESSAGE: expect.stringMatching(/^[^<]/) });
  });

  it('shows figures and health on loopback', async () => {
    const get = (path: string) => fetch(`http://127.0.0.1:${ports.metrics}${path}`);
    const figures = await (await get('/metrics')).text();
    expect(figures).toMatch(/^selkie_messages_signed_total 2$/m);
    expect(figures).toMatch(/^selkie_signing_keys\{selector="240428"\} 1$/m);
    expect(figures).toMatch(/^selkie_cursor_number 2$/m);
    expect(figures).toMatch(/^selkie_bundles_total\{outcome="taken"\} 2$/m);
    expect(await (await get('/healthz')).json()).toEqual({ status: 'ok', trouble: [] });
  });

  it('reads its configuration again on reload: the same process, another policy', async () => {
    const pid = await property('MainPID');
    await edit((text) => text.replace('internalHosts: [127.0.0.0/8, "::1"]', 'internalHosts: [192.0.2.1]'));
    await host.does('systemctl', 'reload', unit);
    await eventually(async () => (await signing()).length === 0, 'mail is signed still');
    await edit((text) => text.replace('internalHosts: [192.0.2.1]', 'internalHosts: [nonsense'));
    await host.does('systemctl', 'reload', unit);
    await eventually(
      async () => (await host.journal(unit)).includes('the configuration stays as it was'),
      'the mistake is not named',
    );
    expect(await signing()).toEqual([]);
    await edit((text) => text.replace('internalHosts: [nonsense', 'internalHosts: [127.0.0.0/8, "::1"]'));
    await host.does('systemctl', 'reload', unit);
    await eventually(async () => (await signing()).length === 2, 'mail is not signed again');
    // Until READY=1 has come.
    await eventually(async () => (await property('ActiveState')) === 'active', 'the reload does not end');
    expect(await property('MainPID')).toBe(pid);
  });

  it('finishes the message in hand when it is stopped', async () => {
    const socket: Socket = connect(ports.milter, '127.0.0.1');
    let received = '';
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
    });
    const say = (...commands: Parameters<typeof encodeCommand>[0][]): boolean =>
      socket.write(Buffer.concat(commands.map(encodeCommand)));
    say(
      { command: 'negotiate', version: 6, actions: 0x1ff, steps: 0 },
      { command: 'connect', host: 'localhost', family: 'inet', port: 25, address: '127.0.0.1' },
      { command: 'mail', args: [`<someone@${domain}>`] },
      { command: 'header', name: 'From', value: Buffer.from(`someone@${domain}`) },
      { command: 'end-of-headers' },
    );
    // Replies to all five: the message is in hand.
    await eventually(async () => received.split('\0\0\0\x01c').length === 5, 'no replies');
    await host.does('systemctl', 'stop', '--no-block', unit);
    await eventually(async () => (await property('ActiveState')) === 'deactivating', 'it does not stop');
    await wait(500);
    expect(await property('ActiveState')).toBe('deactivating');
    say({ command: 'end-of-message', chunk: Buffer.from('x\r\n') });
    await eventually(async () => (await property('ActiveState')) === 'inactive', 'it does not end');
    expect(received).toContain('DKIM-Signature');
    expect(await property('Result')).toBe('success');
    socket.destroy();
  });

  it('is started again when it is stuck', async () => {
    await host.does('mkdir', '-p', `/etc/systemd/system/${unit}.d`);
    await host.write(
      `/etc/systemd/system/${unit}.d/watchdog.conf`,
      '[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\n',
    );
    await host.does('systemctl', 'daemon-reload');
    await host.does('systemctl', 'start', unit);
    const pid = await property('MainPID');
    // Longer than the watchdog's time: it is fed.
    await wait(4_500);
    expect(await property('MainPID')).toBe(pid);
    await host.does('kill', '-STOP', pid);
    await eventually(
      async () =>
        !['0', pid].includes(await property('MainPID')) && (await property('ActiveState')) === 'active',
      'it is not started again',
    );
    expect(await signing()).toEqual(['240428', '240128e']);
    await host.does('rm', '-r', `/etc/systemd/system/${unit}.d`);
    await host.does('systemctl', 'daemon-reload');
  }, 60_000);

  it('listens on a socket that a chrooted Postfix sees, of Postfix’s group', async () => {
    const path = '/var/spool/postfix/selkie-agent/milter.sock';
    if ((await host.run(['getent', 'group', 'postfix'])).status !== 0) return;
    const before = await host.does('cat', '/etc/selkie-agent.yaml');
    await edit((text) =>
      text.replace(/listen: .*/, `listen: unix:${path}`).replace('#group: postfix', 'group: postfix'),
    );
    await host.does('systemctl', 'restart', unit);
    expect(await host.does('stat', '-c', '%A %U %G', path)).toBe('srw-rw---- selkie-agent postfix\n');
    await host.write('/etc/selkie-agent.yaml', before);
    await host.does('systemctl', 'restart', unit);
    expect((await host.run(['ls', path])).status).toBe(2);
  });

  it('goes on with the new version after an update, the configuration is as the administrator left it', async () => {
    const pid = await property('MainPID');
    await host.does('dpkg', '-i', '/root/agent.deb');
    await eventually(async () => (await property('ActiveState')) === 'active', 'it does not run');
    expect(await property('MainPID')).not.toBe(pid);
    expect(await host.does('cat', '/etc/selkie-agent.yaml')).toContain(`inet:${ports.milter}@127.0.0.1`);
    expect(await signing()).toEqual(['240428', '240128e']);
  });

  it('keeps its keys when it is removed, and leaves nothing when it is purged', async () => {
    await host.does('dpkg', '-r', 'selkie-agent');
    expect(await property('ActiveState')).toBe('inactive');
    expect(await host.does('ls', '/var/lib/selkie-agent')).toContain('identity');
    expect(await host.does('ls', '/etc/selkie-agent.yaml')).toContain('selkie-agent.yaml');

    await host.does('dpkg', '-i', '/root/agent.deb');
    await host.does('systemctl', 'start', unit);
    expect(await signing()).toEqual(['240428', '240128e']);

    const said = await host.does('dpkg', '-P', 'selkie-agent');
    expect(said).toContain('erasing the keys of this host');
    expect((await host.run(['getent', 'passwd', 'selkie-agent'])).status).toBe(2);
    const left = await host.does('sh', '-c', 'find /etc /usr /var /run -xdev -iname "*selkie*" | sort');
    expect(left.split('\n').filter((path) => path !== '' && !/selkie-test|\/journal\//.test(path))).toEqual(
      [],
    );
  }, 90_000);
});

describeWith(['systemd', 'rpmbuild', 'postfix', 'opendkim'], 'a host with the .rpm', () => {
  const out = makeFolder();
  let host: SystemdHost;
  beforeAll(async () => {
    const rpm = await buildPackage('rpm', out);
    host = await startSystemdHost();
    await host.write('/root/agent.rpm', readFileSync(rpm));
  }, 120_000);
  afterAll(async () => {
    await host?.close();
    rmSync(out, { recursive: true, force: true });
  });

  // Not RPM's own distribution: what it needs has other names here, so the needs are not looked at.
  it('has user, folders and services; its state is kept when it is erased', async () => {
    const installed = await host.does('rpm', '-i', '--nodeps', '/root/agent.rpm');
    expect(installed).toContain('not enrolled yet');
    expect(await host.does('stat', '-c', '%A %U %G', '/var/lib/selkie-agent')).toBe(
      'drwx------ selkie-agent selkie-agent\n',
    );
    expect(await host.does('getent', 'passwd', 'selkie-agent')).toMatch(
      /:\/var\/lib\/selkie-agent:.*nologin$/m,
    );
    expect(await host.does('selkie-agent', '--help')).toMatch(/^Usage: selkie-agent/);
    const signer = await makeSigner();
    await host.write('/root/bundle-key.json', JSON.stringify(signer.jwk));
    await host.write('/etc/selkie-agent.yaml', `milter: {listen: "inet:${await freePort()}@127.0.0.1"}\n`);
    await host.does(
      ...['selkie-agent', 'enrol', '--name', name, '--bundle-key', '/root/bundle-key.json'],
      ...['--push-port', String(await freePort())],
    );
    await host.does('systemctl', 'start', unit);
    // Postfix and OpenDKIM are none of RPM's packages here: what their coming triggers is run by hand.
    const scripts = await host.does('rpm', '-q', '--triggers', 'selkie-agent');
    await host.write('/root/trigger', scripts.slice(scripts.indexOf('\n') + 1));
    await host.does('sh', '-e', '/root/trigger');
    const groups = async (user: string) => (await host.does('id', '-nG', user)).trim().split(' ');
    expect(await groups('selkie-agent')).toEqual(expect.arrayContaining(['postfix', 'postdrop']));
    expect(await groups('opendkim')).toContain('postdrop');
    // What a removal says while Postfix sends its mail here.
    await host.does('postconf', '-e', 'smtpd_milters=inet:localhost:8891');
    await host.does('rpm', '-U', '--force', '--nodeps', '/root/agent.rpm');
    expect((await host.does('systemctl', 'is-active', unit)).trim()).toBe('active');
    const { out: erased, err: warned } = await host.run(['rpm', '-e', '--nodeps', 'selkie-agent']);
    expect(warned).toContain('"selkie-agent uninstall --apply", before the removal, puts back');
    expect(await groups('opendkim')).not.toContain('postdrop');
    expect(erased).toContain('/var/lib/selkie-agent with the private keys of this host is kept');
    expect((await host.run(['systemctl', 'is-active', unit])).out.trim()).toBe('inactive');
    expect(await host.does('ls', '/var/lib/selkie-agent')).toContain('identity');
  }, 90_000);
});
