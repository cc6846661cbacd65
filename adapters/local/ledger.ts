// The ledger in one SQLite file (or in memory): the local default. Any number of processes of one machine may share the
// file. It touches that file, a small one beside it, and a clock that comes in.
//
// `FILE.seen` says how many commits the ledger has had. One that has had fewer came back from a backup.

import { readFileSync, writeFileSync } from 'node:fs';
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { AuditEvent } from '../../core/audit.ts';
import { SelkieError } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import type { ReportRow } from '../../core/reports/report.ts';
import { instant } from '../../core/time.ts';
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
import { checkCommit, refusal, requestsKept } from '../commit.ts';
import { namesOf, reportName } from '../report-name.ts';
import { afterAllPlaces, numberBefore } from '../trail-place.ts';
import { auditPlace, openStore, toLedgerError, transaction } from './ledger-store.ts';

type Row = ReturnType<ReturnType<DatabaseSync['prepare']>['get']>;

// The bodies were written by this file from the same types; the schema's version vouches for their shape.
const parse = <T>(row: Row): T | undefined => (row === undefined ? undefined : JSON.parse(String(row.body)));
const parseAll = <T>(rows: readonly Row[]): T[] =>
  rows.map((row) => parse<T>(row)).filter((row) => row !== undefined);

const statements = (db: DatabaseSync) => ({
  head: db.prepare('SELECT epoch, fleet_version, latest, commits, since FROM head, restore'),
  seeTime: db.prepare('UPDATE head SET latest = ?1 WHERE latest < ?1'),
  setFleet: db.prepare('UPDATE head SET fleet_version = ?1 WHERE fleet_version <= ?1'),
  nextEpoch: db.prepare('UPDATE head SET epoch = epoch + 1'),
  beginRestore: db.prepare('UPDATE restore SET since = ? WHERE since IS NULL'),
  endRestore: db.prepare('UPDATE restore SET since = NULL, commits = max(commits, ?)'),
  committed: db.prepare('UPDATE restore SET commits = commits + 1 RETURNING commits'),
  domain: db.prepare('SELECT version, body FROM domain WHERE name = ?'),
  domains: db.prepare('SELECT body FROM domain WHERE name > ? ORDER BY name LIMIT ?'),
  putDomain: db.prepare('INSERT OR REPLACE INTO domain VALUES (?, ?, ?, ?, ?)'),
  due: db.prepare('SELECT name, zone FROM domain WHERE wake_at <= ? ORDER BY wake_at, name LIMIT ?'),
  host: db.prepare('SELECT version, body FROM host WHERE name = ?'),
  putHost: db.prepare('INSERT OR REPLACE INTO host VALUES (?, ?, ?)'),
  trail: db.prepare('SELECT version, body FROM trail WHERE subject = ?'),
  putTrail: db.prepare('INSERT OR REPLACE INTO trail VALUES (?, ?, ?)'),
  selector: db.prepare('SELECT 1 FROM selector WHERE domain = ? AND selector = ?'),
  putSelector: db.prepare('INSERT INTO selector VALUES (?, ?)'),
  last: db.prepare('SELECT coalesce(max(n), 0) AS n FROM log WHERE pool = ?'),
  log: db.prepare('SELECT body FROM log WHERE pool = ? AND n > ? ORDER BY n'),
  putEntry: db.prepare('INSERT INTO log VALUES (?, ?, ?)'),
  hosts: db.prepare('SELECT body FROM host WHERE name > ? ORDER BY name LIMIT ?'),
  drift: db.prepare('SELECT body FROM drift WHERE subject = ?'),
  drifts: db.prepare('SELECT body FROM drift WHERE subject > ? ORDER BY subject LIMIT ?'),
  putDrift: db.prepare('INSERT OR REPLACE INTO drift VALUES (?, ?)'),
  report: db.prepare('SELECT 1 FROM report WHERE domain = ? AND name = ?'),
  reports: db.prepare(
    'SELECT name, body FROM report WHERE domain = ? AND name > ? AND name < ? ORDER BY name LIMIT ?',
  ),
  countReports: db.prepare('SELECT count(*) AS n FROM report WHERE domain = ? AND name > ? AND name < ?'),
  putReport: db.prepare('INSERT INTO report VALUES (?, ?, ?, ?)'),
  dropReports: db.prepare('DELETE FROM report WHERE expires <= ?'),
  request: db.prepare('SELECT body FROM request WHERE domain = ? AND key = ?'),
  putRequest: db.prepare('INSERT INTO request VALUES (?, ?, ?)'),
  dropRequests: db.prepare("DELETE FROM request WHERE json_extract(body, '$.at') < ?"),
  event: db.prepare('SELECT 1 FROM audit WHERE subject = ? AND n = ?'),
  events: db.prepare('SELECT body FROM audit WHERE subject = ? AND n > ? ORDER BY n LIMIT ?'),
  newestEvents: db.prepare(
    `SELECT body FROM audit WHERE ${auditPlace} < ? ORDER BY ${auditPlace} DESC LIMIT ?`,
  ),
  newestOf: db.prepare('SELECT body FROM audit WHERE subject = ? AND n < ? ORDER BY n DESC LIMIT ?'),
  putEvent: db.prepare('INSERT INTO audit VALUES (?, ?, ?)'),
  takeLease: db.prepare(
    `INSERT INTO lease VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?3
     WHERE lease.holder = ?2 OR lease.until <= ?4`,
  ),
  dropLease: db.prepare('DELETE FROM lease WHERE name = ? AND holder = ?'),
});

