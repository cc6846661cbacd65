// Seeded chance. One seed gives one world; each part of it draws from a stream of its own, so that leaving one part out
// (when a failing world is made smaller) does not change what the others draw.

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  chance(probability: number): boolean;
  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number;
  /** A real number from `low` up to `high`. */
  between(low: number, high: number): number;
  pick<T>(from: readonly [T, ...T[]]): T;
  /** One of a list that may be empty. */
  any<T>(from: readonly T[]): T | undefined;
}

/** FNV-1a with a final mix: near seeds give far streams. */
const hash = (text: string): number => {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

/** sfc32 (Chris Doty-Humphrey's Small Fast Counter), warmed up. */
export const stream = (seed: number, label: string): Random => {
  let [a, b, c, d] = [hash(`${seed}/a/${label}`), hash(`${seed}/b/${label}`), hash(`${seed}/c/${label}`), 1];
  const draw = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i += 1) draw();
  const next = (): number => draw() / 2 ** 32;
  const int = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    chance: (probability) => next() < probability,
    int,
    between: (low, high) => low + next() * (high - low),
    pick: (from) => from[int(0, from.length - 1)] ?? from[0],
    any: (from) => from[int(0, from.length - 1)],
  };
};
