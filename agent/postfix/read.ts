// What Postfix is set to, in every instance of this host, as postconf(1) says it: main.cf and master.cf are never parsed
// here, so that defaults, `$name` and master.cf's `-o` come out as Postfix sees them. Reads only.
import { SelkieError } from '../../core/errors.ts';
import { complaint, type Exec, type Outcome } from './exec.ts';

/** The main.cf parameters that are read. */
const parameters = [
  'bounce_queue_lifetime',
  'compatibility_level',
  'config_directory',
  'content_filter',
  'default_transport',
  'internal_mail_filter_classes',
  'mail_owner',
  'mail_version',
  'maillog_file',
  'maximal_backoff_time',
  'maximal_queue_lifetime',
  'milter_default_action',
  'milter_macro_daemon_name',
  'milter_protocol',
  'multi_instance_directories',
  'multi_instance_name',
  'mydestination',
  'mydomain',
  'myhostname',
  'myorigin',
  'non_smtpd_milters',
  'queue_directory',
  'receive_override_options',
  'relay_domains',
  'relayhost',
  'setgid_group',
  'smtpd_milters',
  'smtpd_milter_maps',
  'syslog_name',
  'virtual_alias_domains',
  'virtual_mailbox_domains',
] as const;

export type Parameter = (typeof parameters)[number];

/** A line of master.cf. */
export interface Service {
  /** As `postconf -F` names it: `submission/inet`. */
  readonly name: string;
  /** The daemon: `smtpd`, `cleanup`. */
  readonly daemon: string;
  readonly chroot: boolean;
  /** Its `-o name=value`, as they are written. */
  readonly overrides: ReadonlyMap<string, string>;
  /** The same with `$name` filled in. */
  readonly expanded: ReadonlyMap<string, string>;
}

export interface Instance {
  /** `multi_instance_name`, or `postfix`. */
  readonly name: string;
  readonly configDirectory: string;
  readonly queueDirectory: string;
  /** In effect in main.cf, with `$name` filled in; empty where Postfix does not know the parameter. */
  setting(parameter: Parameter): string;
  /** As main.cf has it; undefined where it does not. */
  written(parameter: string): string | undefined;
  /** What a service goes by: its override, or main.cf's. */
  inService(service: Service, parameter: Parameter): string;
  readonly services: readonly Service[];
}

/** `name = value` lines; postconf writes a value on one. */
const parseLines = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [] : [[line.slice(0, at).trim(), line.slice(at + 1).trim()] as const];
    }),
  );

/** `name/type/parameter` → the parts; a name may hold slashes (`postlog/unix-dgram`'s kin do not, a socket's path may). */
const serviceParameter = (text: string): { service: string; parameter: string } => {
  const at = text.lastIndexOf('/');
  return { service: text.slice(0, at), parameter: text.slice(at + 1) };
};

const overridesOf = (text: string): ReadonlyMap<string, ReadonlyMap<string, string>> => {
  const all = new Map<string, Map<string, string>>();
  for (const [name, value] of parseLines(text)) {
    const { service, parameter } = serviceParameter(name);
    const of = all.get(service) ?? new Map<string, string>();
    all.set(service, of.set(parameter, value));
  }
  return all;
};

const none: ReadonlyMap<string, string> = new Map();

/** `-` in the chroot column is yes below compatibility level 1 (COMPATIBILITY_README) and in Postfix 2. */
const chrootByDefault = (settings: ReadonlyMap<string, string>): boolean =>
  Number.parseInt(settings.get('mail_version') ?? '3', 10) < 3 ||
  Number.parseFloat(settings.get('compatibility_level') ?? '0') < 1;

const ask = async (exec: Exec, configDirectory: string, args: readonly string[]): Promise<string> => {
  const outcome: Outcome = await exec('postconf', ['-c', configDirectory, ...args]);
  if (outcome.code === 127)
    throw new SelkieError('not-found', 'There is no Postfix on this host: postconf is not in the PATH.');
  if (outcome.code !== 0)
    throw new SelkieError(
      'unavailable',
      `postconf cannot read ${configDirectory}: ${complaint(outcome)}. Mend it, then try again.`,
    );
  return outcome.out;
};

/** @throws SelkieError not-found: no Postfix; unavailable: postconf fails on this folder */
export const readInstance = async (exec: Exec, configDirectory: string): Promise<Instance> => {
  const [settingLines, writtenLines, fieldLines, overrideLines, expandedLines] = await Promise.all([
    ask(exec, configDirectory, ['-x', ...parameters]),
    ask(exec, configDirectory, ['-n']),
    ask(exec, configDirectory, ['-F']),
    ask(exec, configDirectory, ['-P']),
    ask(exec, configDirectory, ['-Px']),
  ]);
  const settings = parseLines(settingLines);
  const written = parseLines(writtenLines);
  const [overrides, expanded] = [overridesOf(overrideLines), overridesOf(expandedLines)];
  const chrootDefault = chrootByDefault(settings);
  const services = [...overridesOf(fieldLines)].map(([name, fields]): Service => {
    const chroot = fields.get('chroot') ?? '-';
    return {
      name,
      daemon: (fields.get('command') ?? '').split(/\s/, 1)[0] ?? '',
      chroot: chroot === '-' ? chrootDefault : chroot === 'y',
      overrides: overrides.get(name) ?? none,
      expanded: expanded.get(name) ?? none,
    };
  });
  const setting = (parameter: Parameter): string => settings.get(parameter) ?? '';
  const name = setting('multi_instance_name');
  return {
    name: name === '' ? 'postfix' : name,
    configDirectory,
    queueDirectory: setting('queue_directory'),
    setting,
    written: (parameter) => written.get(parameter),
    inService: (service, parameter) => service.expanded.get(parameter) ?? setting(parameter),
    services,
  };
};

const defaultDirectory = async (exec: Exec): Promise<string> => {
  const outcome = await exec('postconf', ['-h', 'config_directory']);
  if (outcome.code === 127)
    throw new SelkieError('not-found', 'There is no Postfix on this host: postconf is not in the PATH.');
  // A broken main.cf ends postconf before it has said anything.
  return outcome.out.trim() || '/etc/postfix';
};

/**
 * The configuration folders of all instances: those given (or Postfix's own), and those that they name in
 * `multi_instance_directories`, where postmulti(1) looks for them too (it refuses any other start than the default one).
 * @throws SelkieError not-found, unavailable
 */
export const configDirectories = async (
  exec: Exec,
  given: readonly string[] | undefined,
): Promise<readonly string[]> => {
  const first = given ?? [await defaultDirectory(exec)];
  const more: string[] = [];
  for (const directory of first) {
    const list = await ask(exec, directory, ['-xh', 'multi_instance_directories']);
    more.push(...list.split(/[\s,]+/).filter((one) => one !== ''));
  }
  return [...new Set([...first, ...more])];
};

/** @throws SelkieError not-found, unavailable */
export const readInstances = async (
  exec: Exec,
  given: readonly string[] | undefined,
): Promise<readonly Instance[]> => {
  const directories = await configDirectories(exec, given);
  return Promise.all(directories.map((directory) => readInstance(exec, directory)));
};
