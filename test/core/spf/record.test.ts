// What an SPF record says: terms by RFC 7208, and what is refused with the sentence that mends it.
import { describe, expect, it } from 'vitest';
import { isLiteral, isSpf, parseSpf, printSpf, printTerm } from '../../../core/spf/record.ts';

const termsOf = (text: string) => parseSpf(`v=spf1 ${text}`).terms;
const mechanism = (name: string, more: object = {}) => ({ is: 'mechanism', qualifier: '+', name, ...more });

const refusal = (value: string): string => {
  try {
    parseSpf(value);
  } catch (error) {
    expect(error).toMatchObject({ name: 'SelkieError', code: 'invalid' });
    return (error as Error).message;
  }
  return 'read';
};

describe('which TXT values are SPF records: RFC 7208 §4.5', () => {
  it.each(['v=spf1', 'v=spf1 ', 'v=spf1 -all', 'V=SPF1 -all', 'v=spf1 and whatever'])(
    '"%s" is one',
    (text) => {
      expect(isSpf(text)).toBe(true);
    },
  );

  it.each([
    '',
    'v=spf10',
    'v=spf10 -all',
    'v=spf1\t-all',
    'v=spf2.0/pra -all',
    ' v=spf1 -all',
    'x v=spf1 -all',
  ])('"%s" is none', (text) => {
    expect(isSpf(text)).toBe(false);
    expect(refusal(text)).toBe('SPF record: it does not begin with "v=spf1" and a space.');
  });
});

describe('a record is its terms in their order', () => {
  it('none at all: RFC 7208 §4.6.1 lets it be empty', () => {
    expect(parseSpf('v=spf1')).toEqual({ terms: [] });
    expect(parseSpf('v=spf1   ')).toEqual({ terms: [] });
  });

  it('spaces between them may be many', () => {
    expect(parseSpf('v=spf1  mx   -all ')).toEqual({
      terms: [mechanism('mx'), mechanism('all', { qualifier: '-' })],
    });
  });

  it.each(['v=spf1 mx\t-all', 'v=spf1 a:exämple.jp', 'v=spf1 x=\u007f', 'v=spf1 mx\n'])(
    'what is not printable ASCII is refused: %j',
    (text) => {
      expect(refusal(text)).toBe('SPF record: it holds a character that is not printable ASCII.');
    },
  );
});

