// `selkie init`: on a real terminal, by flags, from a Postfix and from an account; what it writes is read by the fleet reader.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { CreateHostedZoneCommand, Route53Client } from '@aws-sdk/client-route-53';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Exec } from '../../agent/postfix/exec.ts';
import { parseRotateEvery, parseZones } from '../../cli/init/answers.ts';
import { fleetText } from '../../cli/init/fleet-text.ts';
import { postfixDomains } from '../../cli/init/postfix-domains.ts';
import { days } from '../../core/time.ts';
import { parseFleet, readFleet } from '../../fleet/read.ts';
import { describeWith } from '../tools/machine.ts';
import { type Moto, motoClient, motoEnv, startMoto } from '../tools/moto.ts';
import { type Ran, selkieIn } from '../tools/selkie.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { selkieOnTerminal } from '../tools/terminal.ts';

// Each starts processes, some of them several.
vi.setConfig({ testTimeout: 120_000 });

const init = (file: string, ...args: string[]): Promise<Ran> =>
  selkieIn(process.env, 'init', '--fleet', file, ...args);
const oneZone = ['--zone', 'example.jp=Z0123456789ABC'];

/** No Postfix and no AWS to be found, whatever this machine has. */
const bare = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_'))),
  HOME: temporaryFolder(),
  AWS_EC2_METADATA_DISABLED: 'true',
});

it('by flags, what is not said by defaults', async () => {
  const file = join(temporaryFolder(), 'fleet.yaml');
  const ran = await init(file, '--domain', 'example.jp', '--domain', '例え.example.jp', ...oneZone);
  expect([ran.status, ran.stderr]).toEqual([0, '']);
  expect(ran.stdout).toContain(`${file}: 2 domains, 1 zone, pool outbound`);
  const { domains, zones, pools } = readFleet(file);
  expect([...domains.keys()]).toEqual(['example.jp', 'xn--r8jz45g.example.jp']);
  expect([...zones.values()]).toEqual([{ name: 'example.jp', id: 'Z0123456789ABC' }]);
  expect(pools).toEqual(['outbound']);
  expect(domains.get('example.jp')?.policy).toMatchObject({ rotateEvery: days(90), algorithms: ['rsa2048'] });
  const text = readFileSync(file, 'utf8');
  expect(text).toContain('xn--r8jz45g.example.jp: # 例え.example.jp'.replace(': #', ':  #'));
  expect(text.split('\n').filter((line) => line.length > 120)).toEqual([]);
});

it('all flags, and --json', async () => {
  const file = join(temporaryFolder(), 'fleet.yaml');
  const policy = ['--pool', 'mx', '--rotate-every', '30 days', '--algorithms', 'rsa2048,ed25519'];
  const ran = await init(file, '--domain', 'example.jp', ...oneZone, ...policy, '--json');
  expect(JSON.parse(ran.stdout)).toEqual({
    file,
    domains: ['example.jp'],
    zones: [{ name: 'example.jp', id: 'Z0123456789ABC' }],
    pool: 'mx',
    rotateEvery: 'P30D',
    algorithms: ['rsa2048', 'ed25519'],
  });
  expect(readFleet(file).domains.get('example.jp')).toMatchObject({
    pool: 'mx',
    policy: { rotateEvery: days(30), algorithms: ['rsa2048', 'ed25519'] },
  });
});

it('of DNS elsewhere, for all or for one zone, with a word on what to do there', async () => {
  const file = join(temporaryFolder(), 'fleet.yaml');
  const ran = await init(file, '--domain', 'example.jp', '--domain', 'mail.example.jp', '--manual');
  expect([ran.status, ran.stderr]).toEqual([0, '']);
  expect(ran.stdout).toContain('2 domains, 1 zone, pool outbound');
  expect(ran.stdout).toContain('Then selkie paste says what to paste');
  expect([...readFleet(file).zones.values()]).toMatchObject([{ name: 'example.jp', provider: 'manual' }]);
  const text = readFileSync(file, 'utf8');
  expect(text).toContain('zones:\n  example.jp:\n    provider: manual\n');
  expect(text).toContain("in a registrar's panel");
  expect(text).not.toContain('hosted zone');
  expect(text.split('\n').filter((line) => line.length > 120)).toEqual([]);

  const mixed = ['--domain', 'example.com', '--zone', 'example.com=manual', '--domain', 'example.jp'];
  const both = await init(file, ...mixed, ...oneZone, '--force', '--json');
  expect(JSON.parse(both.stdout).zones).toEqual([
    { name: 'example.com', provider: 'manual' },
    { name: 'example.jp', id: 'Z0123456789ABC' },
  ]);
  expect([...readFleet(file).zones.values()]).toMatchObject([
    { name: 'example.com', provider: 'manual' },
    { name: 'example.jp', id: 'Z0123456789ABC' },
  ]);
  expect(
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.length > 120),
  ).toEqual([]);
});

