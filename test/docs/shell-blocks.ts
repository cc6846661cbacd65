// The commands that a page of the documentation shows: its `sh` blocks, each with the comment before it that says how a test
// holds it to be right.

import { readFileSync } from 'node:fs';

/**
 * `here`: run, while `npm start` runs. `stopped`: run, while it does not. `checked`: it needs an AWS account or a mail host, and is
 * held against the program's own help.
 */
export type How = 'here' | 'stopped' | 'checked';

export interface ShellBlock {
  /** Undefined: nobody said. */
  readonly how: How | undefined;
  readonly line: number;
  readonly commands: readonly string[];
}

const isHow = (text: string | undefined): text is How =>
  text === 'here' || text === 'stopped' || text === 'checked';

/** One command a line; a line that ends in a backslash goes on in the next. */
const commandsOf = (lines: readonly string[]): readonly string[] =>
  lines
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

export const shellBlocks = (file: string): readonly ShellBlock[] => {
  const lines = readFileSync(file, 'utf8').split('\n');
  const blocks: ShellBlock[] = [];
  for (let n = 0; n < lines.length; n += 1) {
    if (!/^\s*```(sh|bash|shell|console)\s*$/.test(lines[n] ?? '')) continue;
    const before = lines.slice(0, n).findLast((line) => line.trim() !== '');
    const said = /^\s*<!-- run: (\w+) -->\s*$/.exec(before ?? '')?.[1];
    const end = lines.findIndex((line, m) => m > n && /^\s*```\s*$/.test(line));
    blocks.push({
      how: isHow(said) ? said : undefined,
      line: n + 1,
      commands: commandsOf(lines.slice(n + 1, end)),
    });
    n = end;
  }
  return blocks;
};
