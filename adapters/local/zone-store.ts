// TXT records of the local zones in a SQLite file: the engine writes them here, and the embedded DNS server serves them
// from here. A change is in sync once it is committed. Touches that file alone.
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import { milliseconds } from '../../core/time.ts';
import type { Change, DnsWriter, TxtSet } from '../../engine/ports.ts';
import type { ZoneSource } from '../dns/lookup.ts';
import { countThatFits, requireFit, sameTxtSet } from '../record-changes.ts';
import { requireWhole, toStoreError, transaction } from './ledger-store.ts';

/** `path` is the name with its labels reversed, `org.example._domainkey`: what is below a name is one range of it. */
const schema = `
CREATE TABLE IF NOT EXISTS txt (
  zone TEXT NOT NULL,
  path TEXT NOT NULL,
  ttl INTEGER NOT NULL, -- milliseconds
  body TEXT NOT NULL, -- the values as JSON
  PRIMARY KEY (zone, path)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS change (id INTEGER PRIMARY KEY AUTOINCREMENT, zone TEXT NOT NULL) STRICT;
`;

/** How long a write waits for another process's to end. */
const busyTimeout = 5_000;

const changeIdOf = (n: number | bigint): string => `local-${n}`;

const pathOf = (name: string): string => name.split('.').toReversed().join('.');

export interface ZoneStore extends DnsWriter, ZoneSource {
  close(): void;
}

/**
 * @param path of the file, or `:memory:`
 * @param zones names of the zones that exist; for any other the port's methods throw not-found. What the file holds of a
 * zone that is not named here stays, unserved.
 * @throws denied, or unavailable, where the file cannot be opened or written; invalid where it is damaged
 */
export const openZoneStore = (path: string, zones: readonly string[]): ZoneStore => {
  const names: readonly string[] = zones.map(lowerName);

  const failed = (error: unknown): SelkieError => toStoreError(error, `the zone file ${path}`);

  const open = (): DatabaseSync => {
    let opened: DatabaseSync | undefined;
    try {
      opened = new DatabaseSync(path, { timeout: busyTimeout });
      requireWhole(opened, `the zone file ${path}`);
      // WAL, so that the server's reads never wait for a write; FULL, so that what was answered outlives a power cut.
      opened.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      opened.exec(schema);
      return opened;
    } catch (error) {
      opened?.close();
      throw failed(error);
    }
  };
  const db = open();
  const sql = {
    find: db.prepare('SELECT ttl, body FROM txt WHERE zone = ? AND path = ?'),
    below: db.prepare('SELECT 1 FROM txt WHERE zone = ? AND path > ? AND path < ? LIMIT 1'),
    list: db.prepare('SELECT path, ttl, body FROM txt WHERE zone = ? AND path > ? ORDER BY path LIMIT ?'),
    insert: db.prepare('INSERT INTO txt (zone, path, ttl, body) VALUES (?, ?, ?, ?)'),
    remove: db.prepare('DELETE FROM txt WHERE zone = ? AND path = ?'),
    accept: db.prepare('INSERT INTO change (zone) VALUES (?)'),
    known: db.prepare('SELECT 1 FROM change WHERE id = ?'),
  };

  const setOf = (row: Record<string, SQLOutputValue>): TxtSet => ({
    ttl: milliseconds(Number(row.ttl)),
    values: JSON.parse(String(row.body)),
  });

  const find = (zone: string, name: string): TxtSet | undefined => {
    const row = sql.find.get(lowerName(zone), pathOf(lowerName(name)));
    return row === undefined ? undefined : setOf(row);
  };

  const create = (zone: string, name: string, set: TxtSet): void => {
    if (find(zone, name) !== undefined)
      throw new SelkieError('rejected', `TXT records for ${name} are already there: look at them first.`);
    sql.insert.run(zone, pathOf(lowerName(name)), set.ttl, JSON.stringify(set.values));
  };

  const remove = (zone: string, name: string, set: TxtSet): void => {
    const there = find(zone, name);
    if (there === undefined)
      throw new SelkieError('rejected', `There are no TXT records for ${name} to delete.`);
    if (!sameTxtSet(there, set))
      throw new SelkieError(
        'rejected',
        `The TXT records for ${name} are others than those to delete: look again.`,
      );
    sql.remove.run(zone, pathOf(lowerName(name)));
  };

  const apply = (zone: string, change: Change): void => {
    if (change.do === 'replace') remove(zone, change.name, change.old);
    if (change.do === 'delete') remove(zone, change.name, change.set);
    else create(zone, change.name, change.set);
  };

  const requireZone = (name: string): string => {
    const zone = lowerName(name);
    if (!names.includes(zone)) throw new SelkieError('not-found', `There is no zone ${zone} here.`);
    return zone;
  };

  /** Errors as the port has them. Synchronous work in an async method: SQLite answers in microseconds. */
  const guarded = async <T>(work: () => T): Promise<T> => {
    try {
      return work();
    } catch (error) {
      throw failed(error);
    }
  };

  return {
    lookup: ({ name: zoneName }, name) => guarded(() => find(requireZone(zoneName), name)),

    submit: ({ name: zoneName }, changes) =>
      guarded(() => {
        const zone = requireZone(zoneName);
        requireFit(zone, changes);
        return transaction(db, () => {
          for (const change of changes) apply(zone, change);
          return changeIdOf(sql.accept.run(zone).lastInsertRowid);
        });
      }),

    status: (_, changeId) =>
      guarded(() => {
        const n = Number(/^local-(\d{1,15})$/.exec(changeId)?.[1] ?? 0);
        return sql.known.get(n) === undefined ? 'unknown' : 'in-sync';
      }),

    fits: countThatFits,

    list: ({ name: zoneName }, { after, limit }) =>
      guarded(() => {
        const rows = sql.list.all(requireZone(zoneName), after ?? '', limit + 1);
        const page = rows.slice(0, limit);
        const sets = page.map((row) => ({ name: pathOf(String(row.path)), set: setOf(row) }));
        const last = page.at(-1);
        return rows.length > limit && last !== undefined ? { sets, next: String(last.path) } : { sets };
      }),

    zones: () => names,
    find,
    hasBelow(zone, name) {
      const below = `${pathOf(lowerName(name))}.`;
      // '/' is the character behind '.'.
      return sql.below.get(lowerName(zone), below, `${below.slice(0, -1)}/`) !== undefined;
    },
    close: () => db.close(),
  };
};