it('never overwrites a file, unless forced', async () => {
  const file = join(temporaryFolder(), 'fleet.yaml');
  writeFileSync(file, 'mine');
  const refused = await init(file, '--domain', 'example.jp', '--local');
  expect([refused.status, refused.stderr]).toEqual([
    1,
    `selkie: ${file} is there already: name another with --fleet, or overwrite it with --force\n`,
  ]);
  expect(readFileSync(file, 'utf8')).toBe('mine');
  expect((await init(file, '--domain', 'example.jp', '--local', '--force')).status).toBe(0);
  expect([...readFleet(file).domains.keys()]).toEqual(['example.jp']);
});

it.each([
  [[], 'which domains? Name them with --domain example.jp'],
  [['--domain', 'example.jp'], 'which hosted zones? Name them with --zone'],
  [['--domain', 'postmaster@example.jp', ...oneZone], "'postmaster@example.jp' is an address"],
  [['--domain', 'example.com', ...oneZone], 'no hosted zone of this account holds example.com'],
  [['--domain', 'example.jp', '--zone', 'example.jp=1'], "'1' is not a hosted zone id"],
  [['--domain', 'example.jp', ...oneZone, '--pool', 'Out bound'], '--pool: a pool has small letters'],
  [['--domain', 'example.jp', ...oneZone, '--rotate-every', '3 months'], '--rotate-every: '],
  [['--domain', 'example.jp', ...oneZone, '--algorithms', 'rsa'], "'rsa' is not one of rsa2048"],
  [['--domain', 'example.jp', ...oneZone, '--algorithms', 'rsa2048 rsa4096'], 'at most one'],
  [['--domain', 'example.jp', ...oneZone, '--local'], 'leave --route53 and --zone out'],
  [['--domain', 'example.jp', ...oneZone, '--manual'], 'leave --local, --route53 and --zone out'],
  [['--domain', 'example.jp', ...oneZone, '--stage', 'test'], 'leave --stage, --stack and --api out'],
])('without a terminal, %j is refused', async (args, says) => {
  const file = join(temporaryFolder(), 'fleet.yaml');
  const ran = await init(file, ...args);
  expect([ran.status, ran.stdout, ran.stderr]).toEqual([1, '', expect.stringContaining(says)]);
  expect(() => readFileSync(file)).toThrow('ENOENT');
});

describeWith(['python3'], 'on a terminal', () => {
  it('asks five questions, says what is wrong with an answer, and suggests one', async () => {
    const folder = temporaryFolder();
    const ran = await selkieOnTerminal(
      ['init'],
      [
        ['1/5  Which domains', ''],
        ['> ', 'example\r'],
        ['is a single label', 'example.jp, mail.example.jp\r'],
        ['[local] > ', 'Z0123456789ABC\r'],
        ['[outbound] > ', '\r'],
        ['[P90D] > ', '60\r'],
        ['[rsa2048] > ', 'rsa2048 ed25519\r'],
      ],
      { cwd: folder, env: bare() },
    );
    expect(ran.left).toEqual([]);
    expect(ran.status, ran.seen).toBe(0);
    expect(ran.seen).toContain('fleet.yaml: 2 domains, 1 zone, pool outbound');
    const { domains, zones } = readFleet(join(folder, 'fleet.yaml'));
    expect([...zones.keys()]).toEqual(['example.jp']);
    expect(domains.get('mail.example.jp')).toMatchObject({
      zone: 'example.jp',
      policy: { rotateEvery: days(60), algorithms: ['rsa2048', 'ed25519'] },
    });
  });

  it('takes manual for an answer', async () => {
    const folder = temporaryFolder();
    const ran = await selkieOnTerminal(
      ['init', '--domain', 'example.jp'],
      [
        ['[local] > ', 'manual\r'],
        ['[outbound] > ', '\r'],
        ['[P90D] > ', '\r'],
        ['[rsa2048] > ', '\r'],
      ],
      { cwd: folder, env: bare() },
    );
    expect(ran.status, ran.seen).toBe(0);
    expect(ran.seen).toContain('selkie paste says what to paste');
    expect([...readFleet(join(folder, 'fleet.yaml')).zones.values()]).toMatchObject([
      { name: 'example.jp', provider: 'manual' },
    ]);
  });

  it.each([
    ['\x03', 130, 'fleet.yaml was not written'],
    ['\x04', 1, 'the answers end here: fleet.yaml was not written'],
  ])('leaves by %j, and writes nothing', async (key, status, says) => {
    const folder = temporaryFolder();
    const ran = await selkieOnTerminal(['init', '--domain', 'example.jp'], [['[local] > ', key]], {
      cwd: folder,
      env: bare(),
    });
    expect([ran.status, ran.seen]).toEqual([status, expect.stringContaining(says)]);
    expect(() => readFileSync(join(folder, 'fleet.yaml'))).toThrow('ENOENT');
  });
});

