// The ledger in memory, for the simulation: the contract of every ledger, without a disk. Rows are immutable values, so
// that what was handed out never changes under whoever reads it.

import { checkCommit, refusal } from '../../adapters/commit.ts';
import { namesOf, reportName } from '../../adapters/report-name.ts';
import { afterAllPlaces, numberBefore } from '../../adapters/trail-place.ts';
import { type AuditEvent, trailPlace } from '../../core/audit.ts';
import { SelkieError } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import type { ReportRow } from '../../core/reports/report.ts';
import { add, type Instant } from '../../core/time.ts';
import type {
  Commit,
  DriftReport,
  HostRow,
  Ledger,
  LedgerHead,
  LogEntry,
  RequestRow,
  TrailRow,
} from '../../engine/ports.ts';

export interface MemoryLedger extends Ledger {
  /** For whoever drives the world, never for whoever judges it. */
  readonly rows: ReadonlyMap<string, DomainRow>;
  readonly hosts: ReadonlyMap<string, HostRow>;
  /** The last number of a pool's log. */
  tail(pool: string): number;
  fleetVersion(): number;
  /** Keeps a copy of all that it holds. */
  backUp(): void;
  /** All that it holds is what the copy says; leases, which no backup has, are free. */
  restore(): void;
}

const requestKey = (domain: string, key: string): string => `${domain} ${key}`;

