// The engine's ports: all it knows of the world. Small interfaces with long contracts; each has one contract suite
// (test/contracts/) that every adapter passes. Errors are SelkieError; a call that throws anything with
// `retry: 'later'` may have had its effect or not, and the caller looks before it tries again.

import type { Algorithm } from '../core/algorithm.ts';
import type { AuditEvent, AuditTail } from '../core/audit.ts';
import type { Accepted, DomainRow, Duty, Place } from '../core/key/evidence.ts';
import type { FleetHost, FleetZone } from '../core/policy.ts';
import type { ReportRow } from '../core/reports/report.ts';
import type { DnsQuestion } from '../core/spf/lookups.ts';
import type { Duration, Instant } from '../core/time.ts';

/** The worker's own clock. Waits compare evidence with `Ledger.head().at`, not with this; this measures skew. */
export interface Clock {
  now(): Instant;
}

export interface Randomness {
  bytes(length: number): Uint8Array;
  /** A fresh identifier, never given twice: 128 bits of randomness or a UUID; `[A-Za-z0-9-]+`. */
  id(): string;
}

export interface GeneratedKey {
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
}

/** Cryptography on signing keys. Never logs, never puts key material into an error. */
export interface Keys {
  /** A new key pair from the system's randomness. RSA: public exponent 65537. */
  generate(algorithm: Algorithm): Promise<GeneratedKey>;
  /**
   * The public half: `publicKey` is what `p=` says in base64 (RSA: DER SubjectPublicKeyInfo; Ed25519: the raw 32 bytes, RFC 8463 §4),
   * `fingerprint` the SHA-256 of the DER SubjectPublicKeyInfo, hex.
   * @throws invalid where the bytes are no PKCS#8 key
   */
  publicOf(privateKey: Uint8Array): { publicKey: string; fingerprint: string };
  /** Whether a signature by `privateKey` verifies with the public key that a record's `p=` gives: DKIM's own check, in small. */
  matches(privateKey: Uint8Array, algorithm: Algorithm, publicKey: string): boolean;
}

/** A private key that is to be stored under its name, (domain, selector). */
export interface NewSecret {
  readonly domain: string;
  readonly selector: string;
  readonly privateKey: Uint8Array;
}

/** What a vault holds: its reference, and the name that it was stored under. */
export interface StoredSecret {
  readonly secret: string;
  readonly domain: string;
  readonly selector: string;
}

/** Keeps private keys. A secret is written once and never changed. */
export interface Vault {
  /**
   * Stores keys, each name once. Returns the references to read them by, in the same order.
   * What is already there under a name is left as it is and its reference is returned: the caller reads back and goes on
   * with what is stored, so that one that crashed and comes again ends with one key. Of two workers at the same moment each
   * may be given a copy of its own; the caller lets the ledger decide, and destroys what lost.
   * @throws unavailable, throttled, denied; also where only some of the keys could not be stored: `find` tells which are
   */
  store(keys: readonly NewSecret[]): Promise<readonly string[]>;
  /** @throws not-found where it is gone; unavailable (also right after a write, where the store is only eventually readable) */
  read(secret: string): Promise<Uint8Array>;
  /** The reference of what is stored under (domain, selector); undefined where nothing is, or no longer. @throws unavailable, throttled, denied */
  find(domain: string, selector: string): Promise<string | undefined>;
  /** Schedules it for deletion; after this `read` may throw not-found. Again is the same; an unknown reference is no error. */
  destroy(secret: string): Promise<void>;
  /**
   * What is stored and not scheduled for deletion, each name as often as it is stored; what was stored or destroyed in the
   * last minutes may be missing or still be there. Pages hold about `limit`, none too, until there is no `next`.
   * @param options.after `next` of the page before
   * @throws unavailable, throttled, denied
   */
  list(options: {
    readonly after?: string;
    readonly limit: number;
  }): Promise<{ readonly secrets: readonly StoredSecret[]; readonly next?: string }>;
}

/** A retired key that is published on purpose. */
export interface DisclosedKey {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: Algorithm;
  /** `p=` of the record that stood there. */
  readonly publicKey: string;
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
  /** When its record was proved gone. */
  readonly removed: Instant;
}

