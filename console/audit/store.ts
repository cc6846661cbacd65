// The trail of the whole fleet as far as it was read: the newest events are looked for again and again, older ones when somebody
// asks for them.

import { useCallback, useEffect, useState } from 'preact/hooks';
import { ApiError, ask } from '../api.ts';
import { lookEvery, whileSeen } from '../live.ts';
import type { AuditEvent, NewestOrders } from '../types.ts';

export interface Wish {
  readonly subject: string;
  readonly who: string;
  readonly what: string;
}

const pageSize = 50;

export const keyOf = ({ subject, n }: AuditEvent): string => `${subject} ${n}`;

/** What is newest goes before what is known. Where so much is new that the two do not meet, one begins anew. */
const merged = (was: NewestOrders | undefined, page: NewestOrders): NewestOrders => {
  if (was === undefined) return page;
  const known = new Set(was.events.map(keyOf));
  const fresh = page.events.filter((event) => !known.has(keyOf(event)));
  if (fresh.length === 0) return was;
  return fresh.length === page.events.length && was.events.length > 0
    ? page
    : { ...was, events: [...fresh, ...was.events] };
};

const pathOf = (wish: Wish, after?: string): string => {
  const query = new URLSearchParams({ limit: String(pageSize) });
  for (const [name, value] of Object.entries({ ...wish, after: after ?? '' }))
    if (value.trim() !== '') query.set(name, value.trim());
  return `/v1/orders?${query}`;
};

export interface FleetTrail {
  /** Absent: not yet known. */
  readonly trail?: NewestOrders;
  readonly error?: ApiError;
  readonly reading: boolean;
  /** Reads on behind the oldest that is known. @returns the first that it found */
  readonly more: () => Promise<AuditEvent | undefined>;
}

const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError(0, String(error));

export const useFleetTrail = ({ subject, who, what }: Wish): FleetTrail => {
  const path = pathOf({ subject, who, what });
  const [known, setKnown] = useState<{ readonly path: string; readonly trail?: NewestOrders }>({ path });
  const [error, setError] = useState<ApiError>();
  const [reading, setReading] = useState(false);
  const trail = known.path === path ? known.trail : undefined;

  useEffect(() => {
    let etag: string | undefined;
    let current = true;
    const end = whileSeen(
      async () => {
        try {
          const answer = await ask<NewestOrders>(path, etag);
          if (!current) return;
          setError(undefined);
          if (answer === undefined) return;
          etag = answer.etag;
          setKnown((was) => ({
            path,
            trail: merged(was.path === path ? was.trail : undefined, answer.data),
          }));
        } catch (failure) {
          if (current) setError(asApiError(failure));
          throw failure;
        }
      },
      () => lookEvery() * 2,
    );
    return () => {
      current = false;
      end();
    };
  }, [path]);

  const next = trail?.next;
  const more = useCallback(async () => {
    if (next === undefined) return undefined;
    setReading(true);
    try {
      const answer = await ask<NewestOrders>(pathOf({ subject, who, what }, next));
      const page = answer?.data ?? { events: [] };
      setKnown((was) => {
        // Begun anew meanwhile, or of another wish: what was read does not follow.
        if (was.path !== path || was.trail?.next !== next) return was;
        const { events } = page;
        const end = page.next === undefined ? {} : { next: page.next };
        return { path, trail: { events: [...was.trail.events, ...events], ...end } };
      });
      setError(undefined);
      return page.events[0];
    } catch (failure) {
      setError(asApiError(failure));
      return undefined;
    } finally {
      setReading(false);
    }
  }, [path, subject, who, what, next]);

  return {
    ...(trail === undefined ? {} : { trail }),
    ...(error === undefined ? {} : { error }),
    reading,
    more,
  };
};
