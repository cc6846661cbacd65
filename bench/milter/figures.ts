// The figures of the milter bench, each with its goal and with the floor below which the bench fails. Data and judging only.

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly goal: number;
  readonly floor: number;
  /** Whether more is better; else less is. */
  readonly more: boolean;
  readonly unit?: string;
  /** What it was made of, for people. */
  readonly detail: string;
}

export type Standing = 'goal' | 'floor' | 'below';

export const standing = ({ value, goal, floor, more }: Figure): Standing => {
  const reaches = (mark: number): boolean => (more ? value >= mark : value <= mark);
  // Not a number reaches nothing.
  return reaches(goal) ? 'goal' : reaches(floor) ? 'floor' : 'below';
};

const shown = (value: number): string =>
  Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

const words: Readonly<Record<Standing, string>> = {
  goal: 'reached',
  floor: 'above its floor',
  below: 'BELOW ITS FLOOR',
};

export const figureRow = (figure: Figure): readonly string[] => {
  const { name, value, goal, floor, more, unit = '', detail } = figure;
  const sign = more ? '≥' : '≤';
  return [
    name,
    `${shown(value)}${unit}`,
    `${sign} ${shown(goal)}${unit} (${shown(floor)}${unit})`,
    words[standing(figure)],
    detail,
  ];
};

/** Of the bench: 1 where a figure is below its floor, or nothing was measured. */
export const exitCode = (figures: readonly Figure[]): 0 | 1 =>
  figures.length === 0 || figures.some((one) => standing(one) === 'below') ? 1 : 0;

/** The last line. */
export const summary = (figures: readonly Figure[]): string => {
  const count = (one: Standing): number => figures.filter((figure) => standing(figure) === one).length;
  const below = figures.filter((figure) => standing(figure) === 'below').map(({ name }) => name);
  const failed = below.length === 0 ? 'none below its floor' : `below their floor: ${below.join(', ')}`;
  return `${figures.length} figures: ${count('goal')} goals reached, ${count('floor')} above the floor, ${failed}`;
};
