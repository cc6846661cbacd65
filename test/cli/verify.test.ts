// `selkie verify` against real BINDs: one world that is as it should be, then each broken in one place. What is broken is named,
// with its mend.
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/machine.ts';
import { type Change, domain, type Records, startVerifyWorld, type VerifyWorld } from './verify-world.ts';

let world: VerifyWorld;
beforeAll(async () => {
  world = await startVerifyWorld();
}, 60_000);
afterAll(() => world.close());

const anotherKey = (): string =>
  generateKeyPairSync('rsa', { modulusLength: 2_048 })
    .publicKey.export({ type: 'spki', format: 'der' })
    .toString('base64');

const keyName = (): string => `${world.selectors[0]}._domainkey.${domain}`;
const policyName = `_dmarc.${domain}`;

/** The value at a name, changed; undefined: the name goes. */
const at =
  (name: () => string, change: (values: readonly string[]) => readonly string[] | undefined): Change =>
  (records: Records): Records => {
    const { [name()]: values = [], ...rest } = records;
    const next = change(values);
    return next === undefined ? rest : { ...rest, [name()]: next };
  };
const key = (change: (value: string) => string): Change =>
  at(keyName, (values) => values.map((value) => change(value)));
const everywhere = (change: Change): readonly Change[] => [change, change, change];

const lineOf = (stdout: string, check: string): string =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith(`✓ ${check}`) || line.startsWith(`✗ ${check}`))
    .join('\n');

