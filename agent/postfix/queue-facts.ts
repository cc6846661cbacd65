// How long mail may lie in this host's queues, for acknowledgements: the drain of a retired key counts with it. Asks postconf
// and postqueue now and then, in the background: whoever wants the answer gets the last one at once, and signing never waits.
import { describe } from '../../core/errors.ts';
import {
  add,
  between,
  type Duration,
  days,
  type Instant,
  instant,
  longest,
  milliseconds,
  minutes,
  seconds,
} from '../../core/time.ts';
import type { Log } from '../log.ts';
import type { Timer } from '../pull.ts';
import { complaint, type Exec } from './exec.ts';
import { configDirectories, type Instance, readInstance } from './read.ts';

const units = { s: seconds(1), m: minutes(1), h: minutes(60), d: days(1), w: days(7) } as const;
type Unit = keyof typeof units;
const isUnit = (text: string): text is Unit => text in units;

/** postconf(5): a number and s, m, h, d or w; without, in the parameter's own unit. Undefined where it is none. */
export const postfixTime = (text: string, unit: Unit): Duration | undefined => {
  const [, number, said = ''] = /^(\d+)\s*([smhdw]?)$/.exec(text.trim()) ?? [];
  if (number === undefined) return undefined;
  return milliseconds(Number(number) * units[isUnit(said) ? said : unit]);
};

/** What one instance's queue does. */
interface Queue {
  /** From a message's arrival to its last delivery attempt; unknown where postconf failed. */
  readonly lifetime: Duration | undefined;
  /** How long after its lifetime a message may be tried once more. */
  readonly backoff: Duration;
  /** Arrival of the oldest message, held ones included. */
  readonly oldest: Instant | undefined;
}

/** Postfix's own defaults, for an instance that cannot be asked while others can. */
const unread: Queue = { lifetime: undefined, backoff: seconds(4_000), oldest: undefined };
const usual = days(5);

/** qmgr(8) bounces a message that is older than its lifetime when an attempt fails: the last one comes up to a backoff later. */
const lifetimeOf = (instance: Instance, backoff: Duration): Duration | undefined => {
  const times = [
    postfixTime(instance.setting('maximal_queue_lifetime'), 'd'),
    postfixTime(instance.setting('bounce_queue_lifetime'), 'd'),
  ].filter((time) => time !== undefined);
  const [first, ...rest] = times;
  return first === undefined ? undefined : milliseconds(longest(first, ...rest) + backoff);
};

/**
 * The arrival of the oldest message in a queue from which signed mail is sent: all but `maildrop`, which is not signed yet.
 * Where postqueue failed, `trouble` says why; what it had said is still true.
 */
const oldestMessage = async (
  exec: Exec,
  configDirectory: string,
): Promise<{ oldest: Instant | undefined; trouble: string | undefined }> => {
  let oldest: number | undefined;
  const outcome = await exec('postqueue', ['-c', configDirectory, '-j'], (line) => {
    // A line a message (postqueue(1), JSON OBJECT FORMAT); it may have thousands of recipients behind these members.
    if (line.startsWith('{"queue_name": "maildrop"')) return;
    const arrival = /"arrival_time": ?(\d+)/.exec(line)?.[1];
    if (arrival === undefined) return;
    oldest = Math.min(oldest ?? Number.POSITIVE_INFINITY, Number(arrival) * 1_000);
  });
  return {
    oldest: oldest === undefined ? undefined : instant(oldest),
    trouble: outcome.code === 0 ? undefined : `postqueue -c ${configDirectory}: ${complaint(outcome)}`,
  };
};

export interface QueueFactsOptions {
  readonly exec: Exec;
  /** Postfix's configuration folders; found where absent. */
  readonly configDirectories?: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly timer: Timer;
  readonly log: Log;
  /** 5 minutes unless told otherwise. */
  readonly every?: Duration;
}

export interface QueueFacts {
  /**
   * The longest time from a message's arrival to its last delivery attempt, of all instances, and at least the age of the
   * oldest message that is still in a queue: a held message, signed long ago, keeps its key's record in place for as long
   * as it is held, and the drain's margin after that. Undefined while nothing is known.
   */
  lifetime(): Duration | undefined;
  /** Asks now. Never fails. */
  refresh(): Promise<void>;
  /** A question in hand ends by itself. */
  close(): void;
}

/** Begins to ask. What cannot be read any more is taken to be as it was. */
export const watchQueues = (options: QueueFactsOptions): QueueFacts => {
  const { exec, timer, log, every = minutes(5) } = options;
  let queues: ReadonlyMap<string, Queue> = new Map();
  let trouble: string | undefined;
  let cancel = (): void => {};
  let closed = false;

  const readQueue = async (directory: string, troubles: string[]): Promise<Queue> => {
    const before = queues.get(directory) ?? unread;
    let { lifetime, backoff } = before;
    try {
      const instance = await readInstance(exec, directory);
      backoff = postfixTime(instance.setting('maximal_backoff_time'), 's') ?? unread.backoff;
      lifetime = lifetimeOf(instance, backoff);
    } catch (error) {
      troubles.push(describe(error));
    }
    const found = await oldestMessage(exec, directory);
    if (found.trouble === undefined) return { lifetime, backoff, oldest: found.oldest };
    troubles.push(found.trouble);
    const known = [found.oldest, before.oldest].filter((at) => at !== undefined);
    return { lifetime, backoff, oldest: known.length === 0 ? undefined : instant(Math.min(...known)) };
  };
  const refresh = async (): Promise<void> => {
    const troubles: string[] = [];
    try {
      const next = new Map<string, Queue>();
      for (const directory of await configDirectories(exec, options.configDirectories))
        next.set(directory, await readQueue(directory, troubles));
      queues = next;
    } catch (error) {
      troubles.push(describe(error));
    }
    const said = troubles.length === 0 ? undefined : troubles.join(' ');
    if (said !== undefined && said !== trouble) log(`queues: ${said}`);
    if (said === undefined && trouble !== undefined) log('queues: can be read again');
    trouble = said;
  };
  const run = (): void => {
    void refresh().then(() => {
      if (!closed) cancel = timer.after(every, run);
    });
  };
  run();

  return {
    lifetime() {
      const all = [...queues.values()];
      if (all.every(({ lifetime, oldest }) => lifetime === undefined && oldest === undefined))
        return undefined;
      const now = instant(options.now());
      const [first = usual, ...rest] = all.flatMap(({ lifetime = usual, backoff, oldest }) =>
        oldest === undefined ? [lifetime] : [lifetime, between(oldest, add(now, backoff))],
      );
      return longest(first, ...rest);
    },
    refresh,
    close() {
      closed = true;
      cancel();
    },
  };
};
