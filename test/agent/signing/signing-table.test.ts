import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromAddress } from '../../../agent/signing/from-address.ts';
import { type SigningTableRow, signingTable } from '../../../agent/signing/signing-table.ts';

const address = (text: string) => {
  const at = text.lastIndexOf('@');
  return { localPart: text.slice(0, at), domain: text.slice(at + 1) };
};
const row = (match: string, domain = 'signed.example'): SigningTableRow => ({ match, domain });

describe('a signing table', () => {
  it.each<[string, string, boolean]>([
    ['*@mail.dev.example.jp', 'user@mail.dev.example.jp', true],
    ['*@mail.dev.example.jp', 'user@a.mail.dev.example.jp', false],
    ['*@mail.dev.example.jp', 'user@xmail.dev.example.jp', false],
    ['*@MAIL.Dev.example.jp', 'User@mail.dev.example.jp', true],
    ['user@example.jp', 'USER@example.jp', true],
    ['user@example.jp', 'user2@example.jp', false],
    ['sales-*@example.jp', 'sales-eu@example.jp', true],
    ['sales-*@example.jp', 'sales-@example.jp', true],
    ['sales-*@example.jp', 'sales@example.jp', false],
    ['*-bounce@example.jp', 'a-bounce@example.jp', true],
    ['a*b*c@example.jp', 'a-b-c@example.jp', true],
    ['a*b*c@example.jp', 'a-c-b@example.jp', false],
    ['ab*ba@example.jp', 'aba@example.jp', false],
    ['*@*.example.jp', 'user@mail.example.jp', true],
    ['*@*.example.jp', 'user@a.b.example.jp', true],
    ['*@*.example.jp', 'user@example.jp', false],
    ['*@*.example.jp', 'user@mailexample.jp', false],
    ['*@*example.jp', 'user@mailexample.jp', true],
    ['*@mail.*.jp', 'user@mail.example.jp', true],
    ['*@mail.*.jp', 'user@mail.jp', false],
    ['user@*', 'user@anything.example', true],
    ['user@*', 'other@anything.example', false],
    ['*', 'user@anything.example', true],
    ['*@*', 'user@anything.example', true],
    ['*.example.jp', 'user@mail.example.jp', true],
    ['*@bücher.example', 'user@xn--bcher-kva.example', true],
    ['*@*.bücher.example', 'user@mail.xn--bcher-kva.example', true],
    ['jö@example.jp', 'JÖ@example.jp', true],
    ['"a b"@example.jp', '"a b"@example.jp', true],
  ])('%s and %s: %s', (match, text, matches) => {
    expect(signingTable([row(match)]).find(address(text))).toBe(matches ? 'signed.example' : undefined);
  });

  it('takes the first row that matches, whatever its kind', () => {
    const kinds = [
      '*@mail.example.jp',
      'user@mail.example.jp',
      'us*@mail.example.jp',
      '*@*.example.jp',
      '*@*.jp',
      '*',
    ];
    for (let first = 0; first < kinds.length; first += 1) {
      const order = [...kinds.slice(first), ...kinds.slice(0, first)];
      const table = signingTable(order.map((match, i) => row(match, `d${i}.example`)));
      expect(table.find(address('user@mail.example.jp'))).toBe('d0.example');
    }
  });

  it('says A-labels, without a final dot', () =>
    expect(signingTable([row('*', 'Bücher.Example.')]).find(address('a@b.example'))).toBe(
      'xn--bcher-kva.example',
    ));

  it('matches what stands in From fields', () => {
    const found = fromAddress(Buffer.from(' "Jo" <Jo.Doe@Mail.Example.JP>'));
    expect(found && signingTable([row('jo.doe@mail.example.jp')]).find(found)).toBe('signed.example');
  });

  it.each([
    [row('example.jp'), 'signing.table.0.match', 'matches no address: write *@example.jp or user@example.jp'],
    [row('@example.jp'), 'signing.table.0.match', 'is no pattern of an address'],
    [row('*@'), 'signing.table.0.match', 'is no pattern of an address'],
    [row('*@jp'), 'signing.table.0.match', 'is no pattern of an address'],
    [row('*@exa mple.jp'), 'signing.table.0.match', 'is no pattern of an address'],
    [row('*@*.exa mple.jp'), 'signing.table.0.match', 'is no pattern of an address'],
    [row('*', 'jp'), 'signing.table.0.domain', 'is no domain that mail can be signed for'],
    [row('*', '*.example.jp'), 'signing.table.0.domain', 'is no domain that mail can be signed for'],
  ])('refuses %j', (bad, field, message) =>
    expect(() => signingTable([bad])).toThrow(
      expect.objectContaining({ code: 'invalid', field, message: expect.stringContaining(message) }),
    ),
  );
});

