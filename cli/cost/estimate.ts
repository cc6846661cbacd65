// What a fleet costs in a month of 30 days once its rotations are spread over their period. Pure.

import { mostBytes } from '../../adapters/aws/shard-form.ts';
import type { Algorithm } from '../../core/algorithm.ts';
import { cohortsOf } from '../../core/key/cohorts.ts';
import { type Fleet, type FleetDomain, hostsOf, type VaultLayout } from '../../core/policy.ts';
import { days, hours, longest } from '../../core/time.ts';
import { dollarsFor, type PriceName } from './prices.ts';
import {
  audit,
  cohortRotation,
  domainRotation,
  hostUnit,
  idleQueueRequests,
  keyRotation,
  kmsKeys,
  memory,
  month,
  pull,
  requestsPerUnit,
  sampledShare,
  stored,
  sweep,
  unitLogBytes,
  unitSeconds,
  watched,
} from './usage.ts';

export interface Line {
  readonly service: string;
  readonly what: string;
  readonly quantity: number;
  readonly price: PriceName;
  /** A month. */
  readonly dollars: number;
}

export interface Estimate {
  readonly layout: VaultLayout;
  readonly domains: number;
  readonly hosts: number;
  readonly zones: number;
  /** On the average. */
  readonly keys: number;
  readonly secrets: number;
  readonly rotations: number;
  readonly lines: readonly Line[];
  /** Of the lines, in dollars. */
  readonly total: number;
  /** What the zones cost, with or without Selkie. */
  readonly zonesTotal: number;
}

/** Bytes that a key takes of a secret of many: PKCS #8 in DER, behind a name of some 40. */
const shardBytes: Readonly<Record<Algorithm, number>> = {
  rsa1024: 680,
  rsa2048: 1_260,
  rsa3072: 1_840,
  rsa4096: 2_420,
  ed25519: 90,
};
/** Keys of one secret, whatever room they take (adapters/aws/shard-form.ts). */
const mostKeys = 90;

/** Between the reservation of a key and its first signature. */
const lead = hours(1);

const rotationsOf = ({ policy }: FleetDomain): number =>
  policy.rotateEvery === undefined ? 0 : days(month.days) / policy.rotateEvery;

/** Key sets of a domain that are in the vault, on the average: the one that signs, and those before and after it. */
const setsOf = ({ policy }: FleetDomain): number => {
  if (policy.rotateEvery === undefined) return 1;
  const { downstreamQueue, drainMargin, ttl, hold } = policy;
  const beside = lead + downstreamQueue + drainMargin + ttl + longest(hold, ttl);
  return 1 + beside / policy.rotateEvery;
};

/** Domains of one zone in one pool that live alike: one of them stands for all. */
interface Group {
  readonly one: FleetDomain;
  readonly size: number;
  readonly hosts: number;
}

interface Zone {
  readonly groups: readonly Group[];
  readonly size: number;
}

const groupedZones = (fleet: Fleet): readonly Zone[] => {
  const hosts = new Map(fleet.pools.map((pool) => [pool, hostsOf(fleet, pool).length]));
  const zones = new Map<string, Map<string, { one: FleetDomain; size: number }>>();
  for (const one of fleet.domains.values()) {
    if (one.leaving) continue;
    const { rotateEvery, downstreamQueue, drainMargin, ttl, hold, algorithms } = one.policy;
    const alike = [one.pool, rotateEvery, downstreamQueue, drainMargin, ttl, hold, ...algorithms].join(' ');
    const groups = zones.get(one.zone) ?? new Map<string, { one: FleetDomain; size: number }>();
    zones.set(one.zone, groups);
    const group = groups.get(alike);
    if (group === undefined) groups.set(alike, { one, size: 1 });
    else group.size += 1;
  }
  return [...zones.values()].map((groups) => ({
    groups: [...groups.values()].map((group) => ({ ...group, hosts: hosts.get(group.one.pool) ?? 0 })),
    size: [...groups.values()].reduce((sum, { size }) => sum + size, 0),
  }));
};

