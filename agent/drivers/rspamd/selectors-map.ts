// rspamd's `selector_map`: which selector a domain's mail is signed with. Selkie's rows stand between two comment lines;
// all else in the file is the administrator's and stays as it is. Pure.
import { SelkieError } from '../../../core/errors.ts';

const begin = '# selkie: begin (written by the agent: rows of your own go above or below)';
const end = '# selkie: end';

export interface SelectorsMap {
  /** What stands before and after Selkie's rows, byte for byte. */
  readonly before: string;
  readonly after: string;
  /** Selkie's rows: domain → selector. */
  readonly rows: ReadonlyMap<string, string>;
}

export const emptyMap: SelectorsMap = { before: '', after: '', rows: new Map() };

const isBegin = (line: string): boolean => /^# selkie: begin\b/.test(line);
const isEnd = (line: string): boolean => /^# selkie: end\b/.test(line);

/** A row as rspamd reads it (`rspamd_kv_list`): key, white space, value; `#` begins a comment. */
const rowOf = (line: string): readonly [string, string] | undefined => {
  const [key = '', value = ''] = line.replace(/#.*/, '').trim().split(/\s+/, 2);
  return key === '' || value === '' ? undefined : [key.toLowerCase(), value];
};

const rowsOf = (lines: readonly string[]): ReadonlyMap<string, string> =>
  new Map(lines.map(rowOf).filter((row) => row !== undefined));

/** The administrator's rows. */
export const otherRows = ({ before, after }: SelectorsMap): ReadonlyMap<string, string> =>
  rowsOf([...before.split('\n'), ...after.split('\n')]);

/** @param file its name, for errors @throws SelkieError invalid where the comment lines do not stand once each, in order */
export const parseSelectorsMap = (text: string, file: string): SelectorsMap => {
  const lines = text.split('\n');
  const first = lines.findIndex(isBegin);
  const last = lines.findIndex(isEnd);
  if (first < 0 && last < 0) return { before: text, after: '', rows: new Map() };
  if (
    first < 0 ||
    last < first ||
    lines.findLastIndex(isBegin) !== first ||
    lines.findLastIndex(isEnd) !== last
  )
    throw new SelkieError(
      'invalid',
      `${file}: its lines "# selkie: begin" and "# selkie: end" do not stand once each and in this order: take both and what stands between them out, and the agent writes them anew.`,
    );
  return {
    before: lines.slice(0, first).join('\n') + (first > 0 ? '\n' : ''),
    after: lines.slice(last + 1).join('\n'),
    rows: rowsOf(lines.slice(first + 1, last)),
  };
};

export const formatSelectorsMap = ({ before, after, rows }: SelectorsMap): string => {
  const written = [...rows].map(([domain, selector]) => `${domain} ${selector}\n`).sort();
  const gap = before === '' || before.endsWith('\n') ? '' : '\n';
  return `${before}${gap}${begin}\n${written.join('')}${end}\n${after}`;
};
