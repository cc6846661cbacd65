// The audit trail: what a person ordered, as events that are chained by their hashes, one chain for each domain and each
// mail host, and one for what is of neither: the fleet's. Pure: SHA-256 comes in as a function. The text that is hashed is the
// event's JSON as anybody can write it who has the event alone (RFC 8785), so that a chain is checked without Selkie.

/** What JSON holds. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json | undefined };

/** Of the last event of a chain; it stands in the row that the chain is about, so that the row's version guards it. */
export interface AuditTail {
  readonly n: number;
  readonly hash: string;
}

/** What is ordered, by people or by the service itself. */
export const auditedOrders = [
  'rotate',
  'emergency',
  'abort',
  'rollback',
  'compromise',
  'exclude',
  'return',
  'fence',
  'audit',
  'force fleet',
  'import reports',
  'restore',
] as const;

/** One order. Never key material: selectors, states, ids and sentences. */
export interface AuditEvent {
  /** The domain; of a mail host `host/NAME`, of the fleet `fleet`, which are no domains' names. */
  readonly subject: string;
  /** 1, 2, 3 … without a gap. */
  readonly n: number;
  /** Ledger-side time, RFC 3339 with milliseconds. */
  readonly at: string;
  /** As the edge authenticated them: the ARN of an AWS identity, `local operator`, or `selkie` where nobody asked. */
  readonly who: string;
  /** One of `auditedOrders`. */
  readonly what: string;
  readonly why?: string;
  /** What the order changed, as it was and as it is. */
  readonly before: Json;
  readonly after: Json;
  /** The hash of the event before; of the first, 64 zeros. */
  readonly previous: string;
  /** SHA-256 of `auditText`, hex. */
  readonly hash: string;
}

/** `who`, where the service did it by itself. */
export const selkieItself = 'selkie';

const beforeFirst = '0'.repeat(64);

export const hostSubject = (name: string): string => `host/${name}`;

/** What is ordered of no one domain or host: of all of them, of a record zone, of a pool. */
export const fleetSubject = 'fleet';

/** RFC 8785 §3.2: no space, members by the UTF-16 units of their names; numbers and strings as ECMAScript writes them. */
export const canonicalJson = (value: Json): string => {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value)
    .flatMap(([name, member]) => (member === undefined ? [] : [[name, member] as const]))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`;
};

/** What an event's hash is made of: all of it but the hash, in UTF-8. */
export const auditText = ({ hash: _own, ...event }: Omit<AuditEvent, 'hash'> & { hash?: string }): string =>
  canonicalJson(event);

/** SHA-256 of a text's UTF-8, hex. */
export type Sha256 = (text: string) => string;

/** The event that follows `tail`; absent: the first. */
export const nextEvent = (
  tail: AuditTail | undefined,
  event: Omit<AuditEvent, 'n' | 'previous' | 'hash'>,
  sha256: Sha256,
): AuditEvent => {
  const linked = { ...event, n: (tail?.n ?? 0) + 1, previous: tail?.hash ?? beforeFirst };
  return { ...linked, hash: sha256(auditText(linked)) };
};

export const tailOf = ({ n, hash }: AuditEvent): AuditTail => ({ n, hash });

/** 16 digits hold every safe integer. */
const digits = 16;

/** Where an event stands among those of all chains, by its time: sorts as text. */
export const trailPlace = ({ at, subject, n }: Pick<AuditEvent, 'at' | 'subject' | 'n'>): string =>
  `${at}#${subject}#${String(n).padStart(digits, '0')}`;

/** The number in such a place; undefined: it is none. */
export const numberInPlace = (place: string): number | undefined => {
  const n = Number(place.slice(-digits));
  return /^\d{4}-[^#]+#[^#]+#\d{16}$/.test(place) && Number.isSafeInteger(n) ? n : undefined;
};

/** Where a chain breaks first, and how. */
export type ChainVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly n: number; readonly says: string };

/**
 * Judges events in their order: each is whole, follows the one before, and is of the same subject.
 * @param after the tail that the first of them follows; absent: they begin with the first of all
 */
export const judgeChain = (
  events: readonly AuditEvent[],
  sha256: Sha256,
  after?: AuditTail,
): ChainVerdict => {
  let tail = after;
  const [first] = events;
  for (const event of events) {
    const n = (tail?.n ?? 0) + 1;
    const broken = (says: string): ChainVerdict => ({ ok: false, n, says });
    if (event.n !== n) return broken(`event ${n} is missing: ${event.n} stands in its place`);
    if (event.subject !== first?.subject)
      return broken(`event ${n} is of ${event.subject}, and not of ${first?.subject}`);
    if (event.previous !== (tail?.hash ?? beforeFirst))
      return broken(
        n === 1
          ? 'event 1 does not begin a chain: something was before it'
          : `event ${n} does not follow event ${n - 1}: one of them was changed`,
      );
    if (event.hash !== sha256(auditText(event)))
      return broken(`event ${n} is not what was written: its hash does not match it`);
    tail = tailOf(event);
  }
  return { ok: true };
};
