// Key records against RFC 6376 §3.6.1. Against opendkim-genkey: programs.test.ts.
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Algorithm } from '../../../core/algorithm.ts';
import {
  buildKeyRecord,
  buildTombstone,
  parseKeyRecord,
  printKeyRecord,
  sameKeyRecord,
} from '../../../core/dkim/key-record.ts';
import { parseStrings, parseValue, parseZoneRecords } from '../../../core/dkim/txt.ts';
import type { RecordTags } from '../../../core/policy.ts';

/** As long as the SubjectPublicKeyInfo of an RSA key: a record does not look into it. */
const rsa = (bits: 2048 | 4096): string => randomBytes({ 2048: 294, 4096: 550 }[bits]).toString('base64');
const ed25519 = (): string => randomBytes(32).toString('base64');

const key2048 = rsa(2048);
const plain = buildKeyRecord({ algorithm: 'rsa2048', publicKey: key2048, tags: {} });

describe('building', () => {
  it('says v, k and p, and nothing that was not asked for', () => {
    expect(plain).toBe(`v=DKIM1; k=rsa; p=${key2048}`);
    const publicKey = ed25519();
    expect(buildKeyRecord({ algorithm: 'ed25519', publicKey, tags: {} })).toBe(
      `v=DKIM1; k=ed25519; p=${publicKey}`,
    );
  });

  it('says every tag in the order of opendkim-genkey', () => {
    const tags: RecordTags = { hashes: 'sha256', service: 'email', strict: true, note: 'a; b=c' };
    expect(buildKeyRecord({ algorithm: 'rsa2048', publicKey: 'AAAA', tags })).toBe(
      'v=DKIM1; n=a=3B b=3Dc; h=sha256; k=rsa; t=s; s=email; p=AAAA',
    );
  });

  it('keeps the type in a tombstone', () => {
    expect(buildTombstone('rsa4096')).toBe('v=DKIM1; k=rsa; p=');
    expect(buildTombstone('ed25519')).toBe('v=DKIM1; k=ed25519; p=');
    expect(parseKeyRecord(buildTombstone('ed25519')).revoked).toBe(true);
  });

  /** As long as the SubjectPublicKeyInfo of an Ed25519 key. */
  const spki = randomBytes(44).toString('base64');
  it.each<[string, Algorithm, string, RecordTags, string]>([
    ['no key, which would be a tombstone', 'rsa2048', '', {}, 'publicKey'],
    ['white space in the key', 'rsa2048', 'AAAA AAAA', {}, 'publicKey'],
    ['base64url', 'rsa2048', 'AA-_', {}, 'publicKey'],
    ['an Ed25519 key as SubjectPublicKeyInfo', 'ed25519', spki, {}, 'publicKey'],
    ['a note beyond ASCII', 'rsa2048', 'AAAA', { note: 'caf\u00e9' }, 'note'],
    ['a note of two lines', 'rsa2048', 'AAAA', { note: 'a\nb' }, 'note'],
  ])('refuses %s', (_, algorithm, publicKey, tags, field) => {
    expect(() => buildKeyRecord({ algorithm, publicKey, tags })).toThrow(
      expect.objectContaining({ code: 'invalid', field }),
    );
  });
});

