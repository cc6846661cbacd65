// Opens the SQLite file of the local ledger: its tables, its version, its durability. Touches that file alone.

import { DatabaseSync } from 'node:sqlite';
import { describe, SelkieError } from '../../core/errors.ts';

/** Of the tables below. A change of them raises it and brings the migration along. */
const schemaVersion = 8;

const audit = `
CREATE TABLE audit (subject TEXT, n INTEGER, body TEXT NOT NULL, PRIMARY KEY (subject, n)) STRICT;
`;

const drift = `
CREATE TABLE drift (subject TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
`;

const restore = `
CREATE TABLE restore (
  commits INTEGER NOT NULL, -- how many the ledger has had
  since INTEGER -- when it began to be brought up
) STRICT;
INSERT INTO restore VALUES (0, NULL);
`;

const report = `
CREATE TABLE report (
  domain TEXT,
  name TEXT, -- report-name.ts
  expires REAL NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (domain, name)
) STRICT;
CREATE INDEX report_expires ON report (expires);
`;

const trail = `
CREATE TABLE trail (subject TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
`;

/** Finds requests that nobody will send again. */
const requestAge = `
CREATE INDEX IF NOT EXISTS request_age ON request (json_extract(body, '$.at'));
`;

/** `trailPlace` of core/audit.ts, of a row of `audit`. A query that says just this is answered by the index. */
export const auditPlace = `(body ->> '$.at') || '#' || subject || '#' || format('%016d', n)`;

const auditOrder = `
CREATE INDEX audit_place ON audit (${auditPlace});
`;

/** What makes each version of the one before. */
const migrations: Readonly<Record<number, string>> = {
  2: audit,
  3: drift,
  4: restore,
  5: report,
  6: trail,
  7: requestAge,
  8: auditOrder,
};

const schema = `
CREATE TABLE selkie_schema (version INTEGER NOT NULL) STRICT;
INSERT INTO selkie_schema VALUES (${schemaVersion});
CREATE TABLE head (
  epoch INTEGER NOT NULL,
  fleet_version INTEGER NOT NULL,
  latest INTEGER NOT NULL -- the latest time told, milliseconds since 1970
) STRICT;
INSERT INTO head VALUES (1, 0, 0);
CREATE TABLE domain (
  name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  zone TEXT NOT NULL,
  wake_at REAL,
  body TEXT NOT NULL -- the row as JSON
) STRICT;
CREATE INDEX due ON domain (wake_at, name) WHERE wake_at IS NOT NULL;
CREATE TABLE host (name TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE selector (domain TEXT, selector TEXT, PRIMARY KEY (domain, selector)) STRICT, WITHOUT ROWID;
CREATE TABLE log (pool TEXT, n INTEGER, body TEXT NOT NULL, PRIMARY KEY (pool, n)) STRICT;
CREATE TABLE request (domain TEXT, key TEXT, body TEXT NOT NULL, PRIMARY KEY (domain, key)) STRICT;
CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL) STRICT;
${audit}${drift}${restore}${report}${trail}${requestAge}${auditOrder}`;

/** How long a write waits for another process's to end. */
const busyTimeout = 5_000;

const [busy, locked] = [5, 6];
const refused = [3, 8, 14, 23]; // PERM, READONLY, CANTOPEN, AUTH
const [inputOutput, corrupt, full, foreign] = [10, 11, 13, 26]; // IOERR, CORRUPT, FULL, NOTADB

/** SQLite's primary result code, where it is SQLite that speaks: https://www.sqlite.org/rescode.html */
const resultCode = (error: unknown): number | undefined =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;

/** @param what the file, in words */
const damaged = (what: string, how: string, cause?: unknown): SelkieError =>
  new SelkieError(
    'invalid',
    `${what} is damaged (${how}): restore it from a backup; nothing is done with what is left of it`,
    cause === undefined ? {} : { cause },
  );

