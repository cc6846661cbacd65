// What the ledger remembers: facts, each with the ledger-side time at which it was observed. States are derived from
// these (state.ts), never stored. A fact, once there, is never taken back: a passed gate stays passed (latched).
// "Never" and "not yet" are absence; there is no zero time.

import type { Algorithm } from '../algorithm.ts';
import type { AuditTail } from '../audit.ts';
import type { Accepted, At, HostedZone } from '../facts.ts';
import type { PolicyRecord } from '../policy-records/evidence.ts';
import type { Duration, Instant } from '../time.ts';

export type { Accepted, At, HostedZone };

/** A number in a pool's log. A host whose cursor is at or beyond it has applied it. */
export interface Place {
  readonly epoch: number;
  readonly n: number;
}

/** Whether two cursors say the same; null: nothing applied yet. */
export const samePlace = (a: Place | null, b: Place | null): boolean =>
  a?.epoch === b?.epoch && a?.n === b?.n;

/** Facts about a key's material and its record; each happens once. */
export interface Evidence {
  /** The selector was written to the ledger, after its exact RRset was found absent. */
  readonly reserved: At;
  /** Stored, read back, fingerprints compared. */
  readonly stored?: At & {
    /** The vault's reference. */
    readonly secret: string;
    /** SHA-256 of the public key (DER SubjectPublicKeyInfo), hex. */
    readonly fingerprint: string;
    /** `p=`: base64, derived from the stored key. */
    readonly publicKey: string;
  };
  /**
   * In place of `stored`: it signed before Selkie came, every name server showed its record, and the record's set is ours
   * from here on as it was found (`publishIntended`). Its private half is on hosts, and in no vault.
   */
  readonly adopted?: At & {
    /** `p=` */
    readonly publicKey: string;
  };
  /** The intent to CREATE exactly this value; from here the name is ours. Of an adopted key: what was found. */
  readonly publishIntended?: At & {
    readonly value: string;
    readonly ttl: Duration;
    /** Where the record is, of an adopted key that was found elsewhere; absent: as `recordName` (row.ts) says. */
    readonly name?: string;
  };
  readonly created?: Accepted;
  readonly inSync?: At;
  readonly compromised?: At & { readonly reason: string };
  /** Compromised, and an operator would rather have mail unsigned than forged: it stops and is revoked at once. */
  readonly unsigned?: At;
  /** Given up before any host may have signed with it: its record is withdrawn. */
  readonly abandoned?: At & { readonly reason: string };
  readonly revocationIntended?: At;
  /** The tombstone `p=`. */
  readonly tombstoned?: Accepted;
  readonly tombstoneInSync?: At;
  /** The tombstone was seen on every name server. */
  readonly revoked?: At;
  readonly removalIntended?: At;
  readonly deleted?: Accepted;
  readonly deletionInSync?: At;
  /** Absent at the provider, and DNS answers as for a random sibling. */
  readonly removed?: At;
  /** Hosts were told to erase their copies. */
  readonly eraseTold?: At & { readonly place: Place };
  readonly erased?: At;
  /** The intent to publish its private half: from here on anybody may have it. */
  readonly disclosureIntended?: At;
  /** Its private half was published. */
  readonly disclosed?: At;
  /** The secret was scheduled for deletion: nothing is left. */
  readonly destroyed?: At;
}

/** One term of duty. A key has one; a rollback gives it another. */
export interface Turn {
  readonly begun: At;
  /**
   * Every name server shows exactly the record, and a signature by the stored key verifies against it. `negativeTtl`: how
   * long caches may hold what was there before, a denial or a wildcard's answer.
   */
  readonly proved?: At & { readonly servers: number; readonly negativeTtl: Duration };
  /** Hosts were told to hold it. Absent in the first turn of an adopted key, which they held already. */
  readonly offered?: At & { readonly place: Place };
  /** Every ready host wrote, fsynced and test-signed it. */
  readonly standby?: At;
  /** From here on some host may sign with it: invariant 1 protects it. */
  readonly signIntended?: At & { readonly place: Place };
  /** Every ready host confirmed that it signs with it. */
  readonly active?: At;
  readonly stopIntended?: At & { readonly place: Place };
  /** The last ready host confirmed that it stopped; how long mail may lie in those hosts' queues, which may leave the fleet. */
  readonly stopped?: At & { readonly queues?: Duration };
  /**
   * A receiver says that mail signed with it still came after that, up to `until`: the latest of such reports, which came in
   * `at`. Nobody proves who wrote one, so it may only lengthen a drain, and only so far.
   */
  readonly reported?: Reported;
}

