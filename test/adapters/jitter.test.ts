import { expect, it } from 'vitest';
import { spread } from '../../adapters/jitter.ts';
import { seconds } from '../../core/time.ts';

it.each([
  [0, 2_000],
  [0.5, 2_500],
  [1, 3_000],
])('a wait is as long as asked for, and up to half as long again: by chance %d', (chance, expected) => {
  expect(spread(seconds(2), () => chance)).toBe(expected);
});

it('spreads those that wait at once', () => {
  expect(new Set(Array.from({ length: 50 }, () => spread(seconds(60)))).size).toBeGreaterThan(1);
});
