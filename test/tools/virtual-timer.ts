// A timer whose time passes only when a test says so.
import { add, type Duration, type Instant, instant } from '../../core/time.ts';

export interface VirtualTimer {
  now(): Instant;
  /** As `Timer` of the local queue: calls `run` once, after `length`. Returns what cancels it. */
  after(length: Duration, run: () => void): () => void;
  /** Lets time pass: calls what falls due, in its order, at its time. */
  pass(length: Duration): void;
}

export const createVirtualTimer = (start: Instant = instant(Date.UTC(2024, 0, 28))): VirtualTimer => {
  let now = start;
  let order = 0;
  const pending = new Map<number, { readonly at: Instant; readonly run: () => void }>();
  return {
    now: () => now,
    after(length, run) {
      const id = order++;
      pending.set(id, { at: add(now, length), run });
      return () => pending.delete(id);
    },
    pass(length) {
      const end = add(now, length);
      for (;;) {
        const [due] = [...pending].filter(([, { at }]) => at <= end).toSorted(([, a], [, b]) => a.at - b.at);
        if (due === undefined) break;
        const [id, { at, run }] = due;
        pending.delete(id);
        now = at;
        run();
      }
      now = end;
    },
  };
};