const postconf =
  (settings: Readonly<Record<string, string>>): Exec =>
  async (program, args) => {
    if (program === 'postmap')
      return args.at(-1) === 'hash:/etc/postfix/vdomains'
        ? { code: 0, out: 'shop.example.jp\tOK\nmail.example.jp\tOK\n', err: '' }
        : { code: 1, out: '', err: 'postmap: fatal: unsupported dictionary type: mysql\n' };
    if (args.at(-1) === 'config_directory') return { code: 0, out: '/etc/postfix\n', err: '' };
    const out = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    return { code: 0, out: args.includes('-x') ? out.join('') : '', err: '' };
  };

it('reads what domains a Postfix has mail of, and says what it cannot read', async () => {
  const found = await postfixDomains(
    postconf({
      myorigin: 'example.jp',
      myhostname: 'mx1.example.jp',
      mydestination: 'mx1.example.jp, localhost.example.jp localhost, [192.0.2.1]',
      virtual_alias_domains: 'hash:/etc/postfix/vdomains',
      virtual_mailbox_domains: 'mysql:/etc/postfix/domains.cf, Blog.Example.JP',
    }),
  );
  expect(found.domains).toEqual([
    'example.jp',
    'mx1.example.jp',
    'shop.example.jp',
    'mail.example.jp',
    'blog.example.jp',
  ]);
  expect(found.remarks).toEqual([expect.stringContaining('virtual_mailbox_domains names domains in mysql:')]);
});

describeWith(['postfix', 'python3'], 'beside a real Postfix', () => {
  it('--postfix takes its domains, and a terminal suggests them', async () => {
    const folder = temporaryFolder();
    const etc = join(folder, 'postfix');
    mkdirSync(etc);
    writeFileSync(
      join(etc, 'main.cf'),
      `myhostname = mx1.example.jp\nmydomain = example.jp\nmyorigin = $mydomain\nmydestination = $myhostname, localhost.$mydomain\nvirtual_alias_domains = lmdb:${etc}/none shop.example.jp\ncompatibility_level = 3.6\n`,
    );
    writeFileSync(join(etc, 'master.cf'), 'smtp inet n - n - - smtpd\n');
    const env = { ...bare(), MAIL_CONFIG: etc };
    const file = join(folder, 'fleet.yaml');
    const ran = await selkieIn(env, 'init', '--fleet', file, '--postfix', '--local', '--yes');
    expect(ran.status, ran.stderr).toBe(0);
    expect([...readFleet(file).domains.keys()]).toEqual(['example.jp', 'mx1.example.jp', 'shop.example.jp']);
    expect(ran.stderr).toContain('- virtual_alias_domains names domains in lmdb:');
    const asked = await selkieOnTerminal(
      ['init'],
      [
        ['[example.jp mx1.example.jp shop.example.jp] > ', '\r'],
        ['[local] > ', '\x03'],
      ],
      { cwd: etc, env },
    );
    expect(asked.left).toEqual([]);
  });
});

