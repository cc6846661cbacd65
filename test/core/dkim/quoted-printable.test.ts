import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dkimQuotedPrintable } from '../../../core/dkim/quoted-printable.ts';

const encode = (text: string): string => dkimQuotedPrintable(Buffer.from(text));

describe('dkim-quoted-printable (RFC 6376 §2.11)', () => {
  it.each([
    ['', ''],
    ['jo.doe+x', 'jo.doe+x'],
    ['a;b=c', 'a=3Bb=3Dc'],
    ['"a b"', '"a=20b"'],
    ['!:<>~', '!:<>~'],
    ['j\u00f6', 'j=C3=B6'],
    ['a\tb\r\n\0\x7f', 'a=09b=0D=0A=00=7F'],
  ])('%j', (text, encoded) => expect(encode(text)).toBe(encoded));

  it('is safe in a tag list, and says the same octets', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const encoded = dkimQuotedPrintable(bytes);
        // RFC 6376 §2.11: dkim-safe-char and hex-octet, no white space.
        expect(encoded).toMatch(/^(?:=[0-9A-F]{2}|[!-:<>-~])*$/);
        const decoded = encoded.replace(/=([0-9A-F]{2})/g, (_, hex: string) =>
          String.fromCharCode(Number.parseInt(hex, 16)),
        );
        expect(Buffer.from(decoded, 'latin1')).toEqual(Buffer.from(bytes));
      }),
      { seed: 6376, numRuns: 1000 },
    ));
});
