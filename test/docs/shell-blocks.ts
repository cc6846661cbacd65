// The commands that a page of the documentation shows: its `sh` blocks, each with the comment before it that says how a test
// holds it to be right.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * `here`: run, while `npm start` runs. `stopped`: run, while it does not. `deployed`: run in a deployment made of imitations, on an
 * operator's machine or on a mail host (deployment.ts). `own`: run by a test of its page's name.
 */
export const hows = ['here', 'stopped', 'deployed', 'own'] as const;
export type How = (typeof hows)[number];

export interface ShellBlock {
  /** Undefined: nobody said. */
  readonly how: How | undefined;
  readonly line: number;
  readonly commands: readonly string[];
}

const isHow = (text: string | undefined): text is How => hows.some((how) => how === text);

/** One command a line; a line that ends in a backslash goes on in the next. */
const commandsOf = (lines: readonly string[]): readonly string[] =>
  lines
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    // A remark behind a command is the reader's.
    .map((line) => line.replace(/\s+# .*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

const shellBlocks = (file: string): readonly ShellBlock[] => {
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

const docs = new URL('../../docs/', import.meta.url).pathname;

/** Pages whose commands readers are told to type, as their paths from docs/. */
export const documentedPages: readonly string[] = [
  ...['tutorial', 'how-to'].flatMap((folder) =>
    readdirSync(join(docs, folder)).map((name) => `${folder}/${name}`),
  ),
  '../README.md',
];

export const shellBlocksOf = (page: string): readonly ShellBlock[] => shellBlocks(join(docs, page));
