import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromAddress } from '../../../agent/signing/from-address.ts';

const parse = (value: string): string | undefined => {
  const found = fromAddress(Buffer.from(value));
  return found && `${found.localPart}@${found.domain}`;
};

describe('the address of a From field (RFC 5322 §3.4)', () => {
  it.each<[string, string, string | undefined]>([
    ['bare', ' user@example.com', 'user@example.com'],
    ['in angle brackets', ' <user@example.com>', 'user@example.com'],
    ['with a display name', ' Jo Doe <user@example.com>', 'user@example.com'],
    ['upper case', ' User@EXAMPLE.Com', 'User@example.com'],
    [
      'a quoted display name with an address in it',
      ' "boss@bank.example" <user@example.com>',
      'user@example.com',
    ],
    ['quoted pairs', ' "a \\" <x@y.example>" <user@example.com>', 'user@example.com'],
    ['a display name with an address, unquoted', ' boss@bank.example <user@example.com>', 'user@example.com'],
    ['a comma in an unquoted display name', ' Doe, Jo <user@example.com>', 'user@example.com'],
    ['dots in an unquoted display name', ' J. R. Doe <user@example.com>', 'user@example.com'],
    ['an encoded word', ' =?utf-8?q?J=C3=B6?= <user@example.com>', 'user@example.com'],
    ['a comment behind', ' user@example.com (Jo (the one, true) Doe)', 'user@example.com'],
    ['comments and white space within', ' user (c) @ (d@e.f) example (x) . com', 'user@example.com'],
    ['a folded field', '\r\n "Jo\r\n Doe"\r\n <user@example.com>', 'user@example.com'],
    ['a quoted local part', ' "a b@c"@example.com', '"a b@c"@example.com'],
    ['a dotted local part', ' a.b.c@example.com', 'a.b.c@example.com'],
    ['words before a bare address', ' Jo Doe user@example.com', 'user@example.com'],
    ['a route (§4.4)', ' <@a.example,@b.example:user@example.com>', 'user@example.com'],
    ['a final dot', ' user@example.com.', 'user@example.com'],
    ['several mailboxes: the first', ' a@example.com, b@example.org', 'a@example.com'],
    ['a group (RFC 6854)', ' Team: a@example.com, b@example.org;', 'a@example.com'],
    ['an empty group before', ' Nobody:; , a@example.com', 'a@example.com'],
    ['a U-label (RFC 6532)', ' Jö <user@bücher.example>', 'user@xn--bcher-kva.example'],
    ['an A-label', ' user@xn--bcher-kva.example', 'user@xn--bcher-kva.example'],
    ['an unclosed angle bracket', ' Jo <user@example.com', 'user@example.com'],
    ['an unclosed comment', ' user@example.com (Jo', 'user@example.com'],
    ['an empty group alone', ' undisclosed:;', undefined],
    ['no address', ' Jo Doe', undefined],
    ['nothing', '', undefined],
    ['the null address', ' <>', undefined],
    ['a domain literal', ' user@[192.0.2.1]', undefined],
    ['one label', ' root@localhost', undefined],
    ['an address of numbers', ' user@192.0.2.1', undefined],
    ['no local part', ' @example.com', undefined],
    ['no domain', ' user@', undefined],
    ['an escape that a URL would read', ' user@ex%61mple.com', undefined],
    ['an escape beside a U-label', ' user@ü%2eexample.com', undefined],
    ['a quoted string that never ends', ' "user@example.com', undefined],
  ])('%s', (_, value, address) => expect(parse(value)).toBe(address));

  it('never throws, and gives only names that can be domains', () => {
    const piece = fc.constantFrom(
      '<',
      '>',
      '(',
      ')',
      '"',
      '\\',
      ',',
      ':',
      ';',
      '@',
      '.',
      '[',
      ']',
      ' ',
      'a',
      'b.example',
      'ü',
      '\0',
      '\r\n ',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const found = fromAddress(Buffer.from(pieces.join('')));
        if (found !== undefined) expect(found.domain).toMatch(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/);
      }),
      { seed: 5322, numRuns: 5000 },
    );
  });
});
