// What a DMARC record says, as a receiver reads it: what it does not understand, it passes over (RFC 9989 §4.7, §4.8).
import { describe, expect, it } from 'vitest';
import {
  appliedPolicy,
  foFault,
  isDmarc,
  printDmarc,
  readDmarc,
  reportHost,
  uriFault,
} from '../../../core/dmarc/record.ts';

const read = (text: string) => readDmarc(`v=DMARC1; ${text}`);

describe('which TXT values are DMARC records', () => {
  it.each(['v=DMARC1', 'v=DMARC1;', 'V=DMARC1; p=none', 'v \t= \tDMARC1 \t; p=none', 'v=DMARC1 '])(
    '"%s" is one',
    (text) => {
      expect(isDmarc(text)).toBe(true);
    },
  );

  it.each([
    '',
    'v=dmarc1',
    'v=DMARC1p=none',
    'v=DMARC1 p=none',
    'v=DMARC10',
    'v=DMARC2; p=none',
    'v:DMARC1',
    ' v=DMARC1',
    'x; v=DMARC1',
    'xv=DMARC1',
    'v-=DMARC1',
    'v=-DMARC1',
    'v=DMARC1-;',
  ])('"%s" is none', (text) => {
    expect(isDmarc(text)).toBe(false);
    expect(() => readDmarc(text)).toThrow(
      expect.objectContaining({
        code: 'invalid',
        message: 'DMARC record: it does not begin with "v=DMARC1;".',
      }),
    );
  });
});

describe('tags', () => {
  it.each([
    ['p=none', { p: 'none' }],
    ['p=quarantine', { p: 'quarantine' }],
    ['p=reject', { p: 'reject' }],
    ['sp=none; np=reject', { sp: 'none', np: 'reject' }],
    ['adkim=r; aspf=s', { adkim: 'r', aspf: 's' }],
    ['adkim=s; aspf=r', { adkim: 's', aspf: 'r' }],
    ['t=y', { t: 'y' }],
    ['t=n', { t: 'n' }],
    ['psd=y', { psd: 'y' }],
    ['psd=n', { psd: 'n' }],
    ['psd=u', { psd: 'u' }],
    ['fo=0', { fo: ['0'] }],
    ['fo=1:d:s', { fo: ['1', 'd', 's'] }],
    ['fo=D : S', { fo: ['d', 's'] }],
    ['rua=mailto:a@example.jp', { rua: ['mailto:a@example.jp'] }],
    [
      'ruf=mailto:a@example.jp , https://example.jp/dmarc',
      { ruf: ['mailto:a@example.jp', 'https://example.jp/dmarc'] },
    ],
    // Names and values are read whatever their case, with blanks around them.
    [' P  =  REJECT ;  ADKIM\t=\tS ', { p: 'reject', adkim: 's' }],
    ['p=none;;  ; t=y;', { p: 'none', t: 'y' }],
    ['rua=mailto:a@example.jp?subject=x=y', { rua: ['mailto:a@example.jp?subject=x=y'] }],
    // Obsolete sizes are passed over, and what is no URI.
    [
      'rua=mailto:a@example.jp!10m,mailto:b@example.jp!5,mailto:c@example.jp!2K',
      { rua: ['mailto:a@example.jp', 'mailto:b@example.jp', 'mailto:c@example.jp'] },
    ],
    ['rua=a@example.jp,mailto:b@example.jp', { rua: ['mailto:b@example.jp'] }],
    ['ruf=a@example.jp,mailto:b@example.jp!1g', { ruf: ['mailto:b@example.jp'] }],
    ['', {}],
  ])('%s', (text, record) => {
    expect(read(text)).toEqual({ record, ignored: [] });
  });

  it.each([
    ['p=nome', 'p', 'has a value that is none: "nome"'],
    ['p=', 'p', 'has a value that is none: ""'],
    ['SP= x ', 'SP', 'has a value that is none: "x"'],
    [`np=${'x'.repeat(61)}`, 'np', `has a value that is none: "${'x'.repeat(60)}"`],
    ['adkim=relaxed', 'adkim', 'has a value that is none: "relaxed"'],
    ['aspf=y', 'aspf', 'has a value that is none: "y"'],
    ['t=u', 't', 'has a value that is none: "u"'],
    ['psd=x', 'psd', 'has a value that is none: "x"'],
    ['fo=0:1', 'fo', 'has a value that is none: "0:1"'],
    ['rua=a@example.jp', 'rua', 'has a value that is none: "a@example.jp"'],
    ['ruf=', 'ruf', 'has a value that is none: ""'],
    ['rua=mailto:a@example.jp!10mb', 'rua', 'has a value that is none: "mailto:a@example.jp!10mb"'],
    ['rua=mailto:a@example.jp!10m!', 'rua', 'has a value that is none: "mailto:a@example.jp!10m!"'],
    ['rua=mailto:a@example.jp!', 'rua', 'has a value that is none: "mailto:a@example.jp!"'],
    ['pct=50', 'pct', 'is gone since RFC 9989: write t=y while you test a policy, and leave pct out'],
    ['RF=afrf', 'RF', 'is gone since RFC 9989: there is one format of failure reports'],
    ['ri=86400', 'ri', 'is gone since RFC 9989: aggregate reports come once a day'],
    ['policy=none', 'policy', 'is no tag of DMARC'],
    ['v=DMARC1', 'v', 'is no tag of DMARC'],
    ['toString=x', 'toString', 'is no tag of DMARC'],
    ['p', 'p', 'is not written name=value'],
    ['1=2', '1=2', 'is not written name=value'],
    ['-p=none', '-p=none', 'is not written name=value'],
    ['p-q=none', 'p-q=none', 'is not written name=value'],
    [` ${'x'.repeat(41)} `, 'x'.repeat(40), 'is not written name=value'],
  ])('%s is passed over, and the rest is read', (text, tag, why) => {
    expect(read(`${text}; t=y`)).toEqual({ record: { t: 'y' }, ignored: [{ tag, why }] });
  });

  it('the first of two holds', () => {
    expect(read('p=none; P=reject')).toEqual({
      record: { p: 'none' },
      ignored: [{ tag: 'P', why: 'stands twice' }],
    });
  });
});

