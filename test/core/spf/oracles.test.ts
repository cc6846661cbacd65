// What an SPF record costs, against two verifiers that are not ours: pyspf (Debian's python3-spf) and mailauth, on records of the
// wild and on forests of records made by chance from a fixed seed. A sender that nothing matches is the dearest.
import fc from 'fast-check';
import { spf as mailauth } from 'mailauth/lib/spf/index.js';
import { describe, expect, test } from 'vitest';
import { countLookups, limitFault } from '../../../core/spf/lookups.ts';
import { isSpf, parseSpf, printSpf } from '../../../core/spf/record.ts';
import { runs } from '../../fuzz/settings.ts';
import { type DnsTable, nodeResolver, walked } from '../../oracles/dns-table.ts';
import { evaluate } from '../../oracles/pyspf.ts';
import { describeWith } from '../../tools/machine.ts';

const stranger = '203.0.113.99';

const ours = (table: DnsTable, domain: string) => {
  const record = (table[`TXT ${domain}`] ?? []).find(isSpf) ?? '';
  return walked(countLookups(parseSpf(record), domain), table);
};

const theirs = async (table: DnsTable, domain: string, ip = stranger) => {
  const found = await mailauth({
    sender: `postmaster@${domain}`,
    ip,
    helo: 'mail.example',
    mta: 'mx.example',
    strict: true,
    resolver: nodeResolver(table) as never,
  });
  return { result: found.status?.result, lookups: found.lookups?.count, voids: found.lookups?.void };
};

/** The record of the tutorial that Selkie takes the work out of. */
const tutorial: DnsTable = {
  'TXT example.jp': ['other=1', 'v=spf1 +mx a:mail.example.jp +ip4:192.0.2.10 -all'],
  'MX example.jp': ['mx1.example.jp'],
  'A mx1.example.jp': ['192.0.2.1'],
  'A mail.example.jp': ['192.0.2.2'],
};

const hosts = ['h0', 'h1', 'h2'].map((host) => `${host}.example`);
const domains = Array.from({ length: 6 }, (_, n) => `d${n}.example`);

/** Records that lead to records; each host has an address of either family, or none. */
const forest: fc.Arbitrary<DnsTable> = fc
  .record({
    known: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
    trees: fc.array(
      fc.record({
        terms: fc.array(
          fc.oneof(
            fc.constantFrom(...hosts, ...domains).map((name) => `a:${name}`),
            fc.constantFrom(...domains).map((name) => `mx:${name}`),
            fc.constantFrom('mx', 'a', 'ip4:192.0.2.0/24', 'ip6:2001:db8:1::/48', 'exists:nothing.example'),
            fc.nat(5).map((n) => `include:d${n}.example`),
          ),
          { maxLength: 5 },
        ),
        end: fc.oneof(
          fc.constantFrom('-all', '~all', '?all', ''),
          fc.nat(5).map((n) => `redirect=d${n}.example`),
        ),
        mx: fc.boolean(),
        published: fc.integer({ min: 0, max: 9 }),
      }),
      { minLength: 6, maxLength: 6 },
    ),
  })
  .map(({ known, trees }) => ({
    ...Object.fromEntries(
      hosts.flatMap((host, n) =>
        known[n] === true
          ? [
              [`A ${host}`, [`192.0.2.${n + 1}`]],
              [`AAAA ${host}`, [`2001:db8::${n + 1}`]],
            ]
          : [],
      ),
    ),
    // Every exchange has addresses: not all count a void lookup there (RFC 7208 §4.6.4 speaks of terms).
    'A mx.example': ['192.0.2.77'],
    'AAAA mx.example': ['2001:db8::77'],
    ...Object.fromEntries(
      trees.flatMap(({ terms, end, mx, published }, n) => [
        ...(published === 0 && n > 0
          ? []
          : [[`TXT d${n}.example`, ['other=1', `v=spf1 ${[...terms, end].join(' ')}`.trim()]]]),
        ...(mx ? [[`MX d${n}.example`, ['mx.example']]] : []),
      ]),
    ),
  }));

const forests = fc.sample(forest, runs(300));

test('the tutorial’s record: three senders, two lookups, printed in one form', async () => {
  const count = ours(tutorial, 'example.jp');
  expect(count).toMatchObject({
    lookups: 2,
    voids: 0,
    costs: [
      { term: 'mx', lookups: 1 },
      { term: 'a:mail.example.jp', lookups: 1 },
    ],
  });
  expect(printSpf(parseSpf('v=spf1 +mx a:mail.example.jp +ip4:192.0.2.10 -all'))).toBe(
    'v=spf1 mx a:mail.example.jp ip4:192.0.2.10 -all',
  );
  expect(await theirs(tutorial, 'example.jp')).toEqual({ result: 'fail', lookups: 2, voids: 0 });
  for (const [ip, result] of [
    ['192.0.2.1', 'pass'],
    ['192.0.2.10', 'pass'],
    ['192.0.2.11', 'fail'],
  ] as const)
    expect(await theirs(tutorial, 'example.jp', ip)).toMatchObject({ result });
});

describe('mailauth', () => {
  test('counts as we do, and fails where we refuse', async () => {
    let whole = 0;
    for (const table of forests) {
      const count = ours(table, 'd0.example');
      const found = await theirs(table, 'd0.example');
      const label = JSON.stringify(table);
      expect(limitFault(count) !== undefined, label).toBe(found.result === 'permerror');
      if (found.result === 'permerror') continue;
      whole += 1;
      expect({ lookups: count.lookups, voids: count.voids }, label).toEqual({
        lookups: found.lookups,
        voids: found.voids,
      });
    }
    expect(whole).toBeGreaterThan(50);
  });
});

describeWith(['pyspf'], 'pyspf', () => {
  test('the tutorial’s record', () => {
    expect(
      evaluate(tutorial, [
        ['example.jp', '192.0.2.1'],
        ['example.jp', stranger],
      ]),
    ).toEqual([
      { result: 'pass', lookups: 1, voids: 0 },
      { result: 'fail', lookups: 2, voids: 0 },
    ]);
  });

  test('counts as we do, and fails where we refuse', () => {
    // Names of a forest of its own for each, so that one process judges them all.
    const named = (text: string, n: number): string => text.replaceAll('.example', `.f${n}.example`);
    const table = Object.fromEntries(
      forests.flatMap((one, n) =>
        Object.entries(one).map(([key, values]) => [named(key, n), values.map((value) => named(value, n))]),
      ),
    );
    const found = evaluate(
      table,
      forests.map((_, n) => [`d0.f${n}.example`, stranger] as const),
    );
    for (const [n, one] of forests.entries()) {
      const count = ours(one, 'd0.example');
      const result = found[n];
      expect(limitFault(count) !== undefined, JSON.stringify(one)).toBe(result?.result === 'permerror');
      if (result?.result !== 'permerror')
        expect({ lookups: count.lookups, voids: count.voids }, JSON.stringify(one)).toEqual({
          lookups: result?.lookups,
          voids: result?.voids,
        });
    }
  });
});
