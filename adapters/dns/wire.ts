// One question to one DNS server, and its answer: UDP with EDNS, TCP where that does not fit (RFC 1035 §4.2, RFC 6891,
// RFC 7766). Trusts nothing that arrives: source, id and question must be ours, sizes and times are bounded.

import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { type Answer, decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { describe, SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import { type Duration, seconds } from '../../core/time.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface Question {
  /** The root is `.`. */
  readonly name: string;
  readonly type: 'TXT' | 'SOA' | 'NS' | 'A' | 'AAAA' | 'MX';
}

export interface AskOptions {
  /** For UDP and TCP each. */
  readonly timeout: Duration;
  /** Asks the server to recurse (RD); by default not. */
  readonly recursive?: boolean;
  /** TCP from the start. */
  readonly tcp?: boolean;
}

export interface Reply {
  /** `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED` … or `RCODE9` */
  readonly rcode: string;
  readonly authoritative: boolean;
  readonly answers: readonly Answer[];
  readonly authorities: readonly Answer[];
  readonly additionals: readonly Answer[];
  /** Of the whole message. */
  readonly bytes: number;
  /** By TCP where it did not fit, or was asked so. */
  readonly transport: 'udp' | 'tcp';
}

/** `192.0.2.1#53`, as dig says it. */
export const formatEndpoint = ({ address, port }: Endpoint): string => `${address}#${port}`;

const rcodeNames = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

/** What every path carries without fragments; RSA-4096 records fit. */
export const udpSize = 1_232;

/** @throws unavailable; the message is a clause: `no answer within 2 s` */
export const ask = async (server: Endpoint, question: Question, options: AskOptions): Promise<Reply> => {
  const id = randomInt(0x10000);
  const query = encode({
    type: 'query',
    id,
    flags: options.recursive === true ? RECURSION_DESIRED : 0,
    questions: [{ name: question.name, type: question.type, class: 'IN' }],
    additionals: [
      {
        name: '.',
        type: 'OPT',
        udpPayloadSize: udpSize,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  });
  const read =
    (transport: Reply['transport']): Read =>
    (message) => {
      const found = readReply(message, id, question);
      return found === 'truncated' ? found : { ...found, bytes: message.length, transport };
    };
  const first =
    options.tcp === true ? 'truncated' : await askUdp(server, query, read('udp'), options.timeout);
  if (first !== 'truncated') return first;
  const second = await askTcp(server, query, read('tcp'), options.timeout);
  if (second === 'truncated') throw failed('an answer by TCP that says it is truncated');
  return second;
};

const failed = (why: string, cause?: unknown): SelkieError =>
  new SelkieError('unavailable', why, cause === undefined ? {} : { cause });

/** @throws whatever says that this is no answer to our question */
const readReply = (
  message: Buffer,
  id: number,
  question: Question,
): Omit<Reply, 'bytes' | 'transport'> | 'truncated' => {
  if (message.length < 12 || message.readUInt16BE(0) !== id) throw new Error('not our id');
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) === 0) throw new Error('not an answer');
  const rcode = flags & 0xf;
  const isTruncated = (flags & 0x0200) !== 0;
  // The sections of a truncated message may end anywhere; all that it tells is to ask again.
  const packet = decode(isTruncated ? questionOf(message) : message);
  // The decoder reads on beyond the end of a cut message without a word, and may count to NaN there.
  if (!(decode.bytes <= message.length)) throw new Error('cut off');
  const [asked, ...more] = packet.questions ?? [];
  // Servers that could not read the question may leave it out: RFC 1035 §4.1.1, FORMERR.
  const isOurs =
    asked === undefined
      ? rcode !== 0
      : more.length === 0 &&
        lowerName(asked.name) === lowerName(question.name) &&
        asked.type === question.type &&
        (asked.class ?? 'IN') === 'IN';
  if (!isOurs) throw new Error('not our question');
  if (isTruncated) return 'truncated';
  return {
    rcode: rcodeNames[rcode] ?? `RCODE${rcode}`,
    authoritative: (flags & 0x0400) !== 0,
    answers: packet.answers ?? [],
    authorities: packet.authorities ?? [],
    additionals: packet.additionals ?? [],
  };
};

/** The message with its later sections declared empty. */
const questionOf = (message: Buffer): Buffer => {
  const copy = Buffer.from(message);
  copy.fill(0, 6, 12);
  return copy;
};

type Read = (message: Buffer) => Reply | 'truncated';

const askUdp = (
  server: Endpoint,
  query: Buffer,
  read: Read,
  timeout: Duration,
): Promise<Reply | 'truncated'> =>
  new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
    let garbage = '';
    const end = (work: () => void): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.close();
      work();
    };
    const timer = setTimeout(() => end(() => reject(failed(late(timeout, garbage)))), timeout);
    const fail = (error: unknown): void => end(() => reject(failed(reason(error), error)));
    socket.on('error', fail);
    socket.on('message', (message) => {
      try {
        const reply = read(message);
        end(() => resolve(reply));
      } catch (error) {
        // Anybody may send it; the true answer may still come.
        garbage = describe(error);
      }
    });
    // A connected socket takes packets of this server only, and hears that a port is closed.
    socket.on('connect', () => {
      socket.send(query, (error) => {
        if (error) fail(error);
      });
    });
    socket.connect(server.port, server.address);
  });

const askTcp = (
  server: Endpoint,
  query: Buffer,
  read: Read,
  timeout: Duration,
): Promise<Reply | 'truncated'> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: server.address, port: server.port });
    const end = (work: () => void): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      work();
    };
    const timer = setTimeout(() => end(() => reject(failed(`${late(timeout, '')} by TCP`))), timeout);
    const fail = (error: unknown): void => end(() => reject(failed(`${reason(error)} by TCP`, error)));
    socket.setNoDelay(true);
    socket.on('error', fail);
    socket.on('close', () => end(() => reject(failed('the connection ended without an answer by TCP'))));
    socket.on('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
    });
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      try {
        const reply = read(received.subarray(2, 2 + received.readUInt16BE(0)));
        end(() => resolve(reply));
      } catch (error) {
        fail(error);
      }
    });
  });

const late = (timeout: Duration, garbage: string): string =>
  `no answer within ${timeout / seconds(1)} s${garbage === '' ? '' : `, only garbage (${garbage})`}`;

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'there is no route to it',
  EADDRNOTAVAIL: 'there is no route to it',
  ECONNRESET: 'it broke the connection off',
};

const reason = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  return reasons[code] ?? `an unreadable answer (${describe(error)})`;
};