describe('parsing', () => {
  it('reads what was built, any note included', () => {
    fc.assert(
      fc.property(
        fc.record<RecordTags>(
          {
            hashes: fc.constant('sha256' as const),
            service: fc.constant('email' as const),
            strict: fc.constant(true as const),
            note: fc.string(),
          },
          { requiredKeys: [] },
        ),
        (tags) => {
          const record = parseKeyRecord(buildKeyRecord({ algorithm: 'rsa2048', publicKey: 'QUJD', tags }));
          expect(record).toEqual({
            keyType: 'rsa',
            publicKey: 'QUJD',
            hashes: tags.hashes && ['sha256'],
            services: [tags.service ?? '*'],
            flags: tags.strict ? ['s'] : [],
            note: tags.note,
            revoked: false,
          });
        },
      ),
    );
  });

  // RFC 6376 §3.6.1: one mutation each of a valid record.
  it.each([
    ['p= alone', 'p=QUJD', {}],
    ['a semicolon at the end', 'v=DKIM1; p=QUJD;', {}],
    ['a semicolon and white space at the end', 'v=DKIM1; p=QUJD; \t', {}],
    ['no white space', 'v=DKIM1;k=rsa;p=QUJD', {}],
    ['white space everywhere', ' v = DKIM1 ; k\t=\trsa ; p = QU JD\r\n ', {}],
    ['white space inside p=', 'v=DKIM1; p=Q U\tJ\r\n D', {}],
    ['unknown tags', 'v=DKIM1; z9_x=what; p=QUJD', {}],
    ['an unknown key type', 'v=DKIM1; k=ecc; p=QUJD', { keyType: 'ecc' }],
    ['several hashes', 'h=sha1 : sha256; p=QUJD', { hashes: ['sha1', 'sha256'] }],
    ['services', 's=email:*; p=QUJD', { services: ['email', '*'] }],
    ['flags', 't=y:s; p=QUJD', { flags: ['y', 's'] }],
    ['an empty tag', 'n=; p=QUJD', { note: '' }],
    ['revoked', 'v=DKIM1; p=', { publicKey: '', revoked: true }],
    ['revoked, with white space', 'v=DKIM1; p= ;', { publicKey: '', revoked: true }],
    ['V= as an unknown tag: names are case-sensitive (§3.2)', 'V=x; p=QUJD', {}],
  ])('accepts %s', (_, value, wanted) => {
    expect(parseKeyRecord(value)).toEqual({
      keyType: 'rsa',
      publicKey: 'QUJD',
      hashes: undefined,
      services: ['*'],
      flags: [],
      note: undefined,
      revoked: false,
      ...wanted,
    });
  });

  it.each([
    ['nothing', '', 'empty'],
    ['no p=', 'v=DKIM1; k=rsa', 'p='],
    ['another version', 'v=DKIM2; p=QUJD', 'v='],
    ['a version in lower case', 'v=dkim1; p=QUJD', 'v='],
    ['v= not first', 'k=rsa; v=DKIM1; p=QUJD', 'v='],
    ['a tag twice', 'v=DKIM1; p=QUJD; p=QUJD', 'p= is said twice'],
    ['an unknown tag twice', 'v=DKIM1; x=1; x=1; p=QUJD', 'x= is said twice'],
    ['two semicolons', 'v=DKIM1;; p=QUJD', 'tag 2'],
    ['no equals sign', 'v=DKIM1; k; p=QUJD', 'tag 2'],
    ['a tag name with a digit first', 'v=DKIM1; 1a=x; p=QUJD', 'tag 2'],
    ['p= cut short', 'v=DKIM1; p=QUJ', 'base64'],
    ['octets beyond ASCII', 'v=DKIM1; n=\xe9; p=QUJD', 'n='],
    ['another record', 'v=spf1 -all', 'v='],
  ])('refuses %s', (_, value, why) => {
    expect(() => parseKeyRecord(value)).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(why) }),
    );
  });

  it('never shows the value in an error', () => {
    const secretive = `v=DKIM1; p=${key2048.slice(0, -1)}`;
    expect(() => parseKeyRecord(secretive)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining(key2048.slice(0, 20)) }),
    );
  });
});

it('only the same octets are the same record', () => {
  expect(sameKeyRecord(plain, `v=DKIM1; k=rsa; p=${key2048}`)).toBe(true);
  expect(sameKeyRecord(plain, `${plain};`)).toBe(false);
  expect(sameKeyRecord(plain, plain.replace('; ', ';'))).toBe(false);
});

