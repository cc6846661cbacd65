import { describe, expect, it } from 'vitest';
import { foreign, internalClients, loopback } from '../../../agent/milter/internal-clients.ts';
import type { Client } from '../../../agent/milter/session.ts';

const inet = (address: string): Client => ({ host: 'mx.example.net', family: 'inet', address });
const inet6 = (address: string): Client => ({ host: 'mx.example.net', family: 'inet6', address });

describe('internal clients', () => {
  it.each<[string, readonly string[], Client | undefined, boolean]>([
    ['loopback', loopback, inet('127.0.0.1'), true],
    ['all of loopback', loopback, inet('127.9.9.9'), true],
    ['IPv6 loopback', loopback, inet6('::1'), true],
    ['mapped loopback', loopback, inet6('::ffff:127.0.0.1'), true],
    ['elsewhere', loopback, inet('192.0.2.1'), false],
    ['IPv6 elsewhere', loopback, inet6('2001:db8::1'), false],
    ['a network', ['192.0.2.0/24'], inet('192.0.2.255'), true],
    ['beside the network', ['192.0.2.0/24'], inet('192.0.3.0'), false],
    ['a network does not bring loopback', ['192.0.2.0/24'], inet('127.0.0.1'), false],
    ['one address', ['192.0.2.7'], inet('192.0.2.7'), true],
    ['an IPv6 network', ['2001:db8::/32'], inet6('2001:db8:ffff::1'), true],
    ['no network', [], inet('127.0.0.1'), false],
    ['a unix socket', [], { host: 'localhost', family: 'unix', address: '/run/x' }, true],
    ['no connection', [], undefined, true],
    ['Sendmail on the command line', [], { host: 'localhost', family: 'unknown', address: '' }, true],
    ['an unknown client', loopback, { host: 'unknown', family: 'unknown', address: '' }, false],
    ['an address that is none', loopback, inet('127.0.0.1 '), false],
  ])('%s', (_, networks, client, internal) => expect(internalClients(networks)(client)).toBe(internal));

  it.each(['example.com', '192.0.2.0/33', '::/129', '192.0.2.0/', '192.0.2.0/x', '', '192.0.2.0/-1'])(
    'refuses %j',
    (network) =>
      expect(() => internalClients([network])).toThrow(
        expect.objectContaining({ code: 'invalid', field: 'signing.internalHosts' }),
      ),
  );

  const envelope = {
    queueId: 'Q',
    client: inet('192.0.2.1'),
    authenticated: false,
    macros: new Map<string, string>(),
    fields: [],
    overflow: false,
  };
  const isInternal = internalClients(loopback);

  it('says why mail is foreign, unless its client logged in', () => {
    expect(foreign(envelope, isInternal)).toEqual([
      'mx.example.net [192.0.2.1] not internal',
      'not authenticated',
    ]);
    expect(foreign({ ...envelope, authenticated: true }, isInternal)).toEqual([]);
    expect(foreign({ ...envelope, client: inet('127.0.0.1') }, isInternal)).toEqual([]);
  });

  it.each<[string, Record<string, string>, Record<string, string[]>, boolean]>([
    ['its value is listed', { daemon_name: 'ORIGINATING' }, { daemon_name: ['x', 'ORIGINATING'] }, true],
    ['its value is not', { daemon_name: 'smtpd' }, { daemon_name: ['ORIGINATING'] }, false],
    ['its case differs', { daemon_name: 'originating' }, { daemon_name: ['ORIGINATING'] }, false],
    ['any value will do', { daemon_name: 'smtpd' }, { daemon_name: [] }, true],
    ['it has none', {}, { daemon_name: [] }, false],
    ['another one has it', { a: 'x', b: 'y' }, { a: ['y'], b: ['y'] }, true],
    ['its name is one of an object', {}, { constructor: [] }, false],
  ])('a macro: %s', (_, values, wanted, ours) =>
    expect(foreign({ ...envelope, macros: new Map(Object.entries(values)) }, isInternal, wanted)).toEqual(
      ours ? [] : ['no macros match', 'mx.example.net [192.0.2.1] not internal', 'not authenticated'],
    ),
  );
});
