// Milters as Postfix writes them.
import { describe, expect, it } from 'vitest';
import {
  anyAddress,
  parseMilters,
  postfixAddress,
  sameMilter,
  splitList,
} from '../../../agent/postfix/address.ts';

const queue = '/var/spool/postfix';

describe('a list of milters', () => {
  it.each([
    ['', []],
    ['inet:localhost:8891', ['inet:localhost:8891']],
    ['inet:a:1,inet:b:2', ['inet:a:1', 'inet:b:2']],
    ['inet:a:1, $more  unix:/s', ['inet:a:1', '$more', 'unix:/s']],
    ['{ inet:a:1, default_action = accept } unix:/s', ['{ inet:a:1, default_action = accept }', 'unix:/s']],
  ])('%j has %j', (list, elements) => expect(splitList(list)).toEqual(elements));

  it('tells the address and the default action of an element in braces', () => {
    expect(parseMilters('{ inet:a:1, connect_timeout=10s, default_action = accept }')).toEqual([
      {
        text: '{ inet:a:1, connect_timeout=10s, default_action = accept }',
        address: 'inet:a:1',
        defaultAction: 'accept',
      },
    ]);
    expect(parseMilters('{unix:m.sock}')).toEqual([{ text: '{unix:m.sock}', address: 'unix:m.sock' }]);
  });
});

describe('one milter', () => {
  it.each([
    ['inet:localhost:8891', 'inet:127.0.0.1:8891'],
    ['inet:[::1]:8891', 'inet:localhost:8891'],
    ['local:/run/m.sock', 'unix:/run/m.sock'],
    ['unix:opendkim/m.sock', 'local:/var/spool/postfix/opendkim/m.sock'],
    // A chrooted smtpd takes an absolute path from its queue directory.
    ['unix:/opendkim/m.sock', 'unix:opendkim/m.sock'],
  ])('is %s and %s', (one, other) => {
    expect(sameMilter(one, other, queue)).toBe(true);
    expect(sameMilter(other, one, queue)).toBe(true);
  });

  it.each([
    ['inet:localhost:8891', 'inet:localhost:8892'],
    ['inet:192.0.2.1:8891', 'inet:127.0.0.1:8891'],
    ['unix:/run/m.sock', 'unix:/run/n.sock'],
    ['unix:/run/m.sock', 'inet:localhost:8891'],
  ])('is not both %s and %s', (one, other) => expect(sameMilter(one, other, queue)).toBe(false));
});

describe("the signer's address for Postfix", () => {
  it.each([
    [{ host: '127.0.0.1', port: 8891 }, 'inet:127.0.0.1:8891'],
    [{ host: '::1', port: 8891 }, 'inet:[::1]:8891'],
    [{ host: '0.0.0.0', port: 8891 }, 'inet:127.0.0.1:8891'],
    [{ path: '/run/selkie-agent/milter.sock' }, 'unix:/run/selkie-agent/milter.sock'],
    [{ path: '/var/spool/postfix/selkie/milter.sock' }, 'unix:selkie/milter.sock'],
    [{ path: '/var/spool/postfix2/milter.sock' }, 'unix:/var/spool/postfix2/milter.sock'],
  ])('%j is %s', (listen, address) => expect(postfixAddress(listen, queue)).toBe(address));
});

describe('an address on the command line', () => {
  it.each([
    ['inet:localhost:8891', { host: 'localhost', port: 8891 }],
    ['inet:[::1]:8891', { host: '::1', port: 8891 }],
    ['inet:8891@localhost', { host: 'localhost', port: 8891 }],
    ['inet:8891', { host: '127.0.0.1', port: 8891 }],
    ['unix:/run/m.sock', { path: '/run/m.sock' }],
  ])('%s is read', (text, address) => expect(anyAddress(text)).toEqual(address));

  it.each(['', '8891', 'inet:localhost', 'inet:localhost:99999', 'unix:m.sock', 'tcp:localhost:1'])(
    '%j is refused',
    (text) => expect(() => anyAddress(text)).toThrow(/write/),
  );
});
