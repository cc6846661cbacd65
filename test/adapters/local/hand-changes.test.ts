import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type LocalHandChanges, openHandChanges } from '../../../adapters/local/hand-changes.ts';
import { handChangesContract } from '../../contracts/hand-changes.ts';

const home = mkdtempSync(join(tmpdir(), 'selkie-hand-'));
const open: LocalHandChanges[] = [];
const opened = (path: string): LocalHandChanges => {
  const store = openHandChanges(path);
  open.push(store);
  return store;
};
afterAll(() => {
  for (const store of open) store.close();
  rmSync(home, { recursive: true, force: true });
});

let files = 0;
handChangesContract('a SQLite file', async () => {
  files += 1;
  const path = join(home, `${files}.sqlite`);
  return [opened(path), opened(path)];
});

test('a file that is no database is named', () => {
  const path = join(home, 'text.sqlite');
  writeFileSync(path, 'no database at all, but long enough to have a header of 100 bytes'.repeat(4));
  expect(() => openHandChanges(path)).toThrow(
    expect.objectContaining({ code: 'invalid', message: expect.stringContaining(path) }),
  );
});
