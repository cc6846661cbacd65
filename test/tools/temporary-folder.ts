// A folder of its own for a test, 0700, gone when the test (or the suite whose hook asks) has ended.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export const makeFolder = (): string => mkdtempSync(join(tmpdir(), 'selkie-'));

export const temporaryFolder = (): string => {
  const folder = makeFolder();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};