/** The place where private halves of retired keys are published. What is there is public, and stays. */
export interface Disclosure {
  /**
   * Publishes a key under its name. Again is the same; of a key that is there already nothing changes. When it returns, `list`
   * has it.
   * @throws unavailable, throttled, denied: it may be published or not, and perhaps not be listed yet
   * @throws conflict where another key is published under this name; invalid where the names are no DNS names or the bytes no key
   */
  publish(key: DisclosedKey): Promise<void>;
  /** What was published of a domain, in the order of the selectors' names, from behind selector `after`. Empty: nothing. */
  list(
    domain: string,
    options: { readonly after?: string; readonly limit: number },
  ): Promise<{ readonly keys: readonly DisclosedKey[]; readonly next?: string }>;
}

/** TXT records that share a name. `values` are joined strings, as DKIM reads them (RFC 6376 §3.6.2.2). */
export interface TxtSet {
  /** Whole seconds, as milliseconds. */
  readonly ttl: Duration;
  readonly values: readonly string[];
}

export type Change =
  | { readonly do: 'create'; readonly name: string; readonly set: TxtSet }
  | { readonly do: 'delete'; readonly name: string; readonly set: TxtSet }
  /** DELETE of exactly `old` and CREATE of `set` in one batch; `old` may equal `set` (for a new change id). */
  | { readonly do: 'replace'; readonly name: string; readonly old: TxtSet; readonly set: TxtSet };

/**
 * Writes a zone at its provider. Only TXT, only CREATE and DELETE: never UPSERT. Where the provider is a person (`manual`), what
 * stands there is what every name server shows, and a change is accepted once it is asked for.
 */
export interface DnsWriter {
  /** The exact RRset at `name`, asked of the provider, never of DNS: a wildcard does not count. Undefined where there is none. */
  lookup(zone: FleetZone, name: string): Promise<TxtSet | undefined>;
  /**
   * All of the changes or none. Returns the provider's id of the change.
   * @throws rejected: one of them does not fit what is there (CREATE over a name, DELETE of what is not exactly so, a name out of the zone): nothing was changed
   * @throws busy, throttled: refused for its time, nothing was changed
   * @throws unavailable, denied; not-found where the zone is gone
   */
  submit(zone: FleetZone, changes: readonly Change[]): Promise<string>;
  /** Whether every name server of the provider has it. `unknown`: the provider does not know the id. */
  status(zone: FleetZone, changeId: string): Promise<'pending' | 'in-sync' | 'unknown'>;
  /** How many of `changes`, from the front, fit in one `submit`: at least 1. */
  fits(changes: readonly Change[]): number;
  /**
   * The zone's TXT sets in the provider's order, from behind `after` (the `next` of the page before; nobody else reads it).
   * A page may hold fewer than `limit`, or none, and yet have a next: the provider counts sets of other types too.
   * @throws as `lookup`
   */
  list(
    zone: FleetZone,
    options: { after?: string; limit: number },
  ): Promise<{ sets: readonly { name: string; set: TxtSet }[]; next?: string }>;
  /** Whether requests are short: then none is made that can be saved. Absent: never. */
  isShort?(): boolean;
  /** What a person is asked for in this zone at this moment; of one that takes changes itself, nothing. Absent: the same. */
  asked?(zone: FleetZone): Promise<readonly Asked[]>;
  /** Nobody is asked for anything at `name` any more, whatever became of it. Absent: nobody ever is. */
  withdraw?(zone: FleetZone, name: string): Promise<void>;
}

/** What a person is to bring about at one name of a zone that no program can change. */
interface Wish {
  readonly name: string;
  /** What stood there when it was asked for; absent: nothing. */
  readonly from?: TxtSet;
  /** What is to stand there; absent: nothing. */
  readonly to?: TxtSet;
  /** Since when somebody is asked for just this. */
  readonly since: Instant;
}

export interface Asked extends Wish {
  /** Of how many answers of name servers how many are as they should be. */
  readonly servers: number;
  readonly shown: number;
  /** The first of those that show it, by name and address. */
  readonly showing: readonly string[];
  /** What the first of the others say, in words. */
  readonly lagging: readonly string[];
}

