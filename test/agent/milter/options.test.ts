// The configuration file as a mail administrator writes it, down to what the milter does.
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../agent/config.ts';
import { milterOptions } from '../../../agent/milter/options.ts';

const options = (yaml: string, listen?: string) => milterOptions(parseConfig(yaml, 'test.yaml'), listen);

describe('milter and signing of the configuration file', () => {
  it('are what OpenDKIM and libmilter have, where nothing is said', () => {
    const { headers, ...rest } = options('');
    expect(rest).toEqual({
      listen: { host: '127.0.0.1', port: 8891 },
      maxConnections: 1024,
      idleTimeout: 7_210_000,
      contentTimeout: 300_000,
      longestHeader: 1_048_576,
      memoryLimit: 67_108_864,
      canonicalization: 'relaxed/relaxed',
      internal: ['127.0.0.0/8', '::1'],
      timestamp: true,
      originMacros: {},
      identityFields: ['From'],
      identity: 'none',
      onUnusableKey: 'tempfail',
    });
    expect([...(headers?.oversigned ?? [])]).toEqual(['from']);
  });

  it('say all that can be said', () => {
    const { headers, table, ...rest } = options(`
milter:
  listen: unix:/run/selkie/milter.sock
  mode: "0600"
  group: postfix
  maxConnections: 10
  idleSeconds: 60
  contentSeconds: 5
  headerLimit: 65536
  memoryLimit: 1000000
signing:
  canonicalization: simple/relaxed
  internalHosts: [192.0.2.0/24]
  macros: { daemon_name: [ORIGINATING] }
  identityFields: [Sender, From]
  table:
    - { match: "*@*.dev.example.jp", domain: dev.example.jp }
  identity: domain
  expireDays: 30
  signHeaders: [From, To]
  oversign: [From, X-Campaign]
  onUnusableKey: unsigned
`);
    expect(rest).toEqual({
      listen: { path: '/run/selkie/milter.sock', mode: 0o600, group: 'postfix' },
      maxConnections: 10,
      idleTimeout: 60_000,
      contentTimeout: 5_000,
      longestHeader: 65_536,
      memoryLimit: 1_000_000,
      canonicalization: 'simple/relaxed',
      internal: ['192.0.2.0/24'],
      originMacros: { daemon_name: ['ORIGINATING'] },
      identityFields: ['Sender', 'From'],
      identity: 'domain',
      timestamp: true,
      expireAfter: 2_592_000,
      onUnusableKey: 'unsigned',
    });
    expect(table?.find({ localPart: 'jo', domain: 'mail.dev.example.jp' })).toBe('dev.example.jp');
    expect(headers?.titles).toEqual(['From', 'To', 'X-Campaign']);
  });

  it('leave out t= where it is not wanted', () =>
    expect(options('signing: { timestamp: false }')).toMatchObject({ timestamp: false }));

  it.each([
    ['inet:8891', { host: '127.0.0.1', port: 8891 }],
    ['inet:8891@[::1]', { host: '::1', port: 8891 }],
    ['inet6:8891@::1', { host: '::1', port: 8891 }],
    ['inet6:8891', { host: '::1', port: 8891 }],
    ['local:/run/m', { path: '/run/m', mode: 0o660 }],
  ])('listen at %s, whatever the file says', (listen, address) =>
    expect(options('milter: { listen: "inet:1@192.0.2.1" }', listen).listen).toEqual(address),
  );

  it.each([
    [
      'milter: { listen: "/run/m" }',
      'milter',
      'is no milter address: write inet:8891@127.0.0.1 or unix:/path',
    ],
    ['milter: { mode: "0888" }', 'milter.mode', 'must be octal'],
    ['milter: { idleSeconds: 0 }', 'milter.idleSeconds', 'milter.idleSeconds'],
    ['milter: { idleSeconds: 99999999 }', 'milter.idleSeconds', 'milter.idleSeconds'],
    ['signing: { canonicalization: relaxed }', 'signing.canonicalization', 'signing.canonicalization'],
    [
      'signing: { internalHosts: [example.com] }',
      'signing.internalHosts',
      'example.com is no address or range',
    ],
    ['signing: { macros: { "{daemon_name}": [x] } }', 'signing.macros', 'write it without braces'],
    ['signing: { identityFields: [] }', 'signing.identityFields', 'signing.identityFields'],
    [
      'signing: { table: [{ match: example.jp, domain: example.jp }] }',
      'signing.table.0.match',
      'matches no address: write *@example.jp',
    ],
    ['signing: { oversign: [DKIM-Signature] }', 'signing.oversign', 'DKIM-Signature cannot be signed'],
    [
      'signing: { timestamp: false, expireDays: 30 }',
      'signing.expireDays',
      'counts from t=, which signing.timestamp: false leaves out',
    ],
    ['signing: { identity: true }', 'signing.identity', 'signing.identity'],
    ['signing: { onUnusableKey: reject }', 'signing.onUnusableKey', 'signing.onUnusableKey'],
  ])('refuse %s', (yaml, field, message) => {
    try {
      options(yaml);
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining(message) });
      expect(String((error as { field?: unknown }).field)).toContain(field);
      return;
    }
    throw new Error('it was taken');
  });
});
