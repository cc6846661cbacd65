// Message bodies to measure with: what mail looks like, and what is slow for somebody. From fixed numbers, the same each
// time. Makes bytes only.

const crlf = '\r\n';
const encoder = new TextEncoder();

/** Numbers from 0 to 1 (mulberry32): good enough for looks. */
const numbers = (seed: number) => {
  let state = seed;
  return (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** Lines of `make`, in all exactly `size` bytes: the last one is cut and ends with CRLF. */
const lines = (size: number, make: (random: () => number) => string): Uint8Array => {
  const random = numbers(size);
  const parts: string[] = [];
  for (let length = 0; length < size; ) {
    const line = make(random) + crlf;
    parts.push(line);
    length += line.length;
  }
  return encoder.encode(`${parts.join('').slice(0, Math.max(0, size - 2))}${crlf}`.slice(-size));
};

const pick = (alphabet: string, random: () => number): string =>
  alphabet[Math.floor(random() * alphabet.length)] ?? '';
const repeat = (n: number, make: () => string): string => Array.from({ length: n }, make).join('');

const letters = 'abcdefghijklmnopqrstuvwxyz';
const base64Letters = `${letters.toUpperCase()}${letters}0123456789+/`;
const word = (random: () => number): string =>
  repeat(1 + Math.floor(random() * 9), () => pick(letters, random));

const textLine = (random: () => number): string => {
  if (random() < 0.12) return '';
  let line = word(random);
  while (line.length < 64) line += ` ${word(random)}`;
  return line;
};
const base64Line = (random: () => number): string => repeat(76, () => pick(base64Letters, random));
const quotedPrintableLine = (random: () => number): string => {
  let line = '';
  while (line.length < 70) line += random() < 0.15 ? `${word(random)}=C3=A9 ` : `${word(random)} `;
  return `${line.trimEnd()}=`;
};
/** Indented, as generated HTML is. */
const htmlLine = (random: () => number): string =>
  `${' '.repeat(2 * Math.floor(random() * 12))}<td class="${word(random)}">${word(random)} ${word(random)}</td>`;

/** Kinds of body by name, each made of a size in bytes. */
export const bodies: Readonly<Record<string, (size: number) => Uint8Array>> = {
  text: (size) => lines(size, textLine),
  base64: (size) => lines(size, base64Line),
  'quoted-printable': (size) => lines(size, quotedPrintableLine),
  'indented HTML': (size) => lines(size, htmlLine),
  'many spaces': (size) => lines(size, (random) => repeat(12, () => `${word(random)}  \t `)),
  'words of one letter': (size) => lines(size, (random) => repeat(36, () => `${pick(letters, random)} `)),
  'tabs and spaces only': (size) => lines(size, (random) => repeat(70, () => pick(' \t', random))),
  'empty lines': (size) => lines(size, () => ''),
  'short lines': (size) => lines(size, (random) => pick(letters, random)),
  'line feeds only': (size) => new Uint8Array(size).fill(10),
  'carriage returns only': (size) => new Uint8Array(size).fill(13),
  'one long line': (size) => new Uint8Array(size).fill(97),
  'any bytes': (size) => {
    const random = numbers(size);
    return Uint8Array.from({ length: size }, () => Math.floor(random() * 256));
  },
};

/**
 * A body as mail has it: a text part, the same in quoted-printable, and attachments in base64, whose share grows with the
 * size: 10 KB is mostly text, 1 MB mostly an attachment.
 */
export const mailBody = (size: number): Uint8Array => {
  const text = Math.min(Math.ceil(size * 0.5), 40_000);
  const quoted = Math.min(Math.ceil(size * 0.2), 20_000);
  return Buffer.concat([
    lines(text, textLine),
    lines(quoted, quotedPrintableLine),
    lines(size - text - quoted, base64Line),
  ]);
};
