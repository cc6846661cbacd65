// What `selkie restore` asks of the function that brings a restored ledger up, and the function of whoever invokes it. zod/mini
// and core only.

import * as z from 'zod/mini';
import { isDnsName } from '../core/names.ts';
import { check } from './check.ts';

export interface RestoreOrder {
  /** Absent: it only says what it would do. `by` is what the command says of itself: whoever may invoke the function is trusted. */
  readonly apply?: { readonly by: string; readonly why: string };
  /** Also a ledger that is in use. */
  readonly force?: boolean;
  /** Domains that stay as the backup had them. */
  readonly leave?: readonly string[];
  /** Goes on behind this domain. */
  readonly after?: string;
}

const text = z.string().check(z.minLength(1), z.maxLength(500));
const name = z.string().check(z.maxLength(253), z.refine(isDnsName, 'must be a lower-case domain name'));

const schema: z.ZodMiniType<RestoreOrder> = z.strictObject({
  apply: z.exactOptional(z.strictObject({ by: text, why: text })),
  force: z.exactOptional(z.boolean()),
  leave: z.exactOptional(z.array(name).check(z.maxLength(1_000))),
  after: z.exactOptional(name),
});

/** @throws SelkieError invalid, naming the field */
export const parseRestoreOrder = (event: unknown): RestoreOrder => check(schema, event, 'The order');
