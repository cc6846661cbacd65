// What keys are made of, and what a key from elsewhere is counted as.
import { expect, it } from 'vitest';
import { adoptedAlgorithm, algorithms, isAlgorithm, isMade } from '../../core/algorithm.ts';

it('keys are made of all but RSA-1024: RFC 8301 §3.2', () => {
  expect(Object.keys(algorithms).filter(isAlgorithm).filter(isMade)).toEqual([
    'rsa2048',
    'rsa3072',
    'rsa4096',
    'ed25519',
  ]);
});

it.each([
  [512, undefined],
  [1_023, undefined],
  [1_024, 'rsa1024'],
  [2_047, 'rsa1024'],
  [2_048, 'rsa2048'],
  [3_071, 'rsa2048'],
  [3_072, 'rsa3072'],
  [4_095, 'rsa3072'],
  [4_096, 'rsa4096'],
  [4_097, undefined],
  [undefined, undefined],
])('an adopted RSA key of %s bits counts as %s', (bits, counted) => {
  expect(adoptedAlgorithm('rsa', bits)).toBe(counted);
});

it('an adopted Ed25519 key counts as one', () => {
  expect(adoptedAlgorithm('ed25519', undefined)).toBe('ed25519');
});
