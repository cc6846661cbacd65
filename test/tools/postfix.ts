// Starts a Postfix of its own for a test: configuration, queue, data and log in one temporary folder, on loopback, without
// systemd and without syslog. Nothing leaves the machine: mail is discarded, or goes to a sink that the test names. Needs
// root (Postfix's master does), Debian's package `postfix`, and touches nothing of the machine's own instance.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';
import { program } from './machine.ts';
import { makeFolder } from './temporary-folder.ts';

const run = promisify(execFile);

export interface PostfixOptions {
  /** main.cf settings, beside and over the tool's own: `{ smtpd_milters: 'inet:127.0.0.1:8891' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines for the end of master.cf; a service that is there already is replaced by `postconf -M` or `-P` (`postconf()`). */
  readonly services?: string;
  /** Where all mail goes by SMTP, a sink on 127.0.0.1 (test/tools/smtp.ts, smtp-sink); discarded where absent. */
  readonly deliverTo?: number;
  /** `-o` lines of the smtp service: `{ content_filter: 'scan:[127.0.0.1]:10025' }`. */
  readonly smtpd?: Readonly<Record<string, string>>;
}

export interface Postfix {
  /** For `postconf -c`, `postqueue -c`, `sendmail -C`. */
  readonly configDirectory: string;
  readonly queueDirectory: string;
  /** SMTP on 127.0.0.1; every client there may relay. */
  readonly port: number;
  /** Of master(8). */
  readonly pid: number;
  /** The mail log until now. */
  log(): string;
  /** Waits for a line of the log. @throws Error with the log's end after `within` ms, 10 s unless told otherwise */
  logged(line: RegExp, within?: number): Promise<string>;
  /** `postconf -c … ARGS`. */
  postconf(...args: readonly string[]): Promise<string>;
  /** Sets main.cf settings and has them read; smtpd and cleanup take them for new processes, so wait or use new connections. */
  set(settings: Readonly<Record<string, string>>): Promise<void>;
  reload(): Promise<void>;
  /** Submits as a local user does: sendmail(1), with `-f from`. Bare LF or CRLF. */
  sendmail(message: { from: string; to: readonly string[]; raw: string | Uint8Array }): Promise<void>;
  /** `postqueue -j`, parsed: one object a message. */
  queue(): Promise<readonly Record<string, unknown>[]>;
  /** Waits until the queue is empty. @throws Error after `within` ms, 30 s unless told otherwise */
  drained(within?: number): Promise<void>;
  /** A second instance as postmulti(1) makes them, registered in this one's main.cf; ends with `close()` of its own. */
  addInstance(name: string, options?: PostfixOptions): Promise<Postfix>;
  /** Ends the instance and its folder. Again is the same. */
  close(): Promise<void>;
}

const binary = (name: string): string => program(name) ?? name;

const masterCf = (port: number, { smtpd = {}, services = '' }: PostfixOptions): string => {
  const plain = (name: string, ...rest: string[]): string =>
    `${name} unix ${rest.join(' ').padEnd(16)} ${name === 'maildrop' ? 'pickup' : name}`;
  const overrides = Object.entries(smtpd).map(([name, value]) => `    -o { ${name} = ${value} }`);
  return [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    ...overrides,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    ...['bounce', 'defer', 'trace'].map((name) => `${name} unix - - n - 0 bounce`),
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    'proxywrite unix - - n - 1 proxymap',
    ...['smtp', 'error', 'discard', 'lmtp'].map((name) => plain(name, '- - n - -')),
    'retry unix - - n - - error',
    'relay unix - - n - - smtp',
    'showq unix n - n - - showq',
    'local unix - n n - - local',
    'virtual unix - n n - - virtual',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'postlog unix-dgram n - n - 1 postlogd',
    ...(services === '' ? [] : [services.trimEnd()]),
    '',
  ].join('\n');
};

const mainCf = (folder: string, { deliverTo, settings = {} }: PostfixOptions): string => {
  const transport = deliverTo === undefined ? 'discard:' : `smtp:[127.0.0.1]:${deliverTo}`;
  const all: Record<string, string> = {
    compatibility_level: '3.6',
    queue_directory: join(folder, 'queue'),
    data_directory: join(folder, 'data'),
    maillog_file: join(folder, 'mail.log'),
    maillog_file_prefixes: folder,
    myhostname: 'mx.example.com',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    smtp_dns_support_level: 'disabled',
    smtp_host_lookup: 'native',
    mydestination: '',
    mynetworks: '127.0.0.0/8',
    smtpd_relay_restrictions: 'permit_mynetworks, reject',
    alias_maps: '',
    alias_database: '',
    default_transport: transport,
    relay_transport: transport,
    local_transport: transport,
    virtual_transport: transport,
    notify_classes: '',
    ...settings,
  };
  return `${Object.entries(all)
    .map(([name, value]) => `${name} = ${value}`.trimEnd())
    .join('\n')}\n`;
};

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (is: boolean) => () => {
      socket.destroy();
      resolve(is);
    };
    socket.once('data', end(true));
    socket.once('error', end(false));
    socket.setTimeout(5_000, end(false));
  });

