// SPF and DMARC records: what is printed is read back the same, whatever comes is read or refused with a sentence, and nothing
// takes longer than its length warrants.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printDmarc, readDmarc } from '../../core/dmarc/record.ts';
import { countLookups } from '../../core/spf/lookups.ts';
import { parseSpf, printSpf } from '../../core/spf/record.ts';
import { walked } from '../oracles/dns-table.ts';
import { outcomeOf, patience, runs, soon } from './settings.ts';

patience();

const domain = fc.constantFrom(
  'example.jp',
  'a.b.example.jp',
  '_spf.example.jp',
  '%{d}',
  '%{ir}.x.%{d2r}',
  'a%%b.example.jp',
  'x.example.jp.',
);
const length = (most: number) =>
  fc.oneof(
    fc.constant(''),
    fc.nat(most).map((n) => `/${n}`),
  );
const ip4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.'));
const mechanism = fc.oneof(
  fc.constantFrom('all', 'a', 'mx', 'ptr', 'A', 'Mx'),
  fc
    .tuple(fc.constantFrom('include', 'exists', 'ptr', 'a', 'mx', 'INCLUDE'), domain)
    .map((pair) => pair.join(':')),
  fc
    .tuple(fc.constantFrom('a', 'mx'), domain, length(32), length(128))
    .map(([name, spec, four, six]) => `${name}:${spec}${four}${six === '' ? '' : `/${six}`}`),
  fc.tuple(ip4, length(32)).map(([address, bits]) => `ip4:${address}${bits}`),
  fc
    .tuple(fc.constantFrom('2001:db8::1', '::', '::ffff:192.0.2.1'), length(128))
    .map(([address, bits]) => `ip6:${address}${bits}`),
);
const term = fc.oneof(
  fc.tuple(fc.constantFrom('', '+', '-', '~', '?'), mechanism).map((pair) => pair.join('')),
  fc.constantFrom('redirect=example.jp', 'exp=why.example.jp', 'x-unknown=%{s}'),
);
const record = fc
  .uniqueArray(term, {
    maxLength: 8,
    selector: (one) => /^(redirect|exp)=/.exec(one)?.[0] ?? `${one}${Math.abs(one.length)}`,
  })
  .map((terms) => ['v=spf1', ...terms].join(' '));

describe('SPF', () => {
  it('what is well-formed is read, and printed in one form that reads the same', () => {
    fc.assert(
      fc.property(record, (text) => {
        const read = parseSpf(text);
        expect(parseSpf(printSpf(read))).toEqual(read);
        expect(printSpf(parseSpf(printSpf(read)))).toBe(printSpf(read));
      }),
      runs(500),
    );
  });

  it('whatever comes is read or refused', () => {
    const noise = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(term, fc.string({ maxLength: 6 }))).map((list) => `v=spf1 ${list.join(' ')}`),
    );
    fc.assert(
      fc.property(noise, (text) => {
        const found = outcomeOf(() => parseSpf(text), 'invalid');
        if ('value' in found) expect(parseSpf(printSpf(found.value))).toEqual(found.value);
        else expect(found.refusal.message).toMatch(/^SPF record: .*\.$/s);
      }),
      runs(500),
    );
  });

  it('counting ends, whatever leads where', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 4 }), ([first = '', ...others]) => {
        const table = {
          'TXT example.jp': others,
          'TXT a.b.example.jp': [first],
          'TXT _spf.example.jp': [first],
        };
        expect(walked(countLookups(parseSpf(first), 'd.example'), table).lookups).toBeLessThanOrEqual(40);
      }),
      runs(300),
    );
  });

  it.each([
    ['mechanisms', `v=spf1 ${'a '.repeat(50_000)}`],
    ['slashes', `v=spf1 a:${'/'.repeat(100_000)}`],
    ['percent signs', `v=spf1 a:${'%'.repeat(100_000)}`],
    ['macros', `v=spf1 a:${'%{d}'.repeat(50_000)}`],
    ['colons', `v=spf1 ip6:${':'.repeat(100_000)}`],
  ])('a record of very many %s takes no longer than its length warrants', (_, text) => {
    soon(() => outcomeOf(() => printSpf(parseSpf(text)), 'invalid'));
  });
});

describe('DMARC', () => {
  it('whatever begins with its version is read, and what is printed of it reads the same', () => {
    const tags = fc.array(
      fc.oneof(
        fc.string({ maxLength: 12 }),
        fc
          .tuple(
            fc.constantFrom('p', 'sp', 'np', 'rua', 'ruf', 'fo', 'adkim', 'aspf', 't', 'psd', 'pct'),
            fc.oneof(
              fc.constantFrom(
                'none',
                'reject',
                'r',
                's',
                'y',
                '1',
                '0:d',
                'mailto:a@b.example,mailto:c@d.example!5k',
              ),
              fc.string({ maxLength: 8 }),
            ),
          )
          .map((pair) => pair.join('=')),
      ),
    );
    fc.assert(
      fc.property(tags, (list) => {
        const { record: read } = readDmarc(['v=DMARC1', ...list].join(';'));
        expect(readDmarc(printDmarc(read))).toEqual({ record: read, ignored: [] });
      }),
      runs(500),
    );
  });

  it.each([
    ['tags', `v=DMARC1;${'p=none;'.repeat(20_000)}`],
    ['URIs', `v=DMARC1; rua=${'mailto:a@b.example,'.repeat(20_000)}`],
    ['blanks', `v=DMARC1; p=${' '.repeat(100_000)}none`],
    ['equals signs', `v=DMARC1; ${'='.repeat(100_000)}`],
  ])('a record of very many %s takes no longer than its length warrants', (_, text) => {
    soon(() => readDmarc(text));
  });
});
