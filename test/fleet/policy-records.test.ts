// `spf` and `dmarc` of the fleet file: what is written becomes one value, and every mistake is said at once, with its place.
import { describe, expect, test } from 'vitest';
import { compileFleet, loadCompiledFleet } from '../../core/compiled-fleet.ts';
import type { Fleet } from '../../core/policy.ts';
import { FleetError } from '../../fleet/problems.ts';
import { parseFleet } from '../../fleet/read.ts';

const key = (fill: number): string => Buffer.alloc(32, fill).toString('base64url');

const fleetOf = (domains: string, more = ''): Fleet =>
  parseFleet(`domains:\n${domains}\nzones: { example.jp: { id: Z1 } }\npools: [outbound]\n${more}`, {
    file: 'fleet.yaml',
    version: 1,
  });

const domain = (entry: string, more = '') =>
  fleetOf(`  example.jp: ${entry}`, more).domains.get('example.jp');

const problems = (domains: string, more = ''): readonly string[] => {
  try {
    fleetOf(domains, more);
  } catch (error) {
    if (error instanceof FleetError)
      return error.problems.map(({ field, message }) => `${field}: ${message}`);
    throw error;
  }
  throw new Error('nothing is wrong with it');
};

describe('spf', () => {
  test.each([
    ['v=spf1 +mx a:mail.example.jp +ip4:192.0.2.10 -all', 'v=spf1 mx a:mail.example.jp ip4:192.0.2.10 -all'],
    ["[mx, 'ip4:192.0.2.0/24']", 'v=spf1 mx ip4:192.0.2.0/24 ~all'],
    ["[mx, '-all']", 'v=spf1 mx -all'],
    ["['redirect=_spf.example.net']", 'v=spf1 redirect=_spf.example.net'],
    ['{ mechanisms: [a], all: fail }', 'v=spf1 a -all'],
    ["{ mechanisms: [a], all: '?all' }", 'v=spf1 a ?all'],
    ['{ record: v=spf1 -all }', 'v=spf1 -all'],
  ])('%s', (written, value) => {
    expect(domain(`{ spf: ${written.startsWith('v=') ? `'${written}'` : written} }`)?.spf).toEqual({ value });
  });

  test('hosts: the addresses of the pool, once each; none before it has hosts', () => {
    const hosts = `hosts:
  mx1.example.jp: { encryptionKey: ${key(1)}, signingKey: ${key(2)}, addresses: [192.0.2.10, 2001:db8::10] }
  mx2.example.jp: { encryptionKey: ${key(3)}, signingKey: ${key(4)}, addresses: [192.0.2.10, 192.0.2.64/26] }`;
    expect(domain('{ spf: { hosts: true, mechanisms: [mx] } }', hosts)?.spf).toEqual({
      value: 'v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 ip4:192.0.2.64/26 mx ~all',
    });
    expect(domain('{ spf: { hosts: true } }')?.spf).toBeUndefined();
    expect(
      problems(
        '  example.jp: { spf: { hosts: true } }',
        hosts.replace(', addresses: [192.0.2.10, 192.0.2.64/26]', ''),
      ),
    ).toEqual([
      expect.stringContaining('host mx2.example.jp of the pool does not say where its mail leaves from'),
    ]);
  });

  test('every mistake is said, with its place and the mend', () => {
    expect(problems("  example.jp: { spf: [mx, 'ipv4:192.0.2.1', a:localhost, 7, +all] }")).toEqual([
      expect.stringMatching(
        /^domains\.example\.jp\.spf\[1\]: 'ipv4:192.0.2.1' is no mechanism of SPF: there are all, include/,
      ),
      expect.stringMatching(/^domains\.example\.jp\.spf\[2\]: .*which is no domain: write the whole name/),
      expect.stringMatching(/^domains\.example\.jp\.spf\[3\]: 7 must be text/),
      expect.stringMatching(/^domains\.example\.jp\.spf\[4\]: .*every host of the world/),
    ]);
    expect(problems('  example.jp: { spf: { host: true, all: pass } }')).toEqual(
      expect.arrayContaining([
        expect.stringContaining("did you mean 'hosts'?"),
        expect.stringContaining("may be 'fail' (-all)"),
        expect.stringContaining('names no senders'),
      ]),
    );
    expect(problems('  example.jp: { spf: v=spf1 mx -all v=spf1 a -all }')).toEqual([
      expect.stringContaining('begins a second record'),
    ]);
  });
});

