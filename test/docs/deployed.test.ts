// The commands of pages that need AWS or a mail host, run in one story: an operator deploys, takes over an OpenDKIM, adds a host,
// restores, upgrades, leaves. Each page from its top to its bottom, each command as it stands but for the names below. `cdk
// deploy` is not run (not-run.ts): the functions are given the fleet file, and CDK synthesises it.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import * as mailauth from '../oracles/mailauth.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import {
  type Deployment,
  type DocumentedHost,
  documentedId,
  openDeployment,
  packageIn,
  zone,
} from './deployment.ts';
import { notRun } from './not-run.ts';
import { documentedPages, shellBlocksOf } from './shell-blocks.ts';

/** A page may have a dozen commands, each a process or more, on a machine that is at other work. */
const patience = 300_000;

const unrunnable = new Set(notRun.map(({ command }) => command));
const blocksOf = (page: string) => shellBlocksOf(page).filter(({ how }) => how === 'deployed');
const commandsOf = (page: string) =>
  blocksOf(page).flatMap(({ line, commands }) => commands.map((command) => ({ line, command })));

/** Debian's OpenDKIM, which signs with a key that somebody made years ago, and Postfix that goes through it. */
const withOpendkim = async (host: DocumentedHost, port: number): Promise<void> => {
  await host.does('mkdir', '-p', '/etc/dkimkeys');
  await host.does('opendkim-genkey', '-D', '/etc/dkimkeys', '-d', zone, '-s', 'mail', '-b', '1024');
  await host.does('chown', '-R', 'opendkim:opendkim', '/etc/dkimkeys');
  const lines = [
    'UserID opendkim',
    'Mode s',
    `Socket inet:${port}@localhost`,
    'PidFile /run/opendkim/opendkim.pid',
    `Domain ${zone}`,
    'Selector mail',
    'KeyFile /etc/dkimkeys/mail.private',
    'Syslog yes',
    '',
  ];
  await host.write('/etc/opendkim.conf', lines.join('\n'));
  await host.does('install', '-d', '-o', 'opendkim', '-g', 'opendkim', '/run/opendkim');
  // It was masked for the boot only.
  await host.does('rm', '/etc/systemd/system/opendkim.service');
  await host.does('systemctl', 'daemon-reload');
  await host.does('systemctl', 'enable', '--now', 'opendkim');
  const milters = ['smtpd_milters', 'non_smtpd_milters'].map((name) => `${name}=inet:localhost:${port}`);
  await host.does('postconf', '-e', ...milters);
  await host.does('postfix', 'reload');
};

/** What doctor says, alone, of a host that joined while a key drains that was adopted on others (add-a-host.md). */
const joinedInTheDrain =
  /✗ keys in DNS: the key example\.jp\/mail cannot be used: This host never had[\s\S]*^1 of \d+ checks/m;

/** The same package, as if of a later version. */
const newerPackage = `
cd /root
dpkg-deb -R selkie-agent_0.1.0_amd64.deb newer
sed -i 's/^Version: .*/&+1/' newer/DEBIAN/control
rm selkie-agent_0.1.0_amd64.deb
dpkg-deb -Znone -b newer selkie-agent_0.1.0+1_amd64.deb
rm -r newer
`;

/** The page's one YAML block. */
const yamlOf = (page: string): string => {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
  return /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
};
/** Names alone. */
const shapeOf = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(shapeOf)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shapeOf(each)]))
      : 'a value';

interface Scenario {
  readonly page: string;
  /** Where commands of `sudo`, systemctl and selkie-agent are run. */
  readonly host?: DocumentedHost;
  /** What the page shows → what it is here. */
  readonly names?: Readonly<Record<string, string>>;
  /** A command that ends with 1 here, and what it says then, as the page tells. */
  readonly fails?: Readonly<Record<string, RegExp>>;
  /** Looked at, or done, after a command: what it printed is handed over. */
  readonly after?: Readonly<Record<string, (said: string) => unknown>>;
}