/** Secrets that hold `keys` sets of a group. Sharded: those of one cohort, which are stored together, share some. */
const secretsOf = ({ one, size }: Group, zoneSize: number, layout: VaultLayout): number => {
  const { algorithms } = one.policy;
  if (layout === 'per-key') return size * algorithms.length * setsOf(one);
  const cohorts = Math.min(size, cohortsOf(zoneSize));
  const bytes = (size / cohorts) * algorithms.reduce((sum, each) => sum + shardBytes[each], 0);
  const keys = (size / cohorts) * algorithms.length;
  return cohorts * Math.ceil(Math.max(bytes / mostBytes, keys / mostKeys)) * setsOf(one);
};

/** What is counted over all zones. All but the first three: in a month. */
interface Count {
  readonly keys: number;
  readonly secrets: number;
  /** Records of the largest zones, beyond those that a zone has for nothing. */
  readonly furtherRecords: number;
  readonly rotations: number;
  readonly cohorts: number;
  readonly keyRotations: number;
  /** Keys sent to hosts. */
  readonly deliveries: number;
  /** Times that a host is told something. */
  readonly tellings: number;
  readonly hostUnits: number;
}

const nothing: Count = {
  keys: 0,
  secrets: 0,
  furtherRecords: 0,
  rotations: 0,
  cohorts: 0,
  keyRotations: 0,
  deliveries: 0,
  tellings: 0,
  hostUnits: 0,
};

const recordsForNothing = 10_000;

const countZone = (zone: Zone, layout: VaultLayout): Count => {
  let sum = nothing;
  for (const group of zone.groups) {
    const { one, size, hosts } = group;
    const algorithms = one.policy.algorithms.length;
    const rotations = size * rotationsOf(one);
    const cohorts = Math.min(size, cohortsOf(zone.size)) * rotationsOf(one);
    sum = {
      keys: sum.keys + size * algorithms * setsOf(one),
      secrets: sum.secrets + secretsOf(group, zone.size, layout),
      furtherRecords: 0,
      rotations: sum.rotations + rotations,
      cohorts: sum.cohorts + cohorts,
      keyRotations: sum.keyRotations + rotations * algorithms,
      deliveries: sum.deliveries + rotations * algorithms * hosts,
      tellings: sum.tellings + cohorts * cohortRotation.tellings * hosts,
      hostUnits: sum.hostUnits + cohorts * cohortRotation.hostUnits * hosts,
    };
  }
  return { ...sum, furtherRecords: Math.max(0, sum.keys - recordsForNothing) };
};

const plus = (a: Count, b: Count): Count => ({
  keys: a.keys + b.keys,
  secrets: a.secrets + b.secrets,
  furtherRecords: a.furtherRecords + b.furtherRecords,
  rotations: a.rotations + b.rotations,
  cohorts: a.cohorts + b.cohorts,
  keyRotations: a.keyRotations + b.keyRotations,
  deliveries: a.deliveries + b.deliveries,
  tellings: a.tellings + b.tellings,
  hostUnits: a.hostUnits + b.hostUnits,
});

const gigabytes = (bytes: number): number => bytes / 1e9;
/** They are dearer than those after them. */
const firstZones = 25;

