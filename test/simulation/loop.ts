// Virtual time: a heap of events and one clock. Everything that happens in a world happens in an event of this loop, in the
// order of its time, and of its making where times are equal: the same seed gives the same order, always.

import { setImmediate } from 'node:timers';
import { add, type Duration, type Instant, instant } from '../../core/time.ts';

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  /** It sets promises going, which are to come to rest before the next event. */
  readonly settles: boolean;
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** A binary heap, earliest first. */
const heap = () => {
  const items: Event[] = [];
  const push = (event: Event): void => {
    let index = items.push(event) - 1;
    while (index > 0) {
      const up = (index - 1) >> 1;
      const parent = items[up];
      if (parent === undefined || !isBefore(event, parent)) break;
      items[index] = parent;
      index = up;
    }
    items[index] = event;
  };
  const pop = (): Event | undefined => {
    const [first] = items;
    const last = items.pop();
    if (first === undefined || last === undefined || items.length === 0) return first;
    let index = 0;
    for (;;) {
      let down = 2 * index + 1;
      const [left, right] = [items[down], items[down + 1]];
      if (left === undefined) break;
      let least = left;
      if (right !== undefined && isBefore(right, left)) {
        down += 1;
        least = right;
      }
      if (isBefore(last, least)) break;
      items[index] = least;
      index = down;
    }
    items[index] = last;
    return first;
  };
  return { push, pop, peek: (): Event | undefined => items[0] };
};

/** Microtasks run out before an immediate: whatever was set going waits for a later event, or has ended. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Ciphers work in other threads: nothing happens before they are done, as if they took no time. */
const settleAll = async (isBusy: () => boolean): Promise<void> => {
  do await settle();
  while (isBusy());
  await settle();
};

export interface Loop {
  readonly now: () => Instant;
  /** How many events there have been. */
  readonly events: () => number;
  /** Runs at that time, or now where it is past. Nothing asynchronous may come of it. */
  at(time: number, run: () => void): void;
  /** As `at`, for what sets promises going. */
  begin(time: number, run: () => void): void;
  sleep(length: Duration): Promise<void>;
  /** Ends what `run` is doing, after the present event. */
  stop(): void;
  run(until: Instant): Promise<void>;
}

/** More in one virtual minute is work that goes round in circles. */
const mostInAMinute = 20_000;

/** @param onSpin told when events go round in circles  @param isBusy whether work is under way outside of this thread */
export const createLoop = (start: Instant, onSpin: () => void, isBusy?: () => boolean): Loop => {
  let [now, order, count, stopped] = [start, 0, 0, false];
  let [minute, inMinute] = [0, 0];
  const events = heap();
  const put = (time: number, run: () => void, settles: boolean): void => {
    order += 1;
    events.push({ at: Math.max(Math.ceil(time), now), order, run, settles });
  };
  return {
    now: () => now,
    events: () => count,
    at: (time, run) => put(time, run, false),
    begin: (time, run) => put(time, run, true),
    sleep: (length) =>
      new Promise((resolve) => {
        put(add(now, length), resolve, true);
      }),
    stop: () => {
      stopped = true;
    },
    run: async (until) => {
      for (
        let next = events.peek();
        !stopped && next !== undefined && next.at <= until;
        next = events.peek()
      ) {
        events.pop();
        now = instant(next.at);
        count += 1;
        const present = Math.floor(now / 60_000);
        inMinute = present === minute ? inMinute + 1 : 0;
        minute = present;
        if (inMinute > mostInAMinute) onSpin();
        next.run();
        if (next.settles) await (isBusy === undefined ? settle() : settleAll(isBusy));
      }
      if (!stopped) now = until;
    },
  };
};
