// Writing facts into a domain's row: each function returns a new row.

import { keyRecordName, targetName } from '../names.ts';
import type { Instant } from '../time.ts';
import type { DomainRow, Evidence, Key, Reported, Rotation, Trouble, Turn } from './evidence.ts';
import { dutyTurn, turnOf } from './state.ts';
import { troubleFades } from './waits.ts';

export const emptyRow = (domain: string, zone: string, pool: string): DomainRow => ({
  domain,
  zone,
  pool,
  version: 0,
  keys: [],
  rotations: [],
  taken: [],
  troubles: [],
});

export const keyOf = (row: DomainRow, selector: string): Key | undefined =>
  row.keys.find((key) => key.selector === selector);

/** Where the record of a selector is written; `keyRecordName` is where it is looked for, which may lead there. */
export const recordName = (row: DomainRow, selector: string): string =>
  keyOf(row, selector)?.evidence.publishIntended?.name ??
  (row.cname === undefined
    ? keyRecordName(selector, row.domain)
    : targetName(selector, row.domain, row.cname));

const withKey = (row: DomainRow, selector: string, change: (key: Key) => Key): DomainRow => ({
  ...row,
  keys: row.keys.map((key) => (key.selector === selector ? change(key) : key)),
});

/** Adds facts; one that is already there stays as it was first observed. */
export const withEvidence = (row: DomainRow, selector: string, facts: Partial<Evidence>): DomainRow =>
  withKey(row, selector, (key) => ({ ...key, evidence: { ...facts, ...key.evidence } }));

/** Adds facts to a turn, the present one unless said; one that is already there stays. */
export const withTurn = (
  row: DomainRow,
  selector: string,
  facts: Partial<Turn>,
  which: (key: Key) => Turn = turnOf,
): DomainRow =>
  withKey(row, selector, (key) => {
    const changed = (turn: Turn): Turn => (turn === which(key) ? { ...facts, ...turn } : turn);
    const [first, ...rest] = key.turns;
    return { ...key, turns: [changed(first), ...rest.map(changed)] };
  });

/** Notes that a receiver still meets mail of a key that was stopped, unless a later sight of it is known. */
export const withReported = (row: DomainRow, selector: string, seen: Reported): DomainRow =>
  withKey(row, selector, (key) => {
    const present = dutyTurn(key);
    if (present.stopped === undefined || seen.until <= (present.reported?.until ?? present.stopped.at))
      return key;
    const changed = (turn: Turn): Turn => (turn === present ? { ...turn, reported: seen } : turn);
    const [first, ...rest] = key.turns;
    return { ...key, turns: [changed(first), ...rest.map(changed)] };
  });

/** Begins another turn of duty: a rollback. */
export const withNewTurn = (row: DomainRow, selector: string, begun: Instant): DomainRow =>
  withKey(row, selector, (key) => ({ ...key, turns: [...key.turns, { begun: { at: begun } }] }));

export const withRotation = (
  row: DomainRow,
  id: string,
  change: (rotation: Rotation) => Rotation,
): DomainRow => ({
  ...row,
  rotations: row.rotations.map((rotation) => (rotation.id === id ? change(rotation) : rotation)),
});

/** What is said of an accepted change once all of the provider's servers have it. */
export const inSyncFact = {
  created: 'inSync',
  tombstoned: 'tombstoneInSync',
  deleted: 'deletionInSync',
} as const;

/**
 * A change id that the provider no longer knows, and a change that others undid before it was proved, are no evidence: the
 * acceptance is taken back, and the step is done again. The one exception to "a fact is never taken back".
 */
export const withoutAccepted = (
  row: DomainRow,
  selector: string,
  which: keyof typeof inSyncFact,
): DomainRow =>
  withKey(row, selector, (key) => {
    const { [which]: _lost, [inSyncFact[which]]: _seen, ...evidence } = key.evidence;
    return { ...key, evidence };
  });

export const withTrouble = (row: DomainRow, step: string, now: Instant, message: string): DomainRow => {
  const before = row.troubles.find((trouble) => trouble.step === step);
  const trouble: Trouble = {
    step,
    since: before?.since ?? now,
    last: now,
    times: (before?.times ?? 0) + 1,
    message,
  };
  return { ...row, troubles: [...row.troubles.filter((other) => other.step !== step), trouble] };
};

export const withoutTrouble = (row: DomainRow, step: string): DomainRow =>
  row.troubles.some((trouble) => trouble.step === step)
    ? { ...row, troubles: row.troubles.filter((trouble) => trouble.step !== step) }
    : row;

/** How many keys that are gone a row still shows; their selectors stay reserved in the ledger for ever. */
const remembered = 12;

/** Drops the oldest of what is over, so that a row does not grow with the years. */
export const tidied = (whole: DomainRow, now: Instant): DomainRow => {
  // A step that is still wanted is tried at least each few minutes; the trouble of one that is not would stay for ever.
  const row = whole.troubles.some((trouble) => now >= troubleFades(trouble))
    ? { ...whole, troubles: whole.troubles.filter((trouble) => now < troubleFades(trouble)) }
    : whole;
  const gone = row.keys.filter((key) => key.evidence.destroyed !== undefined);
  if (gone.length <= remembered) return row;
  const dropped = new Set(gone.slice(0, gone.length - remembered).map((key) => key.selector));
  const keys = row.keys.filter((key) => !dropped.has(key.selector));
  const shown = new Set(keys.map((key) => key.selector));
  const rotations = row.rotations.filter(
    (rotation, index) =>
      index === row.rotations.length - 1 || rotation.selectors.some((selector) => shown.has(selector)),
  );
  return { ...row, keys, rotations, taken: row.taken.slice(-remembered) };
};
