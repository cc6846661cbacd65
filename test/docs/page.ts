// A page of docs/, as tests read it: sections and the cells of their tables.

import { readFileSync } from 'node:fs';

export interface Page {
  /** The text below a heading, up to the next heading. */
  section(title: string): string;
  /** The cells of the section's table, without its head. */
  table(title: string): readonly (readonly string[])[];
  column(title: string, index: number): readonly string[];
}

export const readPage = (name: string): Page => {
  const text = readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
  const section = (title: string): string => {
    const found = text.split(/^#+ /m).find((part) => part.startsWith(`${title}\n`));
    if (found === undefined) throw new Error(`docs/${name} has no section "${title}"`);
    return found;
  };
  const table = (title: string): readonly (readonly string[])[] =>
    section(title)
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .slice(2)
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
  return { section, table, column: (title, index) => table(title).map((cells) => cells[index] ?? '') };
};
