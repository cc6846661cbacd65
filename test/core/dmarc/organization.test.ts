// Where an organisation ends: the tree walk of RFC 9989 §4.10. Against another verifier: oracles.test.ts.
import { describe, expect, it } from 'vitest';
import {
  authorization,
  authorizationName,
  isAuthorized,
  needsAuthorization,
  organizationalDomain,
  walkOf,
} from '../../../core/dmarc/organization.ts';
import { readDmarc } from '../../../core/dmarc/record.ts';
import type { Asking } from '../../../core/spf/lookups.ts';
import { asked, type DnsTable } from '../../oracles/dns-table.ts';

/** What a walk comes to, and the questions that it asked. */
const walk = <T>(asking: Asking<T>, table: DnsTable = {}) => {
  const questions: string[] = [];
  let step = asking.next();
  while (step.done !== true) {
    questions.push(`${step.value.type} ${step.value.name}`);
    step = asking.next(asked(table, step.value));
  }
  return { is: step.value, questions };
};

/** DMARC records at these names. */
const at = (...names: readonly (readonly [name: string, tags: string])[]): DnsTable =>
  Object.fromEntries(names.map(([name, tags]) => [`TXT _dmarc.${name}`, [`v=DMARC1; ${tags}`]]));

const record = (tags: string) => readDmarc(`v=DMARC1; ${tags}`).record;

describe('the names that are asked', () => {
  it.each([
    ['jp', ['jp']],
    ['example.jp', ['example.jp', 'jp']],
    ['a.mail.example.com', ['a.mail.example.com', 'mail.example.com', 'example.com', 'com']],
    // Seven labels: all of them. Eight: the next is of seven, and so with any more, so that eight names are asked at most.
    ['a.b.c.d.e.f.jp', ['a.b.c.d.e.f.jp', 'b.c.d.e.f.jp', 'c.d.e.f.jp', 'd.e.f.jp', 'e.f.jp', 'f.jp', 'jp']],
    [
      'x.a.b.c.d.e.f.jp',
      [
        'x.a.b.c.d.e.f.jp',
        'a.b.c.d.e.f.jp',
        'b.c.d.e.f.jp',
        'c.d.e.f.jp',
        'd.e.f.jp',
        'e.f.jp',
        'f.jp',
        'jp',
      ],
    ],
    [
      'y.x.a.b.c.d.e.f.jp',
      [
        'y.x.a.b.c.d.e.f.jp',
        'a.b.c.d.e.f.jp',
        'b.c.d.e.f.jp',
        'c.d.e.f.jp',
        'd.e.f.jp',
        'e.f.jp',
        'f.jp',
        'jp',
      ],
    ],
  ])('of %s', (domain, names) => {
    expect(walkOf(domain)).toEqual(names);
  });
});

