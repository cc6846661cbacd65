// The standard output without waiting for its reader. `process.stdout` would: on Linux, Node writes to pipes and sockets (the
// journal is one) synchronously, so that a stuck reader would hold up the signing. Touches the file descriptor only.
import { fstatSync, write } from 'node:fs';
import { Socket } from 'node:net';
import type { Destination } from './bounded-lines.ts';

/** A pipe or a socket: epoll(7) says when there is room. A reader that goes away is no reason to end. */
const streamDestination = (fd: number): Destination => {
  const stream = new Socket({ fd, readable: false, writable: true });
  stream.on('error', () => {});
  return {
    write: (lines, done) => void stream.write(lines, () => done()),
    close: async () => void stream.destroy(),
  };
};

/** A file or a terminal: one of Node's threads writes. */
const fileDestination = (fd: number): Destination => {
  const writeAll = (bytes: Buffer, done: () => void): void =>
    write(fd, bytes, (error, written) =>
      // Of a full disk, say: the log is the last that may end a signer.
      error !== null || written >= bytes.length ? done() : writeAll(bytes.subarray(written), done),
    );
  return { write: (lines, done) => writeAll(Buffer.from(lines), done), close: async () => {} };
};

export const fdDestination = (fd: number): Destination => {
  const stat = fstatSync(fd);
  return stat.isFIFO() || stat.isSocket() ? streamDestination(fd) : fileDestination(fd);
};

/**
 * Whether this descriptor is the journal's: it is the one that systemd has named in JOURNAL_STREAM as `device:inode`
 * (systemd.exec(5)). Then a line may begin with its priority, `<6>` (sd-daemon(3)).
 */
export const isJournal = (fd: number, journalStream: string | undefined): boolean => {
  if (journalStream === undefined) return false;
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return journalStream === `${dev}:${ino}`;
};
