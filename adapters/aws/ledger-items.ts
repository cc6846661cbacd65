// How the ledger lies in its DynamoDB table: keys and items. Pure but for SHA-256.
//
//   pk                  sk                      attributes
//   head                head                    epoch, fleetVersion, table: where the ledger lives, restoring, replacedBy
//   domain              the domain              version, body; zone, dueShard, dueAt where it has a wakeAt
//   host                the host                version, body
//   trail               fleet                   version, body: the last event of a trail that no other row names
//   selector#DOMAIN     the selector            –
//   pool#POOL           n, 16 digits            body: one entry of the log, one transaction
//   pool#POOL           last                    n: the last number of the log
//   request#DOMAIN      SHA-256 of the key      body, expires
//   audit#SUBJECT       n, 16 digits            body: one event of the audit trail; trailShard, trailAt
//   drift               zone/NAME, domains, …   body: what the last audit of it found
//   report#DOMAIN       DAY#HASH                body, expires: what is kept of one aggregate report (report-name.ts)
//   report#DOMAIN       of#DAY                  n, expires: how many there are of a day
//   lease#NAME          lease                   holder, until
//   hand#ZONE           the change's id         of zones that people change: hand-changes.ts
//   shard#ID, secret#DOMAIN, begun              of the vault: shard-index.ts
//
// All domains are one partition key, since they are read in the order of their names. DynamoDB splits a partition
// that is hot by sort key where there is no local index; a fleet of 100,000 domains writes a few rows a second.

import { createHash } from 'node:crypto';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { type AuditEvent, trailPlace } from '../../core/audit.ts';
import { SelkieError } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import type { ReportRow } from '../../core/reports/report.ts';
import { dueShards, ledgerTable, trailShards } from '../../core/table.ts';
import { add, type Instant } from '../../core/time.ts';
import type { DriftReport, HostRow, LogEntry, RequestRow, TrailRow } from '../../engine/ports.ts';
import { requestsKept } from '../commit.ts';
import { reportName } from '../report-name.ts';

export type Item = Record<string, AttributeValue>;

const { partitionKey, sortKey, dueIndex, trailIndex } = ledgerTable;

const key = (pk: string, sk: string): Item => ({ [partitionKey]: { S: pk }, [sortKey]: { S: sk } });

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Sorts as text as it does as a number. 16 digits hold every safe integer. */
export const digits = (n: number): string => String(n).padStart(16, '0');

export const auditPartition = (subject: string): string => `audit#${subject}`;

export const poolPartition = (pool: string): string => `pool#${pool}`;

export const reportPartition = (domain: string): string => `report#${domain}`;

export const keys = {
  head: key('head', 'head'),
  domain: (domain: string) => key('domain', domain),
  host: (name: string) => key('host', name),
  trail: (subject: string) => key('trail', subject),
  selector: (domain: string, selector: string) => key(`selector#${domain}`, selector),
  entry: (pool: string, n: number) => key(poolPartition(pool), digits(n)),
  last: (pool: string) => key(poolPartition(pool), 'last'),
  // Hashed, so that a client's key may be of any length.
  request: (domain: string, idempotencyKey: string) =>
    key(`request#${domain}`, sha256(idempotencyKey).toString('hex')),
  event: (subject: string, n: number) => key(auditPartition(subject), digits(n)),
  drift: (subject: string) => key('drift', subject),
  report: (domain: string, name: string) => key(reportPartition(domain), name),
  reportsOfDay: (domain: string, day: string) => key(reportPartition(domain), `of#${day}`),
  lease: (name: string) => key(`lease#${name}`, 'lease'),
} as const;

const shardsOf = (index: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `${index}#${n}`);
const shardOf = (index: string, count: number, name: string): string =>
  `${index}#${sha256(name).readUInt32BE(0) % count}`;

/** Every name of a shard of the due index: a zone's domains lie together, for whom they are due at once. */
export const dueShardNames = shardsOf('due', dueShards);

/** Every name of a shard of the trail index. */
export const trailShardNames = shardsOf('trail', trailShards);