describe('a URI that reports may go to', () => {
  it.each([
    'mailto:dmarc@example.jp',
    'MAILTO:DMARC@EXAMPLE.JP',
    'mailto:d%2Ca%21b@mail-1.example.jp',
    'mailto:d@1.a.example.jp',
    'mailto:d@example.jp?subject=reports',
    "mailto:a.b_c~d-e&f'g(h)*+=$@example.jp",
    'https://example.jp:8443/dmarc?to=[x]#y',
    'x-y.z+1:',
  ])('%s', (uri) => {
    expect(uriFault(uri)).toBeUndefined();
  });

  const none = 'is no URI; write mailto: and the address (a comma in it as %2C, an exclamation mark as %21)';
  const noAddress = 'is no mail address behind mailto:, such as mailto:dmarc@example.jp';
  const size =
    'has a size behind an exclamation mark, which is gone from DMARC (RFC 9989 §4.8); leave it out';

  it.each([
    ['dmarc@example.jp', 'is an address; write mailto:dmarc@example.jp'],
    ['mailto:dmarc@example.jp!10m', size],
    ['MAILTO:dmarc@example.jp!10M', size],
    ['mailto:dmarc@example.jp!5', size],
    ['mailto:dmarc@example.jp!50', size],
    ['mailto:a;b@example.jp', 'has a semicolon, which ends the tag; write %3B'],
    ['', none],
    ['example.jp', none],
    ['a b@example.jp', none],
    ['dmarc@example.jp ', none],
    ['a@b@example.jp', none],
    ['mailto:dmarc@example.jp!', none],
    ['mailto:dmarc@example.jp!m', none],
    ['mailto:dmarc@example.jp!10mb', none],
    ['xmailto:dmarc@example.jp!10m', none],
    ['mailto:a!b@example.jp!10m', none],
    ['mailto:a,b@example.jp', none],
    ['mailto:a%2@example.jp', none],
    ['mailto:a%@example.jp', none],
    ['mailto:a%zz@example.jp', none],
    ['1mailto:a@example.jp', none],
    [' mailto:a@example.jp', none],
    ['mailto:a@example.jp ', none],
    ['mailto:', noAddress],
    ['mailto:dmarc', noAddress],
    ['mailto:@example.jp', noAddress],
    ['mailto:dmarc@', noAddress],
    ['mailto:dmarc@localhost', noAddress],
    ['mailto:a@b@example.jp', noAddress],
    ['mailto:a?b@example.jp', noAddress],
    ['mailto:dmarc@example..jp', noAddress],
    ['mailto:dmarc@.example.jp', noAddress],
    ['mailto:dmarc@example.jp.', noAddress],
    ['mailto:dmarc@-example.jp', noAddress],
    ['mailto:dmarc@example-.jp', noAddress],
    ['mailto:dmarc@example.-jp', noAddress],
    ['mailto:dmarc@example.jp-', noAddress],
    ['mailto:dmarc@exa_mple.jp', noAddress],
    ['mailto:dmarc@example.j_p', noAddress],
    ['Mailto:dmarc@example.jp:25', noAddress],
  ])('"%s" is none', (uri, fault) => {
    expect(uriFault(uri)).toBe(fault);
  });

  it.each([
    ['mailto:dmarc@example.jp', 'example.jp'],
    ['MailTo:Dmarc@Mail.Example.JP?subject=x@y.example', 'mail.example.jp'],
    ['mailto:dmarc@a-b.1.example.jp', 'a-b.1.example.jp'],
    ['https://example.jp/dmarc', undefined],
    ['https://mailto:x@example.jp', undefined],
    ['mailto:dmarc', undefined],
  ])('%s: its mailbox is at %s', (uri, host) => {
    expect(reportHost(uri)).toBe(host);
  });
});