/** @param now the store's own clock @param onCommit told of each commit, once it is written */
export const createMemoryLedger = (
  now: () => Instant,
  onCommit: (commit: Commit) => void = () => {},
): MemoryLedger => {
  const rows = new Map<string, DomainRow>();
  const hosts = new Map<string, HostRow>();
  const selectors = new Set<string>();
  const requests = new Map<string, RequestRow>();
  const logs = new Map<string, LogEntry[]>();
  const trails = new Map<string, AuditEvent[]>();
  const trailRows = new Map<string, TrailRow>();
  const drifts = new Map<string, DriftReport>();
  const reports = new Map<string, Map<string, ReportRow>>();
  const leases = new Map<string, { holder: string; until: Instant }>();
  let [epoch, fleetVersion] = [1, 0];
  let restored: LedgerHead['restored'];
  let restore = (): void => {};

  const tail = (pool: string): number => logs.get(pool)?.length ?? 0;

  const check = (commit: Commit): void => {
    for (const { domain, version } of commit.domains ?? [])
      if ((rows.get(domain)?.version ?? 0) !== version) throw refusal.row('domain', domain, version);
    for (const { name, version } of commit.hosts ?? [])
      if ((hosts.get(name)?.version ?? 0) !== version) throw refusal.row('host', name, version);
    for (const { subject, version } of commit.trails ?? [])
      if ((trailRows.get(subject)?.version ?? 0) !== version) throw refusal.row('trail', subject, version);
    if (commit.append !== undefined) {
      const { pool, place } = commit.append;
      if (place.epoch !== epoch) throw refusal.epoch(pool, place.epoch);
      if (place.n !== tail(pool) + 1) throw refusal.place(pool, place.n);
    }
    const { request } = commit;
    if (request !== undefined && requests.has(requestKey(request.domain, request.idempotencyKey)))
      throw refusal.request(request.domain);
    for (const { subject, n } of commit.audit ?? [])
      if (n <= (trails.get(subject)?.length ?? 0)) throw refusal.event(subject, n);
    for (const { domain, selector } of commit.reserve ?? [])
      if (selectors.has(`${domain} ${selector}`)) throw refusal.selector(domain, selector);
  };

  const write = (commit: Commit): void => {
    for (const row of commit.domains ?? []) rows.set(row.domain, { ...row, version: row.version + 1 });
    for (const row of commit.hosts ?? []) hosts.set(row.name, { ...row, version: row.version + 1 });
    for (const row of commit.trails ?? []) trailRows.set(row.subject, { ...row, version: row.version + 1 });
    for (const { domain, selector } of commit.reserve ?? []) selectors.add(`${domain} ${selector}`);
    if (commit.append !== undefined) {
      const { pool, ...entry } = commit.append;
      const log = logs.get(pool);
      if (log === undefined) logs.set(pool, [entry]);
      else log.push(entry);
    }
    const { request } = commit;
    if (request !== undefined) requests.set(requestKey(request.domain, request.idempotencyKey), request);
    for (const event of commit.audit ?? [])
      trails.set(event.subject, [...(trails.get(event.subject) ?? []), event]);
  };

  return {
    rows,
    hosts,
    tail,
    fleetVersion: () => fleetVersion,
    backUp: () => {
      const maps = [rows, hosts, requests, trails, trailRows] as const;
      const [kept, names, numbers] = [maps.map((map) => [...map]), [...selectors], [epoch, fleetVersion]];
      const entries = [...logs].map(([pool, log]) => [pool, [...log]] as const);
      restore = () => {
        for (const [n, map] of maps.entries()) {
          map.clear();
          for (const [name, value] of kept[n] ?? []) (map as Map<string, unknown>).set(name, value);
        }
        selectors.clear();
        for (const name of names) selectors.add(name);
        logs.clear();
        for (const [pool, log] of entries) logs.set(pool, [...log]);
        leases.clear();
        [epoch = epoch, fleetVersion = fleetVersion] = numbers;
        restored = { says: 'the ledger was restored from a backup' };
      };
    },
    restore: () => restore(),
    head: async () => ({ at: now(), epoch, fleetVersion, ...(restored === undefined ? {} : { restored }) }),
    installFleet: async (version) => {
      if (version < fleetVersion)
        throw new SelkieError('stale-fleet', `fleet ${version} is older than the ledger’s, ${fleetVersion}`);
      fleetVersion = version;
    },
    beginRestore: async () => {
      if (restored?.since === undefined) {
        epoch += 1;
        restored = { says: restored?.says ?? 'the ledger is being brought up', since: now() };
      }
      return { epoch, since: restored.since ?? now() };
    },
    endRestore: async () => {
      restored = undefined;
    },
    domain: async (domain) => rows.get(domain),
    host: async (name) => hosts.get(name),
    trail: async (subject) => trailRows.get(subject),
    request: async (domain, key) => requests.get(requestKey(domain, key)),
    audit: async (subject, { after = 0, limit }) => (trails.get(subject) ?? []).slice(after, after + limit),
    newestEvents: async ({ subject, before, limit }) =>
      (subject === undefined
        ? [...trails.values()]
            .flat()
            .filter((event) => trailPlace(event) < (before ?? afterAllPlaces))
            .toSorted((a, b) => (trailPlace(a) < trailPlace(b) ? 1 : -1))
        : (trails.get(subject) ?? []).filter(({ n }) => n < numberBefore(before)).toReversed()
      ).slice(0, limit),
    domains: async ({ after, limit }) => {
      const names = [...rows.keys()].filter((name) => after === undefined || name > after).toSorted();
      const found = names.slice(0, limit).flatMap((name) => rows.get(name) ?? []);
      const last = found.at(-1);
      return names.length > limit && last !== undefined
        ? { rows: found, next: last.domain }
        : { rows: found };
    },
    hostRows: async ({ after = '', limit }) => {
      const names = [...hosts.keys()].filter((name) => name > after).toSorted();
      const found = names.slice(0, limit).flatMap((name) => hosts.get(name) ?? []);
      const last = found.at(-1);
      return names.length > limit && last !== undefined ? { rows: found, next: last.name } : { rows: found };
    },
    saveDrift: async (report) => void drifts.set(report.subject, report),
    driftOf: async (subject) => drifts.get(subject),
    drift: async ({ after = '', limit }) => {
      const subjects = [...drifts.keys()].filter((subject) => subject > after).toSorted();
      const reports = subjects.slice(0, limit).flatMap((subject) => drifts.get(subject) ?? []);
      const last = reports.at(-1);
      return subjects.length > limit && last !== undefined ? { reports, next: last.subject } : { reports };
    },
    saveReport: async (row, most) => {
      const known = reports.get(row.domain) ?? new Map<string, ReportRow>();
      reports.set(row.domain, known);
      for (const [name, { expires }] of known) if (expires <= row.at) known.delete(name);
      const name = reportName(row);
      if (known.has(name)) return 'known';
      const [first, below] = namesOf(row.day, row.day);
      if ([...known.keys()].filter((other) => other > first && other < below).length >= most) return 'full';
      known.set(name, row);
      return 'saved';
    },
    reports: async (domain, { from, to, after, limit }) => {
      const [first, below] = namesOf(from, to);
      const known = reports.get(domain) ?? new Map<string, ReportRow>();
      const names = [...known.keys()].filter((name) => name > (after ?? first) && name < below).toSorted();
      const found = names.slice(0, limit).flatMap((name) => known.get(name) ?? []);
      const last = names[limit - 1];
      return names.length > limit && last !== undefined ? { rows: found, next: last } : { rows: found };
    },
    commit: async (commit) => {
      checkCommit(commit);
      check(commit);
      write(commit);
      onCommit(commit);
    },
    nextPlace: async (pool) => ({ epoch, n: tail(pool) + 1 }),
    log: async (pool, after) => (logs.get(pool) ?? []).slice(after),
    due: async (at, limit) =>
      [...rows.values()]
        .flatMap(({ domain, zone, wakeAt }) =>
          wakeAt !== undefined && wakeAt <= at ? [{ domain, zone, wakeAt }] : [],
        )
        .toSorted((a, b) => a.wakeAt - b.wakeAt || (a.domain < b.domain ? -1 : 1))
        .slice(0, limit)
        .map(({ domain, zone }) => ({ domain, zone })),
    lease: async (name, holder, at, length) => {
      const held = leases.get(name);
      if (held !== undefined && held.holder !== holder && held.until > at) return false;
      leases.set(name, { holder, until: add(at, length) });
      return true;
    },
    release: async (name, holder) => {
      if (leases.get(name)?.holder === holder) leases.delete(name);
    },
  };
};