export interface HandItem extends Wish {
  /** `done`: every name server showed it. `withdrawn`: no longer wanted, or asked for anew. */
  readonly state: 'open' | 'done' | 'withdrawn';
}

/** What one `DnsWriter.submit` asked a person for. */
export interface HandChange {
  readonly zone: string;
  /** Sorts by the time at which it was asked for. */
  readonly id: string;
  readonly version: number;
  readonly items: readonly HandItem[];
}

/** Remembers what people were asked for. All methods throw unavailable or throttled where the store does not answer. */
export interface HandChanges {
  /** Of one zone, in the order of their ids. */
  of(zone: string): Promise<readonly HandChange[]>;
  find(zone: string, id: string): Promise<HandChange | undefined>;
  /** Written with `version + 1`, on the condition that the store holds exactly `version` (0: none). @throws conflict */
  save(change: HandChange): Promise<void>;
  /** Again is the same. */
  remove(zone: string, id: string): Promise<void>;
}

/** What an account has a quota of at its DNS provider. */
export type Bucket = 'requests' | 'changes';

/**
 * Spends an account's quota, which all workers share: a part of it, so that others of the account have the rest.
 */
export interface Quota {
  /**
   * Waits until `count` may be spent.
   * @throws throttled where that takes longer than the caller should wait; nothing is spent then
   */
  take(bucket: Bucket, count: number): Promise<void>;
  /** Whether there was lately less than was wanted. */
  isShort(): boolean;
}

/** One name server's answer at one address. */
export interface ServerAnswer {
  /** `ns-512.awsdns-00.net` or the address where it was given as one. */
  readonly server: string;
  /** `address#port`. */
  readonly address: string;
  readonly answer:
    | { readonly kind: 'txt'; readonly set: TxtSet }
    | { readonly kind: 'no-data' | 'no-such-name' }
    /** Reached by a CNAME; where it leads, and the CNAME's own TTL. */
    | { readonly kind: 'cname'; readonly target: string; readonly ttl: Duration }
    /** Timeout, refusal, not authoritative, garbage: `why` for people. */
    | { readonly kind: 'failed'; readonly why: string };
}

export interface Observation {
  /** One for every address of every name server of the zone, in each address family that this machine can route. Never empty. */
  readonly answers: readonly ServerAnswer[];
  /** Every server answered, and none of them serves the zone. */
  readonly unserved?: true;
  /** min(SOA TTL, SOA MINIMUM), the longest over the servers: RFC 2308 §5. Absent where no server told. */
  readonly negativeTtl?: Duration;
}

/** Sees what the world sees: asks the zone's authoritative name servers, never a cache. */
export interface DnsObserver {
  /**
   * Asks every name server for TXT at `name`. The servers are the zone's `nameServers`, or else those of the parent's delegation.
   * @throws unavailable where the delegation itself cannot be learned
   */
  observe(zone: FleetZone, name: string): Promise<Observation>;
  /**
   * What every name server of whatever zone holds `name` says of it, with CNAMEs (a DNAME's too: RFC 6672 §3.1) followed from
   * zone to zone until they lead into `zone`: such an answer is a `cname` whose target lies there, and is not asked further.
   * The negative TTL is the longest on the way. Absent: it cannot.
   * @throws unavailable where the servers of a zone on the way cannot be learned, or the chain is too long
   */
  follow?(name: string, zone: FleetZone): Promise<Observation>;
}

/** Resolves names as receivers of mail do, through caches: what other people's records say. */
export interface Resolver {
  /**
   * What was found; nothing (no such name, no data of this type) is an empty list. TXT: joined strings. MX: the exchanges' names.
   * @throws unavailable where no resolver tells
   */
  resolve(question: DnsQuestion): Promise<readonly string[]>;
}

/** Carries sealed bundles to mail hosts. */
export interface HostTransport {
  /**
   * Delivers one sealed bundle (compact JWE) and returns the host's acknowledgement (compact JWS), unverified.
   * @throws host.unreachable (also where the host has no endpoint), host.refused, untrusted (the certificate is not the pinned one)
   */
  push(host: FleetHost, bundle: string): Promise<string>;
}

