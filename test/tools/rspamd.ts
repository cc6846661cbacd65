// Starts Debian's rspamd for a test, with its own configuration beside Debian's, on loopback: it signs and does nothing else that
// would need a network. Needs root (rspamd changes to its own user), Debian's package `rspamd`; touches nothing of the machine's own.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { rspamdConfiguration } from '../../agent/drivers/rspamd/configuration.ts';
import { mountDisk, unmountDisk } from './disk.ts';
import { freePort } from './free-port.ts';
import { program } from './machine.ts';
import { makeFolder } from './temporary-folder.ts';

export interface RspamdOptions {
  /** Workers behind the HTTP port; 2 unless told otherwise. */
  readonly normal?: number;
  /** Workers behind the milter port; 2 unless told otherwise. */
  readonly proxy?: number;
  /** Whether the proxies hand messages to the normal workers, as Debian's do, or scan them themselves. */
  readonly forward?: boolean;
  /** The size of a disk of its own for the shared folder (tmpfs: `512k`). @throws at the start where mounting is refused */
  readonly disk?: string;
  /** Files in its configuration folder, in place of those that `rspamdConfiguration` says. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Rspamd {
  /** What the agent and rspamd share. */
  readonly folder: string;
  /** Its configuration folder. */
  readonly configuration: string;
  readonly milterPort: number;
  /** The URL of the normal workers. */
  readonly url: string;
  readonly log: () => string;
  /** Of the main process; its workers are its children. */
  readonly pid: number | undefined;
  /** Ends it, and leaves its folders. */
  stop(): Promise<void>;
  /** Starts it again after `stop`. */
  start(): Promise<void>;
  /** Ends it and removes what was made. */
  close(): Promise<void>;
}

const patience = 30_000;

/** What needs a network, a Redis or time, and has no part in signing. */
const idle = [
  'antivirus',
  'arc',
  'asn',
  'bayes_expiry',
  'bimi',
  'chartable',
  'clickhouse',
  'dmarc',
  'elastic',
  'emails',
  'fuzzy_check',
  'greylist',
  'hfilter',
  'history_redis',
  'maillist',
  'metadata_exporter',
  'mid',
  'mime_types',
  'mx_check',
  'neural',
  'once_received',
  'p0f',
  'phishing',
  'ratelimit',
  'rbl',
  'replies',
  'reputation',
  'spamassassin',
  'spf',
  'surbl',
  'trie',
  'url_redirector',
  'whitelist',
];

const idOf = (user: string, kind: '-u' | '-g'): number =>
  Number(execFileSync('id', [kind, user], { encoding: 'utf8' }).trim());

/** The folder that the agent and rspamd share, as `install -d` would make it. */
export const makeSharedFolder = (path: string): void => {
  mkdirSync(path, { recursive: true });
  chownSync(path, 0, idOf('_rspamd', '-g'));
  chmodSync(path, 0o2750);
};

export const startRspamd = async (options: RspamdOptions = {}): Promise<Rspamd> => {
  const { normal = 2, proxy = 2, forward = false } = options;
  const home = makeFolder();
  // Its own user must get in; the folders below say who may read what.
  chmodSync(home, 0o711);
  const [uid, gid] = [idOf('_rspamd', '-u'), idOf('_rspamd', '-g')];
  const [folder, configuration, log] = ['selkie', 'etc', 'log/rspamd.log'].map((name) => join(home, name));
  if (folder === undefined || configuration === undefined || log === undefined) throw new Error('no folders');
  if (options.disk !== undefined) {
    mountDisk(folder, options.disk);
  }
  makeSharedFolder(folder);
  for (const name of ['etc', 'etc/local.d']) mkdirSync(join(home, name));
  for (const name of ['db', 'run', 'log']) {
    mkdirSync(join(home, name));
    chownSync(join(home, name), uid, gid);
  }
  const [normalPort, milterPort, controllerPort] = [await freePort(), await freePort(), await freePort()];
  const files: Record<string, string> = {
    'tld.txt': 'com\nnet\norg\nexample\ninvalid\ntest\n',
    'local.d/options.inc': `url_tld = "${join(configuration, 'tld.txt')}"; filters = "dkim"; control_socket = "${join(home, 'run/control.sock')} mode=0600"; dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }\n`,
    'local.d/logging.inc': `type = "file"; filename = "${log}"; level = "info";\n`,
    'local.d/worker-normal.inc': `bind_socket = "127.0.0.1:${normalPort}"; count = ${normal};\n`,
    'local.d/worker-controller.inc': `bind_socket = "127.0.0.1:${controllerPort}";\n`,
    'local.d/worker-proxy.inc': `bind_socket = "127.0.0.1:${milterPort}"; count = ${proxy}; upstream "local" { default = yes; ${forward ? `hosts = "127.0.0.1:${normalPort}";` : 'self_scan = yes; hosts = "127.0.0.1";'} }\n`,
    ...Object.fromEntries(idle.map((name) => [`local.d/${name}.conf`, 'enabled = false;\n'])),
    ...Object.fromEntries(rspamdConfiguration(folder).map(({ path, content }) => [path, content])),
    ...options.files,
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(configuration, name), content);
  const variables = Object.entries({
    LOCAL_CONFDIR: configuration,
    DBDIR: join(home, 'db'),
    RUNDIR: join(home, 'run'),
    LOGDIR: join(home, 'log'),
  });
  const args = ['-f', '-c', '/etc/rspamd/rspamd.conf', '-u', '_rspamd', '-g', '_rspamd'];

  const answers = async (): Promise<boolean> => {
    try {
      return (await fetch(`http://127.0.0.1:${normalPort}/ping`, { signal: AbortSignal.timeout(1_000) })).ok;
    } catch {
      return false;
    }
  };
  let child: ReturnType<typeof spawn> | undefined;
  const start = async (): Promise<void> => {
    const started = spawn(
      program('rspamd') ?? 'rspamd',
      [...args, ...variables.map(([name, value]) => `--var=${name}=${value}`)],
      { stdio: 'ignore' },
    );
    child = started;
    for (const end = Date.now() + patience; !(await answers()); await wait(50))
      if (Date.now() > end || started.exitCode !== null)
        throw new Error(`rspamd did not start:\n${readFileSync(log, 'utf8').slice(-4_000)}`);
  };
  const stop = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child?.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  };
  await start();
  return {
    folder,
    configuration,
    milterPort,
    url: `http://127.0.0.1:${normalPort}`,
    log: () => readFileSync(log, 'utf8'),
    get pid() {
      return child?.pid;
    },
    start,
    stop,
    async close() {
      await stop();
      if (options.disk !== undefined) unmountDisk(folder);
      rmSync(home, { recursive: true, force: true });
    },
  };
};
