// The reader of master files: RFC 1035 §5 case by case, and whole zones against BIND's own reading of them.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readZoneFile } from '../../../cli/import/zone-file.ts';
import { describeWith, program } from '../../tools/machine.ts';

const soa = '@ IN SOA ns hostmaster 1 3600 600 604800 60\n';
const read = (text: string, origin: string | undefined = 'example.jp') => readZoneFile(text, 'f', origin);
/** Of the records behind the SOA. */
const rest = (text: string) =>
  read(`${soa}${text}`)
    .records.slice(1)
    .map(({ name, type, data }) => [name, type, ...data]);

describe('a master file (RFC 1035 §5.1)', () => {
  test.each<[string, string, readonly (readonly string[])[]]>([
    ['a relative name', 'www A 192.0.2.1\n', [['www.example.jp', 'A', '192.0.2.1']]],
    [
      'an absolute name, in capitals',
      'WWW.Example.JP. A 192.0.2.1\n',
      [['www.example.jp', 'A', '192.0.2.1']],
    ],
    ['@', '@ MX 10 mx\n', [['example.jp', 'MX', '10', 'mx']]],
    [
      'TTL and class in either order',
      'a 60 IN TXT x\nb IN 1h30m TXT x\nc in txt x\n',
      [
        ['a.example.jp', 'TXT', 'x'],
        ['b.example.jp', 'TXT', 'x'],
        ['c.example.jp', 'TXT', 'x'],
      ],
    ],
    [
      'a line that begins with a blank: the owner before',
      'a TXT x\n  TXT y\n\tTXT z\n',
      [
        ['a.example.jp', 'TXT', 'x'],
        ['a.example.jp', 'TXT', 'y'],
        ['a.example.jp', 'TXT', 'z'],
      ],
    ],
    ['several strings', 'a TXT "v=DKIM1; " "p="\n', [['a.example.jp', 'TXT', 'v=DKIM1; ', 'p=']]],
    ['strings without a space between', 'a TXT "x""y"\n', [['a.example.jp', 'TXT', 'x', 'y']]],
    ['an empty string', 'a TXT ""\n', [['a.example.jp', 'TXT', '']]],
    [
      'parentheses over lines, with comments',
      'a TXT ( "x" ; one\n ; none\n  "y" ) ; two\nb TXT z\n',
      [
        ['a.example.jp', 'TXT', 'x', 'y'],
        ['b.example.jp', 'TXT', 'z'],
      ],
    ],
    [
      'escapes',
      'a TXT "\\"q\\" \\\\ \\065\\; ;" un\\ quoted\\;\n',
      [['a.example.jp', 'TXT', '"q" \\ A; ;', 'un quoted;']],
    ],
    [
      '$ORIGIN, absolute and relative',
      '$ORIGIN sub\na TXT x\n$ORIGIN deep.example.jp.\na TXT y\n',
      [
        ['a.sub.example.jp', 'TXT', 'x'],
        ['a.deep.example.jp', 'TXT', 'y'],
      ],
    ],
    ['$TTL', '$TTL 1d\na TXT x\n', [['a.example.jp', 'TXT', 'x']]],
    [
      'types that nobody knows (RFC 3597)',
      'a TYPE731 \\# 3 abcdef\n',
      [['a.example.jp', 'TYPE731', '#', '3', 'abcdef']],
    ],
    [
      'line ends of DOS',
      'a TXT "x"\r\nb TXT y\r\n',
      [
        ['a.example.jp', 'TXT', 'x'],
        ['b.example.jp', 'TXT', 'y'],
      ],
    ],
    ['no line end at the end', 'a TXT x', [['a.example.jp', 'TXT', 'x']]],
    [
      'a string longer than 255, of other types',
      `a TLSA 3 1 1 ${'ab'.repeat(200)}\n`,
      [['a.example.jp', 'TLSA', '3', '1', '1', 'ab'.repeat(200)]],
    ],
  ])('%s', (_, text, expected) => expect(rest(text)).toEqual(expected));

  test('the zone is that of its SOA', () => {
    expect(readZoneFile(`$ORIGIN example.jp.\n${soa}`, 'f').zone).toBe('example.jp');
    expect(readZoneFile('Example.JP. SOA ns h 1 1 1 1 1\n', 'f').zone).toBe('example.jp');
    expect(readZoneFile('a TXT x\n', 'f', 'example.jp.').zone).toBe('example.jp');
  });

  test.each<[string, string, string | undefined, string]>([
    [
      '$INCLUDE',
      `${soa}$INCLUDE keys/240128.txt\n`,
      'example.jp',
      'f:2: $INCLUDE is not read here: write the zone out first',
    ],
    ['$GENERATE', `${soa}$GENERATE 1-9 a$ A 192.0.2.$\n`, 'example.jp', 'f:2: $GENERATE is not read here'],
    [
      'an unclosed quote',
      `${soa}a TXT "x\n`,
      'example.jp',
      'f:2: a quotation mark is not closed on its line',
    ],
    [
      'an unclosed parenthesis',
      `${soa}\na TXT ( x\ny\n`,
      'example.jp',
      'f:3: the "(" of this line is never closed',
    ],
    ['a parenthesis that closes nothing', `${soa}a TXT x )\n`, 'example.jp', 'f:2: a ")" closes no "("'],
    ['an octet beyond 255', `${soa}a TXT "\\256"\n`, 'example.jp', 'f:2: a backslash is followed by'],
    ['no type', `${soa}a 60 IN\n`, 'example.jp', 'f:2: the record has no type'],
    ['no data', `${soa}a TXT\n`, 'example.jp', 'f:2: the TXT record has no data'],
    ['no owner', ' TXT x\n', 'example.jp', 'f:1: the first record has no name'],
    [
      'a name outside of the zone',
      `${soa}a.example.com. TXT x\n`,
      'example.jp',
      'f:2: a.example.com is not in the zone example.jp',
    ],
    ['a relative name, and no origin', 'a TXT x\n', undefined, 'f:1: the name is relative'],
    ['no SOA, and no origin', 'a.example.jp. TXT x\n', undefined, 'f: it has no SOA record'],
  ])('says where and what: %s', (_, text, origin, message) => {
    expect(() => readZoneFile(text, 'f', origin)).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(message) }),
    );
  });

  test('a megabyte of parentheses, quotes or blanks takes no long time', () => {
    for (const text of [
      ' '.repeat(1e6),
      '('.repeat(1e6),
      '"'.repeat(1e6),
      '\\'.repeat(1e6),
      'a\n'.repeat(5e5),
    ]) {
      const begun = performance.now();
      try {
        read(text);
      } catch {}
      expect(performance.now() - begun).toBeLessThan(5_000);
    }
  });
});

