// The queue inside of one process. What waits is lost with the process, which harms nothing: units are due by the
// ledger, and the sweep at start finds them again. Touches nothing but the timer it is given.
import { type Duration, seconds } from '../../core/time.ts';
import type { Queue, Unit } from '../../engine/ports.ts';
import { requireDelay } from '../queue-delay.ts';

/** Calls `run` once, after `length`. Returns what cancels it. */
export type Timer = (length: Duration, run: () => void) => () => void;

/** A pending call does not keep the process alive: the consumer does. */
export const systemTimer: Timer = (length, run) => {
  const handle = setTimeout(run, length);
  handle.unref();
  return () => clearTimeout(handle);
};

export interface LocalQueueOptions {
  readonly timer?: Timer;
  /** After how long a unit comes back whose work threw; 5 s by default. */
  readonly retryAfter?: Duration;
}

export interface LocalQueue extends Queue {
  /** The next unit, as soon as one waits. Undefined once the queue is closed. */
  next(): Promise<Unit | undefined>;
  /**
   * Does all that waits now or is sent meanwhile, one after the other, until nothing waits; what is delayed is left.
   * Where `work` throws, the unit comes back after `retryAfter` and `failed` is told; the others go on.
   * Returns how many were done.
   */
  drain(work: (unit: Unit) => Promise<void>, failed?: (unit: Unit, error: unknown) => void): Promise<number>;
  /** As `drain`, until the queue is closed. */
  consume(work: (unit: Unit) => Promise<void>, failed?: (unit: Unit, error: unknown) => void): Promise<void>;
  /** How many wait, without the delayed. */
  readonly waiting: number;
  /** Forgets what waits, what is delayed and what is still sent, and answers everyone in `next`. */
  close(): void;
}

/** Equal units give equal text: which domains, not in which order. */
const identity = (unit: Unit): string => {
  switch (unit.kind) {
    case 'fleet':
      return 'fleet';
    case 'cohort':
      return ['cohort', ...[...new Set(unit.domains)].toSorted()].join(' ');
    case 'host':
      return `host ${unit.host}`;
    case 'audit':
      return `audit ${unit.zone} ${unit.after ?? ''}`;
    case 'inventory':
      return `inventory ${unit.of} ${unit.after ?? ''}`;
    case 'mended':
      return `mended ${unit.zone}`;
    case 'order':
      return `order ${unit.id} ${unit.turn ?? 0}`;
  }
};

/**
 * Equal units that wait become one: a unit looks at what is, so that once is as good as twice. One that is being worked on
 * no longer waits: an equal one sent meanwhile is done again, since the work may have looked before the reason to send it.
 */
export const createLocalQueue = ({
  timer = systemTimer,
  retryAfter = seconds(5),
}: LocalQueueOptions = {}): LocalQueue => {
  /** By identity, in the order of their arrival. */
  const waiting = new Map<string, Unit>();
  const delayed = new Set<() => void>();
  const takers: ((unit: Unit | undefined) => void)[] = [];
  let closed = false;

  const take = (): Unit | undefined => {
    const [first] = waiting;
    if (first === undefined) return undefined;
    const [id, unit] = first;
    waiting.delete(id);
    return unit;
  };

  const enqueue = (unit: Unit): void => {
    const id = identity(unit);
    if (!waiting.has(id)) waiting.set(id, unit);
    if (takers.length > 0) takers.shift()?.(take());
  };

  const delay = (unit: Unit, length: Duration): void => {
    const cancel = timer(length, () => {
      delayed.delete(cancel);
      if (!closed) enqueue(unit);
    });
    delayed.add(cancel);
  };

  type Work = Parameters<LocalQueue['drain']>[0];
  type Failed = NonNullable<Parameters<LocalQueue['drain']>[1]>;
  const perform = async (unit: Unit, work: Work, failed: Failed | undefined): Promise<void> => {
    try {
      await work(unit);
    } catch (error) {
      if (!closed) delay(unit, retryAfter);
      failed?.(unit, error);
    }
  };

  const next = (): Promise<Unit | undefined> => {
    const unit = take();
    if (unit !== undefined || closed) return Promise.resolve(unit);
    return new Promise((resolve) => takers.push(resolve));
  };

  return {
    async send(units, length) {
      if (length !== undefined) requireDelay(length);
      // Of a unit that was in hand when the queue closed: it is to be finished, not to fail.
      if (closed) return;
      for (const unit of units)
        if (length === undefined || length === 0) enqueue(unit);
        else delay(unit, length);
    },
    next,
    async drain(work, failed) {
      let done = 0;
      for (let unit = take(); unit !== undefined; unit = take()) {
        await perform(unit, work, failed);
        done += 1;
      }
      return done;
    },
    async consume(work, failed) {
      for (let unit = await next(); unit !== undefined; unit = await next())
        await perform(unit, work, failed);
    },
    get waiting() {
      return waiting.size;
    },
    close() {
      closed = true;
      for (const cancel of delayed) cancel();
      delayed.clear();
      waiting.clear();
      for (const taker of takers.splice(0)) taker(undefined);
    },
  };
};