type Statements = ReturnType<typeof statements>;

const head = (sql: Statements) => {
  const row = sql.head.get();
  return {
    epoch: Number(row?.epoch),
    fleetVersion: Number(row?.fleet_version),
    latest: Number(row?.latest),
    commits: Number(row?.commits),
    since: row?.since === null ? undefined : instant(Number(row?.since)),
  };
};

/** How many commits were seen, by a file that no backup of the ledger brings back. */
const seenCommits = (path: string) => {
  const file = path === ':memory:' ? undefined : `${path}.seen`;
  return {
    read: (): number => {
      if (file === undefined) return 0;
      try {
        const n = Number(readFileSync(file, 'utf8'));
        return Number.isSafeInteger(n) ? n : 0;
      } catch {
        return 0;
      }
    },
    note: (n: number): void => {
      if (file === undefined) return;
      try {
        writeFileSync(file, `${n}\n`, { mode: 0o600 });
      } catch {
        // A full disk: the next commit notes it.
      }
    },
  };
};

const versionOf = (row: Row): number => (row === undefined ? 0 : Number(row.version));

/** @throws conflict before exists: who is told `exists` may rely on everything else */
const check = (sql: Statements, commit: Commit): void => {
  for (const { domain, version } of commit.domains ?? [])
    if (versionOf(sql.domain.get(domain)) !== version) throw refusal.row('domain', domain, version);
  for (const { name, version } of commit.hosts ?? [])
    if (versionOf(sql.host.get(name)) !== version) throw refusal.row('host', name, version);
  for (const { subject, version } of commit.trails ?? [])
    if (versionOf(sql.trail.get(subject)) !== version) throw refusal.row('trail', subject, version);
  if (commit.append !== undefined) {
    const { pool, place } = commit.append;
    if (place.epoch !== head(sql).epoch) throw refusal.epoch(pool, place.epoch);
    if (place.n !== Number(sql.last.get(pool)?.n) + 1) throw refusal.place(pool, place.n);
  }
  const { request } = commit;
  if (request !== undefined && sql.request.get(request.domain, request.idempotencyKey) !== undefined)
    throw refusal.request(request.domain);
  for (const { subject, n } of commit.audit ?? [])
    if (sql.event.get(subject, n) !== undefined) throw refusal.event(subject, n);
  for (const { domain, selector } of commit.reserve ?? [])
    if (sql.selector.get(domain, selector) !== undefined) throw refusal.selector(domain, selector);
};

