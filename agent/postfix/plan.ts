// What has to change in one Postfix instance so that its mail goes through the signer: each change with its reason. Pure;
// apply.ts performs it, doctor shows it as what is wrong.

import { parseMilters, postfixAddress, sameMilter, splitList } from './address.ts';
import type { Instance, Parameter, Service } from './read.ts';
import { type Remark, remarksOn } from './remarks.ts';
import { isReinjection, usesMilters } from './services.ts';
import type { Wish } from './wish.ts';

export interface Change {
  readonly file: 'main.cf' | 'master.cf';
  /** As postconf takes it: `smtpd_milters` for `-e`, `submission/inet/smtpd_milters` for `-P`. */
  readonly parameter: string;
  /** As the file has it; undefined where it does not. */
  readonly before: string | undefined;
  readonly after: string;
  /** A list of milters: uninstall takes ours out of it though others have changed it. */
  readonly milters: boolean;
  readonly why: string;
}

export interface Obstacle {
  readonly problem: string;
  /** Each of them mends it. */
  readonly mends: readonly string[];
}

/** In a sentence. */
export const obstacleText = ({ problem, mends }: Obstacle): string =>
  `${problem}. Mend: ${mends.join('; or ')}.`;

export interface Plan {
  readonly instance: Instance;
  /** The signer as this instance calls it. */
  readonly milter: string;
  readonly changes: readonly Change[];
  /** What is left as it is, and should be known. */
  readonly remarks: readonly Remark[];
  /** Why this cannot be applied. */
  readonly obstacles: readonly Obstacle[];
}

/** Default actions that never let a message through unsigned, nor lose it. */
const safeActions = new Set(['tempfail', 'shutdown']);
const actionReasons: Readonly<Record<string, string>> = {
  accept: 'accept sends mail unsigned while the signer is down; tempfail has clients try again',
  quarantine:
    'quarantine puts mail on hold unsigned while the signer is down; tempfail has clients try again',
  reject: 'reject bounces mail while the signer is down; tempfail has clients try again',
};

interface List {
  readonly parameter: 'smtpd_milters' | 'non_smtpd_milters';
  readonly before: string | undefined;
  readonly expanded: string;
}

/** The list with the signer in it, once, and without those that it replaces; undefined where it is so. */
const withSigner = (
  { before = '', expanded }: List,
  milter: string,
  replace: readonly string[],
  queue: string,
): string | undefined => {
  const isOurs = (address: string): boolean => sameMilter(address, milter, queue);
  const goes = (address: string): boolean => replace.some((one) => sameMilter(one, address, queue));
  const present = parseMilters(expanded);
  const sound = present.some(
    ({ address, defaultAction = 'tempfail' }) => isOurs(address) && safeActions.has(defaultAction),
  );
  const leaving = present.some(({ address }) => goes(address) && !isOurs(address));
  if (sound && !leaving) return undefined;
  const written = parseMilters(before);
  // What is to go may stand behind a `$name` that other parameters use too: then the list is written out.
  const found = (address: string): boolean => written.some((element) => element.address === address);
  const elements = present.every(({ address }) => !(goes(address) || isOurs(address)) || found(address))
    ? written
    : present;
  let done = false;
  const kept = elements.flatMap(({ text, address }) => {
    if (!goes(address) && !isOurs(address)) return [text];
    if (done) return [];
    done = true;
    return [milter];
  });
  return [...kept, ...(done ? [] : [milter])].join(', ');
};

/** `postconf -P` takes no white space in a value. */
export const withoutSpace = (value: string): string =>
  splitList(value)
    .map((element) => element.replace(/\s*=\s*/g, '=').replace(/^\{\s+|\s+\}$/g, (brace) => brace.trim()))
    .map((element) => element.replace(/[\s,]+/g, ','))
    .join(',');

const listReason: Readonly<Record<List['parameter'], string>> = {
  smtpd_milters: 'so that mail that clients hand in by SMTP passes the signer',
  non_smtpd_milters:
    'so that mail that is handed in by sendmail, and what Postfix itself writes, passes the signer',
};

/** Where a signer can listen so that a chrooted Postfix sees it: below the queue directory, or at a port. */
const visibleSockets = ({ queueDirectory, setting }: Instance, service: string): readonly string[] => {
  switch (service) {
    case 'opendkim':
      return [
        `in opendkim.conf: Socket local:${queueDirectory}/opendkim/opendkim.sock, then systemctl restart opendkim`,
        'in opendkim.conf: Socket inet:8891@127.0.0.1, then systemctl restart opendkim',
      ];
    case 'rspamd':
      return [
        'in rspamd\'s worker-proxy.inc: bind_socket = "127.0.0.1:11332"; and in /etc/selkie-agent.yaml: rspamd: { entrances: ["inet:11332@127.0.0.1"] }',
      ];
    default:
      return [
        `in /etc/selkie-agent.yaml: milter: { listen: "unix:${queueDirectory}/selkie-agent/milter.sock", group: ${setting('mail_owner')} }, then systemctl restart selkie-agent`,
        'in /etc/selkie-agent.yaml: milter: { listen: "inet:8891@127.0.0.1" }, then systemctl restart selkie-agent',
      ];
  }
};

