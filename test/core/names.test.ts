// DNS names: RFC 1035 §2.3.4, RFC 5890 §2.3.1.
import { describe, expect, it } from 'vitest';
import {
  deepestZone,
  isDnsName,
  isDomainName,
  isWithin,
  keyRecordName,
  lowerName,
} from '../../core/names.ts';

/** 253 characters, in labels of at most 63. */
const longest = `${['a', 'b', 'c'].map((c) => c.repeat(63)).join('.')}.${'d'.repeat(61)}`;

describe('a DNS name', () => {
  it.each([
    'com',
    'a.b',
    'a-b.example',
    '240128e-2._domainkey.example.com',
    `${'x'.repeat(63)}.example`,
    longest,
  ])('is %s', (text) => expect(isDnsName(text)).toBe(true));

  it.each([
    '',
    '.',
    'example.com.',
    '.example.com',
    'a..b',
    'A.example',
    'a b.example',
    'ä.example',
    '-a.example',
    'a-.example',
    'b.-a',
    `${'x'.repeat(64)}.example`,
    `${longest}e`,
    'a\n.example',
  ])('is not %j', (text) => expect(isDnsName(text)).toBe(false));
});

describe('a domain that mail can be signed for', () => {
  it.each([
    'example.com',
    'mail.dev.sharemyknowledge.jp',
    '1.example',
    'xn--bcher-kva.example',
    'a.4b',
    'a.b4',
  ])('is %s', (text) => expect(isDomainName(text)).toBe(true));

  it.each([
    'example',
    'a_b.example',
    '_domainkey.example.com',
    '192.0.2.1',
    'example.4',
    'example.44',
    'A.example',
    '',
  ])('is not %j', (text) => expect(isDomainName(text)).toBe(false));
});

it('a name is held in lower case without its final dot', () => {
  expect(lowerName('Example.COM.')).toBe('example.com');
  expect(lowerName('a.b')).toBe('a.b');
});

it.each([
  ['example.com', 'example.com', true],
  ['a.example.com', 'example.com', true],
  ['notexample.com', 'example.com', false],
  ['example.com', 'a.example.com', false],
])('%s is within %s: %s', (name, ancestor, within) => expect(isWithin(name, ancestor)).toBe(within));

it('a key record stands below _domainkey: RFC 6376 §3.6.2.1', () => {
  expect(keyRecordName('240128', 'example.com')).toBe('240128._domainkey.example.com');
});

describe('the record zone', () => {
  const name = '240128._domainkey.a.example.com';
  it.each([
    [['example.com', '_domainkey.a.example.com', 'a.example.com'], '_domainkey.a.example.com'],
    [['_domainkey.a.example.com', 'a.example.com', 'example.com'], '_domainkey.a.example.com'],
    [['b.example.com', 'com'], 'com'],
    [['b.example.com', 'example.net'], undefined],
    [[], undefined],
  ])('of zones %j is %s', (zones, deepest) => expect(deepestZone(name, zones)).toBe(deepest));
});
