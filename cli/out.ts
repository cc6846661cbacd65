// What the commands write for people and programs.
import { stripVTControlCharacters } from 'node:util';

export type Say = (text: string) => void;

/** Columns of a table, and of a line that is put together of parts: what every terminal has. */
export const pageWidth = 80;

/** What is seen of it: without the colours. */
export const widthOf = (text: string): number => stripVTControlCharacters(text).length;

/** Breaks a line at its spaces where it is longer than `width`; what follows is indented by `indent`. */
export const wrap = (text: string, width: number, indent: number): string => {
  const lines: string[] = [];
  let line = '';
  // The line's own indentation stays with its first word.
  for (const word of text.match(/^\s*\S+|\S+/g) ?? []) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = `${' '.repeat(indent)}${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
};

/** Parts of a line, with two spaces between; a part that does not fit begins a line of its own, indented by `indent`. */
export const joined = (parts: readonly string[], indent = 4, width = pageWidth): string => {
  const lines: string[] = [];
  for (const part of parts.filter((each) => each !== '')) {
    const line = lines.at(-1);
    if (line !== undefined && widthOf(line) + 2 + widthOf(part) <= width)
      lines[lines.length - 1] = `${line}  ${part}`;
    else lines.push(line === undefined ? part : `${' '.repeat(indent)}${part}`);
  }
  return lines.join('\n');
};

const pad = (text: string, width: number): string =>
  `${text}${' '.repeat(Math.max(0, width - widthOf(text)))}`;

/**
 * Rows in columns. Where they do not fit, a first cell that is longer than the others leave room for has a line of its own,
 * and what still does not fit follows on further lines.
 */
export const table = (rows: readonly (readonly string[])[], indent = 0): readonly string[] => {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, at) =>
    // What ends a row needs no room behind it.
    Math.max(0, ...rows.filter((row) => row.length > at + 1).map((row) => widthOf(row[at] ?? ''))),
  );
  const last = Math.max(0, ...rows.map((row) => (row.length === columns ? widthOf(row.at(-1) ?? '') : 0)));
  const others = widths.slice(1).reduce((sum, width) => sum + width + 2, 0) + last;
  const first = Math.min(widths[0] ?? 0, Math.max(12, pageWidth - indent - others));
  const margin = ' '.repeat(indent);
  return rows.flatMap((row) => {
    const cells = row.map((cell, at) =>
      at === row.length - 1 ? cell : pad(cell, at === 0 ? first : (widths[at] ?? 0)),
    );
    const isLong = widthOf(row[0] ?? '') > first;
    const shown = isLong ? [' '.repeat(first), ...cells.slice(1)] : cells;
    const lines = joined([`${margin}${shown[0] ?? ''}`, ...shown.slice(1)], indent + 4).split('\n');
    return [...(isLong ? [`${margin}${row[0]}`] : []), ...lines].map((line) => line.trimEnd());
  });
};

const indentOf = (text: string): number => {
  const own = /^ */.exec(text)?.[0].length ?? 0;
  return own + (text.startsWith('- ', own) ? 2 : 4);
};

/** A line for people. Broken where a terminal ends it; whole in a pipe, for grep. */
export const say: Say = (text) => {
  const { isTTY, columns } = process.stdout;
  const width = isTTY === true ? columns || 80 : Number.POSITIVE_INFINITY;
  const shown = text
    .split('\n')
    .map((line) => (widthOf(line) > width ? wrap(line, width, indentOf(line)) : line))
    .join('\n');
  process.stdout.write(`${shown}\n`);
};

/** One JSON text, for programs. */
export const sayJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
