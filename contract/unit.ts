// A unit of work as the body of a queue message. zod/mini and core only.
// Whoever may send to the queue may choose what the workers look at, so the body is judged like any other input; a unit
// names things and carries no orders: what is done follows from the ledger.

import * as z from 'zod/mini';
import { isDnsName } from '../core/names.ts';
import { check, checkJson } from './check.ts';

/** The engine's `Unit` (engine/ports.ts), whose floor is above this one. */
export type UnitBody =
  | { readonly kind: 'fleet' }
  | { readonly kind: 'zone'; readonly zone: string; readonly domains: readonly string[] }
  | { readonly kind: 'host'; readonly host: string }
  | { readonly kind: 'audit'; readonly zone: string; readonly after?: string }
  | {
      readonly kind: 'inventory';
      readonly of: 'zones' | 'domains' | 'secrets' | 'hosts';
      readonly after?: string;
    }
  | { readonly kind: 'mended'; readonly zone: string }
  | { readonly kind: 'order'; readonly id: string; readonly from?: number };

/** As the most domains that one zone's sweep takes; a message holds many more. */
const mostDomains = 1_000;

const dnsName = z
  .string()
  .check(z.maxLength(253), z.refine(isDnsName, 'must be a lower-case DNS name without a final dot'));

/** Where a list goes on: what its provider gave. Secrets Manager's tokens have 4,096 characters at most. */
const place = z.string().check(z.minLength(1), z.maxLength(4_096));

// Not strict: the sender may be newer than the worker.
const schema: z.ZodMiniType<UnitBody> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('fleet') }),
  z.object({
    kind: z.literal('zone'),
    zone: dnsName,
    domains: z.array(dnsName).check(z.maxLength(mostDomains)),
  }),
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
    from: z.exactOptional(z.int().check(z.nonnegative())),
  }),
]);

const what = 'The unit of work';

/** The body of a message, with its fields in one order. @throws SelkieError invalid, naming the field */
export const formatUnit = (unit: UnitBody): string => JSON.stringify(check(schema, unit, what));

/** @throws SelkieError invalid, naming the field, never quoting the body */
export const parseUnit = (body: string): UnitBody => checkJson(schema, body, what);
