import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { defaultPolicy, hostsOf } from '../../core/policy.ts';
import { days, hours, minutes, seconds } from '../../core/time.ts';
import { FleetError } from '../../fleet/problems.ts';
import { parseFleet, readFleet } from '../../fleet/read.ts';
import { selfSigned } from './certificate.ts';

const parse = (text: string) => parseFleet(text, { file: 'fleet.yaml', version: 7 });

/** The message's lines, without the file's name. */
const problems = (text: string): string[] => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof FleetError)
      return error.message.split('\n').map((line) => line.replace('fleet.yaml:', ''));
    throw error;
  }
  return [];
};

const rawPublic = (type: 'ed25519' | 'x25519'): string => {
  const pair = type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
  return pair.publicKey.export({ format: 'jwk' }).x ?? '';
};

/** Valid; each test changes one thing. */
const valid = `defaults:
  rotateEvery: P90D
domains:
  mail.example.jp:
zones:
  example.jp:
    id: Z0123
pools: [outbound]
`;

const domain = (fields: string): string => valid.replace('mail.example.jp:', `mail.example.jp: {${fields}}`);
const defaults = (fields: string): string => valid.replace('  rotateEvery: P90D', fields);

describe('a valid fleet', () => {
  test('has every default filled in', () => {
    const fleet = parse(valid);
    expect(fleet.version).toBe(7);
    expect(fleet.domains.get('mail.example.jp')).toEqual({
      domain: 'mail.example.jp',
      zone: 'example.jp',
      pool: 'outbound',
      policy: defaultPolicy,
      leaving: false,
    });
    expect(fleet.zones.get('example.jp')).toEqual({ name: 'example.jp', id: 'Z0123' });
    expect(fleet.pools).toEqual(['outbound']);
    expect(fleet.hosts.size).toBe(0);
  });

  test('a domain without fields of its own shares the policy of the defaults', () => {
    const fleet = parse(
      valid.replace('mail.example.jp:', 'mail.example.jp:\n  b.example.jp: {state: leaving}'),
    );
    expect(fleet.domains.get('b.example.jp')?.policy).toBe(fleet.domains.get('mail.example.jp')?.policy);
    expect(fleet.domains.get('b.example.jp')?.leaving).toBe(true);
  });

  test('every policy field is read, the domain over the defaults', () => {
    const fleet = parse(
      domain(
        'rotateEvery: on-demand, algorithms: [ed25519, rsa4096], record: {hashes: sha256, service: email, strict: true, note: "ask postmaster"}, ttl: PT5M, downstreamQueue: P1D, drainMargin: PT12H, reportedDrain: P3D, hold: P1D, timeZone: Asia/Tokyo, skewBound: PT30S, fenceAfter: PT20M, disclose: after-removal',
      ),
    );
    expect(fleet.domains.get('mail.example.jp')?.policy).toEqual({
      algorithms: ['ed25519', 'rsa4096'],
      tags: { hashes: 'sha256', service: 'email', strict: true, note: 'ask postmaster' },
      ttl: minutes(5),
      downstreamQueue: days(1),
      drainMargin: hours(12),
      reportedDrain: days(3),
      hold: days(1),
      timeZone: 'Asia/Tokyo',
      skewBound: seconds(30),
      fenceAfter: minutes(20),
      disclose: 'after-removal',
    });
  });

  test('the record zone is the deepest that holds the key records: a delegated _domainkey zone first', () => {
    const fleet = parse(
      valid.replace(
        'zones:',
        'zones:\n  jp: {id: Z1}\n  _domainkey.mail.example.jp: {id: Z2}\n  240128._domainkey.mail.example.jp: {id: Z3}\n  ail.example.jp: {id: Z4}',
      ),
    );
    expect(fleet.domains.get('mail.example.jp')?.zone).toBe('_domainkey.mail.example.jp');
    const given = parse(domain('zone: EXAMPLE.JP.').replace('zones:', 'zones:\n  mail.example.jp: {id: Z2}'));
    expect(given.domains.get('mail.example.jp')?.zone).toBe('example.jp');
  });

  // RFC 5890 §2.3.2.1: U-labels and A-labels are one name
  test('names may be U-labels, of any case and with a final dot', () => {
    const fleet = parse(`domains:\n  Mail.例え.jp.:\nzones:\n  例え.JP: {id: Z1}\npools: {outbound: }\n`);
    expect(fleet.domains.get('mail.xn--r8jz45g.jp')?.zone).toBe('xn--r8jz45g.jp');
    expect(fleet.pools).toEqual(['outbound']);
  });

  test.each([
    ['', undefined],
    ['vault:\n', undefined],
    ['vault: {}\n', { layout: 'per-key', replicas: [] }],
    ['vault: {layout: sharded}\n', { layout: 'sharded', replicas: [] }],
    [
      'vault:\n  replicas: [eu-central-1, us-gov-west-1]\n',
      { layout: 'per-key', replicas: ['eu-central-1', 'us-gov-west-1'] },
    ],
  ])('the vault: %j', (text, vault) => {
    expect(parse(`${valid}${text}`).vault).toEqual(vault);
  });

  test.each([
    ['vault: sharded', /^9:\d+ vault: 'sharded' is text; it must be a map of fields/],
    ['vault: {layout: shards}', /^9:\d+ vault\.layout: 'shards' may be 'per-key' or 'sharded'/],
    ['vault: {replica: [eu-central-1]}', /vault\.replica: is not a field here.*replicas/],
    ['vault: {replicas: [frankfurt]}', /'frankfurt' is not a region of AWS, such as eu-central-1/],
    [
      'vault: {replicas: [eu-central-1, eu-central-1]}',
      /vault\.replicas: has eu-central-1 twice; remove one/,
    ],
  ])('a vault that is none: %s', (text, problem) => {
    expect(problems(`${valid}${text}\n`)).toEqual([expect.stringMatching(problem)]);
  });

  test('hosts, with an endpoint or without', () => {
    const [encryptionKey, signingKey, other, another] = [
      rawPublic('x25519'),
      rawPublic('ed25519'),
      rawPublic('x25519'),
      rawPublic('ed25519'),
    ];
    const certificate = selfSigned('mx1.example.jp');
    const fleet = parse(`${valid}hosts:
  mx1.example.jp:
    pool: outbound
    endpoint: https://mx1.example.jp:8463/
    encryptionKey: ${encryptionKey}
    signingKey: ${signingKey}
    certificate: |
${certificate.replace(/^/gm, '      ')}
  mx2: {encryptionKey: ${other}, signingKey: ${another}}
`);
    expect(hostsOf(fleet, 'outbound').map((host) => host.name)).toEqual(['mx1.example.jp', 'mx2']);
    expect(fleet.hosts.get('mx1.example.jp')).toMatchObject({
      endpoint: 'https://mx1.example.jp:8463',
      signingKey,
    });
    expect(fleet.hosts.get('mx2')).toEqual({
      name: 'mx2',
      pool: 'outbound',
      encryptionKey: other,
      signingKey: another,
    });
  });

  test('zones in another account, and with name servers of their own', () => {
    const fleet = parse(
      valid.replace(
        'id: Z0123',
        'id: Z0123\n    role: {arn: "arn:aws:iam::123456789012:role/a/b", externalId: "x:y"}\n    nameServers: [ns1.example.jp, 192.0.2.1, "192.0.2.1:5300", "2001:db8::1", "[2001:db8::1]:53"]',
      ),
    );
    expect(fleet.zones.get('example.jp')).toMatchObject({
      role: { arn: 'arn:aws:iam::123456789012:role/a/b', externalId: 'x:y' },
      nameServers: ['ns1.example.jp', '192.0.2.1', '192.0.2.1:5300', '2001:db8::1', '[2001:db8::1]:53'],
    });
  });
});