/** What an aggregate report says of a key that was retired. */
export interface Reported extends At {
  /** The end of the report's period; not later than `at`. */
  readonly until: Instant;
  /** Who reports, as it calls itself. */
  readonly by: string;
  readonly messages: number;
}

export interface Key {
  readonly selector: string;
  readonly algorithm: Algorithm;
  readonly rotation: string;
  readonly evidence: Evidence;
  /** At least one; the last is the present one. */
  readonly turns: readonly [Turn, ...Turn[]];
}

export type RotationKind = 'first' | 'adopted' | 'scheduled' | 'requested' | 'emergency' | 'rollback';

/** One key set, switched together. */
export interface Rotation extends At {
  readonly id: string;
  readonly kind: RotationKind;
  /** Who asked; absent where the schedule did. */
  readonly by?: string;
  readonly reason?: string;
  /** Of an emergency: stop and revoke the compromised key at once, though mail then goes unsigned. */
  readonly unsigned?: true;
  /** Algorithms wanted, as the policy said at the start. */
  readonly algorithms: readonly Algorithm[];
  readonly selectors: readonly string[];
  readonly aborted?: At & {
    readonly reason: string;
    readonly by: 'operator' | 'leaving' | 'compromised' | 'restored';
  };
}

/** The last failure of a step that is tried again: for status, and for the pace of the next try. */
export interface Trouble {
  readonly step: string;
  readonly since: Instant;
  readonly last: Instant;
  readonly times: number;
  readonly message: string;
}

/** A domain's row in the ledger. One version guards all of it: a conditional write of the row is conditional on each key. */
export interface DomainRow {
  readonly domain: string;
  readonly zone: string;
  /** Where `zone` lay when a fleet was last installed: a later one must not point elsewhere while records stand there. */
  readonly hostedZone?: HostedZone;
  readonly pool: string;
  /** As FleetDomain.cname said when the domain had no keys: it moves with them gone only, as `zone` does. */
  readonly cname?: string;
  /** Grows by one with each write; 0 is a row not yet written. */
  readonly version: number;
  readonly keys: readonly Key[];
  /** In the order of their start. The last may be under way. */
  readonly rotations: readonly Rotation[];
  /** Selectors found taken by somebody else's record: never used. */
  readonly taken: readonly (At & { readonly selector: string; readonly reason: string })[];
  readonly troubles: readonly Trouble[];
  /** Its SPF and DMARC records, and what goes with them; absent: none. */
  readonly records?: readonly PolicyRecord[];
  /** The domain is no longer in the fleet file. */
  readonly vanished?: At;
  /** When the row was last brought up after its ledger was restored, and in which epoch. */
  readonly restored?: At & { readonly epoch: number };
  /** When a worker should look again; absent: nothing to do until somebody asks. */
  readonly wakeAt?: Instant;
  /** The last event of the domain's audit trail; absent: nobody has ordered anything. */
  readonly audit?: AuditTail;
}

/** What the planner needs to know of a mail host. */
export interface HostView {
  readonly name: string;
  /** Acknowledged a full snapshot in this incarnation and epoch; not excluded, not fenced. */
  readonly ready: boolean;
  readonly excluded: boolean;
  /** Not ready, not sent away, and sent keys: it may hold copies of them, though it has not said so. */
  readonly unheard?: true;
  readonly epoch: number;
  readonly cursor: number;
  /** `domain/selector` → why its self-test failed. */
  readonly failed: ReadonlyMap<string, string>;
  /** The longest time that mail may lie in its queues. */
  readonly queueLifetime?: Duration;
  /** `domain/selector` → ledger-side time of the report of the last message signed with it. */
  readonly lastUse: ReadonlyMap<string, Instant>;
  /** When it last answered. */
  readonly lastSeen?: Instant;
}

export type Duty = 'standby' | 'signing' | 'none';

export const hostKeyName = (domain: string, selector: string): string => `${domain}/${selector}`;
