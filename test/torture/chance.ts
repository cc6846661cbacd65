// Choices that a seed decides, so that a run can be made again. Pure.

export interface Chance {
  /** From 0 up to, and without, 1. */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  /** True with this probability. */
  often(probability: number): boolean;
  /** @throws RangeError where there is nothing to choose from */
  pick<T>(from: readonly T[]): T;
}

/** Mulberry32: 32 bits of state; good enough to choose moments by, and the same on every machine. */
export const chanceOf = (seed: number): Chance => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (low, high) => low + Math.floor(next() * (high - low + 1)),
    often: (probability) => next() < probability,
    pick: (from) => {
      const index = Math.floor(next() * from.length);
      if (index >= from.length) throw new RangeError('nothing to choose from');
      return from[index] as (typeof from)[number];
    },
  };
};