describe('fo: RFC 9989 §4.7', () => {
  it.each([[['0']], [['1']], [['d']], [['s']], [['0', 'd', 's']], [['s', 'd', '1']]])('%j', (list) => {
    expect(foFault(list)).toBeUndefined();
  });

  it.each([
    [['2'], 'has "2"; there are 0, 1, d and s'],
    [['1', ''], 'has ""; there are 0, 1, d and s'],
    [['0', '1'], 'has both 0 and 1; 1 asks for what 0 does, and more'],
    [['1', 'd', '0'], 'has both 0 and 1; 1 asks for what 0 does, and more'],
    [['d', 'd'], 'has a value twice'],
    [['0', 's', '0'], 'has a value twice'],
  ])('%j', (list, fault) => {
    expect(foFault(list)).toBe(fault);
  });
});

describe('printed in one form', () => {
  it.each([
    ['v=DMARC1', 'v=DMARC1'],
    ['V = DMARC1 ;P=None;', 'v=DMARC1; p=none'],
    [
      'v=DMARC1;psd=n;t=y;aspf=s;adkim=r;fo=1:d;ruf=mailto:f@example.jp,mailto:g@example.jp;rua=mailto:a@example.jp!9k,mailto:b@example.jp;np=reject;sp=quarantine;p=none',
      'v=DMARC1; p=none; sp=quarantine; np=reject; rua=mailto:a@example.jp,mailto:b@example.jp; ruf=mailto:f@example.jp,mailto:g@example.jp; fo=1:d; adkim=r; aspf=s; t=y; psd=n',
    ],
    ['v=DMARC1; pct=50; p=reject; x=y', 'v=DMARC1; p=reject'],
  ])('%s', (text, printed) => {
    expect(printDmarc(readDmarc(text).record)).toBe(printed);
  });
});

describe('the policy that a receiver applies: RFC 9989 §4.10.1', () => {
  it.each([
    ['p=reject', 'reject'],
    ['p=quarantine; rua=mailto:a@example.jp', 'quarantine'],
    ['p=none', 'none'],
    ['p=reject; pct=50; adkim=x', 'reject'],
    // With somewhere to report, it goes on as if p=none stood there.
    ['rua=mailto:a@example.jp', 'none'],
    ['p=rejekt; rua=mailto:a@example.jp', 'none'],
    ['p=reject; sp=x; rua=mailto:a@example.jp', 'none'],
    ['p=reject; NP=x; rua=mailto:a@example.jp', 'none'],
    // Without, the record is as none.
    ['p=rejekt', undefined],
    ['p=reject; SP=x', undefined],
    ['p=reject; np=x', undefined],
    ['ruf=mailto:a@example.jp', undefined],
    ['', undefined],
  ])('%s: %s', (text, policy) => {
    expect(appliedPolicy(read(text))).toBe(policy);
  });
});
