// The milter protocol's packets: a length of four bytes in network order, one byte that says what it is, and data.
// Pure: bytes in, packets out. Described by Sendmail's libmilter (mfdef.h) and Postfix's milter8.c, versions 2 to 6.
import { SelkieError } from '../../core/errors.ts';

/** Protocol versions that are spoken. Below 2 there is no negotiation; 6 is the newest. */
export const [oldestVersion, newestVersion] = [2, 6];

/** What a milter asks leave to do (SMFIF_*). */
export const actions = {
  addHeaders: 0x01,
  changeBody: 0x02,
  addRecipient: 0x04,
  deleteRecipient: 0x08,
  changeHeaders: 0x10,
  quarantine: 0x20,
  changeFrom: 0x40,
  addRecipientWithArgs: 0x80,
  setMacros: 0x100,
} as const;

/** Steps that an MTA can leave out or not wait for (SMFIP_*). */
export const steps = {
  noConnect: 0x01,
  noHelo: 0x02,
  noMail: 0x04,
  noRecipient: 0x08,
  noBody: 0x10,
  noHeaders: 0x20,
  noEndOfHeaders: 0x40,
  noReplyToHeader: 0x80,
  noUnknown: 0x100,
  noData: 0x200,
  skip: 0x400,
  rejectedRecipients: 0x800,
  noReplyToConnect: 0x1000,
  noReplyToHelo: 0x2000,
  noReplyToMail: 0x4000,
  noReplyToRecipient: 0x8000,
  noReplyToData: 0x10000,
  noReplyToUnknown: 0x20000,
  noReplyToEndOfHeaders: 0x40000,
  noReplyToBody: 0x80000,
  /** Header values keep the space behind the colon, both ways. */
  leadingSpace: 0x100000,
} as const;

/** Body chunks are at most 65,535 bytes here, header fields as long as the MTA lets them be: Postfix 100 KB unless told otherwise. */
export const longestPacket = 1 << 20;

export interface Packet {
  /** The ASCII letter that names the command or reply. */
  readonly letter: string;
  /** A view of what was pushed: valid until the next `push`. */
  readonly data: Uint8Array;
  /** More of this packet follows in the next one. */
  readonly more?: boolean;
}

export const malformed = (what: string): SelkieError =>
  new SelkieError('invalid', `milter protocol: ${what}`);

export interface Framer {
  /** Bytes from the stream, cut anywhere. Take all packets with `next` before pushing again. */
  push(bytes: Uint8Array): void;
  /**
   * The next complete packet.
   * @throws invalid for an empty packet or one longer than the limit: the stream cannot be read on
   */
  next(): Packet | undefined;
  /** What was pushed may change from now on: packets that are left in it are copied. */
  keep(): void;
  /** Bytes that wait for the rest of their packet; never more than the limit and the four of its length. */
  readonly held: number;
}

const lengthAt = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);

const nothing = new Uint8Array(0);

export interface FramerOptions {
  /** Bytes of a packet. */
  readonly limit?: number;
  /** The letter of packets that need not be whole: of them each part is given as it comes. */
  readonly inParts?: string;
}

/** Cuts a stream into packets. A packet that comes whole is a view; one that comes in parts is gathered in one buffer of its size. */
export const createFramer = ({ limit = longestPacket, inParts }: FramerOptions = {}): Framer => {
  const partsLetter = inParts?.charCodeAt(0);
  /** Bytes of a packet in parts that have not come. */
  let missing = 0;
  let input = nothing;
  let at = 0;
  const head = new Uint8Array(4);
  let headHeld = 0;
  let partial: Uint8Array | undefined;
  let partialHeld = 0;

  const checked = (length: number): number => {
    if (length < 1) throw malformed('an empty packet');
    if (length > limit) throw malformed(`a packet of ${length} bytes, more than ${limit}`);
    return length;
  };
  const packet = (bytes: Uint8Array): Packet => ({
    letter: String.fromCharCode(bytes[0] ?? 0),
    data: bytes.subarray(1),
  });

  /** The next part of a packet in parts. */
  const part = (): Packet | undefined => {
    const start = at;
    at = Math.min(at + missing, input.length);
    if (at === start) return undefined;
    missing -= at - start;
    return { letter: inParts ?? '', data: input.subarray(start, at), more: missing > 0 };
  };

  return {
    get held() {
      return headHeld + partialHeld + (input.length - at);
    },
    push(bytes) {
      if (at < input.length) throw new Error('packets are left: take them before pushing more');
      input = bytes as Uint8Array<ArrayBuffer>;
      at = 0;
    },
    keep() {
      if (at === 0 && input.length === 0) return;
      // Not `slice`: of a Buffer that is a view.
      input = at < input.length ? new Uint8Array(input.subarray(at)) : nothing;
      at = 0;
    },
    next() {
      if (missing > 0) return part();
      if (partial === undefined && headHeld === 0 && input.length - at >= 4) {
        const length = checked(lengthAt(input, at));
        if (input.length - at - 4 >= length) {
          const start = at + 4;
          at = start + length;
          return packet(input.subarray(start, at));
        }
        if (partsLetter !== undefined && input[at + 4] === partsLetter) {
          at += 5;
          missing = length - 1;
          return part();
        }
      }
      while (partial === undefined && headHeld < 4 && at < input.length) {
        head[headHeld] = input[at] as number;
        headHeld += 1;
        at += 1;
      }
      if (partial === undefined && headHeld === 4) partial = new Uint8Array(checked(lengthAt(head, 0)));
      if (partial === undefined) return undefined;
      const take = Math.min(partial.length - partialHeld, input.length - at);
      partial.set(input.subarray(at, at + take), partialHeld);
      partialHeld += take;
      at += take;
      if (partialHeld < partial.length) return undefined;
      const whole = partial;
      partial = undefined;
      headHeld = 0;
      partialHeld = 0;
      return packet(whole);
    },
  };
};

/** One packet's bytes. */
export const encodePacket = (letter: string, ...data: readonly Uint8Array[]): Uint8Array => {
  const length = data.reduce((sum, part) => sum + part.length, 1);
  const bytes = new Uint8Array(4 + length);
  new DataView(bytes.buffer).setUint32(0, length);
  bytes[4] = letter.charCodeAt(0);
  let at = 5;
  for (const part of data) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
};

export const uint32 = (n: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
};

/** A string and the NUL that ends it; one byte per character (ISO 8859-1), so that any bytes survive the way in and out. */
export const cString = (text: string): Uint8Array => {
  const bytes = new Uint8Array(text.length + 1);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
};

const latin1 = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};

/** Reads the data of one packet from front to back. */
export const reader = (data: Uint8Array, what: string) => {
  let at = 0;
  return {
    get left(): number {
      return data.length - at;
    },
    byte(): number {
      const byte = data[at];
      if (byte === undefined) throw malformed(`${what} ends early`);
      at += 1;
      return byte;
    },
    uint16(): number {
      return this.byte() * 256 + this.byte();
    },
    uint32(): number {
      if (data.length - at < 4) throw malformed(`${what} ends early`);
      const n = lengthAt(data, at);
      at += 4;
      return n;
    },
    /** Up to the next NUL, as a view. */
    bytes(): Uint8Array {
      const end = data.indexOf(0, at);
      if (end < 0) throw malformed(`a string in ${what} has no end`);
      const bytes = data.subarray(at, end);
      at = end + 1;
      return bytes;
    },
    string(): string {
      return latin1(this.bytes());
    },
  };
};