describe('dmarc', () => {
  test.each([
    ['{ p: none, rua: dmarc@example.jp }', 'v=DMARC1; p=none; rua=mailto:dmarc@example.jp'],
    [
      '{ p: reject, sp: none, np: reject, rua: [a@example.jp, mailto:b@example.net], fo: 1, adkim: strict, aspf: r, t: true }',
      'v=DMARC1; p=reject; sp=none; np=reject; rua=mailto:a@example.jp,mailto:b@example.net; fo=1; adkim=s; aspf=r; t=y',
    ],
    [
      "'v=DMARC1; p=quarantine; rua=mailto:a@example.jp; ruf=mailto:a@example.jp; fo=1'",
      'v=DMARC1; p=quarantine; rua=mailto:a@example.jp; ruf=mailto:a@example.jp; fo=1',
    ],
  ])('%s', (written, value) => {
    expect(domain(`{ dmarc: ${written} }`)?.dmarc).toEqual({ value });
  });

  test('every mistake is said, with its place and the mend', () => {
    expect(
      problems(
        "  example.jp: { dmarc: { p: quarantaine, pct: 20, fo: '0:1', rua: [a, 'mailto:a@b.example!10m'], adopt: yes please } }",
      ),
    ).toEqual([
      expect.stringMatching(/^domains\.example\.jp\.dmarc\.p: 'quarantaine' may be none, quarantine, reject/),
      expect.stringMatching(
        /^domains\.example\.jp\.dmarc\.pct: 20 is gone from DMARC \(RFC 9989\); write t: true/,
      ),
      expect.stringMatching(/^domains\.example\.jp\.dmarc\.fo: '0:1' has both 0 and 1/),
      expect.stringMatching(/^domains\.example\.jp\.dmarc\.rua\[0\]: 'a' .*is no URI/),
      expect.stringMatching(/^domains\.example\.jp\.dmarc\.rua\[1\]: .*size behind an exclamation mark/),
      expect.stringMatching(/^domains\.example\.jp\.dmarc\.adopt: .*must be true or false/),
    ]);
    expect(problems('  example.jp: { dmarc: { rua: a@example.jp } }')).toEqual([
      expect.stringContaining('has no p; write p: none'),
    ]);
    expect(problems("  example.jp: { dmarc: 'v=DMARC1; p=none; pct=20' }")).toEqual([
      expect.stringContaining('pct is gone since RFC 9989'),
    ]);
  });

  test('a mailbox whose authorization could have no name', () => {
    const host = `${Array(4).fill('x'.repeat(60)).join('.')}.jp`;
    expect(problems(`  example.jp: { dmarc: { p: none, rua: a@${host} } }`)).toEqual([
      expect.stringContaining('over 253 characters'),
    ]);
  });
});

describe('defaults', () => {
  const more = 'defaults: { spf: [mx], dmarc: { p: none, rua: dmarc@example.jp, adopt: true } }';

  test('hold of every domain that says nothing else; false is none', () => {
    const { domains } = fleetOf(
      '  example.jp:\n  a.example.jp: { spf: false, dmarc: false }\n  b.example.jp: { spf: [a] }',
      more,
    );
    const dmarc = { value: 'v=DMARC1; p=none; rua=mailto:dmarc@example.jp', adopt: true };
    expect(domains.get('example.jp')).toMatchObject({ spf: { value: 'v=spf1 mx ~all' }, dmarc });
    expect(domains.get('a.example.jp')).not.toHaveProperty('dmarc');
    expect(domains.get('a.example.jp')).not.toHaveProperty('spf');
    expect(domains.get('b.example.jp')).toMatchObject({ spf: { value: 'v=spf1 a ~all' }, dmarc });
  });

  test('are one value in the compiled fleet, however many domains', () => {
    const names = Array.from({ length: 50 }, (_, n) => `  d${n}.example.jp:`).join('\n');
    const fleet = fleetOf(names, more);
    const compiled = compileFleet(fleet);
    expect(compiled.match(/v=DMARC1/g)).toHaveLength(1);
    expect([...loadCompiledFleet(compiled).domains]).toEqual([...fleet.domains]);
  });
});

test('a domain whose own zone is not ours has no place for them', () => {
  expect(problems('  example.net: { cname: keys.example.jp, spf: [mx], dmarc: { p: none } }')).toEqual([
    expect.stringContaining(
      'no zone of this file holds example.net, where the record goes; add its zone to zones, or write spf: false',
    ),
    expect.stringContaining('no zone of this file holds _dmarc.example.net'),
  ]);
});
