// Finds the address of a From field: RFC 5322 §3.4 with the obsolete forms of §4.4 that are still met (routes, white space
// around dots), and UTF-8 by RFC 6532. Lenient: mail is signed as people write it. Only computes.
import { domainToASCII } from 'node:url';
import { isDomainName, lowerName } from '../../core/names.ts';

export interface Address {
  /** As it came, quotes included. */
  readonly localPart: string;
  /** Lower-case A-labels. */
  readonly domain: string;
}

interface Token {
  /** `special` is one of `<>,:;@.`; `literal` a domain literal in brackets. */
  readonly kind: 'atom' | 'quoted' | 'literal' | 'special';
  readonly text: string;
}

/** Where a comment that begins at `from` ends: comments nest, RFC 5322 §3.2.2. */
const afterComment = (text: string, from: number): number => {
  let depth = 0;
  for (let i = from; i < text.length; i += 1) {
    const c = text[i];
    if (c === '\\') i += 1;
    else if (c === '(') depth += 1;
    else if (c === ')') {
      depth -= 1;
      if (depth === 0) return i + 1;
    }
  }
  return text.length;
};

const afterDelimited = (text: string, from: number, close: string): number => {
  for (let i = from + 1; i < text.length; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === close) return i + 1;
  }
  return text.length;
};

const atom = /[^\s()<>[\]:;@,."]+/y;

const tokens = (text: string): Token[] => {
  const found: Token[] = [];
  let i = 0;
  while (i < text.length) {
    const c = text[i] ?? '';
    let end = i + 1;
    if (c === '(') end = afterComment(text, i);
    else if (c === '"') {
      end = afterDelimited(text, i, '"');
      found.push({ kind: 'quoted', text: text.slice(i, end) });
    } else if (c === '[') {
      end = afterDelimited(text, i, ']');
      found.push({ kind: 'literal', text: text.slice(i, end) });
    } else if ('<>,:;@.'.includes(c)) found.push({ kind: 'special', text: c });
    else {
      atom.lastIndex = i;
      const word = atom.exec(text)?.[0];
      if (word !== undefined) {
        found.push({ kind: 'atom', text: word });
        end = i + word.length;
      }
    }
    i = end;
  }
  return found;
};

/** The name in A-labels, or undefined where it is no domain that mail is signed for. */
export const asciiDomain = (name: string): string | undefined => {
  const lower = lowerName(name);
  // Only names that need it: domainToASCII reads its input as a URL's host, with escapes and numeric addresses.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII is what is asked
  const ascii = /^[\x00-\x7f]*$/.test(lower)
    ? lower
    : /[%/\\?#@:[\]]/.test(lower)
      ? ''
      : domainToASCII(lower);
  return isDomainName(ascii) ? ascii : undefined;
};

const isSpecial = (token: Token | undefined, text: string): boolean =>
  token?.kind === 'special' && token.text === text;

/** The address in the tokens of one mailbox: the words around its last `@`. */
const addressIn = (mailbox: readonly Token[]): Address | undefined => {
  const at = mailbox.findLastIndex((token) => isSpecial(token, '@'));
  if (at < 0) return undefined;
  let first = at;
  while (first > 0) {
    const before = mailbox[first - 1];
    const joins = isSpecial(mailbox[first], '.') || isSpecial(before, '.') || first === at;
    if (!joins || (before?.kind === 'special' && before.text !== '.')) break;
    first -= 1;
  }
  let last = at + 1;
  while (
    last < mailbox.length &&
    (last === at + 1 || isSpecial(mailbox[last], '.') || isSpecial(mailbox[last - 1], '.'))
  )
    last += 1;
  const join = (part: readonly Token[]): string => part.map((token) => token.text).join('');
  const localPart = join(mailbox.slice(first, at));
  const domain = asciiDomain(join(mailbox.slice(at + 1, last)));
  return localPart === '' || domain === undefined ? undefined : { localPart, domain };
};

/**
 * The first mailbox's address, as OpenDKIM chooses it; undefined where there is none that mail can be signed for (a domain
 * literal, a name of one label, an empty group).
 */
export const fromAddress = (value: Uint8Array): Address | undefined => {
  let plain: Token[] = [];
  let angle: Token[] | undefined;
  let inAngle = false;
  for (const token of [...tokens(new TextDecoder().decode(value)), { kind: 'special', text: ',' } as const]) {
    if (isSpecial(token, '<') && angle === undefined) {
      angle = [];
      inAngle = true;
    } else if (isSpecial(token, '>')) inAngle = false;
    // A route (RFC 5322 §4.4) ends with a colon, and so does a group's name.
    else if (isSpecial(token, ':')) {
      if (inAngle) angle = [];
      else plain = [];
    } else if (inAngle && !(isSpecial(token, ',') && angle?.[0]?.text !== '@')) angle?.push(token);
    else if (isSpecial(token, ',') || isSpecial(token, ';')) {
      if (plain.length > 0 || angle !== undefined) {
        const address = addressIn(angle ?? plain);
        if (address !== undefined || angle !== undefined || plain.some((part) => isSpecial(part, '@')))
          return address;
      }
      plain = [];
      angle = undefined;
      inAngle = false;
    } else plain.push(token);
  }
  return undefined;
};