describeWith(['moto_server', 'python3'], 'in an account', () => {
  let moto: Moto;
  let front: Server;
  let url: string;
  const ids: Record<string, string> = {};
  beforeAll(async () => {
    moto = await startMoto();
    const client = new Route53Client(motoClient(moto.url));
    for (const Name of [
      'example.jp',
      '_domainkey.mail.example.jp',
      '2.0.192.in-addr.arpa',
      'twice.example',
    ]) {
      const made = await client.send(new CreateHostedZoneCommand({ Name, CallerReference: Name }));
      ids[Name] = made.HostedZone?.Id?.replace('/hostedzone/', 'Z') ?? '';
    }
    await client.send(new CreateHostedZoneCommand({ Name: 'twice.example', CallerReference: 'again' }));
    // Route 53's ids begin with a Z, and moto's with anything.
    front = createServer(async (request, response) => {
      const { status, body } = await fetch(`${moto.url}${request.url}`, {
        headers: { authorization: request.headers.authorization ?? '' },
      }).then(async (answer) => ({
        status: answer.status,
        body: await answer.text(),
      }));
      response.writeHead(status).end(body.replaceAll('/hostedzone/', '/hostedzone/Z'));
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
  }, 60_000);
  afterAll(async () => {
    front.closeAllConnections();
    front.close();
    await moto.stop();
  });
  const env = (): NodeJS.ProcessEnv => ({ ...bare(), ...motoEnv(url) });

  it('--route53 finds the zones of the domains, the deepest that holds their records', async () => {
    const file = join(temporaryFolder(), 'fleet.yaml');
    const domains = ['--domain', 'example.jp', '--domain', 'mail.example.jp'];
    const ran = await selkieIn(env(), 'init', '--fleet', file, '--route53', ...domains, '--json');
    expect(ran.status, ran.stderr).toBe(0);
    const fleet = readFleet(file);
    expect(fleet.domains.get('mail.example.jp')?.zone).toBe('_domainkey.mail.example.jp');
    expect([...fleet.zones.values()]).toEqual([
      { name: 'example.jp', id: ids['example.jp'] },
      { name: '_domainkey.mail.example.jp', id: ids['_domainkey.mail.example.jp'] },
    ]);
  });

  it('says which zone is missing, or there twice, and takes one that is named', async () => {
    const run = (...args: string[]) =>
      selkieIn(env(), 'init', '--fleet', join(temporaryFolder(), 'f.yaml'), '--route53', ...args);
    expect((await run('--domain', 'example.com')).stderr).toContain(
      'no hosted zone of this account holds example.com: name it with --zone example.com=Z',
    );
    const twice = await run('--domain', 'twice.example');
    expect(twice.stderr).toContain('the account has several hosted zones twice.example');
    const named = await run('--domain', 'twice.example', '--zone', `twice.example=${ids['twice.example']}`);
    expect(named.status, named.stderr).toBe(0);
  });

  it('looks them up from the question, and says where it may not', async () => {
    const folder = temporaryFolder();
    const steps = [
      ['> ', 'route53\r'],
      ['[outbound] > ', '\r'],
      ['[P90D] > ', '\r'],
      ['[rsa2048] > ', '\r'],
    ] as const;
    const ran = await selkieOnTerminal(['init', '--domain', 'example.jp'], steps, {
      cwd: folder,
      env: env(),
    });
    expect(ran.seen).toContain(`example.jp is ${ids['example.jp']}`);
    expect(readFleet(join(folder, 'fleet.yaml')).zones.get('example.jp')?.id).toBe(ids['example.jp']);
    const nobody = await selkieOnTerminal(
      ['init', '--domain', 'example.jp', '--fleet', 'other.yaml'],
      [
        ['> ', 'route53\r'],
        ['> ', '\x03'],
      ],
      { cwd: folder, env: { ...bare(), AWS_REGION: 'eu-west-1' } },
    );
    expect(nobody.seen).toContain('Listing the hosted zones of Route 53');
  });
});

it('quotes names that YAML would take for something else', () => {
  const text = fleetText({
    domains: ['example.jp'],
    zones: [{ name: 'example.jp', id: 'Z0' }],
    pool: 'null',
    rotateEvery: 'on-demand',
    algorithms: ['ed25519'],
  });
  const fleet = parseFleet(text, { file: 'fleet.yaml', version: 0 });
  expect(fleet.pools).toEqual(['null']);
  expect(fleet.domains.get('example.jp')?.policy.rotateEvery).toBeUndefined();
});

it('reads days and zones as people write them', () => {
  expect(['90', '90 days', '90d', 'P90D', 'on-demand'].map((text) => parseRotateEvery(text))).toEqual(
    ['P90D', 'P90D', 'P90D', 'P90D', 'on-demand'].map((value) => ({ value })),
  );
  expect(parseZones('/hostedzone/Z1', ['a.example.jp', 'example.jp'])).toEqual({
    value: [{ name: 'example.jp', id: 'Z1' }],
  });
  expect(parseZones('Z1', ['example.jp', 'example.com'])).toEqual({
    wrong: 'say of which zone Z1 is: example.jp=Z1',
  });
});
