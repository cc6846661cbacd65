// From whatever a report comes in (XML, gzip, zip, a mail with any of them) to its XML, within bounds: an archive that unpacks to
// more than it plausibly should is refused while it unpacks, not after. Touches nothing.

import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import PostalMime from 'postal-mime';
import yauzl from 'yauzl';
import { SelkieError } from '../../core/errors.ts';
import { reportLimits } from './limits.ts';
import { decodeXml, isReportXml } from './xml.ts';

/** What may still be unpacked; shared by all that is in one file. */
interface Budget {
  bytes: number;
  entries: number;
}

const bomb = (why: string): SelkieError =>
  new SelkieError(
    'invalid',
    `refused: ${why}. No aggregate report is like that; if it is one, unpack it yourself`,
  );

const mebibytes = (bytes: number): string => `${Math.floor(bytes / (1024 * 1024))} MiB`;

/** How much may come out of so much. */
const mostOf = (packed: number, budget: Budget): number =>
  Math.min(budget.bytes, reportLimits.xml, Math.max(reportLimits.free, packed * reportLimits.ratio));

const tooMuch = (packed: number, most: number): SelkieError =>
  bomb(`${packed} bytes unpack to more than ${most < reportLimits.free ? `${most} bytes` : mebibytes(most)}`);

const hasErrorCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(gunzip);

/** Some mail systems leave a line's end behind a file, and zlib takes it for a damaged second one. */
const withoutLineEnd = (bytes: Uint8Array): Uint8Array => {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end -= 1;
  return bytes.subarray(0, end);
};

const ungzip = async (bytes: Uint8Array, budget: Budget): Promise<Uint8Array> => {
  const most = mostOf(bytes.length, budget);
  try {
    const found = await inflate(bytes, { maxOutputLength: Math.max(1, most) });
    budget.bytes -= found.length;
    return found;
  } catch (error) {
    if (hasErrorCode(error, 'ERR_BUFFER_TOO_LARGE')) throw tooMuch(bytes.length, most);
    const rest = withoutLineEnd(bytes);
    if (rest.length < bytes.length) return ungzip(rest, budget);
    throw new SelkieError('invalid', 'the gzip file is damaged, or was cut short', { cause: error });
  }
};

const collect = async (stream: Readable, packed: number, budget: Budget): Promise<Uint8Array> => {
  const most = mostOf(packed, budget);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > most) {
      stream.destroy();
      throw tooMuch(packed, most);
    }
    chunks.push(chunk);
  }
  budget.bytes -= length;
  return Buffer.concat(chunks);
};

const damagedZip = (error: unknown): SelkieError =>
  error instanceof SelkieError
    ? error
    : new SelkieError(
        'invalid',
        `the zip file is damaged: ${error instanceof Error ? error.message : 'unreadable'}`,
        {
          cause: error,
        },
      );

/** The files of an archive, one after another. Their names are for nobody: nothing is written under them. */
async function* unzip(bytes: Uint8Array, budget: Budget): AsyncGenerator<Uint8Array> {
  const zip = await new Promise<yauzl.ZipFile>((resolve, reject) =>
    yauzl.fromBuffer(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
      { lazyEntries: true, decodeStrings: false, validateEntrySizes: true },
      (error, opened) => (error === null ? resolve(opened) : reject(damagedZip(error))),
    ),
  );
  const next = (): Promise<yauzl.Entry | undefined> =>
    new Promise((resolve, reject) => {
      const over = (done: () => void) => {
        zip.removeAllListeners('entry').removeAllListeners('end').removeAllListeners('error');
        done();
      };
      zip.once('entry', (entry: yauzl.Entry) => over(() => resolve(entry)));
      zip.once('end', () => over(() => resolve(undefined)));
      zip.once('error', (error: Error) => over(() => reject(damagedZip(error))));
      zip.readEntry();
    });
  if (zip.entryCount > reportLimits.entries)
    throw bomb(`a zip file of ${zip.entryCount} files, where ${reportLimits.entries} are many`);
  for (let entry = await next(); entry !== undefined; entry = await next()) {
    const found = entry;
    budget.entries -= 1;
    if (budget.entries < 0) throw bomb(`more than ${reportLimits.entries} files in archives`);
    if (found.isEncrypted())
      throw new SelkieError('invalid', 'the zip file is encrypted: unpack it yourself');
    if (found.uncompressedSize > mostOf(found.compressedSize, budget))
      throw tooMuch(found.compressedSize, mostOf(found.compressedSize, budget));
    if (found.uncompressedSize === 0) continue;
    const stream = await new Promise<Readable>((resolve, reject) =>
      zip.openReadStream(found, (error, opened) =>
        error === null ? resolve(opened) : reject(damagedZip(error)),
      ),
    );
    try {
      yield await collect(stream, found.compressedSize, budget);
    } catch (error) {
      throw damagedZip(error);
    }
  }
}