describe('the organisational domain: RFC 9989 §4.10.2', () => {
  const of = (domain: string, table: DnsTable = {}) => walk(organizationalDomain(domain), table);

  it.each([
    ['no record: the domain itself', at(), 'a.mail.example.com'],
    [
      'the record of the fewest labels',
      at(['mail.example.com', 'p=none'], ['example.com', 'p=none']),
      'example.com',
    ],
    ['one of the domain itself', at(['a.mail.example.com', 'p=none']), 'a.mail.example.com'],
    [
      'psd=n says so itself',
      at(['mail.example.com', 'p=none; psd=n'], ['example.com', 'p=none']),
      'mail.example.com',
    ],
    [
      'psd=n, of the domain itself',
      at(['a.mail.example.com', 'p=none; psd=n'], ['com', 'p=none']),
      'a.mail.example.com',
    ],
    ['psd=y: one label below', at(['mail.example.com', 'p=none'], ['com', 'p=none; psd=y']), 'example.com'],
    ['psd=y, deeper', at(['example.com', 'p=none; psd=y'], ['com', 'p=none']), 'mail.example.com'],
    // A public suffix that sends mail.
    [
      'psd=y, of the domain itself',
      at(['a.mail.example.com', 'p=none; psd=y'], ['com', 'p=none']),
      'a.mail.example.com',
    ],
    [
      'psd=u is as if it said nothing',
      at(['mail.example.com', 'p=none; psd=u'], ['example.com', 'p=none']),
      'example.com',
    ],
    ['a record without a policy counts', at(['example.com', 'adkim=s']), 'example.com'],
    ['other TXT values do not', { 'TXT _dmarc.example.com': ['v=spf1 -all', 'x'] }, 'a.mail.example.com'],
    [
      'nor do two records: §4.10 step 2',
      { 'TXT _dmarc.example.com': ['v=DMARC1; p=none', 'v=DMARC1; p=none'] },
      'a.mail.example.com',
    ],
    [
      'one beside other values does',
      { 'TXT _dmarc.example.com': ['x', 'v=DMARC1; p=none', 'y'] },
      'example.com',
    ],
  ])('%s', (_, table, domain) => {
    expect(of('a.mail.example.com', table).is).toBe(domain);
  });

  it('asks up to the root, or to the record that says it', () => {
    expect(of('mail.example.com', at(['example.com', 'p=none'])).questions).toEqual([
      'TXT _dmarc.mail.example.com',
      'TXT _dmarc.example.com',
      'TXT _dmarc.com',
    ]);
    expect(of('mail.example.com', at(['example.com', 'psd=n'])).questions).toEqual([
      'TXT _dmarc.mail.example.com',
      'TXT _dmarc.example.com',
    ]);
    expect(of('mail.example.com', at(['mail.example.com', 'psd=y'])).questions).toEqual([
      'TXT _dmarc.mail.example.com',
    ]);
  });

  it('a name that DNS cannot hold is not asked', () => {
    // With _dmarc. in front, one of 247 characters is too long.
    const long = [...Array(3).fill('x'.repeat(63)), 'y'.repeat(45), 'example.jp'].join('.').slice(1);
    expect(long).toHaveLength(247);
    expect(of(long).questions[0]).toBe(`TXT _dmarc.${long.slice(long.indexOf('.') + 1)}`);
    expect(of(long).is).toBe(long);
    expect(of(long.slice(1)).questions[0]).toBe(`TXT _dmarc.${long.slice(1)}`);
  });

  it('a record that is about to stand there goes for the one that does', () => {
    const planned = { domain: 'example.com', record: record('p=none; psd=n') };
    expect(walk(organizationalDomain('mail.example.com', planned), at(['com', 'p=none']))).toEqual({
      is: 'example.com',
      questions: ['TXT _dmarc.mail.example.com'],
    });
  });
});

describe('reports to another organisation: RFC 9990 §4', () => {
  // The names of the RFC's example.
  it('are authorized at a name of the receiver', () => {
    expect(authorizationName('example.com', 'thirdparty.example.net')).toBe(
      'example.com._report._dmarc.thirdparty.example.net',
    );
    expect(authorization).toBe('v=DMARC1');
  });

  const needs = (host: string, table: DnsTable = {}) =>
    walk(needsAuthorization({ domain: 'example.com', record: record('p=none') }, host), table);

  it('a mailbox of the domain itself needs none, and nothing is asked', () => {
    expect(needs('example.com')).toEqual({ is: false, questions: [] });
  });

  it('a mailbox of the organisation needs none', () => {
    expect(needs('mail.example.com').is).toBe(false);
  });

  it('a mailbox of another does', () => {
    expect(needs('thirdparty.example.net').is).toBe(true);
    expect(needs('mail.example.com', at(['mail.example.com', 'p=none; psd=n'])).is).toBe(true);
  });

  const authorized = (values: readonly string[], domain = 'example.com') =>
    walk(isAuthorized(domain, 'thirdparty.example.net'), {
      'TXT example.com._report._dmarc.thirdparty.example.net': values,
    });

  it.each([
    [['v=DMARC1'], true],
    [['v=DMARC1; rua=mailto:other@thirdparty.example.net'], true],
    [['x', 'v=DMARC1;'], true],
    [['v=spf1 -all'], false],
    [[], false],
  ])('%j there: %s', (values, is) => {
    expect(authorized(values)).toEqual({
      is,
      questions: ['TXT example.com._report._dmarc.thirdparty.example.net'],
    });
  });

  it('a name that DNS cannot hold has none', () => {
    expect(authorized(['v=DMARC1'], Array(4).fill('x'.repeat(60)).join('.'))).toEqual({
      is: false,
      questions: [],
    });
  });
});
