// What a command that waits shows: lines that stay, and what is waited for at the moment. On a terminal the latter is
// written anew in place; elsewhere each is a plain line, once.
import { joined, pageWidth, type Say, say, widthOf, wrap } from './out.ts';

export interface Progress {
  /** A line that stays. */
  reached(text: string): void;
  /** What is waited for now, in place of what was. */
  waiting(texts: readonly string[]): void;
  /** Leaves the screen as it should stay: without what was waited for. */
  end(): void;
}

export const silentProgress: Progress = { reached: () => {}, waiting: () => {}, end: () => {} };

const plainProgress = (write: Say): Progress => {
  let shown = '';
  return {
    reached: write,
    waiting: (texts) => {
      const text = texts.map((each) => `  ${each}`).join('\n');
      if (text !== '' && text !== shown) write(text);
      shown = text;
    },
    end: () => {},
  };
};

interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const spinner = ['|', '/', '-', '\\'];

const ago = (ms: number): string => {
  const seconds = Math.floor(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
};

/** @param clock milliseconds, that only go forward */
export const terminalProgress = (terminal: Terminal, write: Say, clock: () => number): Progress => {
  const begun = clock();
  let drawn = 0;
  let turn = 0;
  const clear = (): void => {
    // As many lines up, and from there on nothing: ECMA-48 CUU and ED.
    if (drawn > 0) terminal.write(`\x1b[${drawn}A\r\x1b[J`);
    drawn = 0;
  };
  return {
    reached: (text) => {
      clear();
      write(text);
    },
    waiting: (texts) => {
      const width = terminal.columns || pageWidth;
      // More than a screen could not be taken back; the last column is left free, for some terminals break there at once.
      const most = Math.max(1, (terminal.rows || 24) - 2);
      const marked = texts.length === 0 ? ['working'] : texts;
      const lines = marked.flatMap((text, at) => {
        const mark = at === 0 ? (spinner[turn % spinner.length] ?? '') : ' ';
        const line =
          at === 0 ? joined([`${mark} ${text}`, ago(clock() - begun)], 2, width - 1) : `${mark} ${text}`;
        return line.split('\n').flatMap((each) => wrap(each, width - 1, 2).split('\n'));
      });
      turn += 1;
      clear();
      const shown = lines
        .slice(0, most)
        .map((line) => (widthOf(line) < width ? line : `${line.slice(0, Math.max(1, width - 2))}…`));
      terminal.write(`${shown.join('\n')}\n`);
      drawn = shown.length;
    },
    end: clear,
  };
};

export const openProgress = (): Progress =>
  process.stdout.isTTY === true && process.env.TERM !== 'dumb'
    ? terminalProgress(process.stdout, say, () => performance.now())
    : plainProgress(say);
