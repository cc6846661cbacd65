// DMARC records and the tree walk, against a verifier that is not ours: mailauth, which reads by RFC 9989.
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isAuthorized,
  needsAuthorization,
  organizationalDomain,
  walkOf,
} from '../../../core/dmarc/organization.ts';
import { appliedPolicy, isDmarc, printDmarc, readDmarc } from '../../../core/dmarc/record.ts';
import { runs } from '../../fuzz/settings.ts';
import { type DnsTable, nodeResolver, walked } from '../../oracles/dns-table.ts';

type Resolve = ReturnType<typeof nodeResolver>;
const oracle = createRequire(import.meta.url)('mailauth/lib/dmarc/get-dmarc-record.js') as {
  readonly getOrgDomain: (domain: string, lookup: unknown) => Promise<string>;
  readonly createRecordLookup: (resolver: Resolve, options: { strict: boolean }) => unknown;
  readonly parseDmarcRecord: (text: string, options: { strict: boolean }) => Record<string, string>;
  readonly getPolicyTags: (record: Record<string, string>) => { readonly p: string } | null;
};

const orgDomain = async (domain: string, table: DnsTable): Promise<string> =>
  oracle.getOrgDomain(domain, oracle.createRecordLookup(nodeResolver(table), { strict: false }));

const tutorial = 'v=DMARC1; p=quarantine; rua=mailto:dmarc@example.jp; ruf=mailto:dmarc@example.jp; fo=1';

test('the tutorial’s record is read, and printed as it is', () => {
  const { record, ignored } = readDmarc(tutorial);
  expect(ignored).toEqual([]);
  expect(record).toEqual({
    p: 'quarantine',
    rua: ['mailto:dmarc@example.jp'],
    ruf: ['mailto:dmarc@example.jp'],
    fo: ['1'],
  });
  expect(printDmarc(record)).toBe(tutorial);
  expect(oracle.parseDmarcRecord(tutorial, { strict: true })).toMatchObject({ p: 'quarantine', fo: '1' });
});

const policy = fc.constantFrom('none', 'quarantine', 'reject', 'REJECT', 'nome', '');
const uri = fc.constantFrom(
  'mailto:a@example.jp',
  'mailto:a@example.jp!10m',
  'a@example.jp',
  'https://x.example/r',
  'mailto:',
);
const tag = fc.oneof(
  fc.tuple(fc.constantFrom('p', 'sp', 'np'), policy),
  fc.tuple(
    fc.constantFrom('rua', 'ruf'),
    fc.array(uri, { minLength: 1, maxLength: 3 }).map((list) => list.join(',')),
  ),
  fc.tuple(
    fc.constantFrom('t', 'adkim', 'aspf', 'psd', 'fo'),
    fc.constantFrom('y', 'n', 'r', 's', 'u', '0', '1:d'),
  ),
  fc.tuple(fc.constantFrom('pct', 'rf', 'ri', 'x'), fc.constantFrom('1', 'afrf')),
);
const text = fc
  .uniqueArray(tag, { maxLength: 6, selector: ([name]) => name })
  .map((tags) => ['v=DMARC1', ...tags.map(([name, value]) => `${name}=${value}`)].join('; '));

describe('mailauth', () => {
  test('applies the policy that we say a receiver applies', () => {
    for (const one of fc.sample(text, runs(500))) {
      const theirs = oracle.getPolicyTags(oracle.parseDmarcRecord(one, { strict: false }));
      expect(appliedPolicy(readDmarc(one)), one).toBe(theirs?.p);
    }
  });

  test('walks the tree to the organisation where we do', async () => {
    const names = ['a.b.c.example.jp', 'b.c.example.jp', 'c.example.jp', 'example.jp', 'jp'];
    const forest = fc
      .array(
        fc.constantFrom(
          '',
          '',
          'v=DMARC1; p=none',
          'v=DMARC1; p=none; psd=y',
          'v=DMARC1; p=none; psd=n',
          'v=spf1 -all',
          'two',
        ),
        {
          minLength: names.length,
          maxLength: names.length,
        },
      )
      .map(
        (records): DnsTable =>
          Object.fromEntries(
            records.flatMap((record, n) =>
              record === ''
                ? []
                : [
                    [
                      `TXT _dmarc.${names[n]}`,
                      record === 'two' ? ['v=DMARC1; p=none', 'v=DMARC1; p=reject'] : [record],
                    ],
                  ],
            ),
          ),
      );
    for (const table of fc.sample(forest, runs(300)))
      for (const name of names.slice(0, 4))
        expect(walked(organizationalDomain(name), table), JSON.stringify([name, table])).toBe(
          await orgDomain(name, table),
        );
  });
});

test('eight questions at most: the example of RFC 9989 §4.10', () => {
  expect(walkOf('a.b.c.d.e.f.g.h.i.j.mail.example.com')).toEqual([
    'a.b.c.d.e.f.g.h.i.j.mail.example.com',
    'g.h.i.j.mail.example.com',
    'h.i.j.mail.example.com',
    'i.j.mail.example.com',
    'j.mail.example.com',
    'mail.example.com',
    'example.com',
    'com',
  ]);
});

describe('reports to another organisation: RFC 9990 §4', () => {
  const own = { domain: 'blue.example.com', record: readDmarc('v=DMARC1; p=none').record };
  const above: DnsTable = { 'TXT _dmarc.example.com': ['v=DMARC1; p=none'] };
  test.each([
    ['blue.example.com', {}, false],
    ['red.example.net', {}, true],
    ['reports.example.com', above, false],
    // Without a record above, each is an organisation of its own.
    ['reports.example.com', {}, true],
    ['reports.blue.example.com', {}, false],
  ])('a mailbox at %s', (host, table, needed) => {
    expect(walked(needsAuthorization(own, host), table)).toBe(needed);
  });

  test('are authorized by one record that begins with v=DMARC1', () => {
    const name = 'blue.example.com._report._dmarc.red.example.net';
    expect(
      walked(isAuthorized('blue.example.com', 'red.example.net'), { [`TXT ${name}`]: ['x', 'v=DMARC1;'] }),
    ).toBe(true);
    expect(
      walked(isAuthorized('blue.example.com', 'red.example.net'), { [`TXT ${name}`]: ['v=dmarc1'] }),
    ).toBe(false);
  });
});

test('what is no DMARC record is passed over: RFC 9989 §4.7', () => {
  expect(['v=DMARC1', 'v=DMARC1;p=none', 'v = DMARC1 ; p=none'].map(isDmarc)).toEqual([true, true, true]);
  expect(['v=DMARC12; p=none', 'p=none; v=DMARC1', 'v=dmarc1; p=none', ' v=DMARC1'].map(isDmarc)).toEqual(
    Array(4).fill(false),
  );
});