const write = (sql: Statements, commit: Commit): void => {
  for (const row of commit.domains ?? []) {
    const next: DomainRow = { ...row, version: row.version + 1 };
    const values: SQLInputValue[] = [row.domain, next.version, row.zone, row.wakeAt ?? null];
    sql.putDomain.run(...values, JSON.stringify(next));
  }
  for (const row of commit.hosts ?? []) {
    const next: HostRow = { ...row, version: row.version + 1 };
    sql.putHost.run(row.name, next.version, JSON.stringify(next));
  }
  for (const row of commit.trails ?? []) {
    const next: TrailRow = { ...row, version: row.version + 1 };
    sql.putTrail.run(row.subject, next.version, JSON.stringify(next));
  }
  for (const { domain, selector } of commit.reserve ?? []) sql.putSelector.run(domain, selector);
  if (commit.append !== undefined) {
    const { pool, ...entry } = commit.append;
    sql.putEntry.run(pool, entry.place.n, JSON.stringify(entry));
  }
  const { request } = commit;
  if (request !== undefined) {
    sql.dropRequests.run(request.at - requestsKept);
    sql.putRequest.run(request.domain, request.idempotencyKey, JSON.stringify(request));
  }
  for (const event of commit.audit ?? []) sql.putEvent.run(event.subject, event.n, JSON.stringify(event));
};

/**
 * @param path a file, which is created where there is none, or `:memory:`
 * @param now the machine's clock, milliseconds since 1970. The ledger's time never goes back: while the clock is behind
 *   the latest time that the store has told, that time is told again. Late, not wrong (invariant 10).
 * @throws invalid: not our file, or of another schema; denied; unavailable
 */