describe('what is wrong, where, and the mend', () => {
  test.each([
    [
      'months',
      domain('rotateEvery: P3M'),
      "4:21 domains.mail.example.jp.rotateEvery: 'P3M' has years or months, which vary in length; write days, such as P90D",
    ],
    [
      'spoken',
      defaults('  rotateEvery: 90 days'),
      "2:3 defaults.rotateEvery: '90 days' is not an ISO 8601 duration; write P90D",
    ],
    [
      'small letters',
      defaults('  ttl: pt1h'),
      "2:3 defaults.ttl: 'pt1h' is not an ISO 8601 duration: its letters are capitals, such as PT1H",
    ],
    [
      'a number',
      defaults('  ttl: 3600'),
      '2:3 defaults.ttl: 3600 is a number; it must be text (write it in quotes)',
    ],
    [
      'too often',
      defaults('  rotateEvery: PT23H'),
      "2:3 defaults.rotateEvery: 'PT23H' is too short; P1D is the least",
    ],
    ['TTL too short', defaults('  ttl: PT59S'), "2:3 defaults.ttl: 'PT59S' is too short; PT1M is the least"],
    ['TTL too long', defaults('  ttl: P1DT1S'), "2:3 defaults.ttl: 'P1DT1S' is too long; P1D is the most"],
    [
      'TTL in fractions',
      defaults('  ttl: PT60.5S'),
      "2:3 defaults.ttl: 'PT60.5S' is not a whole number of seconds",
    ],
    [
      'hold below the TTL',
      domain('hold: PT30M'),
      '4:21 domains.mail.example.jp.hold: hold (PT30M) is shorter than the TTL (PT1H), so caches would keep the old key beyond it; make hold at least PT1H',
    ],
    [
      'TTL above the hold of the defaults',
      domain('ttl: P1D').replace('rotateEvery: P90D', 'hold: PT2H'),
      '4:21 domains.mail.example.jp.ttl: hold (PT2H) is shorter than the TTL (P1D), so caches would keep the old key beyond it; make hold at least P1D',
    ],
    [
      'two RSA keys',
      domain('algorithms: [rsa2048, ed25519, rsa4096]'),
      '4:21 domains.mail.example.jp.algorithms: has rsa2048 and rsa4096: at most one rsa key signs for a domain; remove one',
    ],
    [
      'one twice',
      domain('algorithms: [ed25519, ed25519]'),
      '4:21 domains.mail.example.jp.algorithms: has ed25519 and ed25519: at most one ed25519 key signs for a domain; remove one',
    ],
    [
      'no algorithm',
      domain('algorithms: []'),
      '4:21 domains.mail.example.jp.algorithms: is empty; name at least one algorithm, such as [rsa2048]',
    ],
    [
      'an unknown algorithm',
      domain('algorithms: [rsa2408]'),
      "4:34 domains.mail.example.jp.algorithms[0]: 'rsa2408' is not an algorithm; choose from rsa2048, rsa3072, rsa4096, ed25519; did you mean 'rsa2048'?",
    ],
    [
      'a list that is none',
      domain('algorithms: rsa2048'),
      "4:21 domains.mail.example.jp.algorithms: 'rsa2048' is text; it must be a list, such as [a, b]",
    ],
    [
      'a time zone',
      domain('timeZone: Asia/Tokio'),
      "4:21 domains.mail.example.jp.timeZone: 'Asia/Tokio' is not an IANA time zone, such as Asia/Tokyo; did you mean 'Asia/Tokyo'?",
    ],
    [
      'an offset',
      domain('timeZone: "+09:00"'),
      "4:21 domains.mail.example.jp.timeZone: '+09:00' is not an IANA time zone, such as Asia/Tokyo",
    ],
    [
      'a note that would end its tag',
      domain('record: {note: "a; p="}'),
      "4:30 domains.mail.example.jp.record.note: may have printable ASCII without ';' and '=', and no space at its ends",
    ],
    [
      'an unknown field',
      domain('hodl: P7D'),
      "4:21 domains.mail.example.jp.hodl: is not a field here; did you mean 'hold'?",
    ],
    [
      'an unknown field within',
      domain('record: {x: 1}'),
      '4:30 domains.mail.example.jp.record.x: is not a field here; there are hashes, service, strict, note',
    ],
    [
      'an unknown section',
      valid.replace('pools:', 'pool: a\npools:'),
      "8:1 pool: is not a field here; did you mean 'pools'?",
    ],
    [
      'a state',
      domain('state: gone'),
      "4:21 domains.mail.example.jp.state: 'gone' may be 'active' or 'leaving'",
    ],
    [
      'a key twice',
      valid.replace('zones:', '  b.example.jp:\n  mail.example.jp:\nzones:'),
      '6:3 domains.mail.example.jp: stands twice, first on line 4; remove one',
    ],
    [
      'a field twice',
      domain('ttl: PT1H, ttl: PT2H'),
      '4:32 domains.mail.example.jp.ttl: stands twice, first on line 4; remove one',
    ],
    [
      'one name in two ways',
      valid.replace('zones:', '  MAIL.example.jp.:\nzones:'),
      "5:3 domains.MAIL.example.jp.: is the same name as 'mail.example.jp'; remove one",
    ],
    [
      'no zone',
      valid.replace('mail.example.jp:', 'mail.example.com:'),
      '4:3 domains.mail.example.com: no zone of this file holds its key records; add a zone mail.example.com, or one above it, to zones with its id',
    ],
    [
      'a zone that is unknown',
      domain('zone: exmple.jp'),
      "4:21 domains.mail.example.jp.zone: 'exmple.jp' is not a zone of this file; did you mean 'example.jp'?",
    ],
    [
      'a zone that does not hold it',
      domain('zone: b.jp').replace('zones:', 'zones:\n  b.jp: {id: Z1}'),
      "4:21 domains.mail.example.jp.zone: 'b.jp' does not hold *._domainkey.mail.example.jp; name a zone that does, or leave the field out",
    ],
    [
      'no pool among two',
      valid.replace('[outbound]', '[outbound, lists]'),
      '4:3 domains.mail.example.jp: has no pool, and there are 2; write pool: and one of outbound, lists',
    ],
    [
      'an unknown pool',
      domain('pool: outbnd'),
      "4:21 domains.mail.example.jp.pool: 'outbnd' is not a pool of this file; did you mean 'outbound'?",
    ],
    [
      'a pool with fields',
      valid.replace('[outbound]', '{outbound: {x: 1}}'),
      '8:9 pools.outbound: has fields; a pool has none, so write nothing behind the colon',
    ],
    [
      'pools that are none',
      valid.replace('[outbound]', 'outbound'),
      '8:1 pools: must be a list of names, such as [outbound]',
    ],
    [
      'no pools',
      valid.replace('pools: [outbound]\n', ''),
      '1:1 pools is missing: add a line such as `pools: [outbound]`',
    ],
    [
      'no zone id',
      valid.replace('id: Z0123', 'nameServers: [a.jp]'),
      '6:3 zones.example.jp.id: is missing: write the hosted zone id that Route 53 shows, such as Z0123456789ABC; or provider: manual, where no program can change the zone',
    ],
    [
      'a zone id',
      valid.replace('Z0123', '/hostedzone/Z0123'),
      "7:5 zones.example.jp.id: '/hostedzone/Z0123' is not a hosted zone id, such as Z0123456789ABC",
    ],
    [
      'an id twice',
      valid.replace('pools:', '  b.jp: {id: Z0123}\npools:'),
      "8:10 zones.b.jp.id: 'Z0123' is the id of example.jp too; each zone has its own",
    ],
    [
      'a name server',
      valid.replace('id: Z0123', 'id: Z0123\n    nameServers: ["ns1.jp:53"]'),
      "8:19 zones.example.jp.nameServers[0]: 'ns1.jp:53' is not a name server; write a host name, an address, or address:port (IPv6 in brackets where a port follows)",
    ],
    [
      'domains left empty',
      valid.replace('  mail.example.jp:\n', ''),
      '3:1 domains: must be a map of names; an empty one is written {}',
    ],
    [
      'YAML that is none',
      'a: [1',
      '1:6 This is not the YAML that it should be: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'an empty file',
      '',
      '1:1 The file must be a map of defaults, domains, zones, pools, hosts, vault; docs/fleet.example.yaml shows one',
    ],
  ])('%s', (_, text, problem) => {
    expect(problems(text)).toEqual([problem]);
  });

  test.each([
    ['foo_bar.example.jp', 'has an underscore'],
    ['x._domainkey.example.jp', 'has an underscore'],
    ['localhost', 'is a single label'],
    ['a..example.jp', 'has an empty label'],
    ['-a.example.jp', "has a hyphen at an end of the label '-a'"],
    ['"*.example.jp"', 'is a wildcard'],
    ['me@example.jp', 'is an address'],
    ['a b.example.jp', "has ' '"],
    ['192.0.2.1', 'is an address or ends in digits'],
    ['"a\u200db.example.jp"', 'is not an internationalised domain name'],
    [`${'a'.repeat(64)}.example.jp`, 'has a label of 64 characters'],
    [`${'a.'.repeat(111)}example.jp`, 'is too long: its key records would have names of'],
  ])('the domain %s', (name, wrong) => {
    const found = problems(valid.replace('  mail.example.jp:', `  ${name}:`));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(wrong);
  });

  test('all problems come at once, in the order of the file', () => {
    const found = problems(
      `${valid.replace('rotateEvery: P90D', 'ttl: x').replace('mail.example.jp:', 'mail.example.jp: {hold: y, pool: z, zone: w}')}hosts:\n  mx1: {pool: q}\n`,
    );
    expect(found.map((line) => line.replace(/: .*/, ''))).toEqual([
      '2:3 defaults.ttl',
      '4:21 domains.mail.example.jp.hold',
      '4:30 domains.mail.example.jp.pool',
      '4:39 domains.mail.example.jp.zone',
      '10:3 hosts.mx1.encryptionKey',
      '10:3 hosts.mx1.signingKey',
    ]);
  });
});