describeWith(
  ['systemd', 'dpkg-deb', 'postfix', 'opendkim', 'opendkim-genkey', 'named', 'moto_server', 'aws'],
  'commands of pages that need AWS or a mail host (cdk deploy: synthesised)',
  () => {
    let place: Deployment;
    const hosts = new Map<string, DocumentedHost>();
    /** What commands printed for fleet.yaml. */
    let pasted: { readonly hosts: object; readonly adopted: readonly object[] } = { hosts: {}, adopted: [] };
    let thumbprint = '';
    let deb: Uint8Array = new Uint8Array();
    const played = new Set<string>();

    beforeAll(async () => {
      vi.spyOn(process.stdout, 'write').mockReturnValue(true);
      place = await openDeployment();
    }, patience);
    afterAll(async () => {
      await place?.close();
      vi.restoreAllMocks();
    }, patience);

    const play = async ({ page, host, names = {}, fails = {}, after = {} }: Scenario): Promise<void> => {
      played.add(page);
      const looked = new Set<string>();
      const all: Readonly<Record<string, string>> = {
        'https://abc123.execute-api.eu-west-1.amazonaws.com': place.api,
        'arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab': place.arn,
        THUMBPRINT: thumbprint,
        // Names of hosts are in nobody's DNS here, and ports are the whole machine's.
        ...(host === undefined
          ? {}
          : {
              [`enrol --name ${host.name}`]: `enrol --name ${host.name} --endpoint-host 127.0.0.1 --push-port ${host.pushPort}`,
            }),
        // It speaks on its error output. Where it was synthesised once, that is looked at again.
        'npx cdk diff': `npx cdk diff${existsSync(join(place.folder, 'cdk.out')) ? ' --app cdk.out' : ''} 2>&1`,
        'npm run package:deb': 'npm run package:deb -- --fast --out "$PWD/dist"',
        ...names,
      };
      for (const { line, command } of commandsOf(page)) {
        const here = Object.entries(all).reduce((text, [shown, is]) => text.replaceAll(shown, is), command);
        let said = '';
        try {
          if (unrunnable.has(command)) said = '';
          else if (/^(sudo|selkie-agent|systemctl) /.test(command)) {
            if (host === undefined) throw new Error('it needs a host');
            const ran = await host.run(['bash', '--norc', '-euo', 'pipefail', '-c', `cd /root; ${here}`]);
            said = ran.out;
            const fault = fails[command];
            if (ran.status !== (fault === undefined ? 0 : 1))
              throw new Error(`${ran.status}\n${said}${ran.err}`);
            if (fault !== undefined) expect(said).toMatch(fault);
          } else said = await place.run(here);
          looked.add(command);
          await after[command]?.(said);
        } catch (error) {
          throw new Error(
            `${page}:${line}: ${here}: ${error instanceof Error ? error.message : String(error)}`,
            {
              cause: error,
            },
          );
        }
      }
      // What is looked at after a command that the page no longer has would be looked at no more.
      expect(Object.keys(after).filter((command) => !looked.has(command))).toEqual([]);
    };

    const fleet = (role?: object): string =>
      stringify({
        defaults: { ttl: 'PT1M' },
        pools: ['main'],
        zones: {
          [zone]: {
            id: documentedId,
            nameServers: [place.nameServer],
            ...(role === undefined ? {} : { role }),
          },
        },
        domains: {
          [`news.${zone}`]: {},
          // Not before its keys are adopted, as the tutorial says.
          ...(pasted.adopted.length > 0 ? { [zone]: { adopted: pasted.adopted } } : {}),
        },
        hosts: pasted.hosts,
      });

    /** A message of the host's arrives signed with these selectors, and each verifies. */
    const expectSigned = async (host: DocumentedHost, ...selectors: readonly string[]): Promise<void> => {
      const signatures = await mailauth.verify((await host.mail()).raw, await place.records());
      expect(signatures.map(({ selector, result }) => `${selector} ${result}`).toSorted()).toEqual(
        selectors.map((selector) => `${selector} pass`).toSorted(),
      );
    };
    const settings = (milter: number): string => `milter: { listen: "inet:${milter}@127.0.0.1" }\n`;
    const active = async (host: DocumentedHost, unit = 'selkie-agent'): Promise<string> =>
      (await host.run(['systemctl', 'is-active', unit])).out.trim();
    const enrolled = (host: DocumentedHost) => (said: string) => {
      const { hosts: more } = parse(said) as { hosts: object };
      expect(Object.keys(more)).toEqual([host.name]);
      pasted = { ...pasted, hosts: { ...pasted.hosts, ...more } };
    };
    /** Selectors with which the domain signs, by the operator's own command. */
    const signing = async (): Promise<readonly string[]> => {
      const said = await place.run(`npm run -s selkie -- --stack selkie status ${zone} --json`);
      const { keys } = JSON.parse(said) as { keys: { selector: string; state: string }[] };
      return keys.filter(({ state }) => state === 'active').map(({ selector }) => selector);
    };
    const hostOf = (name: string): DocumentedHost => {
      const host = hosts.get(name);
      if (host === undefined) throw new Error(`${name} was to come with an earlier page`);
      return host;
    };
    const eventually = async (holds: () => Promise<boolean>, what: string): Promise<void> => {
      for (const until = Date.now() + 90_000; !(await holds()); await sleep(200))
        if (Date.now() > until) throw new Error(what);
    };

    /** It counts, and has all keys. */
    const ready = ({ name }: DocumentedHost): Promise<void> =>
      eventually(
        async () =>
          new RegExp(`${name}.* ready`).test(
            await place.run('npm run -s selkie -- --stack selkie host list'),
          ),
        `${name} does not become ready`,
      );

    test('how-to/deploy.md', { timeout: patience }, async () => {
      await place.deploy(fleet());
      await play({
        page: 'how-to/deploy.md',
        after: {
          'npx cdk diff': (said) => expect(said).toContain('AWS::Lambda::Function'),
          'npm run -s bundle-key -- arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab':
            (said) => {
              thumbprint = said.trim();
            },
          'npm run -s selkie -- --stack selkie status': (said) => expect(said).toContain(`news.${zone}`),
        },
      });
    });

    test('tutorial/from-opendkim.md', { timeout: patience }, async () => {
      const host = await place.startHost('mx1.example.jp');
      hosts.set(host.name, host);
      const [old, milter] = [await freePort(), await freePort()];
      await withOpendkim(host, old);
      const record = await host.does('cat', '/etc/dkimkeys/mail.txt');
      await place.putRecord(
        `mail._domainkey.${zone}`,
        [...record.matchAll(/"([^"]*)"/g)].map(([, part]) => part).join(''),
      );
      await expectSigned(host, 'mail');
      await play({
        page: 'tutorial/from-opendkim.md',
        host,
        names: { 'inet:localhost:8891': `inet:localhost:${old}` },
        after: {
          'npm run package:deb': async (said) => {
            deb = packageIn(said);
            await host.write('/root/selkie-agent_0.1.0_amd64.deb', deb);
          },
          [commandOf('tutorial/from-opendkim.md', 'enrol')]: enrolled(host),
          'sudo selkie-agent adopt': (said) => {
            const [entry = ''] = /^domains:\n( .*\n)+/m.exec(said) ?? [];
            const { domains } = parse(entry) as { domains: Record<string, { adopted: object[] }> };
            pasted = { ...pasted, adopted: domains[zone]?.adopted ?? [] };
          },
          'npx cdk deploy': async () => {
            // The page shows what is to be pasted, with its values left out.
            const shown = shapeOf(parse(yamlOf('tutorial/from-opendkim.md'))) as object;
            expect(shapeOf(parse(fleet()))).toMatchObject(shown);
            await place.deploy(fleet());
            // As the page says before step 5.
            await host.write('/etc/selkie-agent.yaml', settings(milter));
          },
          'sudo selkie-agent setup --replace inet:localhost:8891 --apply': () => expectSigned(host, 'mail'),
          'npm run -s selkie -- --stack selkie rotate example.jp --reason "away from the old key" --wait':
            async () => expectSigned(host, ...(await signing())),
          'npm run -s selkie -- --stack selkie status example.jp': (said) =>
            expect(said).toMatch(/^ +mail +rsa1024 +draining/m),
          'sudo systemctl disable --now opendkim': async () => {
            expect(await active(host, 'opendkim')).toBe('inactive');
            await expectSigned(host, ...(await signing()));
          },
        },
      });
    });

    test('how-to/add-a-host.md', { timeout: patience }, async () => {
      const host = await place.startHost('mx2.example.jp');
      hosts.set(host.name, host);
      await host.write('/root/selkie-agent_0.1.0_amd64.deb', deb);
      const milter = await freePort();
      await play({
        page: 'how-to/add-a-host.md',
        host,
        fails: { 'sudo selkie-agent doctor': joinedInTheDrain },
        after: {
          'sudo apt install ./selkie-agent_*.deb': () =>
            host.write('/etc/selkie-agent.yaml', settings(milter)),
          [commandOf('how-to/add-a-host.md', 'enrol')]: enrolled(host),
          'npx cdk deploy': () => place.deploy(fleet()),
          'sudo systemctl enable --now selkie-agent': () => ready(host),
          'sudo selkie-agent setup --apply': async () => expectSigned(host, ...(await signing())),
        },
      });
    });

    test('how-to/restore.md', { timeout: patience }, async () => {
      const { SecretList: secrets } = JSON.parse(await place.run('aws secretsmanager list-secrets')) as {
        SecretList: { Name: string }[];
      };
      const [{ Name: secret = '' } = {}] = secrets;
      await play({
        page: 'how-to/restore.md',
        host: hostOf('mx1.example.jp'),
        names: { 'selkie/example.jp/240128': secret },
        after: {
          'npm run -s selkie -- --stack selkie host list': (said) => expect(said).toMatch(/mx1.*ready/),
          'npm run -s selkie -- --stack selkie rotate example.jp': () =>
            place.run(`aws secretsmanager delete-secret --secret-id ${secret} --recovery-window-in-days 7`),
        },
      });
    });

    test('how-to/upgrade.md', { timeout: patience }, async () => {
      const host = hostOf('mx1.example.jp');
      await host.does('bash', '--norc', '-euc', newerPackage);
      const pid = () => host.does('systemctl', 'show', '-P', 'MainPID', 'selkie-agent');
      const before = await pid();
      await play({
        page: 'how-to/upgrade.md',
        host,
        after: {
          'sudo apt install ./selkie-agent_*.deb': async () => {
            expect(await pid()).not.toBe(before);
            expect(await active(host)).toBe('active');
            await expectSigned(host, ...(await signing()));
          },
        },
      });
    });

    test('how-to/leave.md', { timeout: patience }, async () => {
      const host = hostOf('mx1.example.jp');
      await host.does('systemctl', 'enable', '--now', 'opendkim');
      await play({
        page: 'how-to/leave.md',
        host,
        after: {
          'sudo selkie-agent uninstall --apply': () => expectSigned(host, 'mail'),
          'sudo systemctl disable --now selkie-agent': async () => {
            expect(await active(host)).toBe('inactive');
            await expectSigned(host, 'mail');
          },
        },
      });
      const said = await place.run('npm run -s selkie -- --stack selkie host list');
      expect(said).toMatch(/mx1.*excluded/);
    });

    test('how-to/publish-retired-keys.md', { timeout: patience }, async () => {
      await place.run('aws s3 mb s3://disclosed');
      await place.run(`echo a key | aws s3 cp - s3://disclosed/${zone}/240128.pem`);
      const folder = join(place.folder, 'dkim-keys');
      await play({
        page: 'how-to/publish-retired-keys.md',
        names: { 's3://BUCKET': 's3://disclosed', '/var/www/dkim-keys': folder },
      });
      expect(readFileSync(join(folder, zone, '240128.pem'), 'utf8')).toBe('a key\n');
    });

    test('how-to/zone-in-another-account.md', { timeout: patience }, async () => {
      const role = 'arn:aws:iam::123456789012:role/selkie-zones';
      writeFileSync(join(place.folder, 'fleet.yaml'), fleet({ arn: role, externalId: 'selkie-example' }));
      await play({ page: 'how-to/zone-in-another-account.md' });
      const { Role } = JSON.parse(await place.run('aws iam get-role --role-name selkie-zones')) as {
        Role: { Arn: string };
      };
      expect(Role.Arn).toBe(role);
    });

    test('../README.md', { timeout: patience }, async () => {
      // Another machine of the name, which was set aside on the page before.
      await hostOf('mx1.example.jp').close();
      await place.run('npm run -s selkie -- --stack selkie host return mx1.example.jp');
      const host = await place.startHost('mx1.example.jp');
      await host.write('/root/selkie-agent_0.1.0_amd64.deb', deb);
      await host.does('bash', '--norc', '-c', 'cd /root && apt install ./selkie-agent_*.deb');
      await host.write('/etc/selkie-agent.yaml', settings(await freePort()));
      await play({
        page: '../README.md',
        host,
        fails: { 'selkie-agent doctor': joinedInTheDrain },
        names: { 'arn:aws:kms:…': place.arn, 'https://…': place.api },
        after: {
          'npm run -s bundle-key -- arn:aws:kms:…': (said) => expect(said.trim()).toBe(thumbprint),
          [commandOf('../README.md', 'enrol')]: async (said: string) => {
            enrolled(host)(said);
            await place.deploy(fleet());
          },
          'systemctl enable --now selkie-agent': () => ready(host),
          'selkie-agent setup --apply': async () => expectSigned(host, ...(await signing())),
        },
      });
    });

    test('each page has been played, and no other', () => {
      expect([...played].toSorted()).toEqual(
        documentedPages.filter((page) => blocksOf(page).length > 0).toSorted(),
      );
    });
  },
);

/** The one command of a page that has this word. */
const commandOf = (page: string, word: string): string => {
  const [command, ...others] = commandsOf(page).filter((each) => each.command.includes(` ${word} `));
  if (command === undefined || others.length > 0) throw new Error(`${page}: not one command with ${word}`);
  return command.command;
};
