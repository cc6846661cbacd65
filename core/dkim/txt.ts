// TXT records between their three shapes: the joined value that DKIM reads (RFC 6376 §3.6.2.2), the character-strings of
// at most 255 octets that DNS carries (RFC 1035 §3.3), and the quoted text that Route 53, BIND, opendkim-genkey and dig
// write. Pure. Everywhere here a string is octets: each char stands for one octet, code 0 to 255.

import { SelkieError } from '../errors.ts';
import { type Duration, seconds } from '../time.ts';

/**
 * How octets are escaped in quoted text; the two read the same digits differently (`\101` is `A` or `e`).
 * `route53`: `\ooo` octal, for 0–32 and 127–255 as the Route 53 developer guide says ("TXT record type"); its own examples
 * keep the plain space, and so do we. `zone`: `\DDD` decimal (RFC 1035 §5.1), with parentheses and `;` comments outside of quotes.
 */
export type Dialect = 'route53' | 'zone';

/** RFC 1035 §3.3: one length octet. */
const longestString = 255;

/** `value` as character-strings, each full but the last; the empty value is one empty string. */
export const splitValue = (value: string): string[] => {
  const strings: string[] = [];
  for (let at = 0; at < value.length; at += longestString) strings.push(value.slice(at, at + longestString));
  return strings.length === 0 ? [''] : strings;
};

/** `value` cut at 255 octets and printed. Canonical: equal values give equal text. @throws invalid */
export const printValue = (value: string, dialect: Dialect): string =>
  printStrings(splitValue(value), dialect);

/** Each string quoted, one space between. @throws invalid where a string is too long, or not octets */
export const printStrings = (strings: readonly string[], dialect: Dialect): string => {
  if (strings.length === 0) throw new SelkieError('invalid', 'A TXT record needs at least one string.');
  return strings.map((string) => quote(string, dialect)).join(' ');
};

const quote = (string: string, dialect: Dialect): string => {
  if (string.length > longestString)
    throw new SelkieError('invalid', `A TXT string of ${string.length} octets is over the limit of 255.`);
  let text = '"';
  for (let at = 0; at < string.length; at += 1) {
    const code = string.charCodeAt(at);
    if (code > 255)
      throw new SelkieError(
        'invalid',
        `Octet ${at + 1} of a TXT string is a character beyond 255: encode it.`,
      );
    if (code === 0x22 || code === 0x5c) text += `\\${string.charAt(at)}`;
    else if (code >= 32 && code < 127) text += string.charAt(at);
    else text += `\\${code.toString(dialect === 'route53' ? 8 : 10).padStart(3, '0')}`;
  }
  return `${text}"`;
};

/**
 * The strings of one record's data: quoted, with or without a space between (`"a" "b"`, `"a""b"`), or unquoted.
 * In the `zone` dialect also in parentheses over several lines, with comments, and several unquoted strings.
 * @throws invalid, naming the position; also where there is no string, or a second record
 */
export const parseStrings = (text: string, dialect: Dialect): string[] => {
  const [first, second] = entries(text, dialect);
  if (first === undefined) throw new SelkieError('invalid', 'There is no TXT string here.');
  const next = second?.at(0);
  if (next !== undefined) throw bad(text, next.at, 'a second record begins; give one record');
  const unquoted = first.find((token) => !token.quoted);
  if (dialect === 'route53' && unquoted !== undefined && first.length > 1)
    throw bad(text, unquoted.at, 'a string without quotes stands beside others; quote each with "…"');
  return first.map((token) => token.octets);
};

/** The joined value of one record's data. @throws invalid, as `parseStrings` */
export const parseValue = (text: string, dialect: Dialect): string => parseStrings(text, dialect).join('');

/** The joined values in what `dig +short TXT` prints: a record on each line. @throws invalid, naming the position */
export const parseDigShort = (text: string): string[] =>
  entries(text, 'zone').map((tokens) => tokens.map((token) => token.octets).join(''));

export interface ZoneRecord {
  /** As written: relative to the zone unless it ends in a dot. */
  readonly owner: string;
  readonly ttl?: Duration;
  readonly strings: readonly string[];
}

/**
 * The TXT records in zone-file text: opendkim-genkey's `.txt` file, `dig`'s answer section, a BIND zone file's lines.
 * Records of other types are passed over.
 * @throws invalid, naming the position; also at a `$` directive, since names would mean something else behind it
 */
export const parseZoneRecords = (text: string): ZoneRecord[] => {
  const records: ZoneRecord[] = [];
  let owner: string | undefined;
  for (const tokens of entries(text, 'zone')) {
    const start = tokens.at(0);
    if (start === undefined) continue;
    if (!start.quoted && start.octets.startsWith('$'))
      throw bad(text, start.at, `the directive ${start.octets} is not read here; give the records alone`);
    // RFC 1035 §5.1: a line that begins with a blank goes on with the last owner.
    if (!start.indented) owner = start.octets;
    // By number: taking from the front would move all others each time.
    let at = start.indented ? 0 : 1;
    let ttl: Duration | undefined;
    let type: Token | undefined;
    for (; at < tokens.length && type === undefined; at += 1) {
      const token = tokens[at];
      if (token === undefined) break;
      if (ttlForm.test(token.octets)) {
        ttl = parseTtl(token.octets);
        if (ttl > longestTtl)
          throw bad(
            text,
            token.at,
            `the TTL ${token.octets} is too long; ${longestTtl / seconds(1)} seconds are the most`,
          );
      } else if (!/^(in|ch|hs)$/i.test(token.octets)) type = token;
    }
    if (type === undefined || type.quoted) throw bad(text, (type ?? start).at, 'the record has no type');
    if (type.octets.toUpperCase() !== 'TXT') continue;
    if (owner === undefined) throw bad(text, start.at, 'the record has no owner name');
    if (at === tokens.length) throw bad(text, type.at, 'the TXT record has no string');
    records.push({
      owner,
      ...(ttl === undefined ? {} : { ttl }),
      strings: tokens.slice(at).map((token) => token.octets),
    });
  }
  return records;
};

