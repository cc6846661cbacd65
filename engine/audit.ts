// Events of the audit trail, as orders leave them: made from the row before and the row after, and named by the row after, so
// that both are written in one commit or not at all.
//
// What the engine does by itself is no event, but for what takes a host out of the count or what a forced fleet does to a
// domain. Each step of a key's life is evidence in the row with its own time and is logged; an event for each would double
// the writes of a rotation, and break up the commits that many domains share.

import { sha256 } from '../contract/audit.ts';
import {
  type AuditEvent,
  fleetSubject,
  hostSubject,
  type Json,
  nextEvent,
  selkieItself,
  tailOf,
} from '../core/audit.ts';
import type { DomainRow } from '../core/key/evidence.ts';
import { pendingRotation, stateOf } from '../core/key/state.ts';
import { formatInstant } from '../core/time.ts';
import type { HostRow, TrailRow } from './ports.ts';
import { hostView, type Session } from './world.ts';

/** Who orders, where no edge says it: whoever runs the engine on this machine. */
const localOperator = 'local operator';

/** An order, in the words of the audit trail. */
export interface Order {
  readonly what: string;
  /** Absent: `local operator`. */
  readonly by?: string;
  readonly why?: string;
}

const domainView = (row: DomainRow): Json => ({
  keys: Object.fromEntries(
    row.keys
      .filter(({ evidence }) => evidence.destroyed === undefined || evidence.compromised !== undefined)
      .map((key) => [
        key.selector,
        `${key.evidence.destroyed === undefined ? stateOf(key) : 'destroyed'}${key.evidence.compromised === undefined ? '' : ', compromised'}${key.evidence.unsigned === undefined ? '' : ', unsigned'}`,
      ]),
  ),
  rotation: pendingRotation(row)?.id ?? null,
  ...(row.vanished === undefined ? {} : { vanished: true }),
});

const hostRowView = (row: HostRow): Json => ({
  ready: hostView(row).ready,
  ...(row.excluded === undefined ? {} : { excluded: row.excluded.reason }),
  ...(row.fenced === undefined ? {} : { fenced: row.fenced.reason }),
});

const orderOf = (session: Session, { what, by, why }: Order) => ({
  at: formatInstant(session.now()),
  who: by ?? localOperator,
  what,
  ...(why === undefined ? {} : { why }),
});

export interface Audited<Row> {
  /** `after`, which names the event. */
  readonly row: Row;
  readonly audit: readonly [AuditEvent];
}

/** @param more what the order says that the rows do not show */
export const auditedDomain = (
  session: Session,
  order: Order,
  before: DomainRow,
  after: DomainRow,
  more: { readonly [name: string]: Json } = {},
): Audited<DomainRow> => {
  const event = nextEvent(
    before.audit,
    {
      subject: before.domain,
      ...orderOf(session, order),
      before: domainView(before),
      after: { ...(domainView(after) as object), ...more },
    },
    sha256,
  );
  return { row: { ...after, audit: tailOf(event) }, audit: [event] };
};

export const auditedHost = (
  session: Session,
  order: Order,
  before: HostRow,
  after: HostRow,
): Audited<HostRow> => {
  const event = nextEvent(
    before.audit,
    {
      subject: hostSubject(before.name),
      ...orderOf(session, order),
      before: hostRowView(before),
      after: hostRowView(after),
    },
    sha256,
  );
  return { row: { ...after, audit: tailOf(event) }, audit: [event] };
};

/** An order of no one domain or host, and what it changes in its words. */
export interface FleetOrder extends Order {
  readonly before: Json;
  readonly after: Json;
}

/** @param trail the row of the fleet's trail; absent: nothing was ordered yet */
export const auditedFleet = (
  session: Session,
  { before, after, ...order }: FleetOrder,
  trail: TrailRow | undefined,
): Audited<TrailRow> => {
  const event = nextEvent(
    trail?.audit,
    { subject: fleetSubject, ...orderOf(session, order), before, after },
    sha256,
  );
  return {
    row: { subject: fleetSubject, version: trail?.version ?? 0, audit: tailOf(event) },
    audit: [event],
  };
};

/** What a forced fleet did to a domain. */
export const forcedBy = (reason: string): Order => ({ what: 'force fleet', by: selkieItself, why: reason });
