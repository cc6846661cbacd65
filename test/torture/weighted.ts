// A choice among things of different weight. Pure.
import type { Random } from '../simulation/random.ts';

export const weighted = <T>(random: Random, from: readonly (readonly [T, number])[]): T | undefined => {
  let roll = random.next() * from.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [thing, weight] of from) {
    roll -= weight;
    if (roll < 0) return thing;
  }
  return from.at(-1)?.[0];
};
