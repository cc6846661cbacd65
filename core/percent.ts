// A part of a whole, for people. Pure.

/** One decimal, never up to all or down to none: 9,999 of 10,000 is no 100%. */
export const percent = (part: number, whole: number): string => {
  if (whole === 0) return '-';
  const tenths = Math.floor((part / whole) * 1_000);
  return `${tenths === 1_000 ? '100' : (Math.max(tenths, part > 0 ? 1 : 0) / 10).toFixed(1)}%`;
};
