// Where a page of audit events begins, the same in every ledger. Pure.

import { numberInPlace } from '../core/audit.ts';
import { SelkieError } from '../core/errors.ts';

/** Sorts behind every place: they begin with a digit. */
export const afterAllPlaces = '~';

/** The number that a page of one trail ends before.  @throws invalid */
export const numberBefore = (before: string | undefined): number => {
  if (before === undefined) return Number.MAX_SAFE_INTEGER;
  const n = numberInPlace(before);
  if (n === undefined)
    throw new SelkieError('invalid', `${before} is no place of an audit trail: ask from its end on`);
  return n;
};