/** Attachments, those of attached messages too, and a body that is a report itself. */
const partsOf = async (bytes: Uint8Array): Promise<readonly Uint8Array[]> => {
  if (bytes.length > reportLimits.mail) throw bomb(`a mail of more than ${mebibytes(reportLimits.mail)}`);
  const mail = await PostalMime.parse(bytes, {
    maxNestingDepth: reportLimits.depth,
    maxHeadersSize: 256 * 1024,
    maxRfc822NestingDepth: reportLimits.nesting,
  }).catch((cause: unknown) => {
    throw new SelkieError('invalid', 'the mail cannot be read: it has too many parts or headers', { cause });
  });
  if (mail.attachments.length > reportLimits.entries)
    throw bomb(`a mail with ${mail.attachments.length} attachments, where ${reportLimits.entries} are many`);
  const body = mail.text === undefined ? [] : [Buffer.from(mail.text)];
  return [
    ...mail.attachments.map(({ content }) =>
      typeof content === 'string' ? Buffer.from(content) : new Uint8Array(content),
    ),
    ...body,
  ];
};

type Kind = 'gzip' | 'zip' | 'xml' | 'mail' | 'other';

const begins = (bytes: Uint8Array, ...start: readonly number[]): boolean =>
  start.every((byte, index) => bytes[index] === byte);

/** By what it begins with: names and types of attachments are often wrong. */
const kindOf = (bytes: Uint8Array): Kind => {
  if (begins(bytes, 0x1f, 0x8b)) return 'gzip'; // RFC 1952 §2.3.1
  if (begins(bytes, 0x50, 0x4b, 0x03, 0x04) || begins(bytes, 0x50, 0x4b, 0x05, 0x06)) return 'zip';
  const text = decodeXml(bytes.subarray(0, 1_024)).trimStart();
  if (text.startsWith('<')) return 'xml';
  // RFC 5322 §2.2: a field name, or the envelope line of an mbox.
  return /^(?:From \S|>From |[!-9;-~]{1,100}:)/.test(text) ? 'mail' : 'other';
};

/** @param outer whether it is what was given, and not found within something: then it is told what it is not */
async function* documents(
  bytes: Uint8Array,
  budget: Budget,
  nesting: number,
  within: 'file' | 'archive' | 'mail',
): AsyncGenerator<string> {
  if (nesting > reportLimits.nesting)
    throw bomb(`archives within archives, more than ${reportLimits.nesting} deep`);
  switch (kindOf(bytes)) {
    case 'gzip':
      yield* documents(
        await ungzip(bytes, budget),
        budget,
        nesting + 1,
        within === 'mail' ? 'mail' : 'archive',
      );
      return;
    case 'zip':
      for await (const file of unzip(bytes, budget))
        yield* documents(file, budget, nesting + 1, within === 'mail' ? 'mail' : 'archive');
      return;
    case 'xml': {
      if (bytes.length > reportLimits.xml) throw bomb(`XML of more than ${mebibytes(reportLimits.xml)}`);
      const text = decodeXml(bytes);
      // A mail has other XML and HTML beside it, and archives have folders' notes; a file was meant.
      if (within === 'file' || isReportXml(text)) yield text;
      return;
    }
    case 'mail':
      if (within !== 'file') return;
      for (const part of await partsOf(bytes)) yield* documents(part, budget, nesting + 1, 'mail');
      return;
    default:
      return;
  }
}

/**
 * The XML of every report in what was given, one at a time.
 * @throws invalid: damaged, or more than any report is; what came before was yielded
 */
export const reportsIn = (bytes: Uint8Array): AsyncGenerator<string> =>
  documents(bytes, { bytes: reportLimits.unpacked, entries: reportLimits.entries }, 0, 'file');
