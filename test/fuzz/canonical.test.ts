// Canonicalisation and the choice of header fields: RFC 6376 §3.4 and §5.4, against the RFC's own words in small and
// against mailauth's canonicaliser.
import { createHash, type Hash } from 'node:crypto';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BodyCanonicalization, canonicalBody } from '../../core/dkim/canonical-body.ts';
import {
  asciiBytes,
  canonicalHeader,
  canonicalName,
  type HeaderField,
} from '../../core/dkim/canonical-header.ts';
import { isSignedField, selectHeaders } from '../../core/dkim/header-selection.ts';
import { cutAt, eachByte, patience, runs, soon } from './settings.ts';

patience();

// mailauth has no types for what it does not export by name.
const require = createRequire(import.meta.url);
const { dkimBody } = require('mailauth/lib/dkim/body/index.js') as {
  dkimBody(kind: string): Pick<Hash, 'update'> & { digest(encoding: 'base64'): string };
};
const { formatRelaxedLine } = require('mailauth/lib/tools.js') as {
  formatRelaxedLine(line: string | Uint8Array, suffix?: string): Uint8Array;
};

const kinds: readonly BodyCanonicalization[] = ['simple', 'relaxed'];
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

const canonical = (kind: BodyCanonicalization, ...chunks: readonly Uint8Array[]): string => {
  let out = '';
  const body = canonicalBody(kind, (bytes) => {
    out += latin1(bytes);
  });
  for (const chunk of chunks) body.write(chunk);
  body.end();
  return out;
};

/** RFC 6376 §3.4.3 and §3.4.4, word for word. */
const asTheRfcSays = (kind: BodyCanonicalization, text: string): string => {
  if (kind === 'simple') return `${text.replace(/(\r\n)+$/, '')}\r\n`;
  const lines = text.split('\r\n').map((line) => line.replace(/[ \t]+$/, '').replace(/[ \t]+/g, ' '));
  const body = lines.join('\r\n').replace(/(\r\n)+$/, '');
  return body === '' ? '' : `${body}\r\n`;
};

const anyBody = fc
  .array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constantFrom(
          '\r\n',
          '\r',
          '\n',
          ' ',
          '\t',
          '\r\n\r\n',
          ' \r\n',
          'a',
          '\0',
          '\xff',
          '  ',
          'b c',
          '.\r\n',
        ),
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map(latin1) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.constantFrom('a', ' ', '\r\n', '\t', 'ab c\r\n'), fc.nat(1_500))
          .map(([unit, n]) => unit.repeat(n)),
      },
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));
const cuts = fc.array(fc.nat(), { maxLength: 10 });

/** Lines that end in CRLF, as on the wire: of bare CR and LF mailauth has another opinion. */
const wireBody = fc
  .array(
    fc.oneof(
      fc.constantFrom('', ' ', '\t ', 'a', 'a b', ' a  b ', '\xe9\t\xff', '--x'),
      fc.stringMatching(/^[ -~\t]{0,90}$/),
    ),
    { maxLength: 20 },
  )
  .chain((lines) => fc.constantFrom('', '\r\n', '\r\n\r\n').map((end) => lines.join('\r\n') + end));

describe.each(kinds)('a body, %s', (kind) => {
  it('is as the RFC says, however it is cut', () =>
    fc.assert(
      fc.property(anyBody, cuts, (text, at) => {
        const bytes = bytesOf(text);
        const expected = asTheRfcSays(kind, text);
        expect(canonical(kind, bytes)).toBe(expected);
        expect(canonical(kind, ...cutAt(bytes, at))).toBe(expected);
        if (bytes.length < 300) expect(canonical(kind, ...eachByte(bytes))).toBe(expected);
      }),
      runs(1_200),
    ));

  it('that is canonical stays as it is', () =>
    fc.assert(
      fc.property(anyBody, (text) => {
        const once = canonical(kind, bytesOf(text));
        expect(canonical(kind, bytesOf(once))).toBe(once);
      }),
      runs(500),
    ));

  it("has the hash that mailauth's has", () =>
    fc.assert(
      fc.property(wireBody, cuts, (text, at) => {
        const hash = createHash('sha256');
        const body = canonicalBody(kind, (bytes) => hash.update(bytes));
        for (const chunk of cutAt(bytesOf(text), at)) body.write(chunk);
        body.end();
        const oracle = dkimBody(kind);
        oracle.update(Buffer.from(text, 'latin1'));
        expect(hash.digest('base64')).toBe(oracle.digest('base64'));
      }),
      runs(1_000),
    ));

  it.each([' ', '\t', '\r', '\n', '\r\n', ' \r\n', 'a', 'a ', '\r\n ', ' \t'])(
    'of a megabyte of %j takes no longer than its length',
    (unit) => {
      const bytes = bytesOf(unit.repeat(Math.ceil(1_000_000 / unit.length)));
      const consume = (...chunks: readonly Uint8Array[]): void => {
        let length = 0;
        const body = canonicalBody(kind, (out) => {
          length += out.length;
        });
        for (const chunk of chunks) body.write(chunk);
        body.end();
        expect(length).toBeLessThanOrEqual(bytes.length + 2);
      };
      soon(() => consume(bytes));
      soon(() =>
        consume(
          ...cutAt(
            bytes,
            Array.from({ length: 1_000 }, (_, i) => i * 997),
          ),
        ),
      );
    },
  );
});

