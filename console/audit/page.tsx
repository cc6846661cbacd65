// The audit trail of the whole fleet: who ordered what, when and why, the newest first.

import { useEffect, useRef, useState } from 'preact/hooks';
import { Event } from '../domain/trail.tsx';
import { Empty, Loading, Trouble } from '../parts.tsx';
import { domainHref } from '../route.ts';
import type { AuditEvent } from '../types.ts';
import { keyOf, useFleetTrail, type Wish } from './store.ts';

/** All that the API knows: a new one does not compile without a word here. */
const orders: Readonly<Record<AuditEvent['what'], string>> = {
  rotate: 'Rotate',
  emergency: 'Emergency',
  abort: 'Abort',
  rollback: 'Rollback',
  compromise: 'Compromise',
  exclude: 'Exclude a host',
  return: 'Let a host count again',
  fence: 'Fence a host',
  audit: 'Audit',
  'force fleet': 'Force a fleet file',
  'import reports': 'Import reports',
  restore: 'Restore',
};

const nothing: Wish = { subject: '', who: '', what: '' };
/** Somebody who types is let finish a word. */
const patience = 300;

const Subject = ({ subject }: { subject: string }) => {
  // Of no one domain or host: core/audit.ts.
  if (subject === 'fleet') return <span>the fleet</span>;
  const host = /^host\/(.+)$/.exec(subject)?.[1];
  return host === undefined ? (
    <a href={domainHref(subject)}>{subject}</a>
  ) : (
    <span>
      host <a href="#/hosts">{host}</a>
    </span>
  );
};

const Filters = ({ wish, onWish }: { wish: Wish; onWish: (wish: Wish) => void }) => (
  <search class="filters fields">
    <label class="field">
      <span>Domain, or host/NAME</span>
      <input
        type="search"
        value={wish.subject}
        autoComplete="off"
        spellcheck={false}
        onInput={(event) => onWish({ ...wish, subject: event.currentTarget.value })}
      />
    </label>
    <label class="field">
      <span>By whom</span>
      <input
        type="search"
        value={wish.who}
        autoComplete="off"
        spellcheck={false}
        onInput={(event) => onWish({ ...wish, who: event.currentTarget.value })}
      />
    </label>
    <label class="field">
      <span>What</span>
      <select value={wish.what} onChange={(event) => onWish({ ...wish, what: event.currentTarget.value })}>
        <option value="">Everything</option>
        {Object.entries(orders).map(([what, words]) => (
          <option key={what} value={what}>
            {words}
          </option>
        ))}
      </select>
    </label>
  </search>
);

export const AuditPage = () => {
  const [typed, setTyped] = useState(nothing);
  const [wish, setWish] = useState(nothing);
  const { trail, error, reading, more } = useFleetTrail(wish);
  const list = useRef<HTMLUListElement>(null);
  const [focus, setFocus] = useState<string>();
  useEffect(() => {
    const timer = setTimeout(() => setWish(typed), patience);
    return () => clearTimeout(timer);
  }, [typed]);
  // Where one reads on: the button may be gone.
  useEffect(() => {
    if (focus !== undefined) list.current?.querySelector<HTMLElement>(`[data-key="${focus}"]`)?.focus();
    setFocus(undefined);
  }, [focus]);
  const events = trail?.events ?? [];
  const narrowed = Object.values(wish).some((text) => text.trim() !== '');
  const readOn = async (): Promise<void> => {
    const first = await more();
    if (first !== undefined) setFocus(keyOf(first));
  };
  return (
    <>
      <div>
        <h1 tabIndex={-1}>Audit trail</h1>
        <p class="quiet">
          What was ordered in the whole fleet, the newest first. What Selkie does by schedule is no order.
        </p>
      </div>
      <Filters wish={typed} onWish={setTyped} />
      <Trouble error={error} old={trail !== undefined} />
      {trail === undefined && error === undefined ? <Loading what="the audit trail" /> : null}
      {trail !== undefined && events.length === 0 ? (
        <Empty
          title={
            trail.next !== undefined
              ? 'Nothing like it among the newest orders.'
              : narrowed
                ? 'Nothing like it was ordered.'
                : 'Nothing was ordered yet: all happened by schedule.'
          }
        >
          {wish.subject.trim() === '' ? null : (
            <p>
              The whole name is wanted: <code>example.jp</code>, <code>host/mx1.example.jp</code>, or{' '}
              <code>fleet</code> for what is of no one of them.
            </p>
          )}
          {narrowed ? (
            <button type="button" onClick={() => setTyped(nothing)}>
              Show all
            </button>
          ) : null}
        </Empty>
      ) : null}
      {events.length === 0 ? null : (
        <ul class="card trail" ref={list} aria-label="Orders">
          {events.map((event) => (
            <li key={keyOf(event)} data-key={keyOf(event)} tabIndex={-1}>
              <Event event={event} of={<Subject subject={event.subject} />} />
            </li>
          ))}
        </ul>
      )}
      <div class="more">
        {trail?.next === undefined ? null : (
          <button type="button" disabled={reading} onClick={() => void readOn()}>
            {reading ? 'Reading…' : events.length === 0 ? 'Look further back' : 'Load more'}
          </button>
        )}
        <p class="quiet" role="status">
          {trail === undefined || events.length === 0
            ? ''
            : `${events.length} ${events.length === 1 ? 'order' : 'orders'}${trail.next === undefined ? ', and that is all' : ''}`}
        </p>
      </div>
    </>
  );
};
