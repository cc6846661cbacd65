// The life of a key set as stretches of time: those that were, and those that the forecast sees.

import type { Foreseen, KeyDetail } from '../types.ts';
import { beginsIn, comingSets, endsIn, isOf, type KeySet, setsOf } from './sets.ts';

export type Phase = 'preparing' | 'signing' | 'draining' | 'revoked';

export const phaseWords: Readonly<Record<Phase, string>> = {
  preparing: 'made and published',
  signing: 'signs',
  draining: 'drains',
  revoked: 'revoked',
};

export interface Stretch {
  readonly phase: Phase;
  readonly from: number;
  readonly to: number;
}

export interface Life {
  readonly set: KeySet;
  readonly stretches: readonly Stretch[];
}

const ms = (iso: string | undefined): number | undefined => (iso === undefined ? undefined : Date.parse(iso));

type Beginnings = Readonly<Record<Phase | 'end', number | undefined>>;

/** When a set enters each phase, and when its records are gone. */
const beginnings = (set: KeySet, events: readonly Foreseen[]): Beginnings => {
  const { times } = set;
  const event = (what: (event: Foreseen) => boolean): number | undefined => ms(events.find(what)?.at);
  const own = (kind: Foreseen['do']): number | undefined => event((each) => isOf(set, kind, each));
  return {
    preparing: ms(times.reserved) ?? own('publish'),
    signing: ms(times.active) ?? ms(times.signIntended) ?? event((each) => beginsIn(set, each)),
    draining: ms(times.stopped) ?? ms(times.stopIntended) ?? event((each) => endsIn(set, each)),
    revoked: ms(times.revoked) ?? own('revoke'),
    end: ms(times.removed) ?? own('remove') ?? ms(times.destroyed),
  };
};

const order: readonly Phase[] = ['preparing', 'signing', 'draining', 'revoked'];

const stretchesOf = (begin: Beginnings, horizon: number): readonly Stretch[] => {
  const found: Stretch[] = [];
  for (const [index, phase] of order.entries()) {
    const from = begin[phase];
    if (from === undefined) continue;
    const later = [...order.slice(index + 1).map((next) => begin[next]), begin.end];
    const to = later.find((at) => at !== undefined && at >= from) ?? horizon;
    if (to > from) found.push({ phase, from, to });
  }
  return found;
};

/** Those that are gone for so long are no longer drawn. */
const remembered = 30 * 24 * 60 * 60 * 1_000;

export const livesOf = (
  keys: readonly KeyDetail[],
  events: readonly Foreseen[],
  now: number,
  horizon: number,
): readonly Life[] => {
  const drawn = setsOf(keys).filter(
    ({ times: { destroyed } }) => destroyed === undefined || Date.parse(destroyed) > now - remembered,
  );
  return [...drawn, ...comingSets(keys, events)].map((set) => ({
    set,
    stretches: stretchesOf(beginnings(set, events), horizon),
  }));
};
