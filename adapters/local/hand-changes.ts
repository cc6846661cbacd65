// What people were asked to change in zones that no program can change, in a SQLite file. Touches that file alone. Where it is
// lost, the engine finds that its changes are unknown, looks at what stands there, and asks anew.
import { DatabaseSync } from 'node:sqlite';
import { SelkieError } from '../../core/errors.ts';
import type { HandChange, HandChanges } from '../../engine/ports.ts';
import { requireWhole, toStoreError } from './ledger-store.ts';

const schema = `
CREATE TABLE IF NOT EXISTS hand_change (
  zone TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  body TEXT NOT NULL, -- the items as JSON
  PRIMARY KEY (zone, id)
) STRICT, WITHOUT ROWID;
`;

/** How long a write waits for another process's to end. */
const busyTimeout = 5_000;

export interface LocalHandChanges extends HandChanges {
  close(): void;
}

/**
 * @param path of the file, or `:memory:`
 * @throws denied, or unavailable, where the file cannot be opened or written; invalid where it is damaged
 */
export const openHandChanges = (path: string): LocalHandChanges => {
  const what = `the file of what is asked for by hand ${path}`;
  const open = (): DatabaseSync => {
    let opened: DatabaseSync | undefined;
    try {
      opened = new DatabaseSync(path, { timeout: busyTimeout });
      requireWhole(opened, what);
      opened.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      opened.exec(schema);
      return opened;
    } catch (error) {
      opened?.close();
      throw toStoreError(error, what);
    }
  };
  const db = open();
  const sql = {
    of: db.prepare('SELECT zone, id, version, body FROM hand_change WHERE zone = ? ORDER BY id'),
    find: db.prepare('SELECT zone, id, version, body FROM hand_change WHERE zone = ? AND id = ?'),
    insert: db.prepare('INSERT OR IGNORE INTO hand_change (zone, id, version, body) VALUES (?, ?, 1, ?)'),
    update: db.prepare(
      'UPDATE hand_change SET version = version + 1, body = ? WHERE zone = ? AND id = ? AND version = ?',
    ),
    remove: db.prepare('DELETE FROM hand_change WHERE zone = ? AND id = ?'),
  };

  type Row = ReturnType<typeof sql.of.all>[number];
  const read = (row: Row): HandChange => ({
    zone: String(row.zone),
    id: String(row.id),
    version: Number(row.version),
    items: JSON.parse(String(row.body)),
  });

  /** Synchronous work in an async method: SQLite answers in microseconds. */
  const guarded = async <T>(work: () => T): Promise<T> => {
    try {
      return work();
    } catch (error) {
      throw toStoreError(error, what);
    }
  };

  return {
    of: (zone) => guarded(() => sql.of.all(zone).map(read)),
    find: (zone, id) =>
      guarded(() => {
        const row = sql.find.get(zone, id);
        return row === undefined ? undefined : read(row);
      }),
    save: ({ zone, id, version, items }) =>
      guarded(() => {
        const body = JSON.stringify(items);
        const { changes } =
          version === 0 ? sql.insert.run(zone, id, body) : sql.update.run(body, zone, id, version);
        if (Number(changes) !== 1)
          throw new SelkieError('conflict', `${id} of zone ${zone} was written by somebody else`);
      }),
    remove: (zone, id) =>
      guarded(() => {
        sql.remove.run(zone, id);
      }),
    close: () => db.close(),
  };
};
