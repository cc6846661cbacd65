// How long and from where the fuzz tests run. The seed is fixed, so that a failure is found again by everybody;
// FUZZ_RUNS multiplies the runs for long sessions, and FUZZ_SEED begins elsewhere: `FUZZ_RUNS=100 FUZZ_SEED=7 npx vitest
// run test/fuzz`.
import { expect, vi } from 'vitest';
import { type ErrorCode, SelkieError } from '../../core/errors.ts';

const factor = Number(process.env.FUZZ_RUNS ?? 1);
const seed = Number(process.env.FUZZ_SEED ?? 240_128);

/** The parameters of one property. */
export const runs = (numRuns: number): { readonly seed: number; readonly numRuns: number } => ({
  seed,
  numRuns: Math.ceil(numRuns * factor),
});

/** For the whole file: a test that hangs fails, and a long session is not taken for one. */
export const patience = (): void => {
  vi.setConfig({ testTimeout: 30_000 * Math.max(1, factor) });
};

/** That `error` is ours, with one of `codes`. Anything else is thrown on, with its own stack. */
export const ours = (error: unknown, ...codes: readonly ErrorCode[]): SelkieError => {
  if (!(error instanceof SelkieError)) throw error;
  expect(codes).toContain(error.code);
  return error;
};

/** What `attempt` gives, or the refusal it ends with. @throws whatever else it throws */
export const outcomeOf = <T>(
  attempt: () => T,
  ...codes: readonly ErrorCode[]
): { readonly value: T } | { readonly refusal: SelkieError } => {
  try {
    return { value: attempt() };
  } catch (error) {
    return { refusal: ours(error, ...codes) };
  }
};

/**
 * That `work` takes no more than some seconds of the processor (a clock would count what else the machine does): what grows
 * in square time takes minutes on the inputs that this is given.
 */
export const soon = <T>(work: () => T, seconds = 1): T => {
  const started = process.cpuUsage();
  const value = work();
  const { user, system } = process.cpuUsage(started);
  expect((user + system) / 1_000_000).toBeLessThan(seconds);
  return value;
};

/** `bytes` in pieces that end at `cuts` (any numbers). */
export const cutAt = (bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...ends].map((from, i) => bytes.subarray(from, ends[i] ?? bytes.length));
};

export const eachByte = (bytes: Uint8Array): Uint8Array[] =>
  Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
