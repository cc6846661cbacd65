// A unit of work as the body of a queue message. zod/mini and core only.
// Whoever may send to the queue may choose what the workers look at, so the body is judged like any other input; a unit
// names things and carries no orders: what is done follows from the ledger.

import * as z from 'zod/mini';
import { isDnsName } from '../core/names.ts';
import { check, checkJson } from './check.ts';

/** The engine's `Unit` (engine/ports.ts), whose floor is above this one. */
export type UnitBody =
  | { readonly kind: 'fleet' }
  | { readonly kind: 'cohort'; readonly domains: readonly string[] }
  | { readonly kind: 'host'; readonly host: string }
  | { readonly kind: 'audit'; readonly zone: string; readonly after?: string }
  | {
      readonly kind: 'inventory';
      readonly of: 'zones' | 'domains' | 'secrets' | 'hosts';
      readonly after?: string;
    }
  | { readonly kind: 'mended'; readonly zone: string }
  | { readonly kind: 'order'; readonly id: string; readonly turn?: number };

/** More than any unit has; a message holds many more. */
const mostDomains = 1_000;

const dnsName = z
  .string()
  .check(z.maxLength(253), z.refine(isDnsName, 'must be a lower-case DNS name without a final dot'));

const domains = z.array(dnsName).check(z.maxLength(mostDomains));

/** Where a list goes on: what its provider gave. Secrets Manager's tokens have 4,096 characters at most. */
const place = z.string().check(z.minLength(1), z.maxLength(4_096));

// Not strict: the sender may be newer than the worker.
const kinds = [
  z.object({ kind: z.literal('fleet') }),
  z.object({ kind: z.literal('cohort'), domains }),
  z.object({ kind: z.literal('host'), host: dnsName }),
  z.object({ kind: z.literal('audit'), zone: dnsName, after: z.exactOptional(place) }),
  z.object({
    kind: z.literal('inventory'),
    of: z.enum(['zones', 'domains', 'secrets', 'hosts']),
    after: z.exactOptional(place),
  }),
  z.object({ kind: z.literal('mended'), zone: dnsName }),
  z.object({
    kind: z.literal('order'),
    // An Idempotency-Key.
    id: z.string().check(z.regex(/^[\x21-\x7e]{1,128}$/)),
    // Not `from`, which counted other turns: of an order that is under way while Selkie is upgraded, all is given again.
    turn: z.exactOptional(z.int().check(z.nonnegative())),
  }),
] as const;

/** As workers sent it when a unit was of one zone: it may still lie in the queue after an upgrade. */
interface ZoneBody {
  readonly kind: 'zone';
  readonly zone: string;
  readonly domains: readonly string[];
}

const schema: z.ZodMiniType<UnitBody> = z.discriminatedUnion('kind', kinds);
const received: z.ZodMiniType<UnitBody | ZoneBody> = z.discriminatedUnion('kind', [
  ...kinds,
  z.object({ kind: z.literal('zone'), zone: dnsName, domains }),
]);

const what = 'The unit of work';

/** The body of a message, with its fields in one order. @throws SelkieError invalid, naming the field */
export const formatUnit = (unit: UnitBody): string => JSON.stringify(check(schema, unit, what));

/** @throws SelkieError invalid, naming the field, never quoting the body */
export const parseUnit = (body: string): UnitBody => {
  const unit = checkJson(received, body, what);
  return unit.kind === 'zone' ? { kind: 'cohort', domains: unit.domains } : unit;
};
