// The audit trail of a domain or a host: who ordered what, when, why, and what it changed. Newest first.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { auditChanges } from '../../core/audit-changes.ts';
import { ApiError, ask } from '../api.ts';
import { Empty, Loading, Trouble } from '../parts.tsx';
import type { AuditEvent, Trail as TrailPage } from '../types.ts';
import { At, capital } from '../words.tsx';

/** The API begins with the oldest; so many pages of a thousand are read. */
const mostPages = 5;

/** @param of what it is about, where that is not plain */
export const Event = ({ event, of }: { event: AuditEvent; of?: ComponentChildren }) => (
  <>
    <div class="trail-head">
      <strong>{capital(event.what)}</strong>
      {of}
      <span>by {event.who}</span>
      <At at={event.at} />
    </div>
    {event.why === undefined ? null : <p>{event.why}</p>}
    {auditChanges(event.before, event.after).map((change) => (
      <p key={change} class="quiet change">
        {change}
      </p>
    ))}
  </>
);

/** @param version asked for anew when it changes */
export const Trail = ({
  path,
  subject,
  version,
}: {
  readonly path: string;
  readonly subject: string;
  readonly version: unknown;
}) => {
  const [events, setEvents] = useState<readonly AuditEvent[]>();
  const [error, setError] = useState<ApiError>();
  useEffect(() => {
    let current = true;
    const read = async (): Promise<void> => {
      const found: AuditEvent[] = [];
      let after = '';
      for (let page = 0; page < mostPages; page += 1) {
        const answer = await ask<TrailPage>(`${path}?limit=1000${after}`);
        if (answer === undefined) break;
        found.push(...answer.data.events);
        if (answer.data.next === undefined) break;
        after = `&after=${encodeURIComponent(answer.data.next)}`;
      }
      if (!current) return;
      setEvents(found.toReversed());
      setError(undefined);
    };
    read().catch((failure: unknown) => {
      if (current) setError(failure instanceof ApiError ? failure : new ApiError(0, String(failure)));
    });
    return () => {
      current = false;
    };
  }, [path, version]);
  if (events === undefined)
    return error === undefined ? <Loading what="the audit trail" /> : <Trouble error={error} old={false} />;
  if (events.length === 0) return <Empty title="Nothing was ordered yet: all happened by schedule." />;
  return (
    <>
      <Trouble error={error} old />
      <ul class="trail">
        {events.map((event) => (
          <li key={event.n}>
            <Event event={event} />
          </li>
        ))}
      </ul>
      <p class="quiet">
        Each event bears the hash of the one before: <code>selkie audit verify {subject}</code> proves it.
      </p>
    </>
  );
};