/** @param layout how private keys lie in the vault */
export const estimate = (fleet: Fleet, layout: VaultLayout): Estimate => {
  const zones = groupedZones(fleet);
  const domains = zones.reduce((sum, { size }) => sum + size, 0);
  const hosts = fleet.hosts.size;
  const n = zones.map((zone) => countZone(zone, layout)).reduce(plus, nothing);

  const copies = fleet.vault?.replicas.length ?? 0;
  const ticks = month.minutes;
  const pulls = (hosts * month.minutes) / pull.everyMinutes;
  const audits = zones.length * month.days;
  const zoneUnits = n.cohorts * cohortRotation.zoneUnits;
  // Once an hour each host is looked after.
  const hostUnits = n.hostUnits + hosts * month.hours;
  const units = zoneUnits + hostUnits + audits;
  const secretReads = n.keyRotations * keyRotation.secretReads + n.deliveries;
  const secretWrites = n.keyRotations * keyRotation.secretWrites;
  const reconcileSeconds =
    zoneUnits * unitSeconds +
    n.rotations * domainRotation.seconds +
    n.tellings * hostUnit.seconds +
    (hostUnits - n.tellings) * hostUnit.idleSeconds +
    audits * audit.seconds +
    (n.keys * month.days) / audit.recordsPerSecond;
  const lambdaSeconds =
    ticks * sweep.seconds * memory.tick +
    reconcileSeconds * memory.reconcile +
    pulls * pull.seconds * memory.api;
  const invocations = ticks + units + pulls;
  const tableBytes =
    domains * stored.row + hosts * stored.host + n.rotations * (365 / month.days) * stored.rotation;
  const logBytes = ticks * sweep.logBytes + units * unitLogBytes + pulls * pull.logBytes;
  const firstOfSecond = Math.min(invocations, month.seconds);
  const traces = firstOfSecond + (invocations - firstOfSecond) * sampledShare;

  const line = (service: string, what: string, quantity: number, price: PriceName): Line => ({
    service,
    what,
    quantity,
    price,
    dollars: dollarsFor(quantity, price),
  });
  const lines = [
    line('Secrets Manager', 'secrets', n.secrets, 'secret'),
    line('Secrets Manager', 'copies in other regions', n.secrets * copies, 'secret'),
    line('Secrets Manager', 'calls', secretReads + secretWrites, 'secretCall'),
    // In each region of copies, one that they are encrypted by.
    line('KMS', 'keys', kmsKeys + copies, 'kmsKey'),
    line('KMS', 'calls for secrets', secretReads + n.keyRotations, 'kmsCall'),
    line('KMS', 'signatures of bundles', n.tellings, 'kmsSignature'),
    line(
      'DynamoDB',
      'write units',
      n.cohorts * cohortRotation.writeUnits +
        n.rotations * domainRotation.writeUnits +
        n.tellings * hostUnit.writeUnits +
        pulls * pull.writeUnits,
      'writeUnit',
    ),
    line(
      'DynamoDB',
      'read units',
      n.rotations * domainRotation.readUnits +
        hostUnits * hostUnit.readUnits +
        pulls * pull.readUnits +
        ticks * (sweep.readUnits + hosts / 5) +
        domains * month.days * audit.readUnits,
      'readUnit',
    ),
    line('DynamoDB', 'GB of the table', gigabytes(tableBytes), 'tableStorage'),
    line('DynamoDB', 'GB of its backup', gigabytes(tableBytes), 'tableBackup'),
    line('Lambda', 'invocations', invocations, 'invocation'),
    line('Lambda', 'GB-seconds', lambdaSeconds, 'gigabyteSecond'),
    line('SQS', 'requests', units * requestsPerUnit + idleQueueRequests * month.minutes, 'queueRequest'),
    line('API Gateway', 'pulls of hosts', pulls, 'apiRequest'),
    line('EventBridge Scheduler', 'ticks and audits', ticks + month.days, 'schedule'),
    line('CloudWatch', 'GB of logs', gigabytes(logBytes), 'logGigabyte'),
    line('CloudWatch', 'metrics', watched.metrics, 'metric'),
    line('CloudWatch', 'metrics of alarms', watched.alarmMetrics, 'alarmMetric'),
    line('CloudWatch', 'dashboard', watched.dashboards, 'dashboard'),
    line('X-Ray', 'traces', traces, 'trace'),
    line(
      'Data transfer',
      'GB to hosts',
      gigabytes(n.deliveries * keyRotation.bundleBytes + pulls * pull.bytes),
      'transferGigabyte',
    ),
    line('Route 53', 'records over 10,000 of a zone', n.furtherRecords, 'furtherRecord'),
  ];
  return {
    layout,
    domains,
    hosts,
    zones: fleet.zones.size,
    keys: n.keys,
    secrets: n.secrets,
    rotations: n.rotations,
    lines,
    total: lines.reduce((sum, { dollars }) => sum + dollars, 0),
    zonesTotal:
      dollarsFor(Math.min(fleet.zones.size, firstZones), 'zone') +
      dollarsFor(Math.max(0, fleet.zones.size - firstZones), 'furtherZone'),
  };
};
