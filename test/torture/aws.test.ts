// The torture on AWS in short: a fixed seed, a few rotations, whole lives of their keys.
import { expect, test } from 'vitest';
import { describeWith } from '../tools/machine.ts';
import { tortureAws } from './aws.ts';

describeWith(['moto_server'], 'torture on AWS', () => {
  test('keeps every invariant while AWS misbehaves, and settles when it stops', async () => {
    const { figures, violations } = await tortureAws({ seed: 5, rotations: 3, progress: () => {} });
    expect(violations).toEqual([]);
    expect(figures['rotations done']).toBeGreaterThanOrEqual(6);
    expect(figures['whole lives of keys']).toBeGreaterThanOrEqual(3);
    // Their number depends on how requests fall together.
    expect(figures.faults).toBeGreaterThan(50);
    expect(figures['signatures verified']).toBeGreaterThan(100);
  }, 180_000);
});