const socketTrouble = (instance: Instance, milter: string, service: string): readonly Obstacle[] => {
  const path = /^unix:(\/.*)$/.exec(milter)?.[1];
  const jailed = instance.services.filter(
    ({ daemon, chroot }) => chroot && (daemon === 'smtpd' || daemon === 'cleanup'),
  );
  if (path === undefined || jailed.length === 0) return [];
  return [
    {
      problem: `${jailed.map(({ name }) => name).join(', ')} run chrooted in ${instance.queueDirectory} and cannot see ${path}`,
      mends: visibleSockets(instance, service),
    },
  ];
};

const mainLists = (instance: Instance, milter: string, { replace }: Wish): readonly Change[] => {
  const list = (parameter: List['parameter']): List => ({
    parameter,
    before: instance.written(parameter),
    expanded: instance.setting(parameter),
  });
  const smtpd = withSigner(list('smtpd_milters'), milter, replace, instance.queueDirectory);
  const refers = /\$(?:smtpd_milters\b|[({]smtpd_milters[)}])/.test(
    instance.written('non_smtpd_milters') ?? '',
  );
  const other = refers
    ? undefined
    : withSigner(list('non_smtpd_milters'), milter, replace, instance.queueDirectory);
  return [
    { parameter: 'smtpd_milters', after: smtpd } as const,
    { parameter: 'non_smtpd_milters', after: other } as const,
  ].flatMap(({ parameter, after }) =>
    after === undefined
      ? []
      : [
          {
            file: 'main.cf',
            parameter,
            before: instance.written(parameter),
            after,
            milters: true,
            why: listReason[parameter],
          } as const,
        ],
  );
};

const mainValues = (instance: Instance): readonly Change[] => {
  const change = (parameter: Parameter, after: string, why: string): Change => ({
    file: 'main.cf',
    parameter,
    before: instance.written(parameter),
    after,
    milters: false,
    why,
  });
  const action = instance.setting('milter_default_action');
  const protocol = instance.setting('milter_protocol');
  const classes = splitList(instance.setting('internal_mail_filter_classes'));
  return [
    ...(safeActions.has(action)
      ? []
      : [
          change(
            'milter_default_action',
            'tempfail',
            actionReasons[action] ?? `${action} is no action that keeps mail until it is signed`,
          ),
        ]),
    ...(protocol === '6'
      ? []
      : [change('milter_protocol', '6', 'the version in which Postfix passes header fields byte by byte')]),
    ...(classes.includes('bounce')
      ? []
      : [
          change(
            'internal_mail_filter_classes',
            [...classes, 'bounce'].join(', '),
            'so that bounces (DSNs) are signed too; unsigned ones fail DMARC where others ask for it',
          ),
        ]),
  ];
};

const serviceChanges = (
  instance: Instance,
  service: Service,
  milter: string,
  { replace }: Wish,
): readonly Change[] => {
  const change = (parameter: Parameter, after: string, milters: boolean, why: string): Change => ({
    file: 'master.cf',
    parameter: `${service.name}/${parameter}`,
    before: service.overrides.get(parameter),
    after: withoutSpace(after),
    milters,
    why,
  });
  if (service.daemon === 'smtpd' && isReinjection(instance, service)) {
    if (!usesMilters(instance, service) || service.overrides.get('smtpd_milters') === '') return [];
    const options = splitList(instance.inService(service, 'receive_override_options'));
    return [
      change(
        'receive_override_options',
        [...options, 'no_milters'].join(','),
        false,
        "mail comes back here from the content filter: it is signed already, and all of it, forged mail too, looks like this host's own",
      ),
    ];
  }
  const parameter =
    service.daemon === 'smtpd'
      ? 'smtpd_milters'
      : service.daemon === 'cleanup'
        ? 'non_smtpd_milters'
        : undefined;
  if (parameter === undefined) return [];
  const before = service.overrides.get(parameter);
  const after =
    before === undefined || /\$\{?\(?smtpd_milters/.test(before)
      ? undefined
      : withSigner(
          { parameter, before, expanded: service.expanded.get(parameter) ?? '' },
          milter,
          replace,
          instance.queueDirectory,
        );
  const action = service.expanded.get('milter_default_action');
  return [
    ...(after === undefined
      ? []
      : [
          change(
            parameter,
            after,
            true,
            `it hides main.cf's ${parameter} and must have the signer itself, ${listReason[parameter]}`,
          ),
        ]),
    ...(action === undefined || safeActions.has(action)
      ? []
      : [
          change(
            'milter_default_action',
            'tempfail',
            false,
            `${service.name} has its own: ${actionReasons[action] ?? 'it does not keep mail until it is signed'}`,
          ),
        ]),
  ];
};

/** The plan of one instance; nothing to do where its `changes` are none. */
export const planInstance = (instance: Instance, wish: Wish): Plan => {
  const milter = postfixAddress(wish.milter, instance.queueDirectory);
  return {
    instance,
    milter,
    changes: [
      ...mainLists(instance, milter, wish),
      ...mainValues(instance),
      ...instance.services.flatMap((service) => serviceChanges(instance, service, milter, wish)),
    ],
    remarks: remarksOn(instance, milter, wish),
    obstacles: socketTrouble(instance, milter, wish.service),
  };
};

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** The command that makes a change by hand. */
export const commandOf = (instance: Instance, change: Change): string =>
  `postconf -c ${instance.configDirectory} ${change.file === 'main.cf' ? '-e' : '-P'} ${quoted(`${change.parameter}=${change.after}`)}`;
