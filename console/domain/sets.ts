// Keys that are switched together are one thing to look at, as long as they go the same way.

import type { Foreseen, KeyDetail } from '../types.ts';

export interface KeySet {
  readonly selectors: readonly string[];
  /** Of a set that is still to come: none. */
  readonly keys: readonly KeyDetail[];
  /** When each gate was passed by all of them. */
  readonly times: Readonly<Record<string, string>>;
}

export const nameOf = ({ selectors }: KeySet): string => selectors.join(' + ');

export const stateOf = ({ keys, times }: KeySet): string =>
  keys[0] === undefined ? 'to come' : times.destroyed === undefined ? keys[0].state : 'gone';

const way = ({ rotation, state, compromised, abandoned, destroyed, adopted }: KeyDetail): string =>
  JSON.stringify([rotation, state, compromised, abandoned, destroyed === undefined, adopted === undefined]);

const allTimes = (key: KeyDetail): Readonly<Record<string, string>> => ({
  ...key.times,
  ...(key.destroyed === undefined ? {} : { destroyed: key.destroyed }),
});

/** The latest of each, where every key has it. Times of one form are in order as texts. */
const together = (keys: readonly KeyDetail[]): Readonly<Record<string, string>> => {
  const [first = {}, ...others] = keys.map(allTimes);
  const found: Record<string, string> = {};
  for (const [fact, at] of Object.entries(first)) {
    const times = [at, ...others.map((other) => other[fact])].filter((time) => time !== undefined);
    const latest = times.toSorted().at(-1);
    if (times.length === keys.length && latest !== undefined) found[fact] = latest;
  }
  return found;
};

/** In the order of their making. */
export const setsOf = (keys: readonly KeyDetail[]): readonly KeySet[] => {
  const groups = new Map<string, KeyDetail[]>();
  for (const key of keys) groups.set(way(key), [...(groups.get(way(key)) ?? []), key]);
  return [...groups.values()].map((each) => ({
    selectors: each.map(({ selector }) => selector),
    keys: each,
    times: together(each),
  }));
};

/** Those that the forecast sees made. */
export const comingSets = (keys: readonly KeyDetail[], events: readonly Foreseen[]): readonly KeySet[] => {
  const known = new Set(keys.map(({ selector }) => selector));
  const groups = new Map<string, string[]>();
  for (const { do: what, selector, at } of events)
    if (what === 'publish' && selector !== undefined && !known.has(selector))
      groups.set(at, [...(groups.get(at) ?? []), selector]);
  return [...groups.values()].map((selectors) => ({ selectors, keys: [], times: {} }));
};

/** Whether an event of the forecast is of this set. */
export const isOf = ({ selectors }: KeySet, kind: Foreseen['do'], event: Foreseen): boolean =>
  event.do === kind && event.selector !== undefined && selectors.includes(event.selector);
export const beginsIn = ({ selectors }: KeySet, { begins = [] }: Foreseen): boolean =>
  begins.some((selector) => selectors.includes(selector));
export const endsIn = ({ selectors }: KeySet, { ends = [] }: Foreseen): boolean =>
  ends.some((selector) => selectors.includes(selector));
