// TXT text in both dialects: RFC 1035 §3.3 and §5.1; the Route 53 developer guide, "TXT record type".
// Against BIND: programs.test.ts.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Dialect,
  parseDigShort,
  parseStrings,
  parseValue,
  parseZoneRecords,
  printStrings,
  printValue,
  splitValue,
} from '../../../core/dkim/txt.ts';
import { SelkieError } from '../../../core/errors.ts';

const dialects: readonly Dialect[] = ['route53', 'zone'];
const octets = (most: number) =>
  fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: most })
    .map((codes) => String.fromCharCode(...codes));

const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof SelkieError && error.code === 'invalid') return error.message;
    throw error;
  }
  throw new Error('it was accepted');
};

describe('splitting', () => {
  it.each([
    [0, [0]],
    [1, [1]],
    [255, [255]],
    [256, [255, 1]],
    [510, [255, 255]],
    [778, [255, 255, 255, 13]],
  ])('%i octets', (length, lengths) => {
    expect(splitValue('x'.repeat(length)).map((s) => s.length)).toEqual(lengths);
  });
});

describe.each(dialects)('print and parse, %s', (dialect) => {
  it('parses what it prints: joined values', () => {
    fc.assert(
      fc.property(octets(1_000), (value) => parseValue(printValue(value, dialect), dialect) === value),
    );
  });

  it('parses what it prints: lists of strings', () => {
    fc.assert(
      fc.property(fc.array(octets(255), { minLength: 1, maxLength: 5 }), (strings) => {
        expect(parseStrings(printStrings(strings, dialect), dialect)).toEqual(strings);
        const tight = strings.map((string) => printStrings([string], dialect)).join('');
        expect(parseStrings(tight, dialect)).toEqual(strings);
      }),
    );
  });

  it('prints only printable ASCII on one line', () => {
    fc.assert(fc.property(octets(300), (value) => /^[\x20-\x7e]*$/.test(printValue(value, dialect))));
  });

  it('never fails with anything but a reasoned refusal', () => {
    const soup = fc.string({
      unit: fc.constantFrom('"', '\\', '(', ')', ';', ' ', '\n', '\t', '0', '9', 'a', 'é'),
    });
    fc.assert(
      fc.property(soup, (text) => {
        try {
          for (const string of parseStrings(text, dialect)) expect(string.length).toBeLessThanOrEqual(255);
        } catch (error) {
          expect(error).toBeInstanceOf(SelkieError);
        }
      }),
    );
  });

  it('refuses to print what is no octet, no string, or too long', () => {
    expect(refusal(() => printValue('caf\u0301', dialect))).toContain('Octet 4');
    expect(refusal(() => printStrings([], dialect))).toContain('at least one');
    expect(refusal(() => printStrings(['x'.repeat(256)], dialect))).toContain('256');
  });
});

describe('Route 53', () => {
  it('has one canonical form: quoted, one space between, octal escapes, plain spaces', () => {
    expect(printValue('v=DKIM1; k=rsa; p=', 'route53')).toBe('"v=DKIM1; k=rsa; p="');
    expect(printStrings(['a "b" \\', '\t\x7f\xe9\x00'], 'route53')).toBe(
      '"a \\"b\\" \\\\" "\\011\\177\\351\\000"',
    );
  });

  it.each([
    ['"a" "b"', ['a', 'b']],
    ['"a""b"', ['a', 'b']],
    ['"a"  \t "b" ', ['a', 'b']],
    ['""', ['']],
    ['"v=DKIM1;\\040k=rsa"', ['v=DKIM1; k=rsa']],
    ['"\\101 (not a comment; really)"', ['A (not a comment; really)']],
    ['v=DKIM1;k=rsa;p=', ['v=DKIM1;k=rsa;p=']],
    ['"\\;"', [';']],
    ['"The last character is \\351"', ['The last character is \xe9']],
  ])('reads %s', (text, strings) => {
    expect(parseStrings(text, 'route53')).toEqual(strings);
  });

  it.each([
    ['', 'no TXT string'],
    ['  ', 'no TXT string'],
    ['"a', 'character 1: the quote is not closed'],
    ['"a" "b\n"', 'line 1, column 5: the quote is not closed'],
    ['"a"b', 'character 4: text follows'],
    ['a"b"', 'character 2: a quote in the middle'],
    ['v=DKIM1; k=rsa', 'character 1: a string without quotes'],
    ['"a\\400"', 'character 3: "\\400" is no octet'],
    ['"a\\089"', 'three octal digits'],
    ['"a\\12"', 'three octal digits'],
    ['"caf\u00e9"', 'character 5: a raw character with code 233'],
    ['"a"\n"b"', 'line 2, column 1: a second record'],
    [`"${'x'.repeat(256)}"`, '256 octets is over the limit'],
    ['a\\', 'character 2: a "\\" with nothing behind it'],
  ])('refuses %s', (text, why) => {
    expect(refusal(() => parseStrings(text, 'route53'))).toContain(why);
  });
});

