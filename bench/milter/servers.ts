// The two milters that are measured, each as its users start it: `selkie-agent run` with its key store filled, and Debian's
// opendkim with KeyTable and SigningTable. Own processes, own folders, gone with `close`.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parse } from 'yaml';
import { type HeldKey, openKeyStore } from '../../agent/key-store.ts';
import type { KeyChange } from '../../contract/manifest.ts';
import { hostKeyName } from '../../core/key/evidence.ts';
import type { FleetHost } from '../../core/policy.ts';
import { bundleAgent } from '../../packaging/bundle.ts';
import { freePort } from '../../test/tools/free-port.ts';
import { program } from '../../test/tools/machine.ts';
import type { TestSigner } from '../../test/tools/sealed.ts';
import type { Target } from './conversation.ts';

export interface RunningMilter {
  readonly target: Target;
  /** As Postfix's `smtpd_milters` names it. */
  readonly address: string;
  readonly pid: number;
  /** Milliseconds from the start of the process to the first answer. */
  readonly startedIn: number;
  /** Its log until now. */
  log(): string;
  close(): Promise<void>;
}

export type Listen = 'unix' | 'inet';

const answers = (target: Target): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ ...target });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

const whenItAnswers = async (
  child: ChildProcess,
  target: Target,
  log: () => string,
): Promise<{ pid: number; startedIn: number }> => {
  const began = performance.now();
  while (!(await answers(target))) {
    if (child.exitCode !== null || performance.now() - began > 120_000)
      throw new Error(`${child.spawnfile} did not start: ${log().slice(-2_000)}`);
    await wait(10);
  }
  if (child.pid === undefined) throw new Error(`${child.spawnfile} has no process`);
  return { pid: child.pid, startedIn: performance.now() - began };
};

const place = async (folder: string, listen: Listen) => {
  const path = join(folder, 'milter.sock');
  const port = await freePort();
  return listen === 'unix'
    ? { target: { path }, postfix: `unix:${path}`, own: `unix:${path}`, opendkim: `local:${path}` }
    : {
        target: { host: '127.0.0.1', port },
        postfix: `inet:127.0.0.1:${port}`,
        own: `inet:${port}@127.0.0.1`,
        opendkim: `inet:${port}@127.0.0.1`,
      };
};