describe('a host', () => {
  const certificate = selfSigned('mx1.example.jp');
  const host = (fields: Record<string, string>): string =>
    `${valid}hosts:\n  mx1:\n${Object.entries({
      encryptionKey: rawPublic('x25519'),
      signingKey: rawPublic('ed25519'),
      ...fields,
    })
      .map(([name, value]) => `    ${name}: ${JSON.stringify(value)}\n`)
      .join('')}`;

  test.each([
    ['http://mx1:80', 'is not an https URL'],
    ['mx1:8463', 'is not an https URL'],
    ['https://a:b@mx1', 'has credentials'],
    ['https://mx1/path', 'has more than a host and a port; write https://mx1'],
  ])('with endpoint %s', (endpoint, wrong) => {
    const found = problems(host({ endpoint, certificate }));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(wrong);
  });

  test('with an endpoint needs a certificate', () => {
    expect(problems(host({ endpoint: 'https://mx1:1' }))[0]).toContain('has no certificate beside it');
    expect(problems(host({ endpoint: 'https://mx1:1', certificate }))).toEqual([]);
  });

  test('shares its keys with nobody', () => {
    const signingKey = rawPublic('ed25519');
    const found = problems(
      `${host({ signingKey })}  mx2: {encryptionKey: ${rawPublic('x25519')}, signingKey: ${signingKey}}`,
    );
    expect(found).toEqual([
      '13:69 hosts.mx2.signingKey: is a key of mx1 (signingKey) too; run `selkie-agent enrol` on each host',
    ]);
  });

  // Invariant 9
  test('a private key pasted in its place is not repeated', () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    const scalar = Buffer.from(
      generateKeyPairSync('x25519').privateKey.export({ format: 'der', type: 'pkcs8' }),
    ).toString('base64');
    for (const field of ['encryptionKey', 'signingKey', 'certificate'])
      for (const secret of [pem, scalar]) {
        const found = problems(
          host({ [field]: secret, ...(field === 'certificate' ? { endpoint: 'https://mx1' } : {}) }),
        );
        expect(found.join('\n')).toContain(`hosts.mx1.${field}: is not a `);
        for (const line of secret.split('\n').filter((part) => part.length > 20))
          expect(found.join('\n')).not.toContain(line);
      }
  });
});