describe('mechanisms', () => {
  // RFC 7208 §4.6.2
  it.each([
    ['all', '+'],
    ['+all', '+'],
    ['-all', '-'],
    ['~all', '~'],
    ['?all', '?'],
  ])('the qualifier of %s is %s', (text, qualifier) => {
    expect(termsOf(text)).toEqual([mechanism('all', { qualifier })]);
  });

  it.each([
    ['include:_spf.example.net', mechanism('include', { value: '_spf.example.net' })],
    ['exists:%{ir}.%{l1r+-}._spf.%{d}', mechanism('exists', { value: '%{ir}.%{l1r+-}._spf.%{d}' })],
    ['a', mechanism('a')],
    ['a/24', mechanism('a', { length4: 24 })],
    ['a//64', mechanism('a', { length6: 64 })],
    ['a/24//64', mechanism('a', { length4: 24, length6: 64 })],
    ['a/0//0', mechanism('a', { length4: 0, length6: 0 })],
    ['a:mail.example.jp', mechanism('a', { value: 'mail.example.jp' })],
    ['a:mail.example.jp/32', mechanism('a', { value: 'mail.example.jp', length4: 32 })],
    ['a:mail.example.jp//128', mechanism('a', { value: 'mail.example.jp', length6: 128 })],
    ['mx', mechanism('mx')],
    ['mx/30', mechanism('mx', { length4: 30 })],
    ['mx:example.jp/30//60', mechanism('mx', { value: 'example.jp', length4: 30, length6: 60 })],
    ['ptr', mechanism('ptr')],
    ['ptr:example.jp', mechanism('ptr', { value: 'example.jp' })],
    ['ip4:192.0.2.1', mechanism('ip4', { value: '192.0.2.1' })],
    ['ip4:192.0.2.0/24', mechanism('ip4', { value: '192.0.2.0', length4: 24 })],
    ['ip6:2001:db8::1', mechanism('ip6', { value: '2001:db8::1' })],
    ['ip6:2001:db8::/96', mechanism('ip6', { value: '2001:db8::', length6: 96 })],
    // Names are read whatever their case: RFC 7208 §4.6.1.
    ['-InClude:Example.JP', mechanism('include', { qualifier: '-', value: 'Example.JP' })],
    // A slash delimits in a macro, and may stand in a name: RFC 7208 §7.1.
    ['a:%{l1r/}.example.jp', mechanism('a', { value: '%{l1r/}.example.jp' })],
    ['mx:%{l/}/24', mechanism('mx', { value: '%{l/}', length4: 24 })],
  ])('%s', (text, read) => {
    expect(termsOf(text)).toEqual([read]);
  });

  it.each([
    ['all:example.jp', 'has something behind "all", which takes nothing'],
    ['-all/24', 'has something behind "all", which takes nothing'],
    ['include', 'names no domain: write include:example.jp'],
    ['include/24', 'names no domain: write include:example.jp'],
    ['exists', 'names no domain: write exists:example.jp'],
    ['include:', 'names no domain behind its colon'],
    ['a:', 'names no domain behind its colon'],
    ['a:/24', 'names no domain behind its colon'],
    ['ptr:', 'names no domain behind its colon'],
    ['ptr/24', 'is no mechanism'],
    ['a.example.jp', 'is no mechanism'],
    ['mx-example.jp', 'is no mechanism'],
    ['a/33', 'has the prefix length /33; of IPv4 it is 0 to 32'],
    ['a/', 'has the prefix length /; of IPv4 it is 0 to 32'],
    ['a/024', 'has the prefix length /024; of IPv4 it is 0 to 32'],
    ['mx:example.jp/x', 'has the prefix length /x; of IPv4 it is 0 to 32'],
    ['a//129', 'has the prefix length //129; of IPv6 it is 0 to 128'],
    ['a/24//', 'has the prefix length //; of IPv6 it is 0 to 128'],
    ['ip4', 'names no address: write ip4:…'],
    ['ip4/24', 'names no address: write ip4:…'],
    ['ip6', 'names no address: write ip6:…'],
    ['ip4:', 'has no IPv4 address behind its colon, such as ip4:192.0.2.0/24'],
    ['ip4:2001:db8::1', 'has no IPv4 address behind its colon, such as ip4:192.0.2.0/24'],
    ['ip4:192.0.2', 'has no IPv4 address behind its colon, such as ip4:192.0.2.0/24'],
    ['ip6:192.0.2.1', 'has no IPv6 address behind its colon, such as ip6:2001:db8::/32'],
    ['ip4:192.0.2.0/33', 'has a prefix length that is none: it is 0 to 32'],
    ['ip4:192.0.2.0/', 'has a prefix length that is none: it is 0 to 32'],
    ['ip4:192.0.2.0//24', 'has a prefix length that is none: it is 0 to 32'],
    ['ip4:192.0.2.0/24/24', 'has a prefix length that is none: it is 0 to 32'],
    ['ip6:2001:db8::/129', 'has a prefix length that is none: it is 0 to 128'],
  ])('%s %s', (text, fault) => {
    expect(refusal(`v=spf1 ${text}`)).toBe(`SPF record: "${text}" ${fault}.`);
  });

  it.each(['ip', 'ipv4:192.0.2.1', '--all', '=', '-', ':example.jp', '1a', 'example.jp', '!all', 'x+y=1'])(
    '%s is none',
    (text) => {
      expect(refusal(`v=spf1 ${text}`)).toMatch(/ is no mechanism/);
    },
  );

  it('the sentence names those that there are', () => {
    expect(refusal('v=spf1 ip:192.0.2.1')).toBe(
      'SPF record: "ip:192.0.2.1" is no mechanism of SPF: there are all, include, a, mx, ptr, ip4, ip6, exists, and the modifiers redirect= and exp=.',
    );
  });

  it('an error anywhere makes the whole record one, whatever stands before it: RFC 7208 §4.6', () => {
    expect(refusal('v=spf1 -all a:-')).toMatch(/^SPF record: "a:-" names/);
  });
});

describe('domain-spec: RFC 7208 §7.1', () => {
  const label = 'x'.repeat(63);

  it.each([
    'example.jp',
    'example.jp.',
    'EXAMPLE.JP',
    '_spf.example.jp',
    'a/b.example.jp',
    'example.xn--q9jyb4c',
    'example.x-1',
    'example.1a',
    'example.a1',
    'example.a',
    `${label}.jp`,
    `${label}.example.jp.`,
    // Macros, and the examples of §7.4.
    '%{d}',
    '%{D}',
    '%{d2r}',
    '%{o1r-}',
    'mail.%{d}',
    '%{ir}.%{v}._spf.%{d2}',
    '%{lr-}.lp._spf.%{d2}',
    '%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}',
    '%{d10}.example.jp',
    '%{i100r.-+,/_=}.example.jp',
    'a%%b.example.jp',
    'a%_b.example.jp',
    'a%-b.example.jp',
    `${label}x%{d}.example.jp`,
    ...[...'slodiphcrtv'].map((letter) => `%{${letter}}.example.jp`),
  ])('%s', (spec) => {
    expect(termsOf(`include:${spec}`)).toEqual([mechanism('include', { value: spec })]);
  });

  it.each([
    'example',
    'example.',
    'example..',
    '.',
    'example.123',
    'example.-jp',
    'example.jp-',
    'example.j_p',
    'example.jp:25',
    '%{d}x',
    '192.0.2.1',
    'x%{d}.1',
  ])('%s is no whole name', (spec) => {
    expect(refusal(`v=spf1 include:${spec}`)).toBe(
      `SPF record: "include:${spec}" names "${spec}", which is no domain: write the whole name, such as mail.example.jp.`,
    );
  });

  it.each(['.example.jp', 'a..example.jp', `${label}x.jp`, `a.${label}x.example.jp`])(
    '%s has an impossible label',
    (spec) => {
      expect(refusal(`v=spf1 include:${spec}`)).toBe(
        `SPF record: "include:${spec}" names "${spec}", which has an empty label or one of more than 63 characters.`,
      );
    },
  );

  it.each([
    '%.example.jp',
    '%d.example.jp',
    '%{x}.example.jp',
    '%{}.example.jp',
    '%{d.example.jp',
    '%{d r}',
    '%{dr2}.example.jp',
    '%{d!}.example.jp',
    '%{d1000}.example.jp',
    // RFC 7208 §7.3: the digits are not zero.
    '%{d0}.example.jp',
    '%{d00r}.example.jp',
    'a%%%.example.jp',
  ])('%s has a macro that is none', (spec) => {
    const [shown = ''] = spec.split(' ');
    expect(refusal(`v=spf1 exists:${spec}`)).toBe(
      `SPF record: "exists:${shown}" has a macro that is none: they are written %{d}, and a percent sign %% (RFC 7208 §7).`,
    );
  });

  it('says the same whatever the message where no macro is in it', () => {
    expect(['example.jp', 'a/b.example.jp'].map(isLiteral)).toEqual([true, true]);
    expect(['%{d}', 'a%%b.example.jp'].map(isLiteral)).toEqual([false, false]);
  });
});

