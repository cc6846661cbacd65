// SigningTable: author → name of a KeyTable row, and the order in which OpenDKIM looks. Pure. opendkim.conf(5).
import { type Line, longestLine, type Row, type TableType } from './table.ts';

export interface SigningRow {
  /** `*@example.jp` (refile), `example.jp` or `user@example.jp` (file). */
  readonly pattern: string;
  /** KeyTable row; `%` is the author's domain. */
  readonly name: string;
  /** For `i=`. */
  readonly signer?: string;
}

/** Undefined where the row names no key: mail of these authors is put off. */
export const signingRow = ({ key: pattern, value }: Row): SigningRow | undefined => {
  const [name = '', ...rest] = value.split(':');
  if (name === '') return undefined;
  return { pattern, name, ...(rest.length === 0 ? {} : { signer: rest.join(':') }) };
};

/**
 * The pattern as a regular expression, made as OpenDKIM makes it (dkimf_mkregexp): `*` is anything, dots too, `.` and `+`
 * are themselves, and everything else means what it means to regcomp(3).
 */
const expression = (pattern: string): RegExp | undefined => {
  try {
    return new RegExp(`^${pattern.replace(/[*+.]/g, (one) => (one === '*' ? '.*' : `\\${one}`))}$`, 'i');
  } catch {
    return undefined;
  }
};

/** `*@domain` or one address: nothing in it that is special, but for the one asterisk in front. */
const plain = /^(\*@)?[^*+?()[\]{}|\\^$]+$/;

/** The keys under which a `file` table is asked for an address, in OpenDKIM's order (dkimf_apply_signtable). */
const fileKeys = (user: string, domain: string): string[] => {
  const above: string[] = [];
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1))
    above.push(`${user}@${domain.slice(dot)}`, domain.slice(dot));
  return [`${user}@${domain}`, domain, ...above, `${user}@*`, '*'];
};

export interface SigningIndex {
  /** Line numbers, from 0, of the rows that sign for this author; the first counts (all do, with MultipleSignatures). */
  find(address: string): readonly number[];
}

/** Prepared for many look-ups: plain patterns, which are nearly all, are looked up and not tried one after the other. */
export const signingIndex = (lines: readonly Line[], type: TableType): SigningIndex => {
  const exact = new Map<string, number[]>();
  const patterns: { readonly at: number; readonly matches: RegExp }[] = [];
  lines.forEach(({ row }, at) => {
    if (row === undefined) return;
    const key = row.key.toLowerCase();
    if (type === 'file' || plain.test(key)) {
      exact.set(key, [...(exact.get(key) ?? []), at]);
    } else {
      const matches = expression(key);
      if (matches !== undefined) patterns.push({ at, matches });
    }
  });
  return {
    find(address) {
      const lower = address.toLowerCase();
      const [user = '', domain = ''] = [
        lower.slice(0, lower.lastIndexOf('@')),
        lower.slice(lower.lastIndexOf('@') + 1),
      ];
      if (type === 'file') return fileKeys(user, domain).flatMap((key) => exact.get(key)?.slice(0, 1) ?? []);
      const found = [...(exact.get(lower) ?? []), ...(exact.get(`*@${domain}`) ?? [])];
      for (const { at, matches } of patterns) if (matches.test(lower)) found.push(at);
      return found.sort((a, b) => a - b);
    },
  };
};

/**
 * What OpenDKIM would take and then put mail off for, or refuse the whole table for; the line's number from 1.
 * @param known whether KeyTable has a row of this name
 */
export const signingTableFaults = (
  lines: readonly Line[],
  type: TableType,
  known: (name: string) => boolean,
): string[] =>
  lines.flatMap(({ text, row }, at) => {
    if (row === undefined) return [];
    const where = `line ${at + 1} (${row.key.slice(0, 80)})`;
    const found = signingRow(row);
    if (Buffer.byteLength(text) >= longestLine)
      return [`${where} is longer than the ${longestLine} bytes that OpenDKIM reads`];
    if (found === undefined) return [`${where} names no key of KeyTable`];
    if (found.name !== '%' && !known(found.name))
      return [`${where} names ${found.name.slice(0, 80)}, which KeyTable does not have`];
    return type === 'refile' && !plain.test(row.key) && expression(row.key) === undefined
      ? [`${where} is no pattern`]
      : [];
  });