/**
 * A running Postfix. A setting that its files do not have is Postfix's own default, so that they are as an administrator's.
 * @throws Error with the log where it does not start
 */
export const startPostfix = async (options: PostfixOptions = {}): Promise<Postfix> => {
  const folder = makeFolder();
  // The user postfix must get in.
  chmodSync(folder, 0o755);
  const configDirectory = join(folder, 'conf');
  const logFile = join(folder, 'mail.log');
  const port = await freePort();
  mkdirSync(configDirectory, { mode: 0o755 });
  mkdirSync(join(folder, 'queue'), { mode: 0o755 });
  writeFileSync(join(configDirectory, 'main.cf'), mainCf(folder, options));
  writeFileSync(join(configDirectory, 'master.cf'), masterCf(port, options));
  const log = (): string => (existsSync(logFile) ? readFileSync(logFile, 'latin1') : '');

  // Makes the queue's folders, with their owners.
  await run(binary('postfix'), ['-c', configDirectory, 'check']);
  const daemons = execFileSync(binary('postconf'), ['-c', configDirectory, '-h', 'daemon_directory'], {
    encoding: 'utf8',
  }).trim();
  // A process group of its own: master(8) ends its children by it.
  const master = spawn(join(daemons, 'master'), ['-c', configDirectory, '-s'], {
    stdio: 'ignore',
    detached: true,
    cwd: join(folder, 'queue'),
  });
  const { pid } = master;
  const exited = once(master, 'exit');
  const ended = (): boolean => master.exitCode !== null || master.signalCode !== null;
  const endAtExit = (): void => {
    if (!ended()) master.kill('SIGTERM');
  };
  process.once('exit', endAtExit);

  const close = async (): Promise<void> => {
    process.off('exit', endAtExit);
    if (!ended()) {
      master.kill('SIGTERM');
      await exited;
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  const until = async (done: () => boolean | Promise<boolean>, within: number, what: string) => {
    for (const deadline = Date.now() + within; !(await done()); await wait(20))
      if (Date.now() > deadline || ended()) throw new Error(`Postfix: ${what}\n${log().slice(-4_000)}`);
  };
  try {
    await until(() => answers(port), 15_000, 'did not start');
    if (pid === undefined) throw new Error('Postfix has no process');
  } catch (error) {
    await close();
    throw error;
  }

  const postconf = async (...args: readonly string[]): Promise<string> =>
    (await run(binary('postconf'), ['-c', configDirectory, ...args])).stdout;
  const reload = async (): Promise<void> => {
    const before = log().match(/ reload -- version /g)?.length ?? 0;
    await run(binary('postfix'), ['-c', configDirectory, 'reload']);
    const count = (): number => log().match(/ reload -- version /g)?.length ?? 0;
    await until(() => count() > before, 10_000, 'did not reload');
  };
  const queue = async (): Promise<readonly Record<string, unknown>[]> =>
    (await run(binary('postqueue'), ['-c', configDirectory, '-j'])).stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));

  return {
    configDirectory,
    queueDirectory: join(folder, 'queue'),
    port,
    pid,
    log,
    postconf,
    reload,
    queue,
    async logged(line, within = 10_000) {
      await until(() => line.test(log()), within, `the log has no ${line}`);
      return line.exec(log())?.[0] ?? '';
    },
    async set(settings) {
      await postconf('-e', ...Object.entries(settings).map(([name, value]) => `${name}=${value}`));
      await reload();
    },
    async sendmail({ from, to, raw }) {
      const child = spawn(binary('sendmail'), ['-C', configDirectory, '-i', '-f', from, '--', ...to], {
        stdio: ['pipe', 'ignore', 'pipe'],
      });
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString('latin1');
      });
      child.stdin.end(raw);
      const [code] = await once(child, 'close');
      if (code !== 0) throw new Error(`sendmail ended with ${code}: ${said}`);
    },
    drained: (within = 30_000) =>
      until(async () => (await queue()).length === 0, within, 'the queue is not empty'),
    async addInstance(name, more = {}) {
      const second = await startPostfix({
        ...more,
        settings: { multi_instance_name: name, multi_instance_enable: 'yes', ...more.settings },
      });
      const directories = (await postconf('-h', 'multi_instance_directories')).trim();
      await postconf(
        '-e',
        'multi_instance_enable=yes',
        `multi_instance_directories=${[directories, second.configDirectory].filter(Boolean).join(' ')}`,
      );
      return second;
    },
    close,
  };
};