describe('modifiers: RFC 7208 §6', () => {
  it.each([
    ['redirect=_spf.example.jp', { is: 'modifier', name: 'redirect', value: '_spf.example.jp' }],
    ['Redirect=Example.JP', { is: 'modifier', name: 'redirect', value: 'Example.JP' }],
    ['exp=explain._spf.%{d}', { is: 'modifier', name: 'exp', value: 'explain._spf.%{d}' }],
    // Nobody knows them: they are ignored, whatever they say.
    ['moo.cow-far_out=man:dog/cat', { is: 'modifier', name: 'moo.cow-far_out', value: 'man:dog/cat' }],
    ['x=', { is: 'modifier', name: 'x', value: '' }],
    ['x1=%{s}=y', { is: 'modifier', name: 'x1', value: '%{s}=y' }],
  ])('%s', (text, read) => {
    expect(termsOf(text)).toEqual([read]);
  });

  it.each([
    ['redirect=', 'names no domain behind its colon'],
    ['redirect=jp', 'names "jp", which is no domain: write the whole name, such as mail.example.jp'],
    ['exp=jp', 'names "jp", which is no domain: write the whole name, such as mail.example.jp'],
    ['x=50%', 'has a macro that is none (RFC 7208 §7)'],
    ['v=spf1', 'begins a second record: a domain has one, so put the terms of both into one'],
    ['V=spf1', 'begins a second record: a domain has one, so put the terms of both into one'],
  ])('%s %s', (text, fault) => {
    expect(refusal(`v=spf1 ${text}`)).toBe(`SPF record: "${text}" ${fault}.`);
  });

  it.each([
    ['redirect', 'redirect=a.example.jp mx Redirect=b.example.jp'],
    ['exp', 'exp=a.example.jp -all exp=a.example.jp'],
  ])('%s stands once at most', (name, text) => {
    expect(refusal(`v=spf1 ${text}`)).toBe(`SPF record: "${name}=" stands twice: keep one.`);
  });

  it('one that nobody knows may stand twice, and each of the two beside the other', () => {
    expect(termsOf('x=1 x=2 redirect=a.example.jp exp=a.example.jp mx mx').map(printTerm)).toEqual([
      'x=1',
      'x=2',
      'redirect=a.example.jp',
      'exp=a.example.jp',
      'mx',
      'mx',
    ]);
  });
});

describe('printed in one form', () => {
  it.each([
    ['v=spf1', 'v=spf1'],
    ['V=SPF1   +MX  A:Mail.example.jp -ALL ', 'v=spf1 mx a:Mail.example.jp -all'],
    [
      'v=spf1 ~include:a.example.jp ?exists:%{i}.a.example.jp',
      'v=spf1 ~include:a.example.jp ?exists:%{i}.a.example.jp',
    ],
    ['v=spf1 +a/24 a//64 -mx/24//64', 'v=spf1 a/24 a//64 -mx/24//64'],
    ['v=spf1 a:x.example.jp/0//0 ptr ptr:x.example.jp', 'v=spf1 a:x.example.jp/0//0 ptr ptr:x.example.jp'],
    ['v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24', 'v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24'],
    ['v=spf1 ip6:2001:db8::1 ip6:2001:db8::/32', 'v=spf1 ip6:2001:db8::1 ip6:2001:db8::/32'],
    ['v=spf1 REDIRECT=a.example.jp X=Y', 'v=spf1 redirect=a.example.jp x=Y'],
  ])('%s', (text, printed) => {
    expect(printSpf(parseSpf(text))).toBe(printed);
  });
});
