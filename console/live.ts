// What is shown stays new: it is asked for again and again while somebody looks, less often while it fails, and not at all while
// the page is hidden.

import { useCallback, useEffect, useState } from 'preact/hooks';
import { ApiError, ask, currentSession } from './api.ts';

const longestWait = 60_000;

/** Calls `look` now and then, as long as the page is seen. @returns what ends it */
export const whileSeen = (look: () => Promise<void>, every: () => number): (() => void) => {
  let ended = false;
  let busy = false;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const turn = async (): Promise<void> => {
    if (ended || busy || document.hidden) return;
    clearTimeout(timer);
    busy = true;
    try {
      await look();
      failures = 0;
    } catch {
      failures += 1;
    }
    busy = false;
    if (ended || document.hidden) return;
    timer = setTimeout(turn, Math.max(every(), Math.min(every() * 2 ** failures, longestWait)));
  };
  const seen = (): void => {
    clearTimeout(timer);
    void turn();
  };
  document.addEventListener('visibilitychange', seen);
  lookers.add(seen);
  void turn();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', seen);
    lookers.delete(seen);
  };
};

const lookers = new Set<() => void>();

/** Something was ordered: all that is shown is asked for at once. */
export const lookNow = (): void => {
  for (const looker of lookers) looker();
};

export const lookEvery = (): number => currentSession()?.lookEvery ?? 5_000;

export interface Live<T> {
  /** Absent: not yet known. */
  readonly data?: T;
  /** Why it may be old. */
  readonly error?: ApiError;
}

/** @param path undefined: nothing is asked  @param times how much rarer than other things */
export const useLive = <T>(path: string | undefined, times = 1): Live<T> => {
  const [live, setLive] = useState<Live<T> & { readonly path?: string }>({});
  useEffect(() => {
    if (path === undefined) return;
    let etag: string | undefined;
    let current = true;
    const end = whileSeen(
      async () => {
        try {
          const answer = await ask<T>(path, etag);
          if (!current) return;
          if (answer !== undefined) {
            etag = answer.etag;
            setLive({ path, data: answer.data });
          } else setLive((was) => (was.error === undefined ? was : { path, ...dataOf(was) }));
        } catch (error) {
          const known = error instanceof ApiError ? error : new ApiError(0, String(error));
          if (current) setLive((was) => ({ path, ...(was.path === path ? dataOf(was) : {}), error: known }));
          throw error;
        }
      },
      () => lookEvery() * times,
    );
    return () => {
      current = false;
      end();
    };
  }, [path, times]);
  return live.path === path ? live : {};
};

const dataOf = <T>({ data }: Live<T>): { data?: T } => (data === undefined ? {} : { data });

/** The time, each so many milliseconds, while the page is seen. */
export const useNow = (every: number): number => {
  const [now, setNow] = useState(Date.now);
  const tick = useCallback(async () => setNow(Date.now()), []);
  useEffect(() => whileSeen(tick, () => every), [tick, every]);
  return now;
};