const unitSeconds: Readonly<Record<string, number>> = { w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1, '': 1 };

/** RFC 2181 §8. */
const longestTtl = seconds(2 ** 31 - 1);

/** Every number but the last has its letter: a pattern in which digits could be cut in many ways would try them all. */
const ttlForm = /^(?:\d+[wdhms])*(?:\d+[wdhms]?)$/i;

/** Seconds, or BIND's `1h30m`. */
const parseTtl = (text: string): Duration =>
  seconds(
    [...text.toLowerCase().matchAll(/(\d+)([wdhms]?)/g)].reduce(
      (sum, [, count, unit]) => sum + Number(count) * (unitSeconds[unit ?? ''] ?? 1),
      0,
    ),
  );

interface Token {
  readonly octets: string;
  readonly quoted: boolean;
  /** Offset in the text. */
  readonly at: number;
  /** Its line began with a blank. */
  readonly indented: boolean;
}

/** Records as lists of tokens: a record ends with its line, unless parentheses are open. */
const entries = (text: string, dialect: Dialect): Token[][] => {
  const found: Token[][] = [];
  let tokens: Token[] = [];
  const open: number[] = [];
  const isZone = dialect === 'zone';
  let at = 0;
  let lineStart = 0;
  const end = (): void => {
    if (tokens.length > 0) found.push(tokens);
    tokens = [];
  };
  while (at < text.length) {
    const c = text.charAt(at);
    if (c === '\n') {
      at += 1;
      lineStart = at;
      if (open.length === 0) end();
    } else if (c === ' ' || c === '\t' || c === '\r') at += 1;
    else if (isZone && c === ';') {
      while (at < text.length && text.charAt(at) !== '\n') at += 1;
    } else if (isZone && c === '(') open.push(at++);
    else if (isZone && c === ')') {
      if (open.pop() === undefined) throw bad(text, at, 'a ")" closes no "("');
      at += 1;
    } else {
      const token = readToken(text, at, dialect);
      tokens.push({
        octets: token.octets,
        quoted: c === '"',
        at,
        indented: /^[ \t]/.test(text.slice(lineStart, lineStart + 1)),
      });
      at = token.next;
    }
  }
  const unclosed = open.at(0);
  if (unclosed !== undefined) throw bad(text, unclosed, 'the "(" is never closed');
  end();
  return found;
};

const readToken = (text: string, start: number, dialect: Dialect): { octets: string; next: number } => {
  const quoted = text.charAt(start) === '"';
  const stops = dialect === 'zone' ? ' \t\r\n;()' : ' \t\r\n';
  let at = quoted ? start + 1 : start;
  let octets = '';
  for (;;) {
    const c = text.charAt(at);
    if (quoted && (c === '' || c === '\n' || c === '\r'))
      throw bad(text, start, 'the quote is not closed on its line');
    if (quoted && c === '"') {
      at += 1;
      break;
    }
    if (!quoted && (c === '' || stops.includes(c))) break;
    if (c === '"') throw bad(text, at, 'a quote in the middle of an unquoted string; write \\"');
    if (c === '\\') {
      const escaped = readEscape(text, at, dialect);
      octets += escaped.octet;
      at = escaped.next;
      continue;
    }
    const code = c.charCodeAt(0);
    if (code > 126 || (code < 32 && c !== '\t'))
      throw bad(text, at, `a raw character with code ${code}; write its octets as escapes`);
    octets += c;
    at += 1;
  }
  if (octets.length > longestString)
    throw bad(text, start, `a string of ${octets.length} octets is over the limit of 255; cut it in several`);
  const behind = text.charAt(at);
  if (quoted && behind !== '' && behind !== '"' && !stops.includes(behind))
    throw bad(text, at, 'text follows a closing quote without a space');
  return { octets, next: at };
};

const readEscape = (text: string, at: number, dialect: Dialect): { octet: string; next: number } => {
  const c = text.charAt(at + 1);
  if (c === '' || c === '\n' || c === '\r') throw bad(text, at, 'a "\\" with nothing behind it');
  // RFC 1035 §5.1: `\X` for any X that is no digit is X itself.
  if (!/\d/.test(c)) {
    if (c.charCodeAt(0) > 126) throw bad(text, at, 'a "\\" before a character beyond ASCII');
    return { octet: c, next: at + 2 };
  }
  const digits = text.slice(at + 1, at + 4);
  const [shape, base] =
    dialect === 'route53' ? ([/^[0-3][0-7]{2}$/, 8] as const) : ([/^\d{3}$/, 10] as const);
  const code = shape.test(digits) ? Number.parseInt(digits, base) : 256;
  if (code > 255)
    throw bad(
      text,
      at,
      `"\\${digits}" is no octet; here an escape is three ${base === 8 ? 'octal' : 'decimal'} digits`,
    );
  return { octet: String.fromCharCode(code), next: at + 4 };
};

const bad = (text: string, offset: number, what: string): SelkieError => {
  const before = text.slice(0, offset).split('\n');
  const column = (before.at(-1)?.length ?? 0) + 1;
  const place = text.includes('\n') ? `line ${before.length}, column ${column}` : `character ${column}`;
  return new SelkieError('invalid', `TXT data, ${place}: ${what}.`);
};