describe('a hostile or broken file', () => {
  test.each([
    [
      'an alias without its anchor',
      'domains: *nowhere\n',
      "1:10 '*nowhere' points to nothing; write &nowhere before it",
    ],
    [
      'an alias before its anchor',
      'domains: { a.jp: *late, b.jp: &late {} }\n',
      "1:18 '*late' points to nothing; write &late before it",
    ],
  ])('%s', (_, text, problem) => expect(problems(text)).toEqual([problem]));

  test('a map where a text has a length that is none', () =>
    expect(problems(domain('record: {note: {length: {toString: null}}}'))).toEqual([
      '4:3 domains.mail.example.jp: holds a map where a text or a list belongs',
    ]));

  test('a value behind the name of a pool', () =>
    expect(problems(valid.replace('[outbound]', '{outbound: 7}'))).toEqual([
      '8:9 pools.outbound: is followed by a value; a pool has no fields, so write nothing behind the colon',
    ]));

  test('one line is one problem, whatever a name holds, and it is not without end', () => {
    expect(problems(valid.replace('mail.example.jp', '"a\\n9:9 b\\u2028c"'))).toEqual([
      "4:3 domains.a\\n9:9 b\\u2028c: 'a\\n9:9 b\\u2028c' is not an internationalised domain name that IDNA allows (RFC 5891)",
    ]);
    const [first = '', ...others] = problems(domain(`pool: ${'x'.repeat(50_000)}`));
    expect(others).toEqual([]);
    expect(first).toMatch(/^4:21 domains.mail.example.jp.pool: 'xxx.*x…$/);
    expect(first.length).toBeLessThan(1_100);
  });

  test('a name that an alias says again stands twice', () =>
    expect(problems(valid.replace('  mail.example.jp:', '  &n mail.example.jp:\n  *n :'))).toEqual([
      '5:3 domains.mail.example.jp: stands twice, first on line 4; remove one',
    ]));

  test('many aliases of one anchor take no longer than their number', () => {
    const many = Array.from({ length: 40_000 }, (_, i) => `  d${i}.example.jp: *policy\n`).join('');
    const text = valid.replace('defaults:', 'defaults: &policy').replace('  mail.example.jp:\n', many);
    const started = process.cpuUsage();
    expect(parse(text).domains.size).toBe(40_000);
    // In square time it was more than twice as long.
    expect(process.cpuUsage(started).user / 1_000).toBeLessThan(8_000);
  });

  test('a very long word is not compared letter by letter with all that it could have meant', () => {
    const started = performance.now();
    expect(problems(domain(`timeZone: ${'x'.repeat(200_000)}`))).toHaveLength(1);
    expect(performance.now() - started).toBeLessThan(3_000);
  });
});

describe('a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'selkie-fleet-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('its version is its modification time', () => {
    const file = join(folder, 'fleet.yaml');
    writeFileSync(file, valid);
    expect(readFleet(file).version).toBe(Math.trunc(statSync(file).mtimeMs));
  });

  test('that is not there is named', () => {
    const file = join(folder, 'none.yaml');
    expect(() => readFleet(file)).toThrow(`The fleet file ${file} cannot be read`);
  });

  test.each(['fleet.yaml', 'docs/fleet.example.yaml'])('the sample %s is valid', (file) => {
    const fleet = readFleet(new URL(`../../${file}`, import.meta.url).pathname);
    expect(fleet.domains.size).toBeGreaterThan(0);
  });

  test('100,000 domains take seconds, also where each key is compared for being there twice', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => `  d${i}.example.jp: {ttl: PT2H}\n`).join('');
    const started = performance.now();
    expect(parse(valid.replace('  mail.example.jp:\n', many)).domains.size).toBe(100_000);
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});
