import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSqliteLedger } from '../../../adapters/local/ledger.ts';
import { auditPlace } from '../../../adapters/local/ledger-store.ts';
import { add, days } from '../../../core/time.ts';
import { ledgerContract } from '../../contracts/ledger.ts';
import { domainRow, logEntry, requestRow } from '../../contracts/ledger-rows.ts';

ledgerContract('SQLite in memory', async () => {
  const ledger = openSqliteLedger(':memory:', Date.now);
  return { ledger, second: async () => ledger, close: async () => ledger.close() };
});

ledgerContract('SQLite in a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'selkie-ledger-'));
  const open = [openSqliteLedger(join(folder, 'ledger.db'), Date.now)];
  const [ledger] = open;
  if (ledger === undefined) throw new Error('unreachable');
  return {
    ledger,
    second: async () => {
      const other = openSqliteLedger(join(folder, 'ledger.db'), Date.now);
      open.push(other);
      return other;
    },
    close: async () => {
      for (const one of open) one.close();
      rmSync(folder, { recursive: true });
    },
  };
});

describe('the local ledger’s file', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'selkie-ledger-'));
    path = join(folder, 'ledger.db');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('the ledger’s time never goes back, whatever the clock and the process', async () => {
    let now = 5_000;
    const first = openSqliteLedger(path, () => now);
    expect((await first.head()).at).toBe(5_000);
    now = 3_000;
    expect((await first.head()).at).toBe(5_000);
    first.close();
    const second = openSqliteLedger(path, () => now);
    expect((await second.head()).at).toBe(5_000);
    now = 5_001;
    expect((await second.head()).at).toBe(5_001);
    second.close();
  });

  test('is durable, and read without waiting for a writer', () => {
    openSqliteLedger(path, Date.now).close();
    const db = new DatabaseSync(path);
    expect(db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    db.close();
  });

  test('a newer schema is refused, with the way out', () => {
    openSqliteLedger(path, Date.now).close();
    const db = new DatabaseSync(path);
    db.exec('UPDATE selkie_schema SET version = 99');
    db.close();
    expect(() => openSqliteLedger(path, Date.now)).toThrow(/has schema 99, and this Selkie knows \d+:/);
  });

  test('one of the first version gets what came since, and keeps what it holds', async () => {
    const first = openSqliteLedger(path, Date.now);
    await first.commit({ domains: [domainRow('a.example.com')] });
    first.close();
    const db = new DatabaseSync(path);
    const tables = () =>
      db.prepare('SELECT name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name').all();
    const all = tables();
    db.exec(
      'DROP TABLE audit; DROP TABLE drift; DROP TABLE restore; DROP TABLE report; DROP TABLE trail; UPDATE selkie_schema SET version = 1',
    );
    openSqliteLedger(path, Date.now).close();
    expect(tables()).toEqual(all);
    db.close();
    const again = openSqliteLedger(path, Date.now);
    expect(await again.domain('a.example.com')).toMatchObject({ version: 1 });
    expect(await again.audit('a.example.com', { limit: 9 })).toEqual([]);
    again.close();
  });

  test('forgets requests that nobody will send again, 30 days after them', async () => {
    const ledger = openSqliteLedger(path, Date.now);
    const row = requestRow('a.example.com', 'k');
    await ledger.commit({ request: row });
    await ledger.commit({ request: { ...requestRow('a.example.com', 'l'), at: add(row.at, days(31)) } });
    expect(await ledger.request('a.example.com', 'k')).toBeUndefined();
    expect(await ledger.request('a.example.com', 'l')).toBeDefined();
    ledger.close();
  });

  test('the newest orders are found by an index', () => {
    openSqliteLedger(path, Date.now).close();
    const db = new DatabaseSync(path);
    const plan = db
      .prepare(
        `EXPLAIN QUERY PLAN SELECT body FROM audit WHERE ${auditPlace} < ? ORDER BY ${auditPlace} DESC LIMIT 9`,
      )
      .all('~');
    expect(plan.map(({ detail }) => detail)).toEqual([expect.stringContaining('USING INDEX audit_place')]);
    db.close();
  });

  test('one that came back from a backup is known for one, until it is brought up', async () => {
    const first = openSqliteLedger(path, Date.now);
    await first.commit({ domains: [domainRow('a.example.com')] });
    first.close();
    const backup = readFileSync(path);
    const second = openSqliteLedger(path, Date.now);
    expect((await second.head()).restored).toBeUndefined();
    await second.commit({ domains: [domainRow('b.example.com')] });
    await second.commit({ domains: [domainRow('c.example.com')] });
    second.close();
    for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    writeFileSync(path, backup);

    const third = openSqliteLedger(path, Date.now);
    expect((await third.head()).restored).toEqual({
      says: `the ledger ${path} came back from a backup: 2 writes are missing`,
    });
    await third.beginRestore();
    await third.commit({ domains: [domainRow('b.example.com')] });
    third.close();
    const fourth = openSqliteLedger(path, Date.now);
    expect((await fourth.head()).restored).toMatchObject({ since: expect.any(Number) });
    await fourth.endRestore();
    expect((await fourth.head()).restored).toBeUndefined();
    await fourth.commit({ domains: [domainRow('c.example.com')] });
    fourth.close();
    const fifth = openSqliteLedger(path, Date.now);
    expect((await fifth.head()).restored).toBeUndefined();
    fifth.close();
  });

  test('another program’s database is refused and left as it is', () => {
    const db = new DatabaseSync(path);
    db.exec('CREATE TABLE mine (x)');
    expect(() => openSqliteLedger(path, Date.now)).toThrow(/another program’s database/);
    expect(db.prepare('SELECT name FROM sqlite_master').all()).toEqual([{ name: 'mine' }]);
    db.close();
  });

  test('a file that is no database is invalid, and a missing folder is denied', () => {
    writeFileSync(path, 'not a database, but long enough to be looked at as one'.repeat(40));
    expect(() => openSqliteLedger(path, Date.now)).toThrow(/not a SQLite database/);
    expect(() => openSqliteLedger(join(folder, 'no', 'ledger.db'), Date.now)).toThrow(
      expect.objectContaining({ code: 'denied' }),
    );
  });

  test('a commit that fails half-way leaves nothing of itself', async () => {
    const ledger = openSqliteLedger(path, Date.now);
    const db = new DatabaseSync(path);
    db.exec("CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'disk full'); END");
    const commit = {
      domains: [domainRow('a.example.com')],
      reserve: [{ domain: 'a.example.com', selector: '240128' }],
      append: { pool: 'main', ...logEntry(1) },
    };
    await expect(ledger.commit(commit)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await ledger.domain('a.example.com')).toBeUndefined();
    db.exec('DROP TRIGGER full');
    db.close();
    await ledger.commit(commit);
    ledger.close();
  });

  test('a closed ledger rejects, it does not throw', async () => {
    const ledger = openSqliteLedger(path, Date.now);
    ledger.close();
    await expect(ledger.head()).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('a store locked by another process is unavailable', { timeout: 20_000 }, async () => {
    const ledger = openSqliteLedger(path, Date.now);
    const db = new DatabaseSync(path);
    db.exec('BEGIN IMMEDIATE');
    await expect(ledger.commit({ domains: [domainRow('a.example.com')] })).rejects.toMatchObject({
      code: 'unavailable',
    });
    db.exec('ROLLBACK');
    await ledger.commit({ domains: [domainRow('a.example.com')] });
    db.close();
    ledger.close();
  });
});

describe('processes that share the file', () => {
  const worker = fileURLToPath(new URL('ledger-worker.ts', import.meta.url));
  let folder: string;
  let path: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'selkie-ledger-'));
    path = join(folder, 'ledger.db');
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  const start = (name: string, commits: number) => {
    const child = spawn(process.execPath, [worker, path, name, String(commits)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    let said = '';
    let wrong = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      wrong += chunk.toString();
    });
    return {
      child,
      gone: once(child, 'close'),
      /** The numbers whose commits were answered. */
      answered: () => said.split('\n').slice(0, -1).map(Number),
      wrong: () => wrong,
    };
  };

  /** Every row, entry and selector of the store agrees with the others. */
  const audit = async (): Promise<number[]> => {
    const db = new DatabaseSync(path);
    expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
    db.close();
    const ledger = openSqliteLedger(path, Date.now);
    const log = await ledger.log('main', 0);
    expect(log.map(({ place }) => place.n)).toEqual(log.map((_, i) => i + 1));
    const { rows } = await ledger.domains({ limit: 99 });
    expect(rows.flatMap(({ taken }) => taken.map(({ selector }) => selector)).toSorted()).toEqual(
      log.map(({ changes }) => changes[0]?.selector).toSorted(),
    );
    for (const { domain, version, taken } of rows) {
      expect(taken).toHaveLength(version);
      for (const { selector } of taken)
        await expect(ledger.commit({ reserve: [{ domain, selector }] })).rejects.toMatchObject({
          code: 'exists',
        });
    }
    ledger.close();
    return log.map(({ place }) => place.n);
  };

  test('start at once on no file, and write at once: nothing is lost', { timeout: 60_000 }, async () => {
    const all = ['w1', 'w2', 'w3', 'w4'].map((name) => start(name, 40));
    await Promise.all(all.map(({ gone }) => gone));
    expect(all.map(({ wrong }) => wrong())).toEqual(['', '', '', '']);
    expect(all.flatMap(({ answered }) => answered()).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 160 }, (_, i) => i + 1),
    );
    expect(await audit()).toHaveLength(160);
  });

  test('one that is killed in the middle of commits leaves a whole store, with all that was answered', {
    timeout: 60_000,
  }, async () => {
    const answered: number[] = [];
    for (let round = 0; round < 5; round++) {
      const one = start(`w${round}`, 100_000);
      await expect.poll(() => one.answered().length, { timeout: 20_000, interval: 5 }).toBeGreaterThan(20);
      one.child.kill('SIGKILL');
      const [, signal] = await one.gone;
      expect(signal).toBe('SIGKILL');
      answered.push(...one.answered());
      const stored = await audit();
      expect(stored).toEqual(expect.arrayContaining(answered));
      // One at most was written and not answered for each time it was killed.
      expect(stored.length - answered.length).toBeLessThanOrEqual(round + 1);
    }
  });
});
