// Key records and TXT text: what is printed is read back, whatever else comes is read as RFC 6376 §3.2 and RFC 1035 §5.1
// say or refused, and nothing takes longer than its length warrants.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Algorithm, algorithms } from '../../core/algorithm.ts';
import {
  buildKeyRecord,
  buildTombstone,
  type KeyRecord,
  parseKeyRecord,
  printKeyRecord,
} from '../../core/dkim/key-record.ts';
import { emptySignature, fillSignature } from '../../core/dkim/signature-header.ts';
import {
  type Dialect,
  parseDigShort,
  parseStrings,
  parseValue,
  parseZoneRecords,
  printStrings,
  printValue,
  splitValue,
} from '../../core/dkim/txt.ts';
import type { RecordTags } from '../../core/policy.ts';
import { outcomeOf, patience, runs, soon } from './settings.ts';

patience();

const octet = fc.oneof(
  fc.constantFrom(...'"\\ ;()@$\t\r\n\u0000\u007f\u0080\xff019a'),
  fc.nat(255).map((code) => String.fromCharCode(code)),
);
const octets = (maxLength: number) => fc.string({ unit: octet, maxLength });
const printable = (maxLength: number) =>
  fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code)), maxLength });
const base64 = (size: { readonly minLength?: number; readonly maxLength?: number }) =>
  fc.uint8Array(size).map((bytes) => Buffer.from(bytes).toString('base64'));
/** FWS of RFC 6376 §2.8, and what else other verifiers pass over. */
const white = fc
  .array(fc.constantFrom(' ', '\t', '\r\n ', '\r\n', '  '), { maxLength: 3 })
  .map((parts) => parts.join(''));

const tags: fc.Arbitrary<RecordTags> = fc.record(
  {
    hashes: fc.constant('sha256' as const),
    service: fc.constant('email' as const),
    strict: fc.constant(true as const),
    note: printable(40),
  },
  { requiredKeys: [] },
);
const key = fc.constantFrom(...(Object.keys(algorithms) as Algorithm[])).chain((algorithm) =>
  fc.record({
    algorithm: fc.constant(algorithm),
    publicKey: base64(
      algorithm === 'ed25519' ? { minLength: 32, maxLength: 32 } : { minLength: 1, maxLength: 550 },
    ),
    tags,
  }),
);

