// Reports where people have them: files, mails, mbox files, Maildirs, and folders of any of these. Reads files, one message
// at a time, so that a mailbox of years needs no more memory than its largest mail.

import { createReadStream } from 'node:fs';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { reportLimits } from '../../adapters/reports/limits.ts';
import { describe, SelkieError } from '../../core/errors.ts';

/** A file, or a message of an mbox. */
export interface Piece {
  /** For people: the path, and the number of the message. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

const chunk = 1024 * 1024;
const boundary = Buffer.from('\nFrom ');
const [lineFeed, carriageReturn] = [0x0a, 0x0d];

/** Where the next message begins, at or behind `from`: "From " behind an empty line (RFC 4155, Appendix A). */
const nextMessage = (bytes: Buffer, from: number): number | undefined => {
  for (let at = bytes.indexOf(boundary, from); at !== -1; at = bytes.indexOf(boundary, at + 1)) {
    const before = bytes[at - 1] === carriageReturn ? at - 2 : at - 1;
    if (bytes[before] === lineFeed) return at + 1;
  }
  return undefined;
};

/** Without the envelope's line. */
const messageOf = (bytes: Buffer): Buffer => bytes.subarray(bytes.indexOf(lineFeed) + 1);

const tooLong = (name: string): SelkieError =>
  new SelkieError('invalid', `${name} is over ${reportLimits.mail / chunk} MiB: no mail with a report is`);

/** A message that is too long is skipped, and told. */
async function* messagesOf(path: string): AsyncGenerator<Piece | SelkieError> {
  let rest = Buffer.alloc(0);
  let searched = 1;
  let skipping = false;
  let n = 1;
  for await (const more of createReadStream(path, { highWaterMark: chunk })) {
    rest = rest.length === 0 ? more : Buffer.concat([rest, more]);
    for (let end = nextMessage(rest, searched); end !== undefined; end = nextMessage(rest, searched)) {
      const name = `${path}, message ${n}`;
      if (skipping) yield tooLong(name);
      else yield { name, bytes: messageOf(rest.subarray(0, end)) };
      [rest, searched, skipping, n] = [rest.subarray(end), 1, false, n + 1];
    }
    if (rest.length > reportLimits.mail) {
      // Two bytes of the line before stay: a boundary may be in the middle of coming.
      rest = Buffer.from(rest.subarray(-2 - boundary.length));
      skipping = true;
    }
    searched = Math.max(1, rest.length - boundary.length);
  }
  const name = `${path}, message ${n}`;
  if (skipping) yield tooLong(name);
  else if (rest.length > 0) yield { name, bytes: messageOf(rest) };
}

const isMbox = async (path: string): Promise<boolean> => {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(5), 0, 5, 0);
    return bytesRead === 5 && buffer.toString('latin1') === 'From ';
  } finally {
    await file.close();
  }
};

async function* filesIn(path: string): AsyncGenerator<string> {
  if (!(await stat(path)).isDirectory()) {
    yield path;
    return;
  }
  const entries = (await readdir(path, { withFileTypes: true })).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  // A Maildir: what is being delivered is in tmp, and its index files are no mail.
  const isMaildir = ['cur', 'new'].every((name) =>
    entries.some((one) => one.isDirectory() && one.name === name),
  );
  for (const entry of entries) {
    if (entry.isDirectory()) {
      if (!isMaildir || entry.name === 'cur' || entry.name === 'new' || entry.name.startsWith('.'))
        yield* filesIn(join(path, entry.name));
    } else if (entry.isFile() && !isMaildir) yield join(path, entry.name);
  }
}

/**
 * All that is at a path. What cannot be read is told in its place.
 * @throws not-found, denied: the path itself
 */
export async function* piecesAt(path: string): AsyncGenerator<Piece | SelkieError> {
  try {
    await stat(path);
  } catch (cause) {
    throw new SelkieError('not-found', `${path} cannot be read: ${describe(cause)}`, { cause });
  }
  for await (const file of filesIn(path)) {
    try {
      if (await isMbox(file)) yield* messagesOf(file);
      else if ((await stat(file)).size > reportLimits.mail) yield tooLong(file);
      else yield { name: file, bytes: await readFile(file) };
    } catch (error) {
      yield error instanceof SelkieError
        ? error
        : new SelkieError('denied', `${file} cannot be read: ${describe(error)}`, { cause: error });
    }
  }
}
