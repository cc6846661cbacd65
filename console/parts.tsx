// Small things that every page shows: a health badge, notices, what is not there.

import type { ComponentChildren } from 'preact';
import type { Standing } from '../core/host-standing.ts';
import type { ApiError } from './api.ts';
import { type Health, healthWords } from './health.ts';

/** The shape says what the colour does. */
const shapes: Readonly<Record<Health, string>> = {
  well: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm3.2 4.9-3.9 4.3a.8.8 0 0 1-1.2 0L4.7 9.2l1.1-1.1.9 1 3.3-3.7 1.2 1Z',
  moving: 'M8 1.5a6.5 6.5 0 1 0 6.5 6.5H13A5 5 0 1 1 8 3v1.9l3.4-2.8L8 0v1.5Z',
  trouble: 'M8 1 .8 14.2h14.4L8 1Zm-.9 4.8h1.8v4.4H7.1V5.8Zm0 5.4h1.8V13H7.1v-1.8Z',
  leaving: 'M2 2h7v2H4v8h5v2H2V2Zm8.3 3L14 8l-3.7 3V9H6V7h4.3V5Z',
};

export const Icon = ({ health }: { health: Health }) => (
  <svg class={`icon ${health}`} viewBox="0 0 16 16" aria-hidden="true">
    <path d={shapes[health]} fill-rule="evenodd" />
  </svg>
);

export const Badge = ({ health, words = healthWords[health] }: { health: Health; words?: string }) => (
  <span class={`badge ${health}`}>
    <Icon health={health} />
    {words}
  </span>
);

const healthOfStanding: Readonly<Record<Standing, Health>> = {
  ready: 'well',
  'not ready': 'trouble',
  fenced: 'trouble',
  excluded: 'leaving',
};
export const StandingBadge = ({ standing }: { standing: Standing }) => (
  <Badge health={healthOfStanding[standing]} words={standing} />
);

/** What is shown may be old, or is not there at all. */
export const Trouble = ({ error, old }: { error: ApiError | undefined; old: boolean }) =>
  error === undefined ? null : (
    <p class="notice trouble" role="alert">
      <Icon health="trouble" />
      <span>
        {error.message}
        {old ? ' What you see is from before; it is asked for again.' : ''}
      </span>
    </p>
  );

export const Loading = ({ what }: { what: string }) => (
  <p class="quiet loading" role="status">
    Loading {what}…
  </p>
);

export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    {children}
  </div>
);

export const Card = ({
  title,
  aside,
  children,
}: {
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}) => (
  <section class="card" aria-label={title}>
    <header class="card-head">
      <h2>{title}</h2>
      {aside}
    </header>
    {children}
  </section>
);
