// Looks after the records of the keys that sign, at their authoritative servers: at the start, then hourly. It is the fence
// for a host restored from an old backup: what the world no longer verifies must not sign. No I/O of its own.

import type { ServerAnswer } from '../adapters/dns/authority.ts';
import { describe } from '../core/errors.ts';
import type { Duty } from '../core/key/evidence.ts';
import { add, type Duration, hours, type Instant, milliseconds, minutes, seconds } from '../core/time.ts';
import type { Log } from './log.ts';
import type { Timer } from './pull.ts';
import { judgeRecord, type Verdict } from './record-verdict.ts';

interface CheckedKey {
  readonly domain: string;
  readonly selector: string;
  readonly publicKey: string;
  readonly duty: Duty;
}

export interface RecordCheckOptions {
  /** `domain/selector` → the key: all that the key store holds; another map whenever it holds others. */
  readonly held: () => ReadonlyMap<string, CheckedKey>;
  /** As `Authority.look`. */
  readonly look: (name: string) => Promise<readonly ServerAnswer[]>;
  /** These keys must not sign (`domain/selector` → why), in place of those said before. */
  readonly stop: (keys: ReadonlyMap<string, string>) => Promise<void>;
  readonly now: () => Instant;
  readonly timer: Timer;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

export interface RecordCheck {
  /** The first records have been looked at, and what must not sign has stopped. Of a few keys: all of them. */
  readonly settled: Promise<void>;
  /** Stops nothing any more. Questions under way are left to their timeouts. */
  close(): void;
}

/** From one look at a sound record to the next. */
const every = hours(1);
/** Looks at once. */
const width = 64;
/** How many new keys are looked at right away; the others follow at this pace, or so that all have had their turn in an hour. */
const burst = width;
const leastPace = 20 / seconds(1);
/** How often the key store is compared. */
const pulse = seconds(10);
/** A key stops when it was found wanting twice: a forged answer must win twice, and a reload of a server passes. */
const confirmAfter = seconds(2);

/** A stopped or doubtful record: each minute at first, since mail waits for it, then less often. */
const soon = (looks: number): Duration => minutes(Math.min(15, looks <= 5 ? 1 : 2 ** (looks - 5)));
/** A record that nobody tells of. */
const later = (looks: number): Duration => minutes(Math.min(every / minutes(1), 5 * 2 ** (looks - 1)));

interface Entry extends Pick<CheckedKey, 'domain' | 'selector' | 'publicKey'> {
  readonly name: string;
  dueAt: Instant;
  stopped: string | undefined;
  /** Looks in a row that did not find the record sound. */
  looks: number;
}

export const startRecordCheck = (options: RecordCheckOptions): RecordCheck => {
  const { held, look, stop, now, timer, random, log } = options;
  const entries = new Map<string, Entry>();
  let closed = false;
  const cancels = new Set<() => void>();
  const after = (delay: Duration, run: () => void): void => {
    const cancel = timer.after(delay, () => {
      cancels.delete(cancel);
      run();
    });
    cancels.add(cancel);
  };

  let changed = false;
  let telling: Promise<void> | undefined;
  const tell = (): Promise<void> => {
    changed = true;
    // One at a time: what changes meanwhile is told with the next.
    telling ??= (async () => {
      while (changed && !closed) {
        changed = false;
        const stopped = [...entries].flatMap(([name, entry]) =>
          entry.stopped === undefined ? [] : [[name, entry.stopped] as const],
        );
        await stop(new Map(stopped));
      }
    })().finally(() => {
      telling = undefined;
    });
    return telling;
  };

  let compared: ReadonlyMap<string, CheckedKey> | undefined;
  /** Takes up new keys and lets go of those that sign no more. @returns whether a stopped one went */
  const compare = (): boolean => {
    const present = held();
    if (present === compared) return false;
    compared = present;
    let lost = false;
    for (const [name, { publicKey, stopped }] of entries) {
      const key = present.get(name);
      if (key?.duty === 'signing' && key.publicKey === publicKey) continue;
      entries.delete(name);
      hear(name, undefined);
      lost ||= stopped !== undefined;
    }
    const fresh: Entry[] = [];
    for (const [name, { domain, selector, publicKey, duty }] of present) {
      if (duty !== 'signing' || entries.has(name)) continue;
      const entry = { name, domain, selector, publicKey, dueAt: now(), stopped: undefined, looks: 0 };
      fresh.push(entry);
      entries.set(name, entry);
    }
    const pace = Math.max(leastPace, fresh.length / every);
    for (const [index, entry] of fresh.entries())
      entry.dueAt = add(now(), milliseconds(Math.round(Math.max(0, index - burst) / pace)));
    return lost;
  };

  const confirmed = async (entry: Entry): Promise<Verdict> => {
    const first = await judgeRecord(entry, look);
    if (first.kind !== 'gone' || entry.stopped !== undefined) return first;
    await new Promise<void>((resolve) => after(confirmAfter, resolve));
    const second = await judgeRecord(entry, look);
    return second.kind === 'sound' ? { kind: 'mixed', why: first.why } : second;
  };

  /** Of whose records nobody tells at present. */
  const silent = new Set<string>();
  const hear = (name: string, why: string | undefined): void => {
    const before = silent.size;
    if (why === undefined) silent.delete(name);
    else silent.add(name);
    // Once, not for each of 100,000 domains.
    if (before === 0 && why !== undefined) log(`record check: not every record can be looked at: ${why}`);
    if (before > 0 && silent.size === 0) log('record check: every record can be looked at again');
  };

  const check = async (entry: Entry): Promise<void> => {
    const verdict = await confirmed(entry);
    // It may have been replaced while the servers were asked.
    const { name } = entry;
    if (closed || entries.get(name) !== entry) return;
    const before = entry.stopped;
    hear(name, verdict.kind === 'unknown' ? verdict.why : undefined);
    entry.looks = verdict.kind === 'sound' ? 0 : entry.looks + 1;
    let wait: Duration;
    if (verdict.kind === 'sound') {
      entry.stopped = undefined;
      wait = milliseconds(Math.round(every * (0.9 + 0.2 * random())));
    } else if (verdict.kind === 'unknown') {
      wait = entry.stopped === undefined ? later(entry.looks) : soon(entry.looks);
    } else {
      // What stopped stays so while only some show it: it may be a server that was away while the record went.
      if (verdict.kind === 'gone')
        entry.stopped ??= `${verdict.why.slice(0, 400)}: it must not sign until the record is back`;
      else if (entry.looks === 1) log(`record check: ${verdict.why}: is that server behind?`);
      wait = soon(entry.looks);
    }
    entry.dueAt = add(now(), wait);
    if (entry.stopped !== before) await tell();
  };

  const round = async (): Promise<void> => {
    if (compare()) await tell();
    const at = now();
    // A clock that went back must not put the next look off for longer than a clock that is right.
    const due = [...entries.values()].filter(({ dueAt }) => dueAt <= at || dueAt > add(at, every, every));
    let next = 0;
    const work = async (): Promise<void> => {
      for (let entry = due[next++]; entry !== undefined && !closed; entry = due[next++]) await check(entry);
    };
    await Promise.all(Array.from({ length: Math.min(width, due.length) }, work));
  };

  const turn = (): Promise<void> =>
    round()
      .catch((error: unknown) => log(`record check: ${describe(error)}`))
      .then(() => {
        if (!closed) after(pulse, () => void turn());
      });

  const settled = turn();
  return {
    settled,
    close() {
      closed = true;
      for (const cancel of cancels) cancel();
    },
  };
};
