// The contract of `Clock`, for every adapter.
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../engine/ports.ts';

/** @param reference what the clock should say now, in milliseconds since 1970, from another source */
export const clockContract = (name: string, clock: Clock, reference: () => number): void => {
  describe(`${name} as Clock`, () => {
    test('tells whole milliseconds since 1970', () => {
      const before = reference();
      const now = clock.now();
      const after = reference();
      expect(Number.isInteger(now)).toBe(true);
      expect(now).toBeGreaterThanOrEqual(before);
      expect(now).toBeLessThanOrEqual(after);
    });
  });
};
