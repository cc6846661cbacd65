// `selkie-agent doctor` on a host with a real Postfix and a running agent: all in order, then one thing after another wrong.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Result } from '../../../agent/doctor/check.ts';
import { agentProgram, runAgent } from '../../tools/agent-program.ts';
import { startControlPlane, type TestControlPlane } from '../../tools/control-plane.ts';
import { freePort } from '../../tools/free-port.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Postfix, startPostfix } from '../../tools/postfix.ts';
import { makeSigner } from '../../tools/sealed.ts';
import { makeFolder } from '../../tools/temporary-folder.ts';

describeWith(['postfix'], 'selkie-agent doctor', () => {
  let folder: string;
  let dir: string;
  let config: string;
  let mailLog: string;
  let postfix: Postfix;
  let plane: TestControlPlane;
  let daemon: ChildProcess;

  const doctor = async (...more: string[]) => {
    const args = [
      '--dir',
      dir,
      '--config',
      config,
      '--postfix',
      postfix.configDirectory,
      '--mail-log',
      mailLog,
    ];
    return runAgent('doctor', ...args, ...more);
  };
  const wrong = async (): Promise<Record<string, string>> => {
    const { out } = await doctor('--json');
    const { checks } = JSON.parse(out) as { checks: Result[] };
    return Object.fromEntries(
      checks.flatMap(({ name, findings }) =>
        findings.length === 0 ? [] : [[name, findings.map(({ problem }) => problem).join('; ')]],
      ),
    );
  };
  const stop = async (): Promise<void> => {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return;
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
  };

  beforeAll(async () => {
    folder = makeFolder();
    dir = join(folder, 'state');
    config = join(folder, 'selkie-agent.yaml');
    mailLog = join(folder, 'mail.log');
    const [milterPort, pushPort] = [await freePort(), await freePort()];
    plane = await startControlPlane();
    plane.bundleKeys = { keys: [(await makeSigner()).jwk] };
    const keyFile = join(folder, 'key.json');
    writeFileSync(keyFile, JSON.stringify(plane.bundleKeys));
    writeFileSync(config, `milter: { listen: "inet:${milterPort}@127.0.0.1" }\n`);
    writeFileSync(mailLog, '');
    const enrolled = await runAgent(
      ...['enrol', '--dir', dir, '--name', 'mx1.example.com', '--endpoint-host', '127.0.0.1'],
      ...['--push-port', String(pushPort), '--bundle-key', keyFile, '--control-plane', plane.url],
    );
    expect(enrolled).toMatchObject({ code: 0, err: '' });
    daemon = spawn(process.execPath, [agentProgram, 'run', '--dir', dir, '--config', config], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(daemon.stdout ?? daemon, 'data');
    postfix = await startPostfix({
      settings: { mydestination: 'mx.example.com', default_transport: 'smtp' },
    });
    const set = await runAgent('setup', '--config', config, '--postfix', postfix.configDirectory, '--apply');
    expect(set).toMatchObject({ code: 0, err: '' });
  }, 90_000);
  afterAll(async () => {
    await stop();
    await postfix?.close();
    await plane?.close();
  });

  it('finds nothing where all is in order', { timeout: 90_000 }, async () => {
    const { code, out, err } = await doctor();
    expect({ code, err, wrong: out.split('\n').filter((line) => line.startsWith('✗')) }).toEqual({
      code: 0,
      err: '',
      wrong: [],
    });
    expect(out).toMatch(/^✓ enrolment: mx1\.example\.com, 1 bundle key pinned$/m);
    expect(out).toMatch(/^✓ Postfix \(postfix\): goes through inet:127\.0\.0\.1:\d+$/m);
    expect(out).toMatch(/checks, nothing wrong\.\n$/);
  });

  it('finds what is wrong with Postfix, each with its mend, and its mend mends it', {
    timeout: 90_000,
  }, async () => {
    await postfix.set({ milter_default_action: 'accept', mydestination: 'localhost' });
    await postfix.postconf('-e', 'non_smtpd_milters=');
    const { code, out } = await doctor();
    expect(code).toBe(1);
    const lines = out.split('\n');
    const found = lines.filter((line) => line.startsWith('✗'));
    expect(found).toEqual([
      expect.stringMatching(/^✗ Postfix \(postfix\): non_smtpd_milters is empty; it should be inet:/),
      expect.stringMatching(/^✗ Postfix \(postfix\): milter_default_action is accept; it should be tempfail/),
      expect.stringMatching(/^✗ local mail \(postfix\): mx\.example\.com is not in mydestination/),
    ]);
    expect(out).toMatch(/2 of \d+ checks found something wrong\.\n$/);
    for (const line of lines.filter((one) => one.startsWith('    postconf ')))
      await promisify(execFile)('sh', ['-c', line.trim()]);
    expect(await wrong()).toEqual({});
    expect((await postfix.postconf('-h', 'mydestination')).trim()).toBe('localhost, $myhostname');
  });

  it('finds a folder that is open, a configuration that is none, and mail that left unsigned', {
    timeout: 90_000,
  }, async () => {
    chmodSync(dir, 0o755);
    expect(await wrong()).toEqual({ 'state folder': expect.stringContaining('others may enter') });
    chmodSync(dir, 0o700);
    const day = new Date().toISOString();
    appendFileSync(
      mailLog,
      `${day} mx selkie-agent[1]: ABCDEF1: no signing table match for 'a@mx.example.com'\n`,
    );
    expect(await wrong()).toEqual({ 'mail log': expect.stringContaining('mx.example.com left unsigned') });
    writeFileSync(mailLog, '');
    const before = config;
    config = join(folder, 'broken.yaml');
    writeFileSync(config, 'milter: { listne: x }\n');
    expect(await wrong()).toMatchObject({ configuration: expect.stringContaining('broken.yaml') });
    config = before;
  });

  it('finds an agent that has ended, and Postfix that does not run', { timeout: 90_000 }, async () => {
    await stop();
    expect(await wrong()).toEqual({
      agent: `no selkie-agent works on ${dir}`,
      'push port': expect.stringContaining('nothing listens at port'),
      milter: expect.stringContaining('nobody answers as a milter'),
    });
    await promisify(execFile)('postfix', ['-c', postfix.configDirectory, 'stop']);
    expect(await wrong()).toMatchObject({ 'Postfix (postfix)': 'it does not run' });
  });
});
