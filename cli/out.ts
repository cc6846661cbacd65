// What the commands write for people and programs.

type Say = (text: string) => void;

/** Breaks a line at its spaces where it is longer than `width`; what follows is indented by `indent`. */
export const wrap = (text: string, width: number, indent: number): string => {
  const lines: string[] = [];
  let line = '';
  // The line's own indentation stays with its first word.
  for (const word of text.match(/^\s*\S+|\S+/g) ?? []) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${' '.repeat(indent)}${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
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
    .map((line) => (line.length > width ? wrap(line, width, indentOf(line)) : line))
    .join('\n');
  process.stdout.write(`${shown}\n`);
};

/** One JSON text, for programs. */
export const sayJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
