// Whose message it is. That OpenDKIM decides the same: test/agent/milter/as-opendkim.test.ts.
import { describe, expect, it } from 'vitest';
import { chooseKeys, type IdentityField } from '../../../agent/signing/choice.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { signingTable } from '../../../agent/signing/signing-table.ts';
import type { HeaderField } from '../../../core/dkim/canonical-header.ts';
import { testKey } from '../../oracles/records.ts';

const header = (...fields: readonly [string, string][]): HeaderField[] =>
  fields.map(([name, value]) => ({ name, value: Buffer.from(value) }));

const ring = createKeyRing();
ring.replace(
  ['example.com', 'lists.example.com', 'xn--bcher-kva.example'].map((domain) =>
    testKey(domain, '240128', 'ed25519'),
  ),
  new Map([['stopped.example/240128', 'its record is gone']]),
);

describe('mail that passes as it is', () => {
  it.each<[string, HeaderField[], string, string]>([
    ['no From field', header(['Subject', ' x']), 'no-author', "can't determine message sender; accepting"],
    [
      'a Sender alone',
      header(['Sender', ' jo@example.com']),
      'no-author',
      "can't determine message sender; accepting",
    ],
    [
      'two From fields',
      header(['From', ' jo@example.com'], ['from', ' jo@example.com']),
      'no-author',
      '2 From: header fields; accepting',
    ],
    ['From without address', header(['From', ' Jo']), 'no-author', "can't parse From: header value 'Jo'"],
    [
      'another domain',
      header(['From', ' jo@example.org']),
      'no-match',
      "no signing table match for 'jo@example.org'",
    ],
    [
      'a sub-domain',
      header(['From', ' jo@mail.example.com']),
      'no-match',
      "no signing table match for 'jo@mail.example.com'",
    ],
    [
      'a parent domain',
      header(['From', ' jo@com.example']),
      'no-match',
      "no signing table match for 'jo@com.example'",
    ],
    [
      'a Sender does not count',
      header(['From', ' jo@example.org'], ['Sender', ' jo@example.com']),
      'no-match',
      "no signing table match for 'jo@example.org'",
    ],
    [
      'of several addresses the first counts',
      header(['From', ' jo@example.org, jo@example.com'], ['Sender', ' jo@example.com']),
      'no-match',
      "no signing table match for 'jo@example.org'",
    ],
    [
      'bytes that a log should not see',
      header(['From', ' "j\r\n\u001bo"@example.org']),
      'no-match',
      'no signing table match for \'"j???o"@example.org\'',
    ],
    [
      'bytes that a log should not see, without an address',
      header(['From', ' j\r\n\u001bo']),
      'no-author',
      "can't parse From: header value 'j???o'",
    ],
  ])('%s', (_, fields, why, reason) =>
    expect(chooseKeys(fields, { ring })).toEqual({ kind: 'none', why, reason }),
  );
});

describe('mail that is signed', () => {
  const domainOf = (
    fields: HeaderField[],
    identityFields?: readonly IdentityField[],
    rows: [string, string][] = [],
  ) => {
    const table = signingTable(rows.map(([match, domain]) => ({ match, domain })));
    const choice = chooseKeys(fields, {
      ring,
      table,
      ...(identityFields === undefined ? {} : { identityFields }),
    });
    return choice.kind === 'keys' ? choice.keys.map(({ domain }) => domain).join() : choice.reason;
  };
  const from = header(['From', ' jo@example.com']);
  const both = header(['From', ' jo@example.com'], ['Sender', ' list@lists.example.com']);

  it.each<[string, HeaderField[], string]>([
    ['by its author', both, 'example.com'],
    ['by the first of several', header(['From', ' jo@example.com, x@example.org']), 'example.com'],
    ['by the first of a group', header(['From', ' Team: jo@example.com, x@example.org;']), 'example.com'],
    ['by an A-label for a U-label', header(['From', ' jo@B\u00fccher.example']), 'xn--bcher-kva.example'],
  ])('%s', (_, fields, domain) => expect(domainOf(fields)).toBe(domain));

  it.each<[string, IdentityField[], HeaderField[], string]>([
    ['Sender, where it is present', ['Sender', 'From'], both, 'lists.example.com'],
    ['From, where Sender is not', ['Sender', 'From'], from, 'example.com'],
    ['From, where Sender alone is asked for and absent', ['Sender'], from, 'example.com'],
    ['From first', ['From', 'Sender'], both, 'example.com'],
    [
      'a Sender without address is not passed over',
      ['Sender', 'From'],
      [...from, ...header(['Sender', ' list'])],
      "can't parse Sender: header value 'list'",
    ],
  ])('by %s', (_, identityFields, fields, expected) =>
    expect(domainOf(fields, identityFields)).toBe(expected),
  );

  it.each<[string, [string, string][], string]>([
    ['a row before its own domain', [['*@example.com', 'lists.example.com']], 'lists.example.com'],
    ['its own domain where no row matches', [['*@example.org', 'lists.example.com']], 'example.com'],
    ['its own domain where the row has no key', [['*', 'keyless.example']], 'example.com'],
  ])('by %s', (_, rows, domain) => expect(domainOf(from, undefined, rows)).toBe(domain));

  it('by a domain above its own', () =>
    expect(
      domainOf(header(['From', ' jo@a.b.example.com']), undefined, [['*@*.example.com', 'example.com']]),
    ).toBe('example.com'));
  it('not where a row names a domain without keys', () =>
    expect(domainOf(header(['From', ' jo@example.org']), undefined, [['*', 'keyless.example']])).toBe(
      "no signing key of keyless.example for 'jo@example.org'",
    ));
});

describe('mail whose key must not sign', () => {
  it.each<[string, string, [string, string][]]>([
    ['of its own domain', ' jo@stopped.example', []],
    ['of a row', ' jo@example.com', [['*@example.com', 'stopped.example']]],
  ])('%s', (_, from, rows) =>
    expect(
      chooseKeys(header(['From', from]), {
        ring,
        table: signingTable(rows.map(([match, domain]) => ({ match, domain }))),
      }),
    ).toEqual({
      kind: 'unusable',
      domain: 'stopped.example',
      reason: 'no key of stopped.example may sign (240128: its record is gone)',
    }),
  );
});