describeWith(['named'], 'a domain', () => {
  it('that is as it should be passes, on one screen', async () => {
    const { status, stdout, stderr } = await world.verify([]);
    expect(stderr).toBe('');
    const [rsa, ed25519] = world.selectors;
    expect(stdout.trim().split('\n')).toEqual([
      expect.stringMatching(`^✓ keys: ${rsa} \\+ ${ed25519} sign, next rotation \\d{4}-`),
      expect.stringMatching(`^✓ record ${rsa}: rsa2048, at all 2 name servers, \\d{3} bytes`),
      expect.stringMatching(`^✓ record ${ed25519}: ed25519, at all 2 name servers, \\d{3} bytes by UDP`),
      `✓ resolver: ${world.resolver} has all 2 records`,
      '✓ SPF: v=spf1 ip4:192.0.2.10 -all (0 of 10 lookups)',
      '✓ DMARC: policy quarantine, d= aligns',
      expect.stringMatching(`^✓ host this-machine: confirmed ${rsa} \\+ ${ed25519}, heard of `),
      `✓ canary by the milter: dkim=pass (${rsa} + ${ed25519}), spf not judged (--seen-as ADDRESS), dmarc=pass`,
      '8 checks, nothing wrong.',
    ]);
    expect(stdout).not.toContain('\u001b');
    expect(status).toBe(0);
  });

  it('is told to programs as one object, with what a receiver would write', async () => {
    const { status, stdout } = await world.verify([], '--json');
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({ domain, ok: true });
    expect(told.checks.map(({ result }: { result: string }) => result)).toEqual(Array(8).fill('pass'));
    const { authenticationResults } = told.checks.at(-1);
    expect(authenticationResults).toMatch(
      /^Authentication-Results: selkie-verify; dkim=pass header\.d=mail\.dev\.example\.jp .*; dmarc=pass /,
    );
    expect(authenticationResults).not.toContain('spf=');
    expect(status).toBe(0);
  });

  const drift = /selkie drift --run --zone dev\.example\.jp --dir \S+\n/;

  it.each<[string, readonly (Change | undefined)[], string, RegExp, RegExp]>([
    [
      'another key at its name',
      everywhere(key((value) => value.replace(/p=.*/, `p=${anotherKey()}`))),
      'record',
      /its p= is not the key that Selkie stored, so mail signed with it fails, at 127.0.0.1:\d+, 127.0.0.1:\d+$/m,
      drift,
    ],
    [
      'a record that one server lacks',
      [undefined, at(keyName, () => undefined)],
      'record',
      /it is missing at 127.0.0.1:\d+$/m,
      /dig @127\.0\.0\.1 -p \d+ \+norecurse SOA dev\.example\.jp\n/,
    ],
    [
      'a record that is nowhere',
      everywhere(at(keyName, () => undefined)),
      'record',
      /it is missing at \S+, \S+$/m,
      drift,
    ],
    [
      'a record that is too large',
      everywhere(key((value) => value.replace('k=rsa', `n=${'x'.repeat(900)}; k=rsa`))),
      'record',
      /its answer has 1\d{3} bytes, over the 1232 that UDP carries everywhere/,
      /shorten it: no tags\.note/,
    ],
    [
      'two records at its name',
      everywhere(at(keyName, ([value = '']) => [value, `${value} `])),
      'record',
      /2 TXT records stand there, where one may at /,
      drift,
    ],
    [
      'a revoked record',
      everywhere(key(() => 'v=DKIM1; k=rsa; p=')),
      'record',
      /it is revoked \(p= is empty\)/,
      drift,
    ],
    [
      'tags that receivers heed',
      everywhere(key((value) => value.replace('k=rsa', 'h=sha1; s=tlsrpt; t=y; k=rsa'))),
      'record',
      /h= leaves sha256 out[\s\S]*s= leaves email out[\s\S]*t=y says that it is only a test/,
      drift,
    ],
    ['no key record at all', everywhere(key(() => 'hello')), 'record', /it is no key record \(/, drift],
    [
      'a server that is down',
      [undefined, 'down'],
      'record',
      /it cannot be seen \(.*nothing listens there/,
      /dig @127/,
    ],
    [
      'a resolver that has an older answer',
      [undefined, undefined, at(keyName, () => undefined)],
      'resolver',
      /it has no record at 127\.0\.0\.1:\d+/,
      /when its cache has ended: dig @127\.0\.0\.1 -p \d+ TXT /,
    ],
    [
      'a resolver that is down',
      [undefined, undefined, 'down'],
      'resolver',
      /nothing listens there/,
      /--resolver ADDRESS/,
    ],
    [
      'no SPF record',
      everywhere(
        at(
          () => domain,
          () => undefined,
        ),
      ),
      'SPF',
      /there is no SPF record at /,
      /publish: mail\.dev\.example\.jp\. TXT "v=spf1 mx -all"/,
    ],
    [
      'two SPF records',
      everywhere(
        at(
          () => domain,
          () => ['v=spf1 mx ~all', 'v=spf1 ip4:192.0.2.10 -all'],
        ),
      ),
      'SPF',
      /there are 2 SPF records, so that every receiver says permerror/,
      /make one of them: mail\.dev\.example\.jp\. TXT "v=spf1 ip4:192\.0\.2\.10 mx ~all"/,
    ],
    [
      'an SPF record that everybody passes',
      everywhere(
        at(
          () => domain,
          () => ['v=spf1 +all'],
        ),
      ),
      'SPF',
      /anybody passes it/,
      /end it with -all or ~all/,
    ],
    [
      'an SPF record with more than ten lookups',
      everywhere(
        at(
          () => domain,
          () => [`v=spf1 ${Array.from({ length: 11 }, () => 'a:mx1.dev.example.jp').join(' ')} -all`],
        ),
      ),
      'SPF',
      /receivers cannot evaluate it: permerror/,
      /RFC 7208 allows 10 lookups/,
    ],
    [
      'no DMARC policy',
      everywhere(
        at(
          () => policyName,
          () => undefined,
        ),
      ),
      'DMARC',
      /there is no policy, so that receivers let forged mail pass/,
      /publish: _dmarc\.mail\.dev\.example\.jp\. TXT "v=DMARC1; p=none; rua=/,
    ],
    [
      'two DMARC policies',
      everywhere(
        at(
          () => policyName,
          () => ['v=DMARC1; p=none', 'v=DMARC1; p=reject'],
        ),
      ),
      'DMARC',
      /2 records at _dmarc\.mail\.dev\.example\.jp count as none/,
      /leave one of: /,
    ],
    [
      'a DMARC policy that one server lacks',
      [
        undefined,
        at(
          () => policyName,
          () => undefined,
        ),
      ],
      'DMARC',
      /_dmarc\.mail\.dev\.example\.jp is missing at 127/,
      /dig @127\.0\.0\.1 -p \d+ \+norecurse TXT _dmarc/,
    ],
    [
      'reports to somebody who does not say that he takes them',
      everywhere(
        at(
          () => policyName,
          () => ['v=DMARC1; p=none; rua=mailto:x@reports.example.net'],
        ),
      ),
      'DMARC',
      /no receiver sends reports to reports\.example\.net/,
      /to publish: mail\.dev\.example\.jp\._report\._dmarc\.reports\.example\.net\. TXT "v=DMARC1"/,
    ],
  ])('with %s fails, and says how to mend it', async (_, changes, check, sentence, mend) => {
    const { status, stdout, stderr } = await world.verify(changes, '--except', 'canary');
    expect(stderr).toBe('');
    expect(lineOf(stdout, check)).toMatch(sentence);
    expect(stdout).toMatch(mend);
    expect(status).toBe(1);
    // What is not broken is not blamed.
    const failed = stdout.split('\n').flatMap((line) => /^✗ (\w+)/.exec(line)?.[1] ?? []);
    const blamed = [
      check,
      ...(check === 'record' ? ['resolver'] : []),
      // They are asked of the same servers.
      ...(changes.includes('down') ? ['SPF', 'DMARC'] : []),
    ];
    for (const name of failed) expect(blamed).toContain(name);
  });

  it('whose SPF record leaves a host out fails; from where it lets mail come it passes', async () => {
    const only = ['--except', 'canary,dns,dmarc,hosts', '--seen-as'];
    const out = await world.verify([], ...only, '192.0.2.99');
    expect(lineOf(out.stdout, 'SPF')).toContain('mail of its hosts gets spf=fail at 192.0.2.99');
    expect(out.stdout).toContain('add ip4:192.0.2.99 to v=spf1 ip4:192.0.2.10 -all');
    const within = await world.verify([], ...only, '192.0.2.10');
    expect(lineOf(within.stdout, 'SPF')).toContain('192.0.2.10 pass');
    expect(within.status).toBe(0);
  });
});

it.each([
  [['--smtp', '127.0.0.1'], /--sink ADDRESS:PORT or --to MAILBOX says where it arrives/],
  [['--sink', '127.0.0.1:2525'], /--smtp HOST says who sends it/],
  [['--except', 'everything'], /some of dns, spf, dmarc, hosts, canary/],
  [['--resolver', 'ns.example.jp'], /an address, or address:port/],
  [['--sink', 'localhost:25'], /an address of this machine/],
  [['--wait', '0'], /whole number from 1 to 3600/],
  [['--seen-as', 'here'], /an IP address/],
  [['--to', 'nobody'], /an address such as you@example\.jp/],
])('%j is not understood: status 2', async (args, sentence) => {
  const { status, stderr } = await world.run('verify', domain, ...args);
  expect([status, stderr]).toEqual([2, expect.stringMatching(sentence)]);
});

it('a domain that Selkie does not know is said to be so', async () => {
  const { status, stderr } = await world.run('verify', 'other.example.net');
  expect([status, stderr]).toEqual([1, expect.stringContaining('other.example.net')]);
});