describeWith(['named-compilezone'], 'against BIND', () => {
  const home = mkdtempSync(join(tmpdir(), 'selkie-zone-file-'));
  afterAll(() => rmSync(home, { recursive: true, force: true }));
  const zone = `; a zone as people keep it
$TTL 1h
@	IN	SOA	ns1.example.jp. hostmaster (
		2026113001 ; serial
		3h 1h 1w
		5m )
	IN	NS	ns1
	IN	NS	ns2.example.com.
	IN	MX	10 mx
	IN	TXT	"v=spf1 +mx -all"
$ORIGIN _domainkey.example.jp.
mail	IN	TXT	( "v=DKIM1; h=sha256; k=rsa; "
	  "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQ"
	  "C7" )  ; ----- DKIM key mail for example.jp
old	600 IN	TXT	v=DKIM1\\;\\ p=
$ORIGIN example.jp.
_dmarc		TXT "v=DMARC1; p=none" ; quoted ; twice
ns1	A	192.0.2.1
	AAAA	2001:db8::1
mx	A	192.0.2.2
odd\\046name	TXT	"\\"\\\\\\001"
`;

  test('the same records, by their canonical form', () => {
    const file = join(home, 'example.jp.zone');
    writeFileSync(file, zone);
    const dump = execFileSync(
      program('named-compilezone') ?? '',
      ['-q', '-i', 'none', '-k', 'ignore', '-o', '-', 'example.jp', file],
      { encoding: 'utf8' },
    );
    const texts = (text: string) =>
      readZoneFile(text, 'f', 'example.jp')
        .records.filter(({ type }) => type === 'TXT')
        .map(({ name, data }) => `${name} ${JSON.stringify(data)}`)
        .toSorted();
    const kinds = (text: string) =>
      readZoneFile(text, 'f', 'example.jp')
        .records.map(({ name, type }) => `${name} ${type}`)
        .toSorted();
    expect(texts(zone)).toEqual(texts(dump));
    expect(kinds(zone)).toEqual(kinds(dump));
    expect(texts(zone)).toHaveLength(5);
  });
});
