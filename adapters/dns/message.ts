// DNS messages as a small authoritative server needs them: queries read, responses written. RFC 1035 §4, RFC 6891 (EDNS).
// Bytes only, no I/O. The question is echoed byte for byte and names in answers point into it, so that a name of any
// octets, and a client that varies the case of its letters, gets its own question back.

export const types = { NS: 2, SOA: 6, TXT: 16, OPT: 41, ANY: 255 } as const;
export const rcodes = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;
export type Rcode = (typeof rcodes)[keyof typeof rcodes];

export interface Query {
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  /** As it stood: name, type, class. Empty where the message is broken. */
  readonly question: Buffer;
  /** Lower case, without the final dot; octets other than printable ASCII, dots and backslashes inside of labels as `\DDD`. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly edns?: { readonly size: number; readonly version: number; readonly dnssecOk: boolean };
  /** It cannot be read beyond its header: answer FORMERR. */
  readonly broken?: true;
}

/** A record to answer with. `owner`: at the question's own name, or at the zone that it is in. */
export interface Resource {
  readonly owner: 'question' | 'zone';
  readonly type: number;
  /** Seconds. */
  readonly ttl: number;
  readonly data: Buffer;
}

export interface Response {
  readonly rcode: Rcode;
  readonly authoritative: boolean;
  /** The zone that `owner: 'zone'` means; a suffix of the question's name. */
  readonly zone?: string;
  readonly answers: readonly Resource[];
  readonly authorities: readonly Resource[];
}

const headerLength = 12;

/** Undefined: no query, and nothing to be answered (too short, or itself a response). */
export const readQuery = (message: Buffer): Query | undefined => {
  if (message.length < headerLength) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) !== 0) return undefined;
  const head = {
    id: message.readUInt16BE(0),
    opcode: (flags >> 11) & 0xf,
    recursionDesired: (flags & 0x0100) !== 0,
  };
  try {
    return { ...head, ...readBody(message) };
  } catch (error) {
    // Reads beyond the end throw RangeError.
    if (!(error instanceof RangeError)) throw error;
    return { ...head, question: Buffer.alloc(0), name: '', type: 0, class: 0, broken: true };
  }
};

const readBody = (message: Buffer): Omit<Query, 'id' | 'opcode' | 'recursionDesired'> => {
  if (message.readUInt16BE(4) !== 1) throw new RangeError('one question');
  const { labels, next } = readName(message, headerLength);
  const question = message.subarray(headerLength, next + 4);
  const body = {
    question,
    name: labels.join('.'),
    type: message.readUInt16BE(next),
    class: message.readUInt16BE(next + 2),
  };
  let at = next + 4;
  let edns: Query['edns'];
  const records = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  for (let n = 0; n < records; n += 1) {
    at = skipName(message, at);
    if (message.readUInt16BE(at) === types.OPT) {
      if (edns !== undefined) throw new RangeError('one OPT: RFC 6891 §6.1.1');
      edns = {
        size: message.readUInt16BE(at + 2),
        version: message.readUInt8(at + 5),
        dnssecOk: (message.readUInt8(at + 6) & 0x80) !== 0,
      };
    }
    at += 10 + message.readUInt16BE(at + 8);
    if (at > message.length) throw new RangeError('beyond the end');
  }
  return edns === undefined ? body : { ...body, edns };
};

/** A question's name; nothing stands before it that it could point to. */
const readName = (message: Buffer, start: number): { labels: string[]; next: number } => {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = message.readUInt8(at);
    at += 1;
    if (length === 0) break;
    if (length > 63 || at + length > message.length || at + length - start > 254)
      throw new RangeError('label');
    labels.push(readLabel(message.subarray(at, at + length)));
    at += length;
  }
  return { labels, next: at };
};

const readLabel = (label: Buffer): string =>
  [...label]
    .map((octet) =>
      octet <= 32 || octet >= 127 || octet === 0x2e || octet === 0x5c
        ? `\\${String(octet).padStart(3, '0')}`
        : String.fromCharCode(octet).toLowerCase(),
    )
    .join('');

const skipName = (message: Buffer, start: number): number => {
  let at = start;
  for (;;) {
    const length = message.readUInt8(at);
    if (length >= 0xc0) return at + 2;
    if (length > 63) throw new RangeError('label');
    at += 1 + length;
    if (length === 0) return at;
  }
};

/** @param limit octets that the client can take; over it, the answer is empty and says so (TC): RFC 2181 §9 */
export const writeResponse = (query: Query, response: Response, limit: number): Buffer => {
  const whole = write(query, response, false);
  return whole.length <= limit ? whole : write(query, { ...response, answers: [], authorities: [] }, true);
};

/** What we take by UDP, and the most that we send: fits every path's MTU. */
export const udpSize = 1_232;

const write = (query: Query, response: Response, truncated: boolean): Buffer => {
  const head = Buffer.alloc(headerLength);
  head.writeUInt16BE(query.id, 0);
  head.writeUInt16BE(
    0x8000 |
      (query.opcode << 11) |
      (response.authoritative ? 0x0400 : 0) |
      (truncated ? 0x0200 : 0) |
      (query.recursionDesired ? 0x0100 : 0) |
      (response.rcode & 0xf),
    2,
  );
  head.writeUInt16BE(query.question.length === 0 ? 0 : 1, 4);
  head.writeUInt16BE(response.answers.length, 6);
  head.writeUInt16BE(response.authorities.length, 8);
  head.writeUInt16BE(query.edns === undefined ? 0 : 1, 10);
  const zoneLength = response.zone === undefined ? 0 : encodeName(response.zone).length;
  const pointers = {
    question: headerLength,
    zone: headerLength + query.question.length - 4 - zoneLength,
  };
  const records = [...response.answers, ...response.authorities].flatMap((record) => {
    const fixed = Buffer.alloc(12);
    fixed.writeUInt16BE(0xc000 | pointers[record.owner], 0);
    fixed.writeUInt16BE(record.type, 2);
    fixed.writeUInt16BE(1, 4);
    fixed.writeUInt32BE(record.ttl, 6);
    fixed.writeUInt16BE(record.data.length, 10);
    return [fixed, record.data];
  });
  return Buffer.concat([
    head,
    query.question,
    ...records,
    ...(query.edns === undefined ? [] : [opt(query.edns, response)]),
  ]);
};

const opt = (edns: NonNullable<Query['edns']>, { rcode }: Response): Buffer => {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(types.OPT, 1);
  record.writeUInt16BE(udpSize, 3);
  record.writeUInt8(rcode >> 4, 5);
  // RFC 3225 §3: the DO bit is copied.
  record.writeUInt8(edns.dnssecOk ? 0x80 : 0, 7);
  return record;
};

/** A name of plain labels, uncompressed. */
export const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);

/** Character-strings of at most 255 octets: RFC 1035 §3.3.14. */
export const encodeStrings = (strings: readonly string[]): Buffer =>
  Buffer.concat(strings.map((s) => Buffer.concat([Buffer.from([s.length]), Buffer.from(s, 'latin1')])));