/** A piece of work that any worker may do at any time, twice, by two at once. */
export type Unit =
  | { readonly kind: 'fleet' }
  /** These domains, which rotate together: of one record zone, or of many small ones. */
  | { readonly kind: 'cohort'; readonly domains: readonly string[] }
  | { readonly kind: 'host'; readonly host: string }
  /** Compares one record zone with what the ledger says should stand there, from behind `after` (of `DnsWriter.list`). */
  | { readonly kind: 'audit'; readonly zone: string; readonly after?: string }
  /** Goes through all there is of one sort, from behind `after`: zones are audited, some each minute; others are compared. */
  | { readonly kind: 'inventory'; readonly of: Inventory; readonly after?: string }
  /** Looks whether every name server shows again what an audit of this zone put back. */
  | { readonly kind: 'mended'; readonly zone: string }
  /** Carries out an order for many domains, from its turn `turn` on. */
  | { readonly kind: 'order'; readonly id: string; readonly turn?: number };

/** What an audit of everything goes through. */
export type Inventory = 'zones' | 'domains' | 'secrets' | 'hosts';

export interface Queue {
  /** At least once, in any order. `delay` ≤ 15 minutes. */
  send(units: readonly Unit[], delay?: Duration): Promise<void>;
}

/** What a host is to do with a key from place `n` on. */
export interface DutyChange {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: Algorithm;
  readonly duty: Duty;
  /**
   * The vault's reference: the bundle carries the key itself where the duty is `standby` or the bundle is a snapshot. Absent:
   * an adopted key, which its hosts have and the vault has not.
   */
  readonly secret?: string;
  /** `p=` of the record, for the host's self-test. */
  readonly publicKey: string;
}

/** One entry of a pool's log: one transaction. Entries are numbered 1, 2, 3 … without a gap. */
export interface LogEntry {
  readonly place: Place;
  readonly changes: readonly DutyChange[];
}

/** A host's row in the ledger. */
export interface HostRow {
  readonly name: string;
  readonly pool: string;
  readonly version: number;
  /** Of the host's key store, made when it is: a wiped host has a new one. */
  readonly incarnation?: string;
  /** Up to where it has applied the pool's log, and in which epoch; set only by the newest manifest's acknowledgement. */
  readonly cursor?: Place;
  /** It acknowledged a full snapshot in this incarnation and epoch. */
  readonly complete: boolean;
  /** The newest manifest sent. */
  readonly manifest?: {
    readonly nonce: string;
    readonly at: Instant;
    readonly upTo: Place;
    readonly completes: boolean;
  };
  readonly failed: Readonly<Record<string, string>>;
  readonly queueLifetime?: Duration;
  readonly lastUse: Readonly<Record<string, Instant>>;
  /** When it last acknowledged something. */
  readonly lastSeen?: Instant;
  /** When it last pulled, to some minutes: only to tell a host that is silent, since a pull can be replayed. */
  readonly lastPull?: Instant;
  /** Thumbprints of the bundle keys that it trusts, where it says so. */
  readonly trusts?: readonly string[];
  readonly excluded?: { readonly at: Instant; readonly reason: string };
  readonly fenced?: { readonly at: Instant; readonly reason: string };
  /** Why the last delivery failed. */
  readonly trouble?: { readonly at: Instant; readonly message: string };
  /** The last event of the host's audit trail; absent: nobody has ordered anything. */
  readonly audit?: AuditTail;
}

/** Names the last event of a trail that no domain's and no host's row names: the fleet's. */
export interface TrailRow {
  readonly subject: string;
  readonly version: number;
  readonly audit: AuditTail;
}

/** Something that happened, for a log line or a person who watches. */
export interface Happening {
  readonly at: Instant;
  /** `step`: as planned. `trouble`: tried again. `alarm`: a person should look. */
  readonly level: 'step' | 'trouble' | 'alarm';
  readonly says: string;
  readonly domain?: string;
  readonly selector?: string;
  readonly host?: string;
}

/** What is counted for those who watch; docs/operations.md has a runbook for each. */
export type Metric =
  | 'RotationsOverdue'
  | 'PhasesPastDeadline'
  | 'HostsSilent'
  | 'KeysOlderThanPolicy'
  | 'DriftFound'
  | 'CallsThrottled';

export interface Reporter {
  report(happening: Happening): void;
  /** `n` more of it, 0 included, where somebody counts; `what` names them for a person. */
  count?(metric: Metric, n: number, what?: readonly string[]): void;
}

