// How benchmarks print: plain tables on standard output, progress on standard error.

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export const printTable = ({ title, columns, rows }: Table): void => {
  const all = [columns, ...rows];
  const widths = columns.map((_, n) => Math.max(...all.map((row) => (row[n] ?? '').length)));
  console.log(`\n${title}`);
  for (const row of all)
    console.log(
      `  ${row
        .map((cell, n) => cell.padEnd(widths[n] ?? 0))
        .join('  ')
        .trimEnd()}`,
    );
};

export const progress = (line: string): void => console.error(`… ${line}`);

/** The middle one; of an even count the mean of the two in the middle. NaN of none. */
export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[half]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
};
