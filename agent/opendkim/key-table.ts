// KeyTable: name → `domain:selector:key`, where the key is a file or stands there itself. Pure. opendkim.conf(5).
import { type Line, longestLine, type Row } from './table.ts';

export interface KeyRow {
  /** What SigningTable rows call it. */
  readonly name: string;
  /** `d=`; `%` is the domain of the message. */
  readonly domain: string;
  readonly selector: string;
  /** The private key's file, `%` being the domain; absent where the key itself stands in the table: it is not repeated here. */
  readonly file?: string;
}

/** Undefined where the row is not complete: mail that needs it is put off. */
export const keyRow = ({ key: name, value }: Row): KeyRow | undefined => {
  const [domain = '', selector = '', ...rest] = value.split(':');
  const key = rest.join(':');
  if (domain === '' || selector === '' || key === '') return undefined;
  // As dkimf_loadkey tells files from keys.
  return { name, domain, selector, ...(/^(\/|\.\/|\.\.\/)/.test(key) ? { file: key } : {}) };
};

/** Rows by name; of several with one name the first counts. */
export const keyRows = (lines: readonly Line[]): ReadonlyMap<string, KeyRow> => {
  const rows = new Map<string, KeyRow>();
  for (const { row } of lines) {
    const found = row === undefined ? undefined : keyRow(row);
    if (found !== undefined && !rows.has(found.name)) rows.set(found.name, found);
  }
  return rows;
};

/** What OpenDKIM would take and then put mail off for; the line's number from 1. */
export const keyTableFaults = (lines: readonly Line[]): string[] =>
  lines.flatMap(({ text, row }, at) => {
    const where = `line ${at + 1}`;
    if (row !== undefined && Buffer.byteLength(text) >= longestLine)
      return [`${where} is longer than the ${longestLine} bytes that OpenDKIM reads`];
    return row === undefined || keyRow(row) !== undefined
      ? []
      : [`${where} (${row.key.slice(0, 80)}) is no NAME DOMAIN:SELECTOR:KEYFILE`];
  });