const start = async (
  folder: string,
  command: readonly [string, ...string[]],
  { target, postfix }: Awaited<ReturnType<typeof place>>,
): Promise<RunningMilter> => {
  const logFile = join(folder, 'log');
  const out = openSync(logFile, 'a');
  const [file, ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', out, out] });
  closeSync(out);
  const log = (): string => readFileSync(logFile, 'utf8');
  const exited = once(child, 'exit');
  const close = async (): Promise<void> => {
    process.off('exit', kill);
    // Asked politely, libmilter takes 5 s, and nothing is lost here.
    child.kill('SIGKILL');
    await exited;
  };
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  try {
    const running = await whenItAnswers(child, target, log);
    // Postfix's user must get in.
    if ('path' in target) chmodSync(target.path, 0o666);
    return { target, address: postfix, ...running, log, close };
  } catch (error) {
    await close();
    throw error;
  }
};

/** A new RSA-2048 key for each domain, that signs. */
export const signingKeys = (
  domains: readonly string[],
): readonly { readonly domain: string; readonly key: KeyObject }[] =>
  domains.map((domain) => ({
    domain,
    key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  }));

export type HeldChange = KeyChange & { readonly privateKey: string };

/** As a bundle would have left it. */
export const fillStore = async (state: string, keys: readonly HeldChange[]): Promise<void> => {
  const store = await openKeyStore(join(state, 'store'), () => 'incarnation-of-the-bench');
  const held = new Map<string, HeldKey>();
  const put = async (change: HeldChange): Promise<void> => {
    const { domain, selector, algorithm, publicKey, duty } = change;
    const { file } = await store.put(change);
    if (duty !== 'none')
      held.set(hostKeyName(domain, selector), { domain, selector, algorithm, publicKey, duty, file });
  };
  for (let i = 0; i < keys.length; i += 64) await Promise.all(keys.slice(i, i + 64).map(put));
  await store.commit({ ...store.state, cursor: { epoch: 1, n: 1 }, keys: held });
};

const hostName = 'mx1.example.com';

/** The agent as its packages have it, with the program that starts it. @returns that program's file */
export const buildAgent = async (folder: string): Promise<string> => {
  const [code, file] = [join(folder, 'agent.js'), join(folder, 'selkie-agent')];
  const installed = readFileSync(join(import.meta.dirname, '../../packaging/files/selkie-agent'), 'utf8');
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(code, (await bundleAgent()).code);
  const here = installed
    .replace('/usr/lib/selkie-agent/node ', `${process.execPath} `)
    .replace('/usr/lib/selkie-agent/agent.js ', `${code} `);
  writeFileSync(file, here, { mode: 0o755 });
  return file;
};

/** `selkie-agent enrol`. @returns the entry that it printed for the fleet file */
export const enrol = async (
  agent: string,
  state: string,
  signer: TestSigner,
  pushPort: number,
): Promise<FleetHost> => {
  const bundleKey = `${state}-bundle-key.json`;
  const { kid } = await signer.publicKey();
  mkdirSync(state, { recursive: true, mode: 0o700 });
  writeFileSync(bundleKey, JSON.stringify({ ...signer.jwk, kid, use: 'sig' }));
  const options = ['--dir', state, '--name', hostName, '--bundle-key', bundleKey];
  const port = ['--push-port', String(pushPort), '--endpoint-host', '127.0.0.1'];
  const said = execFileSync(agent, ['enrol', ...options, ...port], { encoding: 'utf8' });
  const { hosts } = parse(said) as { hosts: Record<string, Omit<FleetHost, 'name' | 'pool'>> };
  const entry = hosts[hostName];
  if (entry === undefined) throw new Error(`selkie-agent enrol printed no entry of ${hostName}: ${said}`);
  return { ...entry, name: hostName, pool: 'main' };
};

/** `selkie-agent run` on an enrolled state folder. */
export const startAgentProgram = async (
  agent: string,
  folder: string,
  state: string,
  listen: Listen,
): Promise<RunningMilter> => {
  const at = await place(folder, listen);
  const config = join(folder, 'agent.yaml');
  // The keys of this bench are in nobody's DNS.
  writeFileSync(config, `records: { check: false }\nmilter: { listen: '${at.own}' }\n`);
  return start(folder, [agent, 'run', '--dir', state, '--config', config], at);
};

/** As Debian's `opendkim.conf` has it, with the tables of an administrator who has several domains. */
export const startOpenDkim = async (
  folder: string,
  keys: readonly { readonly domain: string; readonly key: KeyObject }[],
  listen: Listen,
): Promise<RunningMilter> => {
  const at = await place(folder, listen);
  const file = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const rows = keys.map(({ domain, key }) => {
    const pem = file(`${domain}.private`, String(key.export({ type: 'pkcs8', format: 'pem' })));
    return {
      key: `240128._domainkey.${domain} ${domain}:240128:${pem}\n`,
      signing: `*@${domain} 240128._domainkey.${domain}\n`,
    };
  });
  const config = file(
    'opendkim.conf',
    [
      'Mode s',
      'Canonicalization relaxed/relaxed',
      'OversignHeaders From',
      `KeyTable file:${file('KeyTable', rows.map((row) => row.key).join(''))}`,
      `SigningTable refile:${file('SigningTable', rows.map((row) => row.signing).join(''))}`,
      `Socket ${at.opendkim}`,
      'InternalHosts 127.0.0.1',
      // The temporary directory is everybody's: the check would refuse the keys before it measured anything.
      'RequireSafeKeys no',
      'Syslog yes',
      'SyslogSuccess yes',
      'UMask 000',
      '',
    ].join('\n'),
  );
  return start(folder, [program('opendkim') ?? 'opendkim', '-f', '-x', config], at);
};

export const removeFolder = (folder: string): void => rmSync(folder, { recursive: true, force: true });
