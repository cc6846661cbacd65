// What the milter bench makes of its figures: goal, floor, below; its last line; and its exit code.
import { describe, expect, it } from 'vitest';
import { exitCode, type Figure, figureRow, standing, summary } from '../../../bench/milter/figures.ts';

const ratio: Figure = {
  name: 'unix, 10 KB',
  value: 2.5,
  goal: 2.4,
  floor: 1.8,
  more: true,
  unit: '×',
  detail: '922 / 369',
};
/** Less is better. */
const cpu: Figure = { ...ratio, name: 'CPU', value: 0.3, goal: 0.35, floor: 0.5, more: false };

describe('a figure', () => {
  it.each<[Figure, number, string]>([
    [ratio, 2.5, 'goal'],
    [ratio, 2.4, 'goal'],
    [ratio, 2.39, 'floor'],
    [ratio, 1.8, 'floor'],
    [ratio, 1.79, 'below'],
    [ratio, 0, 'below'],
    [ratio, Number.NaN, 'below'],
    [ratio, Number.NEGATIVE_INFINITY, 'below'],
    [cpu, 0.35, 'goal'],
    [cpu, 0.36, 'floor'],
    [cpu, 0.5, 'floor'],
    [cpu, 0.51, 'below'],
    [cpu, Number.NaN, 'below'],
    [cpu, Number.POSITIVE_INFINITY, 'below'],
  ])('of %o at %s stands: %s', (figure, value, expected) =>
    expect(standing({ ...figure, value })).toBe(expected),
  );

  it('is shown with its goal, its floor and where it stands', () => {
    expect(figureRow(ratio)).toEqual(['unix, 10 KB', '2.50×', '≥ 2.40× (1.80×)', 'reached', '922 / 369']);
    expect(figureRow({ ...cpu, value: 0.4 }).slice(2, 4)).toEqual(['≤ 0.35× (0.50×)', 'above its floor']);
    expect(figureRow({ ...ratio, value: Number.NaN })).toEqual([
      'unix, 10 KB',
      'NaN×',
      '≥ 2.40× (1.80×)',
      'BELOW ITS FLOOR',
      '922 / 369',
    ]);
  });
});

describe('the bench', () => {
  it('sums up, and ends well where none is below its floor', () => {
    const figures = [ratio, { ...cpu, value: 0.4 }];
    expect(summary(figures)).toBe('2 figures: 1 goals reached, 1 above the floor, none below its floor');
    expect(exitCode(figures)).toBe(0);
  });

  it.each([1, Number.NaN])('names those below, and fails: %s', (value) => {
    const figures = [{ ...ratio, value }, cpu];
    expect(summary(figures)).toBe(
      '2 figures: 1 goals reached, 0 above the floor, below their floor: unix, 10 KB',
    );
    expect(exitCode(figures)).toBe(1);
  });

  it('without a figure has shown nothing, and fails', () => expect(exitCode([])).toBe(1));
});
