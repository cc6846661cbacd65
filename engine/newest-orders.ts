// All audit trails together, the newest event first, for whoever asks what was done lately. Reads, never writes.

import { type AuditEvent, trailPlace } from '../core/audit.ts';
import type { World } from './world.ts';

/** Events read at once, and in all for one answer: where few of them fit, a page is short, or empty, and yet has a next. */
const readAtOnce = 250;
const mostRead = 1_000;

export interface OrdersWish {
  /** A domain, or `host/NAME`. */
  readonly subject?: string;
  /** A part of it, in any case: what an edge authenticates may be a long name. */
  readonly who?: string;
  readonly what?: string;
  /** Where the page before ended. */
  readonly after?: string;
  readonly limit: number;
}

export const newestOrders = async (
  { ledger }: Pick<World, 'ledger'>,
  { subject, who = '', what, after, limit }: OrdersWish,
): Promise<{ readonly events: readonly AuditEvent[]; readonly next?: string }> => {
  const part = who.toLowerCase();
  const fits = (event: AuditEvent): boolean =>
    (what === undefined || event.what === what) && event.who.toLowerCase().includes(part);
  // Where all of them fit, no more are read than are wanted, and one that tells whether there is a next page.
  const atOnce = part === '' && what === undefined ? limit + 1 : readAtOnce;
  const events: AuditEvent[] = [];
  let before = after;
  for (let read = 0; read < Math.max(mostRead, atOnce); ) {
    const found = await ledger.newestEvents({
      ...(subject === undefined ? {} : { subject }),
      ...(before === undefined ? {} : { before }),
      limit: atOnce,
    });
    for (const event of found) {
      if (events.length === limit) return { events, ...(before === undefined ? {} : { next: before }) };
      if (fits(event)) events.push(event);
      before = trailPlace(event);
    }
    if (found.length < atOnce) return { events };
    read += found.length;
  }
  return { events, ...(before === undefined ? {} : { next: before }) };
};
