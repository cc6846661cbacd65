// What the forecast sees, one moment after the other; what happens to keys of one set at once is one sentence.

import type { Foreseen } from '../types.ts';
import { capital, When } from '../words.tsx';

const verbs: Readonly<Partial<Record<Foreseen['do'], (names: string, several: boolean) => string>>> = {
  publish: (names, several) =>
    several ? `the records of ${names} are published` : `the record of ${names} is published`,
  revoke: (names, several) => `${names} ${several ? 'are' : 'is'} revoked`,
  remove: (names, several) =>
    several ? `the records of ${names} are removed` : `the record of ${names} is removed`,
  destroy: (names) => `nothing is left of ${names}`,
};

/** Of one moment. */
const sentences = (events: readonly Foreseen[]): readonly string[] => {
  const found = new Map<string, string[]>();
  for (const { do: what, does, selector } of events) {
    const key = verbs[what] === undefined || selector === undefined ? does : what;
    found.set(key, [...(found.get(key) ?? []), ...(selector === undefined ? [] : [selector])]);
  }
  return [...found].map(([what, selectors]) => {
    const verb = verbs[what as Foreseen['do']];
    return verb === undefined ? what : verb(selectors.join(' + '), selectors.length > 1);
  });
};

const moments = (events: readonly Foreseen[]): readonly (readonly [string, readonly string[]])[] => {
  const found = new Map<string, Foreseen[]>();
  for (const event of events) found.set(event.at, [...(found.get(event.at) ?? []), event]);
  return [...found].map(([at, each]) => [at, sentences(each)]);
};

export const Foresight = ({
  events,
  now,
  far = false,
}: {
  readonly events: readonly Foreseen[];
  readonly now: number;
  /** With dates. */
  readonly far?: boolean;
}) => (
  <ol class={far ? 'steps far' : 'steps'}>
    {moments(events).map(([at, says]) => (
      <li key={at}>
        <span class="step-when">
          <When at={at} now={now} far={far} />
        </span>
        <span>
          {says.map((each) => (
            <span key={each} class="step">
              {capital(each)}
            </span>
          ))}
        </span>
      </li>
    ))}
  </ol>
);