/** A write request that was answered, so that the same Idempotency-Key is answered the same: for 30 days, then it may be gone. */
export interface RequestRow {
  /** Or `host/NAME`. */
  readonly domain: string;
  readonly idempotencyKey: string;
  /** Of the request's content: another content under the same key is a conflict. */
  readonly fingerprint: string;
  /** The rotation that is the answer; empty where the order began none. */
  readonly rotation: string;
  readonly at: Instant;
}

/** Something that is not as the ledger says. */
export interface Finding {
  readonly kind: /** A record of ours that somebody changed, or deleted. */
    | 'record-edited'
    | 'record-missing'
    /** A record at a key's name that was never ours: it is left alone. */
    | 'record-foreign'
    /** A record at the name of a key of ours that is long removed. */
    | 'record-orphan'
    | 'zone-gone'
    | 'zone-refused'
    /** The name servers of the parent's delegation do not show the zone that the provider has. */
    | 'delegation'
    | 'secret-missing'
    | 'secret-orphan'
    | 'domain-unknown'
    | 'host-unknown'
    | 'host-silent'
    | 'host-behind';
  /** The record's name, the secret's reference, the domain, the host. */
  readonly name: string;
  readonly says: string;
  /** `note`: worth knowing; it is not counted as drift. */
  readonly level: 'note' | 'alarm';
  /** Since which audit it is known. */
  readonly since: Instant;
  /** What a person may do about it, to paste; absent: nothing, or the sentence says it. */
  readonly command?: string;
  readonly domain?: string;
  readonly selector?: string;
  /** Put back as the ledger says, by this change; `shown`: since then every name server shows it. */
  readonly mended?: Accepted & { readonly shown?: Instant };
}

/** What an audit found of one zone (`zone/NAME`), or of all `domains`, `secrets` or `hosts`. */
export interface DriftReport {
  readonly subject: string;
  readonly begun: Instant;
  /** When it was last added to; where it is `complete`, when it ended. */
  readonly at: Instant;
  readonly complete: boolean;
  /** How many records, rows, secrets or hosts were compared. */
  readonly compared: number;
  /** How many findings there were, and how many of them are no notes; the report holds the first of them. */
  readonly found: number;
  readonly alarms: number;
  readonly findings: readonly Finding[];
  /** Where an audit under way goes on, and the last name that it saw. */
  readonly progress?: { readonly next: string; readonly upTo?: string };
  /** While it is under way: since when the audit before knew what it found, by kind and name. */
  readonly known?: Readonly<Record<string, Instant>>;
}

export interface LedgerHead {
  /** The ledger's own time, as near as its service tells; the time that evidence carries. */
  readonly at: Instant;
  /** Grows by one when the ledger is restored from a backup. Starts at 1. */
  readonly epoch: number;
  /** The newest fleet that was installed; 0 before the first. */
  readonly fleetVersion: number;
  /**
   * It came back from a backup, or stands in for one that is lost, and is not in use yet: nothing works on it but
   * engine/restore.ts. `says` which, for people; `since` when it is being brought up.
   */
  readonly restored?: { readonly says: string; readonly since?: Instant };
  /** Another ledger took its place, by this name: nothing works on it. */
  readonly replacedBy?: string;
}

/**
 * Written whole or not at all. It holds at most 100 items (each row, selector, request and event is one, an append is three) and
 * each row and selector once: else `invalid`.
 */
export interface Commit {
  /** Each is written with `version + 1`, on the condition that the ledger holds exactly `version` (0: none). */
  readonly domains?: readonly DomainRow[];
  /** As `domains`. */
  readonly hosts?: readonly HostRow[];
  /** As `domains`. */
  readonly trails?: readonly TrailRow[];
  /** Selectors used from now on and for ever: on the condition that none was before. */
  readonly reserve?: readonly { readonly domain: string; readonly selector: string }[];
  /** On the condition that `place.n` is the next number of the pool's log, and `place.epoch` the present epoch. */
  readonly append?: LogEntry & { readonly pool: string };
  readonly request?: RequestRow;
  /**
   * Each on the condition that no event of its number is there; the last of a subject is the `audit` of the subject's row,
   * which is in the same commit: else `invalid`. So a trail has no gap, and its row no event that it does not name.
   */
  readonly audit?: readonly AuditEvent[];
}

