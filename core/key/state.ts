// From evidence to state: one pure function. The states are those of docs/lifecycle.md, in the order of a key's life.

import type { DomainRow, Key, Rotation, Turn } from './evidence.ts';

/** In the order of a key's life. */
export const states = [
  'reserved',
  'stored',
  'publishing',
  'published',
  'standby',
  'active',
  'draining',
  'revoked',
  'removed',
] as const;

export type State = (typeof states)[number];

/** The present turn of duty. */
export const turnOf = (key: Key): Turn => key.turns[key.turns.length - 1] ?? key.turns[0];

/** The turn in which hosts were last told to sign; the present one where they never were. */
export const dutyTurn = (key: Key): Turn =>
  key.turns.findLast((turn) => turn.signIntended !== undefined) ?? turnOf(key);

export const stateOf = (key: Key): State => {
  const { evidence } = key;
  const turn = turnOf(key);
  if (evidence.removed !== undefined) return 'removed';
  if (evidence.revoked !== undefined) return 'revoked';
  if (turn.stopped !== undefined) return 'draining';
  if (turn.active !== undefined) return 'active';
  if (turn.standby !== undefined) return 'standby';
  if (turn.proved !== undefined) return 'published';
  if (key.turns.length > 1) return 'draining'; // a rollback to it has begun and proved nothing yet
  if (evidence.created !== undefined) return 'publishing';
  return evidence.stored === undefined ? 'reserved' : 'stored';
};

/** Whether some host may ever have signed with it. */
export const mayHaveSigned = (key: Key): boolean => key.turns.some((turn) => turn.signIntended !== undefined);

/** Whether hosts may have a copy of it: they were told to hold it, or it was theirs. */
export const mayBeHeld = (key: Key): boolean =>
  key.evidence.adopted !== undefined || key.turns.some((turn) => turn.offered !== undefined);

/** Told to sign and not told to stop. */
export const isServing = (key: Key): boolean => {
  const turn = dutyTurn(key);
  return turn.signIntended !== undefined && turn.stopIntended === undefined;
};

export const keysOf = (row: DomainRow, rotation: Rotation): readonly Key[] =>
  row.keys.filter((key) => rotation.selectors.includes(key.selector));

export const servingKeys = (row: DomainRow): readonly Key[] => row.keys.filter(isServing);

/** The rotation whose keys are told to sign. */
export const servingRotation = (row: DomainRow): Rotation | undefined =>
  row.rotations.findLast((rotation) => keysOf(row, rotation).some(isServing));

/** The rotation under way that has not yet switched: at most one. */
export const pendingRotation = (row: DomainRow): Rotation | undefined => {
  const last = row.rotations.at(-1);
  if (last === undefined || last.aborted !== undefined) return undefined;
  if (last.selectors.length < last.algorithms.length) return last;
  return keysOf(row, last).every((key) => turnOf(key).signIntended !== undefined) ? undefined : last;
};

export type RotationState = 'under-way' | 'switching' | 'done' | 'aborted';

/** `switching`: hosts were told, and not every one has confirmed. */
export const rotationState = (row: DomainRow, rotation: Rotation): RotationState => {
  if (rotation.aborted !== undefined) return 'aborted';
  if (pendingRotation(row)?.id === rotation.id) return 'under-way';
  const switched = keysOf(row, rotation).every((key) => {
    const turn = turnOf(key);
    return turn.active !== undefined || turn.stopIntended !== undefined;
  });
  return switched ? 'done' : 'switching';
};