/**
 * Reads every page: a file that was cut short, by a full disk or a copy that broke off, would else be found out in the
 * middle of some work, or never.
 * @param what the file, in words
 * @throws invalid
 */
export const requireWhole = (db: DatabaseSync, what: string): void => {
  const found = (): string => {
    try {
      return String(db.prepare('PRAGMA quick_check(1)').get()?.quick_check);
    } catch (error) {
      if (resultCode(error) === corrupt) throw damaged(what, describe(error), error);
      throw error;
    }
  };
  const verdict = found();
  if (verdict !== 'ok') throw damaged(what, verdict.replaceAll('\n', ' '));
};

/**
 * What went wrong with one of the local SQLite files, and what to do.
 * @param what the file, in words that begin a sentence: `the ledger /path`
 */
export const toStoreError = (error: unknown, what: string): SelkieError => {
  if (error instanceof SelkieError) return error;
  const cause = error;
  const code = resultCode(error);
  switch (code) {
    case busy:
    case locked:
      return new SelkieError(
        'unavailable',
        `${what} was busy for ${busyTimeout / 1_000} s: is another process stuck in it?`,
        { cause },
      );
    case full:
      return new SelkieError(
        'unavailable',
        `the disk of ${what} is full: make room on it; nothing was written, and nothing is lost`,
        { cause },
      );
    case inputOutput:
      // SQLite says no more where it cannot make the files that it keeps beside this one.
      return new SelkieError(
        'unavailable',
        `${what} failed: ${describe(error)}: is its disk full, or failing?`,
        {
          cause,
        },
      );
    case corrupt:
      return damaged(what, describe(error), error);
    case foreign:
      return new SelkieError(
        'invalid',
        `${what} is not a SQLite database: restore it from a backup, or give another path`,
        { cause },
      );
    default:
      return code !== undefined && refused.includes(code)
        ? new SelkieError('denied', `${what} cannot be opened or written: ${describe(error)}`, { cause })
        : new SelkieError('unavailable', `${what} failed: ${describe(error)}`, { cause });
  }
};

export const toLedgerError = (error: unknown, path: string): SelkieError =>
  toStoreError(error, `the ledger ${path}`);

/** All of `work` or nothing of it, with the write lock from the start: two writers queue, and never deadlock. */
export const transaction = <T>(db: DatabaseSync, work: () => T): T => {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
};

const count = (db: DatabaseSync, where: string): number =>
  Number(db.prepare(`SELECT count(*) AS n FROM sqlite_master WHERE ${where}`).get()?.n);

/** Creates the tables in an empty file; refuses a file that is not ours, or of another version. */
const prepare = (db: DatabaseSync, path: string): void => {
  if (count(db, "name = 'selkie_schema'") === 0) {
    if (count(db, 'true') > 0)
      throw new SelkieError('invalid', `${path} is another program’s database: give another path`);
    db.exec(schema);
    return;
  }
  let version = Number(db.prepare('SELECT version FROM selkie_schema').get()?.version);
  for (let next = version + 1; next <= schemaVersion; next += 1) {
    const migration = migrations[next];
    if (migration === undefined) break;
    db.exec(migration);
    db.exec(`UPDATE selkie_schema SET version = ${next}`);
    version = next;
  }
  if (version !== schemaVersion)
    throw new SelkieError(
      'invalid',
      `the ledger ${path} has schema ${version}, and this Selkie knows ${schemaVersion}: use the Selkie that wrote it`,
    );
};

/**
 * WAL, so that readers never wait for a writer; FULL, so that a commit which was answered outlives a power cut
 * (https://www.sqlite.org/pragma.html#pragma_synchronous).
 * @throws invalid: not our file, of another schema, or damaged; denied; unavailable
 */
export const openStore = (path: string): DatabaseSync => {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { timeout: busyTimeout });
    const opened = db;
    requireWhole(opened, `the ledger ${path}`);
    transaction(opened, () => prepare(opened, path));
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    return db;
  } catch (error) {
    db?.close();
    throw toLedgerError(error, path);
  }
};
