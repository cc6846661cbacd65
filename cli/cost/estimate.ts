// What a fleet costs in a month of 30 days once its rotations are spread over their period. Pure.

import { mostBytes } from '../../adapters/aws/shard-form.ts';
import type { Algorithm } from '../../core/algorithm.ts';
import { type Fleet, type FleetDomain, hostsOf, type VaultLayout } from '../../core/policy.ts';
import { days, hours, longest } from '../../core/time.ts';
import { cohortName } from '../../engine/units.ts';
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
  zoneRotation,
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

/** Domains of one cohort and one pool that live alike: one of them stands for all. */
interface Group {
  readonly one: FleetDomain;
  readonly size: number;
  readonly zones: number;
  readonly hosts: number;
}

const groupsOf = (fleet: Fleet, domains: readonly FleetDomain[]): readonly Group[] => {
  const hosts = new Map(fleet.pools.map((pool) => [pool, hostsOf(fleet, pool).length]));
  const groups = new Map<string, { one: FleetDomain; size: number; zones: Set<string> }>();
  for (const one of domains) {
    const { rotateEvery, downstreamQueue, drainMargin, ttl, hold, algorithms } = one.policy;
    const alike = [one.pool, rotateEvery, downstreamQueue, drainMargin, ttl, hold, ...algorithms].join(' ');
    const name = `${cohortName(fleet, one)} ${alike}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { one, size: 1, zones: new Set([one.zone]) });
    else {
      group.size += 1;
      group.zones.add(one.zone);
    }
  }
  return [...groups.values()].map(({ one, size, zones }) => ({
    one,
    size,
    zones: zones.size,
    hosts: hosts.get(one.pool) ?? 0,
  }));
};

/** Secrets that hold the keys of a group. Sharded: they are stored together, and share some. */
const secretsOf = ({ one, size }: Group, layout: VaultLayout): number => {
  const { algorithms } = one.policy;
  const keys = size * algorithms.length;
  if (layout === 'per-key') return keys * setsOf(one);
  const bytes = size * algorithms.reduce((sum, each) => sum + shardBytes[each], 0);
  return Math.ceil(Math.max(bytes / mostBytes, keys / mostKeys)) * setsOf(one);
};

/** What is counted over all groups. All but the first two: in a month. */
interface Count {
  readonly keys: number;
  readonly secrets: number;
  readonly rotations: number;
  readonly cohorts: number;
  /** Rotations of zones: of several domains of one that rotate together, one. */
  readonly zoneRotations: number;
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
  rotations: 0,
  cohorts: 0,
  zoneRotations: 0,
  keyRotations: 0,
  deliveries: 0,
  tellings: 0,
  hostUnits: 0,
};

const countGroup = (group: Group, layout: VaultLayout): Count => {
  const { one, size, zones, hosts } = group;
  const algorithms = one.policy.algorithms.length;
  const cohorts = rotationsOf(one);
  const rotations = size * cohorts;
  return {
    keys: size * algorithms * setsOf(one),
    secrets: secretsOf(group, layout),
    rotations,
    cohorts,
    zoneRotations: zones * cohorts,
    keyRotations: rotations * algorithms,
    deliveries: rotations * algorithms * hosts,
    tellings: cohorts * cohortRotation.tellings * Math.ceil(size / cohortRotation.domainsOfEntry) * hosts,
    hostUnits: cohorts * cohortRotation.hostUnits * hosts,
  };
};

const recordsForNothing = 10_000;

/** By zone: key records, on the average. */
const recordsOf = (domains: readonly FleetDomain[]): ReadonlyMap<string, number> => {
  const records = new Map<string, number>();
  for (const one of domains) {
    const own = one.policy.algorithms.length * setsOf(one);
    records.set(one.zone, (records.get(one.zone) ?? 0) + own);
  }
  return records;
};

const plus = (a: Count, b: Count): Count => ({
  keys: a.keys + b.keys,
  secrets: a.secrets + b.secrets,
  rotations: a.rotations + b.rotations,
  cohorts: a.cohorts + b.cohorts,
  zoneRotations: a.zoneRotations + b.zoneRotations,
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
  const stays = [...fleet.domains.values()].filter(({ leaving }) => !leaving);
  const domains = stays.length;
  const records = [...recordsOf(stays).values()];
  const hosts = fleet.hosts.size;
  const n = groupsOf(fleet, stays)
    .map((group) => countGroup(group, layout))
    .reduce(plus, nothing);

  const copies = fleet.vault?.replicas.length ?? 0;
  const ticks = month.minutes;
  const pulls = (hosts * month.minutes) / pull.everyMinutes;
  const audits = records.length * month.days;
  const cohortUnits = n.cohorts * cohortRotation.units;
  // Once an hour each host is looked after.
  const hostUnits = n.hostUnits + hosts * month.hours;
  const units = cohortUnits + hostUnits + audits;
  const secretReads = n.keyRotations * keyRotation.secretReads + n.deliveries;
  const secretWrites = n.keyRotations * keyRotation.secretWrites;
  const reconcileSeconds =
    cohortUnits * unitSeconds +
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
        n.zoneRotations * zoneRotation.writeUnits +
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
    line(
      'Route 53',
      'records over 10,000 of a zone',
      records.reduce((sum, each) => sum + Math.max(0, each - recordsForNothing), 0),
      'furtherRecord',
    ),
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
