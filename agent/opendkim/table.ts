// OpenDKIM's tables as text: which file a parameter names, and that file's rows as OpenDKIM sees them, beside the lines as
// they were written, so that an edit keeps every line that it does not mean. Pure. opendkim(8), DATA SETS.
import { SelkieError } from '../../core/errors.ts';

/** `file`: keys compared as they are; `refile`: keys are patterns, the first that matches counts. */
export type TableType = 'file' | 'refile';

export interface TablePlace {
  readonly type: TableType;
  readonly path: string;
}

export interface Row {
  readonly key: string;
  /** Behind the first white space; empty where there is none. */
  readonly value: string;
}

export interface Line {
  /** As written, without its end. */
  readonly text: string;
  /** Absent: a comment, an empty line, or one that OpenDKIM passes over. */
  readonly row?: Row;
}

const types = [
  'csl',
  'file',
  'refile',
  'db',
  'dsn',
  'ldap',
  'lua',
  'memcache',
  'repute',
  'socket',
  'mdb',
  'erlang',
];

/**
 * What `KeyTable` or `SigningTable` names. A list in the configuration itself, a database, a directory server cannot be
 * edited as text.
 * @throws SelkieError invalid, saying which lines to have instead
 */
export const tablePlace = (name: 'KeyTable' | 'SigningTable', value: string): TablePlace => {
  const [, prefix, rest = ''] = /^([a-z]+):(.*)$/i.exec(value) ?? [];
  const type = prefix?.toLowerCase();
  const wanted = name === 'KeyTable' ? 'file:/etc/opendkim/KeyTable' : 'refile:/etc/opendkim/SigningTable';
  const refuse = (why: string): never => {
    throw new SelkieError(
      'invalid',
      `${name} is ${value.slice(0, 100)}: ${why} Put its rows into a text file, one "KEY VALUE" a line, and name it in opendkim.conf: ${name} ${wanted}`,
      { field: name },
    );
  };
  if (type === undefined || !types.includes(type)) {
    // OpenDKIM guesses as well: by the last four letters, then by the first.
    if (value.endsWith('.db')) return refuse('Selkie does not edit databases.');
    if (value.startsWith('/')) return { type: 'file', path: value };
    return refuse('Selkie does not edit lists in the configuration.');
  }
  if (type !== 'file' && type !== 'refile')
    return refuse(`Selkie edits file: and refile: tables, not ${type}: ones.`);
  if (!rest.startsWith('/')) return refuse('its path must be absolute.');
  return { type, path: rest };
};

// Of isspace(3) in the C locale.
const space = /[ \t\n\v\f\r]/;

const rowOf = (text: string, type: TableType): Row | undefined => {
  const [written = ''] = text.split('#', 1);
  // A refile row that begins with white space has an empty pattern: OpenDKIM passes it over.
  if (type === 'refile' && space.test(written.charAt(0))) return undefined;
  const line = written.replace(/^[ \t\v\f\r]+|[ \t\v\f\r]+$/g, '');
  if (line === '') return undefined;
  const end = line.search(space);
  return end < 0
    ? { key: line, value: '' }
    : { key: line.slice(0, end), value: line.slice(end).replace(/^[ \t\v\f\r]+/, '') };
};

export const lineOf = (text: string, type: TableType): Line => {
  const row = rowOf(text, type);
  return row === undefined ? { text } : { text, row };
};

export const parseTable = (text: string, type: TableType): Line[] => {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => lineOf(line, type));
};

export const printTable = (lines: readonly Line[]): string => lines.map(({ text }) => `${text}\n`).join('');

/** OpenDKIM reads at most so many bytes of a line, its end included, and takes the rest for another row (its BUFRSZ). */
export const longestLine = 1_023;
