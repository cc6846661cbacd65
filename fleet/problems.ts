// What is wrong with a fleet file: every problem with its place and its mend, in one error.

import { SelkieError } from '../core/errors.ts';

export interface Problem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** `domains.mail.example.jp.rotateEvery`; empty for the file as a whole. */
  readonly field: string;
  /** What is wrong and the mend; never a key or a certificate. */
  readonly message: string;
}

/** So many are written out; a file with more has one cause that repeats. */
const shown = 200;

/** Characters of a line: some name of the file may be a whole file. */
const longestLine = 1_000;

/** A name in quotes may hold line ends, and what turns a terminal's text around: shown as YAML and JSON write them. */
const oneLine = (text: string): string => {
  const line = text.replace(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu, (c) =>
    c === '\n' ? '\\n' : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return line.length > longestLine ? `${line.slice(0, longestLine)}…` : line;
};

/** `invalid`. The message has one line for each problem, `fleet.yaml:12:5 domains.….rotateEvery: …`, in the file's order. */
export class FleetError extends SelkieError {
  readonly problems: readonly Problem[];

  constructor(file: string, found: readonly Problem[]) {
    const problems = found.toSorted((a, b) => a.line - b.line || a.column - b.column);
    const lines = problems
      .slice(0, shown)
      .map(({ line, column, field, message }) =>
        oneLine(`${file}:${line}:${column} ${field === '' ? '' : `${field}: `}${message}`),
      );
    const rest = problems.length - lines.length;
    super('invalid', [...lines, ...(rest > 0 ? [`${file}: … and ${rest} more`] : [])].join('\n'), {
      ...(problems[0] === undefined ? {} : { field: problems[0].field }),
    });
    this.problems = problems;
  }
}

export type Path = readonly (string | number)[];

/** `domains.mail.example.jp.algorithms[0]` */
export const fieldOf = (path: Path): string =>
  path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
