// What the ledger's file says when the machine fails it.
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { openStore, requireWhole, toLedgerError, transaction } from '../../../adapters/local/ledger-store.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const thrown = (work: () => void): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

it('of a full disk: that room is needed, and that nothing was lost', () => {
  const path = join(temporaryFolder(), 'ledger.db');
  const db = openStore(path);
  // SQLite answers with the same code as for a disk without room.
  db.exec('PRAGMA max_page_count = 1');
  const insert = db.prepare('INSERT INTO log VALUES (?, ?, ?)');
  const error = thrown(() =>
    transaction(db, () => {
      for (let n = 1; n <= 100; n += 1) insert.run('mx', n, 'x'.repeat(4_000));
    }),
  );
  expect(toLedgerError(error, path)).toMatchObject({
    code: 'unavailable',
    message: `the disk of the ledger ${path} is full: make room on it; nothing was written, and nothing is lost`,
  });
  expect(db.prepare('SELECT count(*) AS n FROM log').get()).toEqual({ n: 0 });
  db.close();
});

it('of a file that lost its end while it is open: that it is to be restored', () => {
  const path = join(temporaryFolder(), 'ledger.db');
  openStore(path).close();
  const db = new DatabaseSync(path);
  requireWhole(db, 'the ledger');
  db.close();
  truncateSync(path, 8_192);
  const cut = new DatabaseSync(path);
  expect(() => requireWhole(cut, `the ledger ${path}`)).toThrow(
    /is damaged \(.+\): restore it from a backup/,
  );
  const error = thrown(() => cut.prepare('SELECT * FROM lease').all());
  expect(toLedgerError(error, path)).toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('restore it from a backup'),
  });
  cut.close();
});