describe('any rows', () => {
  const label = fc.constantFrom('a', 'b', 'ab', 'a-b');
  const domain = fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join('.'));
  const local = fc.constantFrom('a', 'b', 'ab', 'aab', 'ba-b');
  const starred = (text: fc.Arbitrary<string>) =>
    fc.tuple(text, fc.array(fc.nat(), { maxLength: 2 })).map(([plain, places]) =>
      places.reduce((pattern, place) => {
        const at = place % (pattern.length + 1);
        return `${pattern.slice(0, at)}*${pattern.slice(at + (place % 2))}`;
      }, plain),
    );
  const match = fc.oneof(
    fc
      .tuple(fc.oneof(local, starred(local), fc.constant('*')), fc.oneof(domain, starred(domain)))
      .map((p) => p.join('@')),
    domain.map((name) => `*@*.${name}`),
    starred(domain).filter((pattern) => pattern.includes('*')),
    fc.constantFrom('*', '*@*'),
  );
  /** What a refile pattern means: OpenDKIM makes this regular expression of it. */
  const asRegularExpression = (pattern: string): RegExp =>
    new RegExp(`^${pattern.replace(/[.+-]/g, '\\$&').replaceAll('*', '.*')}$`, 'i');

  it('match as their regular expressions do, one after the other', () => {
    let matched = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.array(match, { maxLength: 8 }), local, domain, (patterns, localPart, name) => {
        const rows = patterns.map((pattern, i) => row(pattern, `d${i}.example`));
        let table: ReturnType<typeof signingTable>;
        try {
          table = signingTable(rows);
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid' });
          refused += 1;
          return;
        }
        const expected = patterns.findIndex((pattern) =>
          asRegularExpression(pattern).test(`${localPart}@${name}`),
        );
        expect(table.find({ localPart, domain: name })).toBe(
          expected < 0 ? undefined : `d${expected}.example`,
        );
        if (expected >= 0) matched += 1;
      }),
      { seed: 6376, numRuns: 4000 },
    );
    expect(matched).toBeGreaterThan(1000);
    expect(refused).toBeLessThan(1000);
  });

  it('take no square time, whatever the pattern and the address', () => {
    const table = signingTable([
      row('*a*a*a*a*a*a*a*a*b@*'),
      row(`${'*a'.repeat(500)}*b@example.jp`),
      row(`*@${'*a.'.repeat(500)}jp`),
    ]);
    const started = performance.now();
    table.find({ localPart: 'a'.repeat(1_000_000), domain: 'example.jp' });
    table.find({ localPart: 'a', domain: `${'a.'.repeat(120)}jp` });
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it('of 100,000 domains are compiled and found at once', () => {
    const started = performance.now();
    const table = signingTable(
      Array.from({ length: 100_000 }, (_, i) => row(`*@d${i}.example.jp`, `d${i}.example.jp`)),
    );
    const compiled = performance.now() - started;
    for (let i = 0; i < 100_000; i += 1)
      if (table.find({ localPart: 'user', domain: `d${i}.example.jp` }) !== `d${i}.example.jp`)
        throw new Error(`${i}`);
    expect(compiled).toBeLessThan(5_000);
    expect(performance.now() - started - compiled).toBeLessThan(5_000);
  });
});
