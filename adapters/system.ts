// The engine's `Clock` and `Randomness` on this machine's own.
import { randomBytes, randomUUID } from 'node:crypto';
import { instant } from '../core/time.ts';
import type { Clock, Randomness } from '../engine/ports.ts';

export const systemClock: Clock = { now: () => instant(Date.now()) };

export const systemRandomness: Randomness = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  id: () => randomUUID(),
};