/** A record that says what was read. */
const rebuilt = (read: KeyRecord): string =>
  [
    'v=DKIM1',
    ...(read.note === undefined
      ? []
      : [
          `n=${read.note.replace(/[^!-:<>-~]/g, (c) => `=${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)}`,
        ]),
    ...(read.hashes === undefined ? [] : [`h=${read.hashes.join(':')}`]),
    `k=${read.keyType}`,
    ...(read.flags.length === 0 ? [] : [`t=${read.flags.join(':')}`]),
    `s=${read.services.join(':')}`,
    `p=${read.publicKey}`,
  ].join('; ');

describe('a key record', () => {
  it('that is built is read as it was meant, from each of its printed forms', () =>
    fc.assert(
      fc.property(key, (record) => {
        const value = buildKeyRecord(record);
        const { note, hashes, service, strict } = record.tags;
        expect(parseKeyRecord(value)).toEqual({
          keyType: algorithms[record.algorithm].keyType,
          publicKey: record.publicKey,
          hashes: hashes === undefined ? undefined : ['sha256'],
          services: [service ?? '*'],
          flags: strict === undefined ? [] : ['s'],
          note,
          revoked: false,
        });
        const named = { domain: 'example.com', selector: '240128', value };
        const [zone, ...others] = parseZoneRecords(printKeyRecord(named, 'zone'));
        expect(others).toEqual([]);
        expect(zone?.strings.join('')).toBe(value);
        expect(zone?.strings.every((string) => string.length <= 255)).toBe(true);
        expect(parseValue(printKeyRecord(named, 'route53'), 'route53')).toBe(value);
        expect(printKeyRecord(named, 'value')).toBe(value);
        expect(parseKeyRecord(buildTombstone(record.algorithm)).revoked).toBe(true);
      }),
      runs(800),
    ));

  const tagName = fc.oneof(
    fc.constantFrom('k', 'h', 's', 't', 'n', 'x', 'g', 'V'),
    fc.stringMatching(/^[A-Za-z]\w{0,5}$/),
  );
  const tagValue = fc.stringMatching(/^([!-:<-~]([ \t]?[!-:<-~]){0,8})?$/);
  it('with white space wherever RFC 6376 §3.2 lets it be says the same', () =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(tagName, tagValue), { maxLength: 4 }),
        base64({ maxLength: 40 }),
        fc.array(white, { minLength: 24, maxLength: 24 }),
        fc.boolean(),
        (others, publicKey, spaces, hasVersion) => {
          let at = 0;
          const gap = (): string => spaces[at++ % spaces.length] ?? '';
          const kept = others.filter(([name]) => name !== 'p' && name !== 'v');
          const all: [string, string][] = [
            ...(hasVersion ? [['v', 'DKIM1'] as [string, string]] : []),
            ...kept,
            // FWS may stand inside of base64: §2.10.
            ['p', publicKey.replace(/.{7}/g, (part) => part + gap())],
          ];
          const spaced = all
            .map(([name, value]) => `${gap()}${name}${gap()}=${gap()}${value}${gap()}`)
            .join(';');
          const plain = [...kept.map(([name, value]) => `${name}=${value}`), `p=${publicKey}`].join(';');
          const outcome = outcomeOf(() => parseKeyRecord(spaced), 'invalid');
          const isTwice = new Set(kept.map(([name]) => name)).size < kept.length;
          if (isTwice) expect('refusal' in outcome && outcome.refusal.message).toMatch(/said twice/);
          else expect(outcome).toEqual({ value: parseKeyRecord(plain) });
        },
      ),
      runs(1_500),
    ));

  it('that is any text is read, and then says the same when it is built again, or is refused', () => {
    let read = 0;
    const part = fc.oneof(
      fc.constantFrom(
        'v=DKIM1',
        'k=rsa',
        'p=',
        'p=QUJD',
        's=email:*',
        't=y:s',
        'h=sha256',
        'n=a=20b',
        '',
        ' ',
        '__proto__=1',
        'p',
      ),
      octets(12),
      fc.tuple(tagName, tagValue).map(([name, value]) => `${name}=${value}`),
    );
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 6 }),
        fc.constantFrom('; ', ';', ' ;\t', ';;'),
        (parts, separator) => {
          const outcome = outcomeOf(() => parseKeyRecord(parts.join(separator)), 'invalid');
          if ('refusal' in outcome) {
            expect(outcome.refusal.message).toMatch(/^Key record: [\x20-\x7e]+\.$/);
            return;
          }
          read += 1;
          expect(parseKeyRecord(rebuilt(outcome.value))).toEqual(outcome.value);
        },
      ),
      runs(4_000),
    );
    expect(read).toBeGreaterThan(50);
  });
});

describe('TXT text', () => {
  const strings = fc.array(octets(255), { minLength: 1, maxLength: 4 });
  const dialects: readonly Dialect[] = ['route53', 'zone'];

  it.each(dialects)('of any octets is read as it was printed, in the %s dialect', (dialect) =>
    fc.assert(
      fc.property(strings, octets(1_200), (several, value) => {
        const text = printStrings(several, dialect);
        expect(text).toMatch(/^[\x20-\x7e]+$/);
        expect(parseStrings(text, dialect)).toEqual(several);
        // Route 53 may list strings without the space between them.
        const close = several.map((string) => printStrings([string], dialect)).join('');
        expect(parseStrings(close, dialect)).toEqual(several);
        expect(parseValue(printValue(value, dialect), dialect)).toBe(value);
        expect(splitValue(value).join('')).toBe(value);
        expect(
          splitValue(value)
            .slice(0, -1)
            .every((part) => part.length === 255),
        ).toBe(true);
      }),
      runs(400),
    ),
  );

  it('of a zone file and of dig is read as it was printed', () =>
    fc.assert(
      fc.property(fc.array(strings, { minLength: 1, maxLength: 3 }), white, (records, gap) => {
        const file = records
          .map(
            (one, i) =>
              `n${i}${gap.replace(/[\r\n]/g, '')} 60 IN TXT ( ${printStrings(one, 'zone')} ) ; "(\n`,
          )
          .join('');
        expect(parseZoneRecords(file).map((record) => record.strings)).toEqual(records);
        const short = records.map((one) => `${printStrings(one, 'zone')}\n`).join('');
        expect(parseDigShort(short)).toEqual(records.map((one) => one.join('')));
      }),
      runs(300),
    ));

  it.each(dialects)('with any escapes that mean the same octets is the same, in the %s dialect', (dialect) =>
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(255), fc.nat(2)), { maxLength: 60 }), (codes) => {
        const text = codes.map(([code, how]) => {
          const digits = `\\${code.toString(dialect === 'zone' ? 10 : 8).padStart(3, '0')}`;
          const char = String.fromCharCode(code);
          if (how === 0 || code < 32 || code > 126) return digits;
          if (how === 1 && !/\d/.test(char)) return `\\${char}`;
          return char === '"' || char === '\\' ? digits : char;
        });
        expect(parseValue(`"${text.join('')}"`, dialect)).toBe(
          codes.map(([code]) => String.fromCharCode(code)).join(''),
        );
      }),
      runs(600),
    ),
  );

  it('that is any text is read or refused with its place', () => {
    let read = 0;
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'"" \\\\01289;()\n\tax$INTXé'), maxLength: 40 }),
      octets(60),
      fc
        .array(
          fc.constantFrom(
            'n0',
            '60',
            'IN',
            'TXT',
            '"a"',
            '"b;("',
            '(',
            ')',
            ';x',
            '\n',
            ' ',
            '\\065',
            '1h',
            'A',
            '$TTL',
          ),
          { maxLength: 12 },
        )
        .map((parts) => parts.join(' ')),
    );
    fc.assert(
      fc.property(text, (one) => {
        const readings: readonly (() => unknown)[] = [
          () => parseZoneRecords(one),
          () => parseDigShort(one),
          () => parseStrings(one, 'route53'),
          () => parseStrings(one, 'zone'),
        ];
        for (const parse of readings) {
          const outcome = outcomeOf(parse, 'invalid');
          if ('value' in outcome) read += 1;
          else
            expect(outcome.refusal.message).toMatch(
              /^(TXT data, (line \d+, column|character) \d+: |There is no TXT string here)/,
            );
        }
      }),
      runs(3_000),
    );
    expect(read).toBeGreaterThan(300);
  });
});