describe('printing', () => {
  // A tutorial's record: one string of tags, and the key of 2048 bits in two more.
  const where = { domain: 'mail.dev.sharemyknowledge.jp', selector: '240128' };
  const tutorial = `240128._domainkey.${where.domain} IN TXT ("v=DKIM1; k=rsa; " "p=${key2048.slice(0, 250)}"\n  "${key2048.slice(250)}")`;

  it("prints the zone form that the tutorial shows: three strings of exactly the record's value", () => {
    const [record] = parseZoneRecords(printKeyRecord({ ...where, value: plain }, 'zone'));
    const [shown] = parseZoneRecords(tutorial);
    expect(record?.strings).toHaveLength(3);
    expect(record?.strings).toEqual(shown?.strings);
    expect(record?.strings.join('')).toBe(plain);
    expect(record?.owner).toBe('240128._domainkey');
  });

  it("prints Route 53's form: two strings, the first full", () => {
    const text = printKeyRecord({ ...where, value: plain }, 'route53');
    expect(parseStrings(text, 'route53').map((s) => s.length)).toEqual([255, plain.length - 255]);
    expect(parseValue(text, 'route53')).toBe(plain);
    expect(printKeyRecord({ ...where, value: plain }, 'value')).toBe(plain);
  });

  it.each([
    ['a tombstone', buildTombstone('rsa2048')],
    ['p= in the middle', `v=DKIM1; p=${key2048}; n=moved`],
    ['p= first', `p=${key2048}`],
    ['no spaces', `v=DKIM1;p=${key2048}`],
    ['quotes', `v=DKIM1; n="it is"; p=${key2048}`],
    ['a long head', `v=DKIM1; n=${'x'.repeat(300)}; p=${key2048}`],
    ['4096 bits', buildKeyRecord({ algorithm: 'rsa4096', publicKey: rsa(4096), tags: {} })],
    ['no key record', '\x00\xff'.repeat(300)],
  ])('keeps the value in the zone form: %s', (_, value) => {
    const [record] = parseZoneRecords(printKeyRecord({ ...where, value }, 'zone'));
    expect(record?.strings.join('')).toBe(value);
    expect(Math.max(...(record?.strings ?? []).map((s) => s.length))).toBeLessThanOrEqual(255);
  });
});

it('white space inside of a tag costs no more than its length', () => {
  const started = performance.now();
  expect(parseKeyRecord(`v=DKIM1; n=a${' '.repeat(128_000)}b; p=`).note).toHaveLength(128_002);
  expect(performance.now() - started).toBeLessThan(2_000);
});

describe('sentences', () => {
  const refusal = (work: () => unknown): unknown => {
    try {
      return work();
    } catch (error) {
      return error instanceof Error ? error.message : error;
    }
  };
  const built = (algorithm: Algorithm, publicKey: string, note?: string): unknown =>
    refusal(() => buildKeyRecord({ algorithm, publicKey, tags: note === undefined ? {} : { note } }));

  it.each([
    ['', 'Key record: it is empty.'],
    ['v=DKIM1; k', 'Key record: tag 2 is not written name=value.'],
    ['n=\xe9; p=', 'Key record: n= holds a character that is not printable ASCII.'],
    ['k=rsa; k=rsa; p=', 'Key record: k= is said twice.'],
    ['k=rsa; v=DKIM1; p=', 'Key record: where v= is said it must be first, and DKIM1.'],
    ['v=DKIM2; p=', 'Key record: where v= is said it must be first, and DKIM1.'],
    ['v=DKIM1', 'Key record: there is no p= (public key).'],
    ['p=QUJ', 'Key record: p= is no base64.'],
  ])('of a record that is %j', (value, says) => {
    expect(refusal(() => parseKeyRecord(value))).toBe(says);
  });

  it('of a key or a note that cannot be published', () => {
    expect(built('rsa2048', 'no')).toBe('A key record needs its public key in base64.');
    expect(built('ed25519', 'AAAA')).toBe(
      'The p= of an Ed25519 key is its 32 raw bytes: RFC 8463 section 4.',
    );
    expect(built('rsa2048', 'AAAA', '\x7f')).toBe('The note of a key record (n=) must be printable ASCII.');
    expect(built('rsa2048', 'AAAA', '\x1f')).toBe('The note of a key record (n=) must be printable ASCII.');
  });

  it.each([
    [31, false],
    [32, true],
    [33, false],
    [34, false],
  ])('an Ed25519 key of %i bytes is one: %s', (bytes, is) => {
    const publicKey = randomBytes(bytes).toString('base64');
    expect(built('ed25519', publicKey) === `v=DKIM1; k=ed25519; p=${publicKey}`).toBe(is);
  });

  it.each(['A===', 'AA=A', '=AAA', 'AAAA=', 'AAAAA', '====', 'AA.A', 'AAA\u0100', 'AAAA\n'])(
    '%j is no base64',
    (publicKey) => expect(built('rsa2048', publicKey)).toBe('A key record needs its public key in base64.'),
  );
  it.each(['AA==', 'AAA=', 'AAAA', 'a+/9', 'AAAABBB='])('%s is base64', (publicKey) =>
    expect(built('rsa2048', publicKey)).toBe(`v=DKIM1; k=rsa; p=${publicKey}`),
  );
});

