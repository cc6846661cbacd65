// The doctor, put together: which checks this host gets. The wiring file of doctor/.
import { createAuthority } from '../../adapters/dns/authority.ts';
import { describe, hasCode } from '../../core/errors.ts';
import { instant } from '../../core/time.ts';
import { type Config, loadConfig, parseConfig } from '../config.ts';
import { readDeliveries } from '../deliveries.ts';
import { internalClients } from '../milter/internal-clients.ts';
import { userOf } from '../postfix/access.ts';
import type { Exec } from '../postfix/exec.ts';
import { type Instance, readInstances } from '../postfix/read.ts';
import { filtersOf } from '../postfix/services.ts';
import { type Wish, wishOf } from '../postfix/wish.ts';
import { serviceOf } from '../service.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { type Check, type Seen, skipped, sound, wrong } from './check.ts';
import { mailLog } from './log-source.ts';
import { readMailLog } from './mail-log.ts';
import { clockCheck, pushPortCheck } from './network.ts';
import { destinationCheck, instanceCheck, milterCheck, queueAccessCheck } from './postfix.ts';
import { type Held, readHeld, recordsCheck } from './records.ts';
import { enrolmentCheck, runningCheck, stateFolderCheck } from './state-folder.ts';

export interface DoctorOptions {
  /** The state folder. */
  readonly dir: string;
  /** The agent's configuration file; undefined: the default one, if it is there. */
  readonly config: string | undefined;
  /** Where the signer listens; the configuration says so where absent. */
  readonly milter?: string;
  /** Postfix's configuration folders; found where none are given. */
  readonly postfix: readonly string[];
  readonly mailLogs: readonly string[];
  /** Resolvers to learn the authoritative servers from; the configuration's where none are given. */
  readonly resolvers: readonly string[];
  readonly exec: Exec;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A check that only tells what was found before the checks could begin. */
const told = (name: string, seen: Seen): Check => ({ name, run: async () => seen });

const trouble = (error: unknown): string => describe(error).replace(/\.$/, '');

const configured = async (file: string | undefined): Promise<{ config: Config; check: Check }> => {
  const name = 'configuration';
  try {
    return { config: await loadConfig(file), check: told(name, sound(file ?? 'as by default')) };
  } catch (error) {
    const mend = 'mend that line; the rest was looked at as if nothing were configured';
    return { config: parseConfig('', 'defaults'), check: told(name, wrong(trouble(error), mend)) };
  }
};

const postfixChecks = async (
  { exec, postfix }: DoctorOptions,
  config: Config,
  wish: Wish,
): Promise<{ instances: readonly Instance[]; checks: readonly Check[] }> => {
  const given = postfix.length > 0 ? postfix : config.postfix?.configDirectories;
  try {
    const instances = await readInstances(exec, given);
    const checks = instances.flatMap((instance) => [
      instanceCheck(exec, instance, wish),
      destinationCheck(instance),
    ]);
    return { instances, checks };
  } catch (error) {
    const seen = hasCode(error, 'not-found')
      ? skipped(trouble(error))
      : wrong(trouble(error), 'postfix check');
    return { instances: [], checks: [told('Postfix', seen)] };
  }
};

/** `signing.macros` names a daemon: is there one of that name? */
const daemonNameCheck = (config: Config, instances: readonly Instance[]): readonly Check[] => {
  const wanted = config.signing.macros.daemon_name ?? [];
  if (wanted.length === 0 || instances.length === 0) return [];
  const names = instances.flatMap((instance) =>
    instance.services
      .filter(({ daemon }) => daemon === 'smtpd')
      .map((service) => instance.inService(service, 'milter_macro_daemon_name')),
  );
  const missing = wanted.filter((name) => !names.includes(name));
  return [
    told(
      'daemon_name',
      missing.length === 0
        ? sound(wanted.join(', '))
        : wrong(
            `signing.macros has daemon_name ${missing.join(', ')}, which no service of Postfix bears`,
            `postconf -P 'submission/inet/milter_macro_daemon_name=${missing[0] ?? ''}' && postfix reload`,
          ),
    ),
  ];
};

const logCheck = (
  { exec, mailLogs, now }: DoctorOptions,
  config: Config,
  { service: signer }: Wish,
  instances: readonly Instance[],
  held: () => Promise<Held>,
): Check => ({
  name: 'mail log',
  async run() {
    if (config.driver === 'rspamd') return skipped('rspamd writes its own: rspamd.log');
    const { from, lines } = await mailLog(exec, instances, mailLogs, signer);
    if (from.length === 0) return skipped('there is none that can be read (--mail-log FILE)');
    const keys = await held().catch((): Held => ({ signing: undefined, failed: new Map() }));
    const own = instances.flatMap((instance) =>
      (['myhostname', 'myorigin'] as const).map((parameter) => instance.setting(parameter).toLowerCase()),
    );
    const seen = readMailLog(lines, {
      now: instant(now()),
      isInternal: internalClients(config.signing.internalHosts),
      domains: [...new Set([...(keys.signing ?? []).map(({ domain }) => domain), ...own])],
      filtered: instances.some((instance) => filtersOf(instance).length > 0),
      signer,
    });
    return { ...seen, ...(seen.note === undefined ? {} : { note: `${from.join(', ')}: ${seen.note}` }) };
  },
});

const settingsOf = (dir: string): Promise<Settings | undefined> =>
  // What is wrong with them, the enrolment's own check says.
  loadSettings(dir).catch(() => undefined);

/** All checks of this host, in the order in which mail and keys pass what they look at. */
export const doctorChecks = async (options: DoctorOptions): Promise<readonly Check[]> => {
  const { dir, exec, now } = options;
  const { config, check: configuration } = await configured(options.config);
  const settings = await settingsOf(dir);
  const service = await serviceOf(config);
  const { unit } = service;
  const user = await userOf(exec, service.user);
  const held = () => readHeld(dir);
  // That its index is damaged, the keys' own check says.
  const newest = () =>
    held().then(
      (one) => one.newest,
      () => undefined,
    );
  const { nameServers } = config.records;
  const resolvers = options.resolvers.length > 0 ? options.resolvers : config.records.resolvers;
  const { look } = createAuthority({
    ...(resolvers === undefined ? {} : { resolvers }),
    ...(nameServers === undefined ? {} : { nameServers }),
  });
  const own = [configuration, enrolmentCheck(dir), stateFolderCheck(dir, user), runningCheck(dir, unit)];
  const network = [
    clockCheck(settings?.controlPlane, now, newest),
    pushPortCheck(settings, { unit, deliveries: await readDeliveries(dir) }),
    recordsCheck(held, look, unit),
  ];
  let wish: Wish;
  try {
    wish = await wishOf(config, options.milter === undefined ? {} : { milter: options.milter });
  } catch (error) {
    const mend = 'name the address of its socket: selkie-agent doctor --milter inet:8891@127.0.0.1';
    return [...own, ...network, told('milter', wrong(trouble(error), mend))];
  }
  const { instances, checks } = await postfixChecks(options, config, wish);
  return [
    ...own,
    ...network,
    milterCheck(wish),
    ...checks,
    ...(instances.length === 0 || user === undefined
      ? []
      : [queueAccessCheck(exec, instances, user, service)]),
    ...daemonNameCheck(config, instances),
    logCheck(options, config, wish, instances, held),
  ];
};
