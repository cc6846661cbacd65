// A part of a whole, for people.
import { expect, it } from 'vitest';
import { percent } from '../../core/percent.ts';

it.each([
  [1, 3, '33.3%'],
  [2, 3, '66.6%'],
  [1, 2, '50.0%'],
  [10, 10, '100%'],
  [9_999, 10_000, '99.9%'],
  [1, 1_000, '0.1%'],
  [1, 100_000, '0.1%'],
  [19, 10_000, '0.1%'],
  [2, 1_000, '0.2%'],
  [0, 10, '0.0%'],
  [0, 0, '-'],
])('%i of %i is %s: never up to all, nor down to nothing', (part, whole, text) => {
  expect(percent(part, whole)).toBe(text);
});
