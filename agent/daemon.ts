// `selkie-agent run`, put together from the configuration file: what signs, where the log goes, figures, what systemd is told,
// how long Postfix's queues hold mail. The wiring file for a host of its own; start.ts wires the agent itself.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe } from '../core/errors.ts';
import { settingsOf } from './adopt/standing.ts';
import { type Config, loadConfig } from './config.ts';
import type { Driver } from './drivers/driver.ts';
import { keyTypesOf } from './drivers/key-types.ts';
import { orLater } from './drivers/late.ts';
import { createOpendkimDriver } from './drivers/opendkim/driver.ts';
import { createRspamdDriver } from './drivers/rspamd/driver.ts';
import type { Log } from './log.ts';
import { createLog } from './log-sinks.ts';
import { startMetricsServer } from './metrics/server.ts';
import { createMetrics } from './metrics.ts';
import { milterOptions } from './milter/options.ts';
import { createNotifier } from './notify.ts';
import { systemExec } from './postfix/exec.ts';
import { watchQueues } from './postfix/queue-facts.ts';
import { type Agent, type AgentOptions, type Signer, startAgent, systemTimer } from './start.ts';
import { succeed, trustedKeys } from './trust.ts';

export interface DaemonOptions {
  readonly dir: string;
  /** The configuration file; the default one, if it is there, where absent. */
  readonly config?: string;
  /** Where the milter listens, in place of what the configuration says. */
  readonly milter?: string;
}

export interface Daemon {
  /**
   * Has the configuration read again: who is signed for, and how, holds for connections from now on; what else is new, is
   * named in the log and waits for the next start. Never fails: with a mistake in the file all goes on as it was.
   */
  reload(): Promise<void>;
  /** Ends everything; messages in hand are finished, and the log is written out. */
  close(): Promise<void>;
}

const driverOf = async (config: Config, dir: string, log: Log): Promise<Driver | undefined> => {
  const now = Date.now;
  const keyTypes = keyTypesOf[config.driver];
  switch (config.driver) {
    case 'builtin':
      return undefined;
    case 'opendkim': {
      const folder = join(dir, 'opendkim');
      const create = () => createOpendkimDriver({ config: config.opendkim.config, folder, now });
      return orLater(create, { keyTypes, log });
    }
    case 'rspamd': {
      const create = () =>
        createRspamdDriver({
          folder: config.rspamd.folder,
          entrances: config.rspamd.entrances,
          onUnusableKey: config.signing.onUnusableKey,
          now,
          pause: sleep,
          id: randomUUID,
        });
      return orLater(create, { keyTypes, log });
    }
  }
};

const recordsOf = ({ records }: Config): Pick<AgentOptions, 'records'> =>
  records.check
    ? {
        records: {
          ...(records.resolvers === undefined ? {} : { resolvers: records.resolvers }),
          ...(records.nameServers === undefined ? {} : { nameServers: records.nameServers }),
        },
      }
    : {};

const signsWith = (config: Config, listen: string): string =>
  config.driver === 'builtin' ? `signs at ${listen}` : `keeps the keys of ${config.driver}`;

/** Sections that a running agent can take over. */
const live: readonly string[] = ['signing'] satisfies (keyof Config)[];

/** The other sections that have changed. */
const changed = (before: Config, after: Config): readonly string[] => {
  const sections = new Map<string, unknown>(Object.entries(after));
  const names = new Set([...Object.keys(before), ...sections.keys()]);
  const old = new Map<string, unknown>(Object.entries(before));
  return [...names].filter(
    (name) => !live.includes(name) && JSON.stringify(old.get(name)) !== JSON.stringify(sections.get(name)),
  );
};

/** @throws SelkieError invalid where configuration or enrolment are not in order, and whatever `startAgent` throws */
export const startDaemon = async (options: DaemonOptions): Promise<Daemon> => {
  const { dir } = options;
  const config = await loadConfig(options.config);
  const { settings, enrolled } = await settingsOf(dir);
  // None would be no reason to start: nobody could speak to this host.
  if (enrolled) await trustedKeys(dir);
  const listen = options.milter ?? config.milter.listen;
  const sink = createLog(config.log, { now: Date.now });
  const { log } = sink;
  const closers: (() => Promise<void> | void)[] = [() => sink.close()];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).toReversed()) await one();
  };
  let agent: Agent | undefined;
  const trouble = async (): Promise<readonly string[]> => (await agent?.trouble()) ?? [];
  try {
    const driver = await driverOf(config, dir, log);
    const signer: Signer = driver === undefined ? { milter: milterOptions(config, listen) } : { driver };
    const metrics = createMetrics({
      now: Date.now,
      driver: config.driver,
      lostLines: () => sink.dropped,
    });
    if (config.metrics !== undefined) {
      const server = await startMetricsServer({
        listen: config.metrics,
        text: () => metrics.text(),
        health: async () => ({ trouble: await trouble() }),
        log,
      });
      closers.push(() => server.close());
      log(`selkie-agent: figures at http://${config.metrics}/metrics`);
    }
    const queues = watchQueues({
      exec: systemExec(),
      now: Date.now,
      timer: systemTimer,
      log,
      ...(config.postfix === undefined ? {} : { configDirectories: config.postfix.configDirectories }),
    });
    closers.push(() => queues.close());
    const notifier = createNotifier({
      // A key that may not sign is nothing that a new start would mend; a milter that does not answer is.
      trouble: async () => (await trouble()).find((sentence) => sentence.startsWith('the milter')),
      timer: systemTimer,
      log,
    });
    agent = await startAgent({
      ...settings,
      ...recordsOf(config),
      dir,
      signer,
      // Read each time: a manifest or an administrator may have changed it.
      trusted: () => (enrolled ? trustedKeys(dir) : []),
      succeed: (succession) => succeed(dir, succession),
      now: Date.now,
      log,
      metrics,
      queueLifetime: () => queues.lifetime(),
    });
    const { ports, close: closeAgent } = agent;
    closers.push(closeAgent, () => notifier.stopping());
    const says = `${settings.name} ${signsWith(config, listen)}`;
    log(`selkie-agent: ${says}`);
    if (!enrolled)
      log(
        'selkie-agent: this host is not enrolled: it signs with the keys that it adopted, and no control plane speaks to it. Run selkie-agent enrol, then start this again.',
      );
    const can = keyTypesOf[config.driver];
    if ((settings.keyTypes ?? keyTypesOf.builtin).some((type) => !can.some((one) => one === type)))
      log(
        `selkie-agent: ${config.driver} signs with ${can.join(' and ')} keys only, and this host was enrolled with another driver: write keyTypes: [${can.join(', ')}] into its entry in fleet.yaml, or keys that it cannot use hold up rotations`,
      );
    if (ports.push !== undefined) log(`selkie-agent: bundles are taken at port ${ports.push}`);
    notifier.ready(says);
    const { configure } = agent;
    const reload = async (): Promise<void> => {
      notifier.reloading();
      try {
        const next = await loadConfig(options.config);
        configure(milterOptions({ milter: config.milter, signing: next.signing }, listen));
        const waits = changed(config, next);
        log(
          waits.length === 0
            ? 'selkie-agent: the configuration was read again'
            : `selkie-agent: the configuration was read again; what is new in ${waits.join(', ')} waits for the next start`,
        );
      } catch (error) {
        log(`selkie-agent: the configuration stays as it was: ${describe(error)}`);
      }
      notifier.ready(says);
    };
    return { reload, close };
  } catch (error) {
    await close();
    throw error;
  }
};