const fieldName = fc.oneof(
  fc.constantFrom(
    'From',
    'from ',
    'FROM\t',
    'Subject',
    'To',
    'Cc',
    'Received',
    'DKIM-Signature',
    'List-Id',
    'X-Other',
    'resent-to',
    'message-id',
  ),
  fc.stringMatching(/^[!-9;-~]{1,12}$/),
);
const fieldValue = fc
  .array(fc.constantFrom(' ', '\t', '\r\n ', '\r\n\t', 'a', 'b:c', '\xe9', '=?utf-8?q?x?=', '  '), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''));
const field = fc
  .tuple(fieldName, fieldValue)
  .map(([name, value]): HeaderField => ({ name, value: bytesOf(value) }));

describe('a header field', () => {
  it('relaxed is as the RFC says, stays as it is, and is as mailauth has it; simple is untouched', () =>
    fc.assert(
      fc.property(field, (one) => {
        const value = latin1(one.value);
        const relaxed = latin1(canonicalHeader(one, 'relaxed'));
        // RFC 6376 §3.4.2
        const unfolded = value
          .replace(/\r\n/g, '')
          .replace(/[ \t]+/g, ' ')
          .replace(/^ | $/g, '');
        expect(relaxed).toBe(`${one.name.toLowerCase().replace(/[ \t]+$/, '')}:${unfolded}`);
        const colon = relaxed.indexOf(':');
        const again = { name: relaxed.slice(0, colon), value: bytesOf(relaxed.slice(colon + 1)) };
        expect(latin1(canonicalHeader(again, 'relaxed'))).toBe(relaxed);
        expect(latin1(canonicalHeader(one, 'simple'))).toBe(`${one.name}:${value}`);
        expect(latin1(formatRelaxedLine(Buffer.from(`${one.name}:${value}`, 'latin1')))).toBe(relaxed);
      }),
      runs(2_500),
    ));
});

describe('the choice of header fields', () => {
  it('takes every field that is worth signing from the bottom up, and says From once more: §5.4.2', () =>
    fc.assert(
      fc.property(fc.array(field, { maxLength: 14 }), (fields) => {
        const { names, fields: chosen } = selectHeaders(fields);
        expect(new Set(chosen)).toEqual(new Set(fields.filter(({ name }) => isSignedField(name))));
        expect(chosen).toHaveLength(fields.filter(({ name }) => isSignedField(name)).length);
        expect(names.filter((name) => name === 'From')).toHaveLength(
          chosen.filter(({ name }) => canonicalName(name) === 'from').length + 1,
        );
        // A verifier's own walk: each name takes the next instance from the bottom, or none.
        const left = [...fields];
        const found = names.flatMap((name) => {
          const at = left.findLastIndex((one) => canonicalName(one.name) === canonicalName(name));
          return at < 0 ? [] : left.splice(at, 1);
        });
        expect(found).toEqual(chosen);
        expect(selectHeaders(fields.filter(({ name }) => isSignedField(name)))).toEqual({
          names,
          fields: chosen,
        });
      }),
      runs(1_500),
    ));

  it('is made at once, however many fields there are', () => {
    const many = Array.from(
      { length: 100_000 },
      (_, i): HeaderField => ({ name: i % 2 === 0 ? 'To' : 'Received', value: asciiBytes(' x') }),
    );
    expect(soon(() => selectHeaders(many)).fields).toHaveLength(50_000);
  });
});