/**
 * The ledger: rows, a log for each pool, and who is due. Reads are consistent with every commit that ended before them,
 * except `due`, which may be some seconds behind.
 * All methods throw unavailable or throttled where the store does not answer.
 */
export interface Ledger {
  head(): Promise<LedgerHead>;
  /** Sets the fleet's version, unless the ledger's is newer. @throws stale-fleet */
  installFleet(version: number): Promise<void>;
  /**
   * The next epoch begins, and from `since` on nothing works on the ledger but what brings it up. Until `endRestore`, again is
   * the same: the same epoch and time.
   */
  beginRestore(): Promise<{ readonly epoch: number; readonly since: Instant }>;
  /** The ledger is in use from now on. Again is the same. */
  endRestore(): Promise<void>;

  domain(domain: string): Promise<DomainRow | undefined>;
  host(name: string): Promise<HostRow | undefined>;
  request(domain: string, idempotencyKey: string): Promise<RequestRow | undefined>;
  trail(subject: string): Promise<TrailRow | undefined>;
  /** The audit trail of a domain, of `host/NAME` or `fleet`: in order and without a gap, from behind number `after`, at most `limit`. */
  audit(subject: string, options: { after?: number; limit: number }): Promise<readonly AuditEvent[]>;
  /**
   * Events of all trails, the newest first: from before `before` (the `trailPlace` of another), at most `limit`. Those of the
   * last seconds may be missing. With `subject`, of its trail alone, by their numbers, and none is missing.
   */
  newestEvents(options: { subject?: string; before?: string; limit: number }): Promise<readonly AuditEvent[]>;
  /** In the order of their names, from behind `after`. */
  domains(options: { after?: string; limit: number }): Promise<{ rows: readonly DomainRow[]; next?: string }>;

  /**
   * @throws conflict: a row, a place or a request was not as expected; exists: all that was, but a selector was used
   *   before; invalid: too much for one commit. Nothing was written.
   */
  commit(commit: Commit): Promise<void>;

  /** The next place of a pool's log: {epoch, 1} in an empty one. */
  nextPlace(pool: string): Promise<Place>;
  /** The log behind number `after`, in order and without a gap: what is not yet readable in order is left for later. */
  log(pool: string, after: number): Promise<readonly LogEntry[]>;

  /** The rows of hosts, in the order of their names, from behind `after`; of those too that no fleet names any more. */
  hostRows(options: { after?: string; limit: number }): Promise<{ rows: readonly HostRow[]; next?: string }>;

  /** Writes a report over the one before of its subject. */
  saveDrift(report: DriftReport): Promise<void>;
  /** The last report of a subject. */
  driftOf(subject: string): Promise<DriftReport | undefined>;
  /** The last report of each subject, in the order of their names, from behind `after`. */
  drift(options: {
    after?: string;
    limit: number;
  }): Promise<{ reports: readonly DriftReport[]; next?: string }>;

  /**
   * Writes what is kept of a report on one domain, once: `known` where one of its domain, day, reporter and id is there, which
   * stays as it is; `full` where the domain has `most` of that day already. Of many at once no more than `most` are written.
   * What has expired may be gone.
   */
  saveReport(row: ReportRow, most: number): Promise<'saved' | 'known' | 'full'>;
  /**
   * The reports on a domain of the days `from` to `to` (`2024-01-28`), both included, in the order of their days, from behind
   * `after` (`next` of the page before).
   */
  reports(
    domain: string,
    options: { from: string; to: string; after?: string; limit: number },
  ): Promise<{ rows: readonly ReportRow[]; next?: string }>;

  /** Domains whose wakeAt has come, earliest first, at most `limit`. */
  due(now: Instant, limit: number): Promise<readonly { domain: string; zone: string }[]>;

  /**
   * A lease on a name, so that two workers do not do the same work at once. Saves work, guarantees nothing.
   * Returns whether it was had; the same holder may take it again.
   */
  lease(name: string, holder: string, now: Instant, length: Duration): Promise<boolean>;
  release(name: string, holder: string): Promise<void>;
}
