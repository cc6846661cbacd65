// What the torture has counted and found so far; shared by all that runs at once. No I/O.

export interface Tally {
  readonly counts: ReadonlyMap<string, number>;
  readonly violations: readonly string[];
  count(what: string, by?: number): void;
  violation(sentence: string): void;
}

/** Violations of one kind may come by the thousand: the first ones tell enough. */
const most = 50;

export const newTally = (): Tally => {
  const counts = new Map<string, number>();
  const violations: string[] = [];
  return {
    counts,
    violations,
    count: (what, by = 1) => void counts.set(what, (counts.get(what) ?? 0) + by),
    violation: (sentence) => {
      if (violations.length < most && !violations.includes(sentence)) violations.push(sentence);
    },
  };
};
