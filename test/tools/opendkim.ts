// An OpenDKIM of its own for a test: configuration, tables, keys and socket in a folder whose parents pass its safety check
// (the temporary directory does not: everybody may write to it), run as Debian's user `opendkim` where we are root.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MilterTarget, openMilter } from '../../agent/milter/client.ts';
import type { Mailer } from '../contracts/driver.ts';
import { messageFrom } from '../oracles/messages.ts';
import { freePort } from './free-port.ts';
import { program } from './machine.ts';

export interface OpendkimOptions {
  /** `file` or `refile`; refile unless told otherwise. */
  readonly signingType?: 'file' | 'refile';
  readonly socket?: 'unix' | 'inet';
  /** Further lines of opendkim.conf. */
  readonly lines?: readonly string[];
  readonly keyTable?: string;
  readonly signingTable?: string;
  /** Whether PidFile is set; yes unless told otherwise. */
  readonly pidFile?: boolean;
}

export interface TestOpendkim {
  readonly folder: string;
  readonly config: string;
  readonly keyTable: string;
  readonly signingTable: string;
  readonly target: MilterTarget;
  readonly pid: () => number;
  /** Of the user that it runs as. */
  readonly uid: number;
  readonly gid: number;
  /** What it said on its standard error. */
  readonly said: () => string;
  /** Ends the process, as a crash would. */
  readonly kill: () => Promise<void>;
  readonly start: () => Promise<void>;
  readonly connect: () => Promise<Mailer>;
  /** Ends it and removes the folder. */
  readonly end: () => Promise<void>;
}

const root = process.getuid?.() === 0;

const idOf = (flag: '-u' | '-g'): number =>
  root ? Number(execFileSync('id', [flag, 'opendkim'], { encoding: 'utf8' })) : (process.getuid?.() ?? 0);

/** A folder below directories that only root or we may write to. */
export const safeFolder = (): string => {
  const base = root ? '/var/lib' : join(import.meta.dirname, '../../node_modules/.cache');
  mkdirSync(base, { recursive: true });
  return mkdtempSync(join(base, 'selkie-test-'));
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const mailer = async (target: MilterTarget): Promise<Mailer> => {
  const connection = await openMilter(target);
  return {
    send: (from) =>
      connection.send({
        macros: { i: 'QUEUEID' },
        from,
        to: ['rcpt@example.org'],
        raw: messageFrom(from),
      }),
    close: () => connection.close(),
  };
};

export const startOpendkim = async (options: OpendkimOptions = {}): Promise<TestOpendkim> => {
  const folder = safeFolder();
  chmodSync(folder, 0o755);
  const [uid, gid] = [idOf('-u'), idOf('-g')];
  const run = join(folder, 'run');
  const tables = join(folder, 'etc');
  for (const path of [run, tables]) {
    mkdirSync(path, { mode: 0o755 });
    chownSync(path, uid, gid);
  }
  const keyTable = join(tables, 'KeyTable');
  const signingTable = join(tables, 'SigningTable');
  for (const [path, text] of [
    [keyTable, options.keyTable],
    [signingTable, options.signingTable],
  ] as const) {
    writeFileSync(path, text ?? '', { mode: 0o644 });
    chownSync(path, uid, gid);
  }
  const target: MilterTarget =
    options.socket === 'inet'
      ? { host: '127.0.0.1', port: await freePort() }
      : { path: join(run, 'opendkim.sock') };
  const config = join(folder, 'opendkim.conf');
  writeFileSync(
    config,
    [
      'Mode s',
      'Syslog no',
      'Canonicalization relaxed/simple',
      'OversignHeaders From',
      'UMask 007',
      ...(root ? ['UserID opendkim'] : []),
      'path' in target ? `Socket local:${target.path}` : `Socket inet:${target.port}@${target.host}`,
      ...(options.pidFile === false ? [] : [`PidFile ${join(run, 'opendkim.pid')}`]),
      `KeyTable file:${keyTable}`,
      `SigningTable ${options.signingType ?? 'refile'}:${signingTable}`,
      ...(options.lines ?? []),
      '',
    ].join('\n'),
  );

  let child: ChildProcess | undefined;
  let said = '';
  const start = async (): Promise<void> => {
    const started = spawn(program('opendkim') ?? 'opendkim', ['-f', '-x', config], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    for (const stream of [started.stdout, started.stderr]) stream.on('data', (text) => (said += text));
    for (let attempt = 0; ; attempt += 1) {
      try {
        await (await mailer(target)).close();
        return;
      } catch (error) {
        if (attempt === 200 || started.exitCode !== null)
          throw new Error(`opendkim does not start: ${said}`, { cause: error });
        await pause(20);
      }
    }
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => running.once('exit', () => resolve()));
    // With AutoRestart the one that serves is a child of its own.
    const children = `/proc/${running.pid}/task/${running.pid}/children`;
    const served = readFileSync(children, 'utf8').split(' ').map(Number);
    // Asked politely, libmilter takes 5 s; it has nothing to save.
    running.kill('SIGKILL');
    for (const pid of served) if (pid > 1) process.kill(pid, 'SIGKILL');
    await ended;
  };
  const end = async (): Promise<void> => {
    await kill();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await end();
    throw error;
  }
  return {
    folder,
    config,
    keyTable,
    signingTable,
    target,
    pid: () => child?.pid ?? 0,
    uid,
    gid,
    said: () => said,
    kill,
    start,
    connect: () => mailer(target),
    end,
  };
};