export const openSqliteLedger = (path: string, now: () => number): Ledger & { close(): void } => {
  const db = openStore(path);
  const sql = statements(db);
  const seen = seenCommits(path);
  const before = seen.read();

  const restoredOf = ({ commits, since }: ReturnType<typeof head>): Pick<LedgerHead, 'restored'> => {
    if (since !== undefined) return { restored: { says: `the ledger ${path} is being brought up`, since } };
    return commits < before
      ? {
          restored: {
            says: `the ledger ${path} came back from a backup: ${before - commits} writes are missing`,
          },
        }
      : {};
  };

  /** SQLite answers at once; a failure becomes a rejection, and an error of ours. */
  const answer = async <T>(work: () => T): Promise<T> => {
    try {
      return work();
    } catch (error) {
      throw toLedgerError(error, path);
    }
  };

  return {
    head: () =>
      answer(() =>
        transaction(db, () => {
          sql.seeTime.run(Math.floor(now()));
          const row = head(sql);
          const { epoch, fleetVersion, latest } = row;
          return { at: instant(latest), epoch, fleetVersion, ...restoredOf(row) };
        }),
      ),

    installFleet: (version) =>
      answer(() => {
        if (sql.setFleet.run(version).changes === 0)
          throw new SelkieError(
            'stale-fleet',
            `fleet ${version} is older than the ledger’s, ${head(sql).fleetVersion}: deploy the newest one`,
          );
      }),

    beginRestore: () =>
      answer(() =>
        transaction(db, () => {
          sql.seeTime.run(Math.floor(now()));
          if (sql.beginRestore.run(head(sql).latest).changes > 0) sql.nextEpoch.run();
          const { epoch, latest, since } = head(sql);
          return { epoch, since: since ?? instant(latest) };
        }),
      ),
    endRestore: () =>
      answer(() => {
        sql.endRestore.run(before);
      }),

    domain: (domain) => answer(() => parse<DomainRow>(sql.domain.get(domain))),
    host: (name) => answer(() => parse<HostRow>(sql.host.get(name))),
    trail: (subject) => answer(() => parse<TrailRow>(sql.trail.get(subject))),
    request: (domain, key) => answer(() => parse<RequestRow>(sql.request.get(domain, key))),

    audit: (subject, { after = 0, limit }) =>
      answer(() => parseAll<AuditEvent>(sql.events.all(subject, after, limit))),

    newestEvents: ({ subject, before, limit }) =>
      answer(() =>
        parseAll<AuditEvent>(
          subject === undefined
            ? sql.newestEvents.all(before ?? afterAllPlaces, limit)
            : sql.newestOf.all(subject, numberBefore(before), limit),
        ),
      ),

    domains: ({ after, limit }) =>
      answer(() => {
        const found = parseAll<DomainRow>(sql.domains.all(after ?? '', limit + 1));
        const rows = found.slice(0, limit);
        const last = rows.at(-1);
        return found.length > limit && last !== undefined ? { rows, next: last.domain } : { rows };
      }),

    hostRows: ({ after, limit }) =>
      answer(() => {
        const found = parseAll<HostRow>(sql.hosts.all(after ?? '', limit + 1));
        const rows = found.slice(0, limit);
        const last = rows.at(-1);
        return found.length > limit && last !== undefined ? { rows, next: last.name } : { rows };
      }),

    saveDrift: (report) =>
      answer(() => {
        sql.putDrift.run(report.subject, JSON.stringify(report));
      }),
    driftOf: (subject) => answer(() => parse<DriftReport>(sql.drift.get(subject))),
    drift: ({ after, limit }) =>
      answer(() => {
        const found = parseAll<DriftReport>(sql.drifts.all(after ?? '', limit + 1));
        const reports = found.slice(0, limit);
        const last = reports.at(-1);
        return found.length > limit && last !== undefined ? { reports, next: last.subject } : { reports };
      }),

    saveReport: (row, most) =>
      answer(() =>
        transaction(db, () => {
          sql.dropReports.run(row.at);
          const name = reportName(row);
          if (sql.report.get(row.domain, name) !== undefined) return 'known';
          if (Number(sql.countReports.get(row.domain, ...namesOf(row.day, row.day))?.n) >= most)
            return 'full';
          sql.putReport.run(row.domain, name, row.expires, JSON.stringify(row));
          return 'saved';
        }),
      ),
    reports: (domain, { from, to, after, limit }) =>
      answer(() => {
        const [first, below] = namesOf(from, to);
        const found = sql.reports.all(domain, after ?? first, below, limit + 1);
        const rows = parseAll<ReportRow>(found.slice(0, limit));
        const last = found[limit - 1];
        return found.length > limit && last !== undefined ? { rows, next: String(last.name) } : { rows };
      }),

    commit: (commit) =>
      answer(() => {
        checkCommit(commit);
        const commits = transaction(db, () => {
          check(sql, commit);
          write(sql, commit);
          return Number(sql.committed.get()?.commits);
        });
        // Not while it is brought up: what is missing is missing until then.
        if (commits > before) seen.note(commits);
      }),

    nextPlace: (pool) => answer(() => ({ epoch: head(sql).epoch, n: Number(sql.last.get(pool)?.n) + 1 })),

    log: (pool, after) => answer(() => parseAll<LogEntry>(sql.log.all(pool, after))),

    due: (at, limit) =>
      answer(() =>
        sql.due.all(at, limit).map((row) => ({ domain: String(row.name), zone: String(row.zone) })),
      ),

    lease: (name, holder, at, length) =>
      answer(() => Number(sql.takeLease.run(name, holder, at + length, at).changes) > 0),

    release: (name, holder) =>
      answer(() => {
        sql.dropLease.run(name, holder);
      }),

    close: () => db.close(),
  };
};