describe('a signature field', () => {
  const label = fc.stringMatching(/^[a-z0-9]{1,20}$/);
  it('of any tags keeps its lines short, and unfolded says each tag', () =>
    fc.assert(
      fc.property(
        fc.record({
          algorithm: fc.constantFrom('rsa-sha256', 'ed25519-sha256'),
          canonicalization: fc.constantFrom('relaxed/relaxed', 'relaxed/simple'),
          domain: fc.array(label, { minLength: 2, maxLength: 8 }).map((labels) => labels.join('.')),
          selector: label,
          time: fc.nat(),
          headers: fc.array(fc.stringMatching(/^[A-Z][A-Za-z-]{0,30}$/), { minLength: 1, maxLength: 40 }),
          bodyHash: base64({ minLength: 32, maxLength: 32 }),
        }),
        base64({ minLength: 64, maxLength: 512 }),
        (said, signature) => {
          const value = fillSignature(emptySignature(said), signature);
          const lines = `DKIM-Signature:${value}`.split('\r\n');
          const longest = Math.max(78, said.domain.length + ' d=;'.length + 1);
          for (const line of lines) expect(line.length).toBeLessThanOrEqual(longest);
          for (const line of lines.slice(1)) expect(line).toMatch(/^\t[^\s]/);
          // RFC 6376 §3.2: FWS counts for nothing around tags, in base64 and between the names of h=.
          const found = value
            .replace(/\s+/g, '')
            .split(';')
            .map((tag) => [tag.slice(0, tag.indexOf('=')), tag.slice(tag.indexOf('=') + 1)]);
          expect(found).toEqual([
            ['v', '1'],
            ['a', said.algorithm],
            ['c', said.canonicalization],
            ['d', said.domain],
            ['s', said.selector],
            ['t', String(said.time)],
            ['h', said.headers.join(':')],
            ['bh', said.bodyHash],
            ['b', signature],
          ]);
        },
      ),
      runs(600),
    ));
});

describe('text of 64 KB and more', () => {
  const size = 131_072;
  const units = [
    ' ',
    '\t',
    '\r\n ',
    ';',
    '; ',
    '=',
    'p=',
    'a',
    'a=;',
    ':',
    '"',
    '\\',
    '""',
    '"" ',
    '(',
    ')',
    '(\n',
    '\n',
    '1',
    '1w',
    '\\1',
    ' 1w',
    'TXT ',
    '$',
    'x\n',
    '=20',
    'é',
  ];
  const frames: readonly [string, string][] = [
    ['', ''],
    ['v=DKIM1; p=', ''],
    ['v=DKIM1; n=a', 'b; p='],
    ['"', '"'],
    ['a 60 IN TXT ', '"x"'],
    ['a ', '! TXT "x"'],
    ['a IN TXT ( ', ')'],
  ];
  it.each(units)('full of %j is judged at once', (unit) => {
    for (const [before, after] of frames) {
      const text = before + unit.repeat(Math.ceil(size / unit.length)) + after;
      soon(() => outcomeOf(() => parseKeyRecord(text), 'invalid'));
      soon(() => outcomeOf(() => parseZoneRecords(text), 'invalid'));
      soon(() => outcomeOf(() => parseDigShort(text), 'invalid'));
      soon(() => outcomeOf(() => parseStrings(text, 'route53'), 'invalid'));
      soon(() =>
        outcomeOf(() => printKeyRecord({ domain: 'a', selector: 'b', value: text }, 'zone'), 'invalid'),
      );
    }
  });
  it.each(['1', '12', '1w', '1w2', '0', '1W1d'])(
    'with 255 octets of %j where a TTL could be is judged at once',
    (unit) => {
      for (const end of ['', '!', 'w', 'x'])
        soon(() =>
          outcomeOf(
            () => parseZoneRecords(`a ${unit.repeat(254).slice(0, 254)}${end} IN TXT "x"`),
            'invalid',
          ),
        );
    },
  );
});
