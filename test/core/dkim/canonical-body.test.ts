import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BodyCanonicalization, canonicalBody } from '../../../core/dkim/canonical-body.ts';

const canonical = (kind: BodyCanonicalization, ...chunks: readonly Uint8Array[]): string => {
  let out = '';
  const body = canonicalBody(kind, (bytes) => {
    out += Buffer.from(bytes).toString('latin1');
  });
  for (const chunk of chunks) body.write(chunk);
  body.end();
  return out;
};
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** The rules in the words of RFC 6376, for a whole body at once. */
const reference = {
  simple: (text: string): string => `${text.replace(/(\r\n)+$/, '')}\r\n`,
  relaxed: (text: string): string => {
    const lines = text.split('\r\n').map((line) => line.replace(/[ \t]+$/, '').replace(/[ \t]+/g, ' '));
    while (lines.at(-1) === '') lines.pop();
    return lines.map((line) => `${line}\r\n`).join('');
  },
};

describe.each<[string, string, string, string]>([
  ['RFC 6376 §3.4.5', ' C \r\nD \t E\r\n\r\n\r\n', ' C \r\nD \t E\r\n', ' C\r\nD E\r\n'],
  ['empty: §3.4.3, §3.4.4', '', '\r\n', ''],
  ['one empty line', '\r\n', '\r\n', ''],
  ['empty lines only', '\r\n\r\n\r\n', '\r\n', ''],
  ['lines of white space only', ' \r\n\t\r\n', ' \r\n\t\r\n', ''],
  ['a last line without CRLF', 'a', 'a\r\n', 'a\r\n'],
  ['white space at the end, without CRLF', 'a ', 'a \r\n', 'a\r\n'],
  ['white space alone, without CRLF', ' ', ' \r\n', ''],
  [
    'empty lines before and between',
    '\r\n\r\na\r\n\r\nb\r\n',
    '\r\n\r\na\r\n\r\nb\r\n',
    '\r\n\r\na\r\n\r\nb\r\n',
  ],
  ['an indented line', 'a\r\n  b\r\n', 'a\r\n  b\r\n', 'a\r\n b\r\n'],
  ['a bare CR is content', 'a\rb\r\r\n\r', 'a\rb\r\r\n\r\r\n', 'a\rb\r\r\n\r\r\n'],
  ['a bare LF is content', 'a \n\nb\n', 'a \n\nb\n\r\n', 'a \n\nb\n\r\n'],
  ['LF CR is no line end', 'a\n\r', 'a\n\r\r\n', 'a\n\r\r\n'],
  ['8-bit bytes and NUL', '\xff\x00\xa0 \r\n', '\xff\x00\xa0 \r\n', '\xff\x00\xa0\r\n'],
  ['a dot is a dot', '.\r\n', '.\r\n', '.\r\n'],
])('canonical body: %s', (_, body, simple, relaxed) => {
  it('simple', () => expect(canonical('simple', bytes(body))).toBe(simple));
  it('relaxed', () => expect(canonical('relaxed', bytes(body))).toBe(relaxed));
  it('the same for every cut, also into single bytes', () => {
    for (const kind of ['simple', 'relaxed'] as const) {
      const whole = canonical(kind, bytes(body));
      for (let at = 0; at <= body.length; at += 1)
        expect(canonical(kind, bytes(body.slice(0, at)), bytes(body.slice(at)))).toBe(whole);
      expect(canonical(kind, ...[...body].map(bytes))).toBe(whole);
    }
  });
});

describe('canonical body, any bytes in any chunks', () => {
  const piece = fc.constantFrom(
    '\r\n',
    '\r\n',
    ' ',
    '\t',
    '\r',
    '\n',
    'a',
    'word',
    'x y',
    '\x00\xff',
    'l'.repeat(1500),
  );
  it.each(['simple', 'relaxed'] as const)('%s is what the whole body gives', (kind) => {
    fc.assert(
      fc.property(fc.array(fc.array(piece, { maxLength: 12 }), { maxLength: 6 }), (chunks) => {
        const texts = chunks.map((chunk) => chunk.join(''));
        expect(canonical(kind, ...texts.map(bytes))).toBe(reference[kind](texts.join('')));
      }),
      { seed: 6376, numRuns: 3000 },
    );
  });
  it.each([
    '  ',
    '\t',
    ' \r\n',
    '\r\n',
    '\r\n\r\n',
    '\r\n\r\n\r\n',
    '\r\n\r\n ',
    '\r',
    '\n',
    '\x80\xff\x00',
    ' \xa0',
  ])('relaxed: %j anywhere among long runs, wherever the chunk lies in its buffer', (special) => {
    for (let offset = 0; offset < 5; offset += 1)
      for (let before = 0; before < 40; before += 1) {
        const text = `${'x'.repeat(before)}${special}${'\xe9'.repeat(37)}${special}${'~'.repeat(30)}`;
        const buffer = new Uint8Array(offset + text.length);
        buffer.set(bytes(text), offset);
        expect(canonical('relaxed', buffer.subarray(offset))).toBe(reference.relaxed(text));
      }
  });
  it('holds counts, not bytes: a megabyte of empty lines gives no output until content comes', () => {
    let emitted = 0;
    const body = canonicalBody('relaxed', (out) => {
      emitted += out.length;
    });
    body.write(bytes('\r\n'.repeat(1 << 19)));
    expect(emitted).toBe(0);
    body.write(bytes('x'));
    expect(emitted).toBe((1 << 20) + 1);
  });
});

describe('what is given out', () => {
  const emitted = (kind: BodyCanonicalization, ...chunks: readonly Uint8Array[]) => {
    const lengths: number[] = [];
    let views = 0;
    const body = canonicalBody(kind, (out) => {
      lengths.push(out.length);
      if (chunks.some((chunk) => chunk.buffer === out.buffer)) views += out.length;
    });
    for (const chunk of chunks) body.write(chunk);
    body.end();
    return { lengths, views };
  };
  const apart = (text: string): Uint8Array => new TextEncoder().encode(text);

  it.each(['simple', 'relaxed'] as const)(
    '%s: an empty chunk changes nothing, not even between CR and LF',
    (kind) => {
      const [a, b] = [bytes('a\r'), bytes('\n')];
      expect(canonical(kind, bytes(''), a, bytes(''), b, bytes(''))).toBe('a\r\n');
    },
  );

  it.each(['simple', 'relaxed'] as const)('%s: never nothing', (kind) => {
    for (const text of ['', 'a', ' \r\n', 'a\r\n\r\n', 'a  b\r', '\r\r\n\n'])
      for (let at = 0; at <= text.length; at += 1)
        expect(emitted(kind, apart(text.slice(0, at)), apart(text.slice(at))).lengths).not.toContain(0);
  });

  it('long ranges are views of the chunk; short ones are gathered, 4,096 bytes at a time', () => {
    const long = emitted('relaxed', apart(`${'x'.repeat(1_024)}  ${'y'.repeat(2_000)}\r\n \r\nz`));
    expect(long.views).toBe(1_024 + 2_002);
    const short = emitted('relaxed', apart('a  b\r\n'.repeat(2_000)));
    expect(short.lengths.slice(0, 2).every((length) => length > 4_000 && length <= 4_096)).toBe(true);
    expect(short.lengths.length).toBeLessThanOrEqual(4);
  });
});
