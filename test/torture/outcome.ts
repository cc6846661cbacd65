// What one half of the torture reports: figures to print and to compare, and what must never be. Types only.

export interface Outcome {
  /** `local` or `aws`. */
  readonly name: string;
  /** In the order in which they are printed. */
  readonly figures: Readonly<Record<string, number | string>>;
  /** Each in one sentence: what was violated, and where the evidence lies. Empty: none. */
  readonly violations: readonly string[];
}

/** What each half is given. */
export interface TortureOptions {
  /** How often a process is killed. */
  readonly kills: number;
  /** Of every choice that the torture makes: the same seed makes the same choices. */
  readonly seed: number;
  /** Minutes after which it stops killing, though `kills` is not reached. */
  readonly forMinutes?: number;
  /** One line about where it stands. */
  readonly progress: (line: string) => void;
}
