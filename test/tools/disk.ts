// Small disks of their own (tmpfs) for tests, to be filled or closed. Mounting needs root and a kernel that allows it; suites that
// need it are left out elsewhere, said in a loud line.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @param size as mount(8) has it: `512k` @throws where mounting is refused */
export const mountDisk = (folder: string, size: string): void => {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', folder], { stdio: 'pipe' });
};

export const unmountDisk = (folder: string): void => {
  execFileSync('umount', ['--lazy', folder], { stdio: 'pipe' });
};

let known: boolean | undefined;

export const mayMount = (): boolean => {
  if (known !== undefined) return known;
  const folder = mkdtempSync(join(tmpdir(), 'selkie-disk-'));
  try {
    mountDisk(folder, '64k');
    unmountDisk(folder);
    known = true;
  } catch {
    console.warn('\n!!! LEFT OUT: full and read-only disks, since this machine refuses to mount a tmpfs\n');
    known = false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return known;
};

/** Writes to this file until its disk takes no byte more. */
export const fillDisk = (file: string): void => {
  const filler = openSync(file, 'w');
  try {
    for (const piece of [65_536, 4_096, 512, 1])
      try {
        while (writeSync(filler, Buffer.alloc(piece)) === piece);
      } catch {
        // No room for a piece of this size.
      }
  } finally {
    closeSync(filler);
  }
};
