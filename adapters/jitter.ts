// Waits before another try, spread out: workers that were refused together would else come back together. Never shorter than what
// was asked for, since some wait for a time that a service needs. Pure but for chance.
// https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
import { type Duration, milliseconds } from '../core/time.ts';

/** @param random from 0 to 1; given by tests  @returns `length` to one and a half times it */
export const spread = (length: Duration, random: () => number = Math.random): Duration =>
  milliseconds(Math.round(length * (1 + random() / 2)));
