// The keys of a domain side by side: what was on the left, what comes on the right. Each half has its own scale, since seconds of
// a rotation and months of a key's life are to be read on one line.

import type { Foreseen, KeyDetail } from '../types.ts';
import { capital, tick } from '../words.tsx';
import { type Life, livesOf, phaseWords, type Stretch } from './phases.ts';
import { nameOf, stateOf } from './sets.ts';

/** Where now stands, in percent. */
const middle = 36;
const day = 24 * 60 * 60 * 1_000;

interface Scale {
  readonly start: number;
  readonly now: number;
  readonly end: number;
}

const place = ({ start, now, end }: Scale, at: number): number =>
  at <= now
    ? (Math.max(0, at - start) / Math.max(1, now - start)) * middle
    : middle + Math.min(1, (at - now) / Math.max(1, end - now)) * (100 - middle);

const Bar = ({ stretch: { phase, from, to }, scale }: { stretch: Stretch; scale: Scale }) => {
  const [left, right] = [place(scale, from), place(scale, to)];
  const bars: { left: number; right: number; ahead: boolean }[] = [];
  if (from < scale.now) bars.push({ left, right: Math.min(right, middle), ahead: false });
  if (to > scale.now) bars.push({ left: Math.max(left, middle), right, ahead: true });
  return (
    <>
      {bars.map((bar) => (
        <span
          key={String(bar.ahead)}
          class={`bar ${phase}${bar.ahead ? ' ahead' : ''}`}
          style={{ left: `${bar.left}%`, width: `${Math.max(bar.right - bar.left, 0.4)}%` }}
          title={`${capital(phaseWords[phase])} from ${tick(from, day)}`}
        />
      ))}
    </>
  );
};

const said = ({ stretches }: Life, scale: Scale): string =>
  stretches
    .map(({ phase, from }) => {
      const when = tick(from, from > scale.now ? 10 * day : Math.max(scale.now - scale.start, day * 4));
      return `${phaseWords[phase]} from ${when}${from > scale.now ? ' (forecast)' : ''}`;
    })
    .join(', ');

export const Lanes = ({
  keys,
  events,
  now,
}: {
  readonly keys: readonly KeyDetail[];
  readonly events: readonly Foreseen[];
  readonly now: number;
}) => {
  const last = events.at(-1);
  const end = Math.max(now + 14 * day, last === undefined ? 0 : Date.parse(last.at) + day);
  const lives = livesOf(keys, events, now, end);
  const start = Math.min(
    now - 10_000,
    ...lives.flatMap(({ stretches }) => stretches.map(({ from }) => from)),
  );
  const scale = { start, now, end };
  const marks = [
    { at: start, span: now - start, edge: 'first' },
    { at: start + (now - start) / 2, span: now - start, edge: 'between' },
    { at: now, span: 0, edge: 'now' },
    { at: now + (end - now) / 3, span: end - now, edge: 'between' },
    { at: now + ((end - now) * 2) / 3, span: end - now, edge: 'between' },
    { at: end, span: end - now, edge: 'last' },
  ];
  return (
    <div class="lanes">
      <div class="axis" aria-hidden="true">
        {marks.map(({ at, span, edge }) => (
          <span key={edge + String(place(scale, at))} class={edge} style={{ left: `${place(scale, at)}%` }}>
            {edge === 'now' ? 'now' : tick(at, span)}
          </span>
        ))}
      </div>
      <ul>
        {lives.map((life) => (
          <li key={nameOf(life.set)} class="lane">
            <span class="lane-name">
              <code>{nameOf(life.set)}</code>
              <span class={`state ${stateOf(life.set).replace(' ', '-')}`}>{stateOf(life.set)}</span>
            </span>
            <span class="track">
              <span class="hidden">{said(life, scale)}</span>
              {life.stretches.map((stretch) => (
                <Bar key={stretch.phase} stretch={stretch} scale={scale} />
              ))}
              <span class="now" style={{ left: `${middle}%` }} />
            </span>
          </li>
        ))}
      </ul>
      <p class="legend" aria-hidden="true">
        {(['preparing', 'signing', 'draining', 'revoked'] as const).map((phase) => (
          <span key={phase}>
            <span class={`bar ${phase}`} />
            {phaseWords[phase]}
          </span>
        ))}
        <span>
          <span class="bar signing ahead" />
          forecast
        </span>
      </p>
    </div>
  );
};
