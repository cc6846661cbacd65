// Reads a zone's master file (RFC 1035 §5): its records with absolute names, whatever their types. Not read are $INCLUDE, which
// names other files, and BIND's $GENERATE: `named-compilezone` writes both out. Pure.
import { SelkieError } from '../../core/errors.ts';
import { isWithin, lowerName } from '../../core/names.ts';

export interface ZoneFileRecord {
  /** Absolute, in small letters, without a final dot. */
  readonly name: string;
  /** In capitals. */
  readonly type: string;
  /** As octets; of a name, as it is written. */
  readonly data: readonly string[];
  /** From 1. */
  readonly line: number;
}

export interface ZoneFile {
  /** The owner of its SOA, or as `origin` said. */
  readonly zone: string;
  readonly records: readonly ZoneFileRecord[];
}

interface Token {
  readonly text: string;
  readonly quoted: boolean;
}

interface Entry {
  readonly line: number;
  /** It begins with a blank: the owner is that of the record before (RFC 1035 §5.1). */
  readonly indented: boolean;
  readonly tokens: readonly Token[];
}

const bad = (file: string, line: number, what: string): SelkieError =>
  new SelkieError('invalid', `${file}:${line}: ${what}`);

/** RFC 1035 §5.1: `\DDD` is an octet by its decimal number, `\X` is X. */
const escapeAt = (
  text: string,
  at: number,
): { readonly octet: string; readonly next: number } | undefined => {
  const digits = /^\d{3}/.exec(text.slice(at + 1, at + 4))?.[0];
  if (digits !== undefined)
    return Number(digits) > 255 ? undefined : { octet: String.fromCharCode(Number(digits)), next: at + 4 };
  const c = text.charAt(at + 1);
  return c === '' || c === '\n' || c === '\r' || /\d/.test(c) ? undefined : { octet: c, next: at + 2 };
};

/** Entries with their lines: one goes on over line ends while a parenthesis is open. */
const entriesOf = (text: string, file: string): readonly Entry[] => {
  const entries: Entry[] = [];
  let [at, line, opened] = [0, 1, 0];
  let entry: { line: number; indented: boolean; tokens: Token[] } | undefined;
  let atLineStart = true;
  let indented = false;
  const begin = () => {
    entry ??= { line, indented, tokens: [] };
    return entry;
  };
  const end = (): void => {
    if (entry !== undefined && entry.tokens.length > 0) entries.push(entry);
    entry = undefined;
  };
  while (at < text.length) {
    const c = text.charAt(at);
    if (c === '\n') {
      if (opened === 0) end();
      at += 1;
      line += 1;
      atLineStart = true;
      indented = false;
      continue;
    }
    if (atLineStart && entry === undefined) indented = c === ' ' || c === '\t';
    atLineStart = false;
    if (c === ' ' || c === '\t' || c === '\r') at += 1;
    else if (c === ';') while (at < text.length && text.charAt(at) !== '\n') at += 1;
    else if (c === '(') {
      begin();
      opened = opened === 0 ? line : opened;
      at += 1;
    } else if (c === ')') {
      if (opened === 0) throw bad(file, line, 'a ")" closes no "("');
      opened = 0;
      at += 1;
    } else {
      const quoted = c === '"';
      let word = '';
      if (quoted) at += 1;
      for (;;) {
        const d = text.charAt(at);
        if (quoted ? d === '"' : d === '' || ' \t\r\n;()"'.includes(d)) break;
        if (d === '' || d === '\n') throw bad(file, line, 'a quotation mark is not closed on its line');
        const escaped = d === '\\' ? escapeAt(text, at) : undefined;
        if (d === '\\' && escaped === undefined)
          throw bad(
            file,
            line,
            'a backslash is followed by no character and no octet (three digits up to 255)',
          );
        word += escaped?.octet ?? d;
        at = escaped?.next ?? at + 1;
      }
      if (quoted) at += 1;
      begin().tokens.push({ text: word, quoted });
    }
  }
  if (opened > 0) throw bad(file, opened, 'the "(" of this line is never closed');
  end();
  return entries;
};

const isTtl = (text: string): boolean => /^(?:\d+[wdhms])*(?:\d+[wdhms]?)$/i.test(text);
const isClass = (text: string): boolean => /^(?:in|ch|hs|cs)$/i.test(text);

/**
 * @param file as messages name it
 * @param origin the zone's name, where the file does not say `$ORIGIN`
 * @throws invalid, with file and line
 */
export const readZoneFile = (text: string, file: string, origin?: string): ZoneFile => {
  let base = origin === undefined ? undefined : lowerName(origin);
  let owner: string | undefined;
  const records: ZoneFileRecord[] = [];

  const absolute = (name: string, line: number): string => {
    if (name.endsWith('.')) return lowerName(name);
    if (base === undefined)
      throw bad(
        file,
        line,
        'the name is relative and nothing says to what: give --zone, or begin with $ORIGIN',
      );
    return name === '@' ? base : lowerName(base === '' ? name : `${name}.${base}`);
  };

  for (const { line, indented, tokens } of entriesOf(text.replace(/^\ufeff/, ''), file)) {
    const [first, second] = tokens;
    if (first === undefined) continue;
    if (!first.quoted && first.text.startsWith('$')) {
      const directive = first.text.toUpperCase();
      if (directive === '$TTL') continue;
      if (directive !== '$ORIGIN')
        throw bad(
          file,
          line,
          `${directive} is not read here: write the zone out first (named-compilezone -o zone.txt ZONE FILE)`,
        );
      if (second === undefined) throw bad(file, line, '$ORIGIN names nothing');
      base = second.text === '.' ? '' : absolute(second.text, line);
      continue;
    }
    if (!indented) owner = absolute(first.text, line);
    if (owner === undefined) throw bad(file, line, 'the first record has no name');
    let at = indented ? 0 : 1;
    // RFC 1035 §5.1: TTL and class may stand in either order.
    for (; at < tokens.length; at += 1) {
      const token = tokens[at];
      if (token === undefined || token.quoted || !(isTtl(token.text) || isClass(token.text))) break;
    }
    const type = tokens[at];
    if (type === undefined || type.quoted || !/^[a-z][a-z0-9-]*$/i.test(type.text))
      throw bad(file, line, 'the record has no type');
    const data = tokens.slice(at + 1).map((token) => token.text);
    if (data.length === 0) throw bad(file, line, `the ${type.text.toUpperCase()} record has no data`);
    records.push({ name: owner, type: type.text.toUpperCase(), data, line });
  }
  const zone =
    records.find(({ type }) => type === 'SOA')?.name ?? (origin === undefined ? base : lowerName(origin));
  if (zone === undefined || zone === '')
    throw new SelkieError(
      'invalid',
      `${file}: it has no SOA record, so nothing says which zone it is: give --zone`,
    );
  const stray = records.find(({ name }) => !isWithin(name, zone));
  if (stray !== undefined) throw bad(file, stray.line, `${stray.name} is not in the zone ${zone}`);
  return { zone, records };
};
