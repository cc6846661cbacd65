// The clock that the tortured process goes by, and how it is moved. Touches the one file that clock-preload.ts reads.
import { renameSync, writeFileSync } from 'node:fs';

export interface MovedClock {
  readonly file: string;
  /** What the process's clock says, milliseconds since 1970; some 20 ms after a move. */
  now(): number;
  /** How far it is from the machine's clock at present, in milliseconds. */
  offset(): number;
  /** Sets it this far from the machine's clock, in milliseconds. */
  set(offset: number): void;
}

export const movedClock = (file: string): MovedClock => {
  let offset = 0;
  const set = (next: number): void => {
    // Whole or not at all: the process may read at any moment.
    writeFileSync(`${file}.new`, String(next));
    renameSync(`${file}.new`, file);
    offset = next;
  };
  set(0);
  return { file, now: () => Date.now() + offset, offset: () => offset, set };
};