describe('zone files', () => {
  it('has decimal escapes', () => {
    expect(printStrings(['a "b" \\', '\t\x7f\xe9\x00'], 'zone')).toBe(
      '"a \\"b\\" \\\\" "\\009\\127\\233\\000"',
    );
  });

  it.each([
    ['"\\101"', ['e']],
    ['( "a" ; one\n\t"b" ) ; two', ['a', 'b']],
    ['("a"\n"b")', ['a', 'b']],
    ['"a" ; "b"', ['a']],
    ['one two', ['one', 'two']],
    ['"v=DKIM1\\; k=rsa"', ['v=DKIM1; k=rsa']],
    ['"a" "b"\r\n', ['a', 'b']],
    ['"; ( )"', ['; ( )']],
  ])('reads %s', (text, strings) => {
    expect(parseStrings(text, 'zone')).toEqual(strings);
  });

  it.each([
    ['( "a"\n"b"', 'line 1, column 1: the "(" is never closed'],
    ['"a" )', 'character 5: a ")" closes no "("'],
    ['"\\256"', 'character 2: "\\256" is no octet'],
    ['"a"\n"b"', 'line 2, column 1: a second record'],
    ['; nothing', 'no TXT string'],
  ])('refuses %s', (text, why) => {
    expect(refusal(() => parseStrings(text, 'zone'))).toContain(why);
  });

  it('reads records with owners, in any order of TTL and class, and passes over other types', () => {
    expect(
      parseZoneRecords(
        '; <<>> DiG\na.example.\t300\tIN\tTXT\t"x" "y"\n\t\tIN 1h TXT "z"\nb CNAME c\nc in txt ( one\n two )\n',
      ),
    ).toEqual([
      { owner: 'a.example.', ttl: 300_000, strings: ['x', 'y'] },
      { owner: 'a.example.', ttl: 3_600_000, strings: ['z'] },
      { owner: 'c', strings: ['one', 'two'] },
    ]);
  });

  it.each([
    ['$ORIGIN example.\na TXT "x"', 'line 1, column 1: the directive $ORIGIN'],
    ['a IN', 'the record has no type'],
    ['a TXT', 'the TXT record has no string'],
    ['  TXT "x"', 'no owner'],
    ['a "TXT" "x"', 'the record has no type'],
  ])('refuses the record %s', (text, why) => {
    expect(refusal(() => parseZoneRecords(text))).toContain(why);
  });

  it("reads dig's short lines, a record on each", () => {
    expect(parseDigShort(';; Truncated, retrying in TCP mode.\n"v=spf1" " -all"\n"other\\"s"\n')).toEqual([
      'v=spf1 -all',
      'other"s',
    ]);
  });
});

describe('a TTL', () => {
  const ttlOf = (text: string) => parseZoneRecords(`a ${text} IN TXT "x"`).map(({ ttl }) => ttl);
  it.each([
    ['60', 60_000],
    ['1h30m', 5_400_000],
    ['1h30', 3_630_000],
    ['2147483647', 2_147_483_647_000],
  ])('%s', (text, ttl) => expect(ttlOf(text)).toEqual([ttl]));
  it.each(['2147483648', '9'.repeat(255), '3551w'])('beyond what a record holds is refused: %s', (text) =>
    // RFC 2181 §8
    expect(() => ttlOf(text)).toThrow(/TXT data, character 3: .* 2147483647 seconds are the most/),
  );
  it('that is none is found out in no more than its length', () => {
    const started = performance.now();
    expect(parseZoneRecords(`a ${'1'.repeat(30)}! TXT "x"`)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

describe('to the character', () => {
  it.each<[Dialect, string, string[]]>([
    ['zone', '"a\tb"', ['a\tb']],
    ['zone', '"\\~\\a"', ['~a']],
    ['route53', '(a)', ['(a)']],
    ['route53', ';a', [';a']],
    ['route53', ')', [')']],
    ['zone', 'a', ['a']],
    ['zone', '"a"', ['a']],
    ['zone', '("a"(b))', ['a', 'b']],
  ])('%s text %j is read as %j', (dialect, text, strings) => {
    expect(parseStrings(text, dialect)).toEqual(strings);
  });

  it.each<[Dialect, string, string]>([
    ['zone', '"a\rb"', 'TXT data, character 1: the quote is not closed on its line.'],
    ['zone', '"a\u0001"', 'TXT data, character 3: a raw character with code 1; write its octets as escapes.'],
    ['zone', 'a\u007f', 'TXT data, character 2: a raw character with code 127; write its octets as escapes.'],
    ['zone', '"a\\\n"', 'TXT data, line 1, column 3: a "\\" with nothing behind it.'],
    ['zone', '"a\\\r"', 'TXT data, character 3: a "\\" with nothing behind it.'],
    ['zone', '"\\\u00e9"', 'TXT data, character 2: a "\\" before a character beyond ASCII.'],
    ['zone', '"\\\u007f"', 'TXT data, character 2: a "\\" before a character beyond ASCII.'],
    ['zone', '"\\12"', 'TXT data, character 2: "\\12"" is no octet; here an escape is three decimal digits.'],
    [
      'route53',
      '"\\12"',
      'TXT data, character 2: "\\12"" is no octet; here an escape is three octal digits.',
    ],
  ])('%s text %j is refused: %s', (dialect, text, says) => {
    expect(refusal(() => parseStrings(text, dialect))).toBe(says);
  });

  it('a class is IN, CH or HS, and a TTL digits with their units; anything else is a type', () => {
    for (const word of ['xin', 'inx', 'x60', '60x', '1h2'])
      expect([word, parseZoneRecords(`a ${word} TXT "x"`)]).toEqual([
        word,
        word === '1h2' ? [{ owner: 'a', ttl: 3_602_000, strings: ['x'] }] : [],
      ]);
    expect(parseZoneRecords('a CH TXT x')).toStrictEqual([{ owner: 'a', strings: ['x'] }]);
    expect(parseZoneRecords('a 10m30s TXT x')).toStrictEqual([{ owner: 'a', ttl: 630_000, strings: ['x'] }]);
  });
});
