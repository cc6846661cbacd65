// A page of an audit trail, whichever it is: its cursor is the number of the last event before it.

import type { Context } from 'hono';
import { pageSizes } from '../../contract/page-sizes.ts';
import { SelkieError } from '../../core/errors.ts';
import type { TrailPage } from '../../engine/details.ts';
import { pageAnswer, pageIn } from './edge.ts';

const listOf = (subject: string): string => `audit ${subject}`;

/** @throws invalid */
export const trailIn = (context: Context, subject: string): { after?: number; limit: number } => {
  const { after, limit } = pageIn(context, listOf(subject), pageSizes.trail);
  if (after === undefined) return { limit };
  const n = Number(after);
  if (!Number.isSafeInteger(n) || n < 1)
    throw new SelkieError('invalid', 'after is not a cursor of this list', { field: 'after' });
  return { after: n, limit };
};

export const trailAnswer = (
  context: Context,
  subject: string,
  about: object,
  { next, ...trail }: TrailPage,
): Response =>
  pageAnswer(context, listOf(subject), { ...about, ...trail }, next === undefined ? undefined : String(next));
