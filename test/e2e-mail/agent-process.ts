// `selkie-agent` as a process of its own, enrolled and configured as on a mail host, and the control plane's side of it: bundles
// are sealed and pushed, acknowledgements verified.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import { type Acknowledgement, verifyAck } from '../../contract/acknowledgement.ts';
import type { KeyChange } from '../../contract/manifest.ts';
import type { FleetHost } from '../../core/policy.ts';
import { instant } from '../../core/time.ts';
import { parseFleet } from '../../fleet/read.ts';
import { freePort } from '../tools/free-port.ts';
import { fields, makeSigner, seal, skew } from '../tools/sealed.ts';

const program = join(import.meta.dirname, '../../agent/main.ts');
const name = 'mx1.example.com';

export interface AgentProcess {
  readonly host: FleetHost;
  readonly dir: string;
  /** Starts it, and waits until it takes bundles. */
  start(): Promise<void>;
  /** The daemon's process; undefined before the start and after the end. */
  readonly pid: number | undefined;
  /** As a crash. */
  kill(): Promise<void>;
  /** As systemd: SIGTERM. @returns its exit code */
  stop(): Promise<number | null>;
  /** What it said, all of it. */
  said(): string;
  /** These changes, sealed and pushed as the next step of the pool's log. */
  push(changes: readonly KeyChange[]): Promise<Acknowledgement>;
  /**
   * The same, then asks again, as the control plane does, until no key is said to be unusable.
   * @throws Error with what still is, after `within` ms
   */
  settle(changes: readonly KeyChange[], within?: number): Promise<Acknowledgement>;
  /** The whole set as a snapshot: what a host gets that is new or was restored. */
  snapshot(changes: readonly KeyChange[]): Promise<Acknowledgement>;
}

export interface AgentProcessOptions {
  /** Its state folder; made. */
  readonly dir: string;
  /** The configuration file's text. */
  readonly config: string;
  /** Who it runs as; this process's user where absent. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Its environment, besides this process's. */
  readonly env?: Readonly<Record<string, string>>;
}

const patience = 30_000;

export const enrolAgent = async ({
  dir,
  config,
  user,
  env = {},
}: AgentProcessOptions): Promise<AgentProcess> => {
  const signer = await makeSigner();
  const pushPort = await freePort();
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const [keyFile, configFile] = [join(dir, 'bundle-key.json'), join(dir, 'selkie-agent.yaml')];
  writeFileSync(keyFile, JSON.stringify(signer.jwk));
  writeFileSync(configFile, config);
  if (user !== undefined) for (const path of [dir, keyFile, configFile]) chownSync(path, user.uid, user.gid);
  const options = { env: { ...process.env, ...env }, ...user };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      program,
      'enrol',
      ...['--dir', dir, '--name', name, '--bundle-key', keyFile, '--pool', 'main'],
      ...['--endpoint-host', '127.0.0.1', '--push-port', String(pushPort)],
    ],
    options,
  );
  const fleet = parseFleet(
    `domains: { example.com: }\nzones: { example.com: { id: Z0123456789ABC } }\npools: [main]\n${stdout}`,
    { file: 'fleet.yaml', version: 1 },
  );
  const host = fleet.hosts.get(name);
  if (host === undefined) throw new Error(`no entry in:\n${stdout}`);

  const transport = createHttpsTransport({ timeoutMs: patience });
  let child: ChildProcess | undefined;
  let said = '';
  let n = 0;
  const begin = n;

  const send = async (changes: readonly KeyChange[], from: number | null): Promise<Acknowledgement> => {
    const now = instant(Date.now());
    n += 1;
    const manifest = fields(
      { place: { epoch: 1, n }, from: from === null ? null : { epoch: 1, n: from } },
      now,
    );
    const jws = await transport.push(host, await seal(host, signer, changes, manifest));
    return verifyAck(jws, { host: host.name, signingKey: host.signingKey, now: instant(Date.now()), skew });
  };
  const push = (changes: readonly KeyChange[]) => send(changes, n === begin ? null : n);
  const running = (): ChildProcess | undefined =>
    child === undefined || child.exitCode !== null || child.signalCode !== null ? undefined : child;
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    const ending = running();
    if (ending === undefined) return child?.exitCode ?? null;
    const gone = once(ending, 'exit');
    ending.kill(signal);
    const [code] = await gone;
    return code;
  };

  return {
    host,
    dir,
    get pid() {
      return running()?.pid;
    },
    async start() {
      const started = spawn(process.execPath, [program, 'run', '--dir', dir, '--config', configFile], {
        ...options,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child = started;
      const from = said.length;
      const orphan = (): boolean => started.kill('SIGKILL');
      process.once('exit', orphan);
      started.once('exit', () => process.off('exit', orphan));
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`selkie-agent does not start:\n${said.slice(from)}`)),
          patience,
        );
        for (const stream of [started.stdout, started.stderr])
          stream.on('data', (chunk: Buffer) => {
            said += chunk.toString();
            if (!said.slice(from).includes('bundles are taken')) return;
            clearTimeout(timer);
            resolve();
          });
        started.once('exit', (code) => {
          clearTimeout(timer);
          reject(new Error(`selkie-agent ended with ${code}:\n${said.slice(from)}`));
        });
      });
    },
    async kill() {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    said: () => said,
    push,
    snapshot: (changes) => send(changes, null),
    async settle(changes, within = patience) {
      const deadline = Date.now() + within;
      for (let ack = await push(changes); ; ack = await push([])) {
        const failed = Object.entries(ack.failed);
        if (failed.length === 0) return ack;
        if (Date.now() > deadline)
          throw new Error(
            `the host does not come to do it: ${failed.map(([key, why]) => `${key}: ${why}`).join('; ')}`,
          );
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    },
  };
};
