// The contract of `Randomness`, for every adapter.
import { describe, expect, test } from 'vitest';
import type { Randomness } from '../../engine/ports.ts';

export const randomnessContract = (name: string, randomness: Randomness): void => {
  describe(`${name} as Randomness`, () => {
    test.each([0, 1, 12, 32, 4_096])('gives %i bytes', (length) => {
      expect(randomness.bytes(length)).toHaveLength(length);
    });

    test('gives other bytes each time', () => {
      const seen = Array.from({ length: 1_000 }, () => Buffer.from(randomness.bytes(16)).toString('hex'));
      expect(new Set(seen).size).toBe(1_000);
    });

    test('uses every value of a byte', () => {
      // 16,384 bytes: that a given value is missing has a chance of e^-64.
      expect(new Set(randomness.bytes(16_384)).size).toBe(256);
    });

    test('gives identifiers of safe characters, never twice', () => {
      const seen = Array.from({ length: 1_000 }, () => randomness.id());
      for (const id of seen) expect(id).toMatch(/^[A-Za-z0-9-]{22,}$/);
      expect(new Set(seen).size).toBe(1_000);
    });
  });
};