/** The first text that sorts behind all that is due at `now`. */
export const dueBefore = (now: Instant): string => digits(Math.floor(now) + 1);

export const domainItem = (row: DomainRow): Item => ({
  ...keys.domain(row.domain),
  version: { N: String(row.version) },
  body: { S: JSON.stringify(row) },
  ...(row.wakeAt === undefined
    ? {}
    : {
        zone: { S: row.zone },
        [dueIndex.partitionKey]: { S: shardOf('due', dueShards, row.zone) },
        // Rounded up: never early. The name makes the order of equal times a fixed one.
        [dueIndex.sortKey]: { S: `${digits(Math.max(0, Math.ceil(row.wakeAt)))}#${row.domain}` },
      }),
});

export const hostItem = (row: HostRow): Item => ({
  ...keys.host(row.name),
  version: { N: String(row.version) },
  body: { S: JSON.stringify(row) },
});

export const trailItem = (row: TrailRow): Item => ({
  ...keys.trail(row.subject),
  version: { N: String(row.version) },
  body: { S: JSON.stringify(row) },
});

export const driftItem = (report: DriftReport): Item => ({
  ...keys.drift(report.subject),
  body: { S: JSON.stringify(report) },
});

/** DynamoDB deletes what has expired, some days later and at no price. */
export const expiry = (at: Instant): Item => ({
  [ledgerTable.expires]: { N: String(Math.ceil(at / 1_000)) },
});

export const reportItem = (row: ReportRow): Item => ({
  ...keys.report(row.domain, reportName(row)),
  ...expiry(row.expires),
  body: { S: JSON.stringify(row) },
});

export const entryItem = (pool: string, entry: LogEntry): Item => ({
  ...keys.entry(pool, entry.place.n),
  body: { S: JSON.stringify(entry) },
});

export const requestItem = (row: RequestRow): Item => ({
  ...keys.request(row.domain, row.idempotencyKey),
  ...expiry(add(row.at, requestsKept)),
  body: { S: JSON.stringify(row) },
});

export const eventItem = (event: AuditEvent): Item => ({
  ...keys.event(event.subject, event.n),
  [trailIndex.partitionKey]: { S: shardOf('trail', trailShards, event.subject) },
  [trailIndex.sortKey]: { S: trailPlace(event) },
  body: { S: JSON.stringify(event) },
});

// The bodies were written by this file from the same types.
export const bodyOf = <T>(item: Item | undefined): T | undefined =>
  item?.body?.S === undefined ? undefined : JSON.parse(item.body.S);

export const numberOf = (item: Item | undefined, attribute: string): number | undefined => {
  const value = item?.[attribute]?.N;
  return value === undefined ? undefined : Number(value);
};

export const textOf = (item: Item, attribute: string): string => item[attribute]?.S ?? '';

const bytes = (text: string): number => Buffer.byteLength(text);

/** As DynamoDB counts: names and values in UTF-8; a number takes about a byte for two digits. */
export const sizeOf = (item: Item): number =>
  Object.entries(item).reduce(
    (sum, [name, value]) =>
      sum +
      bytes(name) +
      (value.S === undefined ? Math.ceil((value.N ?? '').length / 2) + 1 : bytes(value.S)),
    0,
  );

/** An item holds 400 KB, a transaction 4 MB: DynamoDB's quotas. */
const itemLimit = 400 * 1_024;
const transactionLimit = 4_000_000;

/** @throws invalid where an item, or all together, is more than DynamoDB takes */
export const checkSizes = (items: readonly { readonly item: Item; readonly what: string }[]): void => {
  let together = 0;
  for (const { item, what } of items) {
    const size = sizeOf(item);
    together += size;
    if (size > itemLimit)
      throw new SelkieError(
        'invalid',
        `${what} is ${size} bytes, and an item of DynamoDB holds ${itemLimit}: split it, or prune its history`,
      );
  }
  if (together > transactionLimit)
    throw new SelkieError(
      'invalid',
      `a commit is ${together} bytes, and a transaction of DynamoDB holds ${transactionLimit}: split it`,
    );
};
