// What an operator has decided: the fleet in its resolved form, every default filled in. The file that people write
// (fleet.yaml) is read on the floor `fleet/`; this is what the engine sees.

import { type Algorithm, algorithms, type KeyType } from './algorithm.ts';
import { type Duration, days, hours, minutes } from './time.ts';

/** Tags of the key record besides `v=`, `k=` and `p=`: RFC 6376 §3.6.1. */
export interface RecordTags {
  /** `h=sha256` */
  readonly hashes?: 'sha256';
  /** `s=email` */
  readonly service?: 'email';
  /** `t=s`: `i=` must be exactly `d=` */
  readonly strict?: true;
  /** `n=`: a note for people; costs bytes in every answer */
  readonly note?: string;
}

export interface Policy {
  /** Absent: only on request. */
  readonly rotateEvery?: Duration;
  /** At least one; at most one of each key type. */
  readonly algorithms: readonly Algorithm[];
  /** IANA name; selectors are calendar dates in it. */
  readonly timeZone: string;
  readonly tags: RecordTags;
  /** TTL of the key record; whole seconds. */
  readonly ttl: Duration;
  /** How long mail may lie in queues that no host of ours reports. */
  readonly downstreamQueue: Duration;
  /** Added to every drain. */
  readonly drainMargin: Duration;
  /** How much longer aggregate reports may make a drain; zero: not at all. */
  readonly reportedDrain: Duration;
  /** How long a tombstone stays; at least the TTL. */
  readonly hold: Duration;
  /** What every wait adds for clocks that differ: invariant 10. */
  readonly skewBound: Duration;
  /** In an emergency: how long a ready host may stay silent before it is fenced. */
  readonly fenceAfter: Duration;
  /** Publishes the private half of a retired key once its record is gone, so that nothing signed with it proves anything; absent: never. */
  readonly disclose?: 'after-removal';
}

export const defaultPolicy: Policy = {
  rotateEvery: days(90),
  algorithms: ['rsa2048'],
  timeZone: 'UTC',
  tags: {},
  ttl: hours(1),
  downstreamQueue: days(5),
  drainMargin: days(2),
  reportedDrain: days(14),
  hold: days(7),
  skewBound: minutes(5),
  fenceAfter: minutes(10),
};

/** A key that signed before Selkie came; its private half is on the hosts and stays there. */
export interface AdoptedKey {
  readonly selector: string;
  readonly algorithm: Algorithm;
  /** `p=` of its record: base64. */
  readonly publicKey: string;
  /** Where its CNAME leads, of a domain with `cname`; absent: as `targetName` says. */
  readonly record?: string;
}

/** A policy record that the fleet wants: its value, checked. */
export interface FleetRecord {
  readonly value: string;
  /** One that is not ours is taken over. */
  readonly adopt?: true;
}

export interface FleetDomain {
  readonly domain: string;
  /** Name of the record zone. */
  readonly zone: string;
  readonly pool: string;
  readonly policy: Policy;
  /** `state: leaving`: its keys drain, are revoked and removed. */
  readonly leaving: boolean;
  /**
   * Its own zone is not ours, and leads to key records in `zone`, below this name (`targetName`), by CNAMEs or a DNAME.
   * Absent: the key records lie at their own names.
   */
  readonly cname?: string;
  /** The keys that it begins with, at most one of each key type; absent: Selkie makes its first. */
  readonly adopted?: readonly AdoptedKey[];
  /** Its SPF record (RFC 7208); absent: none of ours. */
  readonly spf?: FleetRecord;
  /** Its DMARC record (RFC 9989); absent: none of ours. */
  readonly dmarc?: FleetRecord;
}

export interface FleetZone {
  readonly name: string;
  /** Route 53's hosted zone id, `Z…`; `manual` of a zone that people change. */
  readonly id: string;
  /** No program can change it: a person is asked, and the name servers are watched. Absent: Route 53. */
  readonly provider?: 'manual';
  readonly role?: { readonly arn: string; readonly externalId?: string };
  /** Instead of the parent's delegation: `host`, `address` or `address:port` (IPv6 in brackets where a port follows). */
  readonly nameServers?: readonly string[];
}

/** What stands for the hosted zone id of a zone that people change. */
export const manualZoneId = 'manual';

export interface FleetHost {
  readonly name: string;
  readonly pool: string;
  /** `https://host:port` for push; absent where the host only pulls. */
  readonly endpoint?: string;
  /** X25519 public key, raw 32 bytes, base64url: bundles are sealed to it (RFC 8037). */
  readonly encryptionKey: string;
  /** Ed25519 public key, raw 32 bytes, base64url: verifies its acknowledgements and pulls (RFC 8037). */
  readonly signingKey: string;
  /** PEM of the certificate that the endpoint shows; pinned. */
  readonly certificate?: string;
  /** What its signer can sign with; absent: every key type. */
  readonly keyTypes?: readonly KeyType[];
  /** Addresses and networks that its mail leaves from, for SPF records that are derived from hosts. */
  readonly addresses?: readonly string[];
}

/** How private keys lie in Secrets Manager: one secret for each, or many in each. */
export type VaultLayout = 'per-key' | 'sharded';

export interface FleetVault {
  readonly layout: VaultLayout;
  /** Regions that secrets are copied to, `eu-central-1`. */
  readonly replicas: readonly string[];
}

export const defaultVault: FleetVault = { layout: 'per-key', replicas: [] };

export interface Fleet {
  /** Grows with every change of the file: milliseconds since 1970 of its last modification. */
  readonly version: number;
  readonly domains: ReadonlyMap<string, FleetDomain>;
  readonly zones: ReadonlyMap<string, FleetZone>;
  readonly pools: readonly string[];
  readonly hosts: ReadonlyMap<string, FleetHost>;
  /** Absent: `defaultVault`. Of a vault in Secrets Manager; a folder has no layouts. */
  readonly vault?: FleetVault;
  /** An operator wants what would be refused (fleet-change.ts), and says why. */
  readonly force?: { readonly reason: string };
}

export const hostsOf = (fleet: Fleet, pool: string): readonly FleetHost[] =>
  [...fleet.hosts.values()].filter((host) => host.pool === pool);

/** Whether a host can sign with a key of this algorithm. */
export const canSign = (host: Pick<FleetHost, 'keyTypes'>, algorithm: Algorithm): boolean =>
  host.keyTypes?.includes(algorithms[algorithm].keyType) ?? true;