describe('a note', () => {
  it.each([
    ['two words', 'two words'],
    [' both ends ', '=20both ends=20'],
    [' ', '=20'],
    ['', ''],
    ['a=b;c', 'a=3Db=3Bc'],
    ['!~', '!~'],
  ])('%j is written n=%s, and read back', (note, written) => {
    const value = buildKeyRecord({ algorithm: 'rsa2048', publicKey: 'AAAA', tags: { note } });
    expect(value).toBe(`v=DKIM1; n=${written}; k=rsa; p=AAAA`);
    expect(parseKeyRecord(value).note).toBe(note);
  });

  it.each([
    ['=3b=3B', ';;'],
    ['=4', '=4'],
    ['=4G', '=4G'],
    ['a=41b', 'aAb'],
  ])('n=%s is read as %s', (written, note) => {
    expect(parseKeyRecord(`n=${written}; p=`).note).toBe(note);
  });
});

describe('the zone form', () => {
  const where = { domain: 'example.com', selector: '240128' };
  const printed = (value: string): string => printKeyRecord({ ...where, value }, 'zone');
  const strings = (value: string): readonly number[] =>
    (parseZoneRecords(printed(value))[0]?.strings ?? []).map((string) => string.length);

  it('is that of opendkim-genkey', () => {
    expect(printed('v=DKIM1; k=rsa; p=AAAA')).toBe(
      '240128._domainkey\tIN\tTXT\t( "v=DKIM1; k=rsa; "\n\t  "p=AAAA" )  ; ----- DKIM key 240128 for example.com\n',
    );
    expect(printed('p=AAAA')).toBe(
      '240128._domainkey\tIN\tTXT\t( "p=AAAA" )  ; ----- DKIM key 240128 for example.com\n',
    );
  });

  it.each([
    [0, [18 - 2, 2]],
    [250, [16, 252]],
    [251, [16, 252, 1]],
    [500, [16, 252, 250]],
    [501, [16, 252, 250, 1]],
  ])('has %i characters of key in strings of %j', (length, lengths) => {
    expect(strings(`v=DKIM1; k=rsa; p=${'A'.repeat(length)}`)).toEqual(lengths);
  });

  it('gives p= a line of its own only where it is the last tag, and what stands before fits in a string', () => {
    const head = (length: number): string => `n=${'x'.repeat(length - 4)}; `;
    expect(strings(`${head(255)}p=AAAA`)).toEqual([255, 6]);
    expect(strings(`${head(256)}p=AAAA`)).toEqual([255, 7]);
    expect(strings('v=DKIM1; p=AAAA; n=x')).toEqual([20]);
    expect(strings('v=DKIM1;p=AAAA')).toEqual([14]);
    expect(strings('n=a\nb; p=AAAA')).toEqual([7, 6]);
  });
});
