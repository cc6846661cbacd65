// Postfix as its programs describe it: transcripts in, an Exec that answers with them out. Also an instance made of values.
import type { Exec, Outcome } from '../../../agent/postfix/exec.ts';
import type { Instance, Parameter, Service } from '../../../agent/postfix/read.ts';

export interface Transcript {
  /** By what was called: `postconf -c /etc/postfix -n`; the longest beginning counts. */
  readonly [call: string]: string | Partial<Outcome>;
}

export interface FakeExec extends Exec {
  readonly calls: string[];
  transcript: Transcript;
}

export const fakeExec = (transcript: Transcript): FakeExec => {
  const exec = async (program: string, args: readonly string[], onLine?: (line: string) => void) => {
    const call = [program, ...args].join(' ');
    fake.calls.push(call);
    const [known] = Object.keys(fake.transcript)
      .filter((one) => call.startsWith(one))
      .toSorted((a, b) => b.length - a.length);
    const answer = known === undefined ? { code: 127, err: `${program}: not found` } : fake.transcript[known];
    const { code = 0, out = '', err = '' } = typeof answer === 'string' ? { out: answer } : (answer ?? {});
    if (onLine === undefined) return { code, out, err };
    for (const line of out.split('\n').filter((one) => one !== '')) onLine(line);
    return { code, out: '', err };
  };
  const fake: FakeExec = Object.assign(exec, { calls: [], transcript });
  return fake;
};

/** Debian's master.cf, as far as it matters. */
const services: readonly Pick<Service, 'name' | 'daemon' | 'chroot'>[] = [
  { name: 'smtp/inet', daemon: 'smtpd', chroot: true },
  { name: 'pickup/unix', daemon: 'pickup', chroot: true },
  { name: 'cleanup/unix', daemon: 'cleanup', chroot: true },
];

/** Postfix's defaults. */
const defaults: Partial<Record<Parameter, string>> = {
  milter_default_action: 'tempfail',
  milter_protocol: '6',
  myhostname: 'mx.example.com',
  myorigin: 'mx.example.com',
  mydestination: 'mx.example.com, localhost.example.com, localhost',
  default_transport: 'smtp',
  mail_owner: 'postfix',
};

export interface FakeService {
  readonly name: string;
  readonly daemon?: string;
  readonly chroot?: boolean;
  readonly overrides?: Readonly<Record<string, string>>;
}

/** An instance whose main.cf has `main`; `$name` of those is filled in. */
export const fakeInstance = (
  main: Readonly<Record<string, string>> = {},
  more: readonly FakeService[] = [],
): Instance => {
  const filled = (value: string): string =>
    value.replace(/\$(\w+)/g, (_, name: string) => filled(main[name] ?? ''));
  const named = new Set(more.map(({ name }) => name));
  const all = [...services.filter(({ name }) => !named.has(name)), ...more].map(
    (service: FakeService): Service => {
      const overrides = Object.entries(service.overrides ?? {});
      return {
        name: service.name,
        daemon: service.daemon ?? 'smtpd',
        chroot: service.chroot ?? false,
        overrides: new Map(overrides),
        expanded: new Map(overrides.map(([name, value]) => [name, filled(value)])),
      };
    },
  );
  const setting = (parameter: Parameter): string => filled(main[parameter] ?? defaults[parameter] ?? '');
  return {
    name: 'postfix',
    configDirectory: '/etc/postfix',
    queueDirectory: '/var/spool/postfix',
    setting,
    written: (parameter) => main[parameter],
    inService: (service, parameter) => service.expanded.get(parameter) ?? setting(parameter),
    services: all,
  };
};
