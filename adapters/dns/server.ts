// The embedded authoritative DNS server: UDP and TCP on one port. It serves what a ZoneSource holds (TXT, and SOA and NS
// of its own making) and nothing else; it never recurses and never transfers a zone. For the local world and for tests.

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIP, isIPv6, type Server, type Socket } from 'node:net';
import { splitValue } from '../../core/dkim/txt.ts';
import { SelkieError } from '../../core/errors.ts';
import { type Duration, seconds } from '../../core/time.ts';
import { lookUp, type ZoneSource } from './lookup.ts';
import {
  encodeName,
  encodeStrings,
  type Query,
  type Rcode,
  type Resource,
  type Response,
  rcodes,
  readQuery,
  types,
  udpSize,
  writeResponse,
} from './message.ts';

export type { ZoneSource } from './lookup.ts';

export interface DnsServerOptions {
  /** An address of this machine. */
  readonly host: string;
  /** 0: a port that is free for both UDP and TCP. */
  readonly port: number;
  readonly zones: ZoneSource;
  /** What the zones' NS and SOA say; by default `localhost`. */
  readonly nameServer?: string;
  /** TTL of SOA and NS, and MINIMUM of the SOA; whole seconds, by default 0: "not there" is cached nowhere (RFC 2308 §5). */
  readonly soaTtl?: Duration;
  readonly soaMinimum?: Duration;
}

export interface DnsServer {
  readonly port: number;
  /** Ends open connections too. Again is the same. */
  close(): Promise<void>;
}

/** @throws invalid with field `dnsPort` where the port cannot be had; invalid with field `dnsHost` where the host is no address of this machine */
export const startDnsServer = async (options: DnsServerOptions): Promise<DnsServer> => {
  if (isIP(options.host) === 0)
    throw new SelkieError('invalid', `The DNS server listens on an address; "${options.host}" is none.`, {
      field: 'dnsHost',
    });
  const connections = new Set<Socket>();
  const { tcp, udp, port } = await bindBoth(options.host, options.port);
  tcp.maxConnections = 128;
  tcp.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    serveConnection(socket, options);
  });
  udp.on('message', (message, from) => {
    const answer = respond(options, message, 'udp');
    // A lost answer is asked for again; errors of one send concern nobody else.
    if (answer !== undefined) udp.send(answer, from.port, from.address, () => {});
  });
  udp.on('error', () => {});
  tcp.on('error', () => {});
  let closed: Promise<unknown> | undefined;
  const close = (): Promise<unknown> => {
    for (const socket of connections) socket.destroy();
    return Promise.all([
      new Promise<void>((resolve) => udp.close(() => resolve())),
      new Promise<void>((resolve) => tcp.close(() => resolve())),
    ]);
  };
  return {
    port,
    close: async () => {
      closed ??= close();
      await closed;
    },
  };
};

const bindBoth = async (
  host: string,
  port: number,
): Promise<{ tcp: Server; udp: UdpSocket; port: number }> => {
  // A port that the system gives for TCP may be taken for UDP.
  for (let left = port === 0 ? 20 : 1; ; left -= 1) {
    const tcp = createServer();
    try {
      tcp.listen(port, host);
      await once(tcp, 'listening');
    } catch (error) {
      throw notBound(host, port, error);
    }
    const address = tcp.address();
    const given = address !== null && typeof address === 'object' ? address.port : port;
    const udp = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    try {
      udp.bind(given, host);
      await once(udp, 'listening');
      return { tcp, udp, port: given };
    } catch (error) {
      udp.close();
      await new Promise((resolve) => tcp.close(resolve));
      if (left <= 1) throw notBound(host, given, error);
    }
  }
};

const notBound = (host: string, port: number, cause: unknown): SelkieError => {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const place = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  if (code === 'EADDRNOTAVAIL')
    return new SelkieError(
      'invalid',
      `The DNS server cannot listen on ${place}: this machine has no such address.`,
      {
        cause,
        field: 'dnsHost',
      },
    );
  const why =
    code === 'EADDRINUSE'
      ? 'another program uses that port. Stop it, or choose another port'
      : code === 'EACCES'
        ? 'this user may not open that port. Choose one above 1023'
        : `${code ?? 'the system refused'}. Choose another port`;
  return new SelkieError('invalid', `The DNS server cannot listen on ${place}: ${why}.`, {
    cause,
    field: 'dnsPort',
  });
};

const serveConnection = (socket: Socket, options: DnsServerOptions): void => {
  // RFC 7766 §6.2.3: connections are reused, and idle ones ended by the server.
  socket.setTimeout(10_000, () => socket.destroy());
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('drain', () => socket.resume());
  let buffered = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
      const end = 2 + buffered.readUInt16BE(0);
      const answer = respond(options, buffered.subarray(2, end), 'tcp');
      buffered = buffered.subarray(end);
      if (answer === undefined) return void socket.destroy();
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      // Who does not read its answers gets no further ones.
      if (!socket.write(Buffer.concat([length, answer]))) socket.pause();
    }
  });
};

const respond = (
  options: DnsServerOptions,
  message: Buffer,
  transport: 'udp' | 'tcp',
): Buffer | undefined => {
  const query = readQuery(message);
  if (query === undefined) return undefined;
  const limit = transport === 'tcp' ? 65_535 : Math.min(udpSize, Math.max(512, query.edns?.size ?? 512));
  try {
    return writeResponse(query, answer(options, query), limit);
  } catch {
    // The source failed, not the question: RFC 1035 §4.1.1, SERVFAIL.
    return writeResponse(query, bare(rcodes.SERVFAIL), limit);
  }
};

const bare = (rcode: Rcode): Response => ({ rcode, authoritative: false, answers: [], authorities: [] });

const answer = (options: DnsServerOptions, query: Query): Response => {
  // The opcode comes first: the sections of UPDATE and NOTIFY mean other things.
  if (query.opcode !== 0) return bare(rcodes.NOTIMP);
  if (query.broken) return bare(rcodes.FORMERR);
  if (query.edns !== undefined && query.edns.version !== 0) return bare(rcodes.BADVERS);
  const isTransfer = query.type === 251 || query.type === 252;
  const found = lookUp(options.zones, query.name);
  if (query.class !== 1 || isTransfer || found.kind === 'outside') return bare(rcodes.REFUSED);
  const { zone } = found;
  const asked = (type: number): boolean => query.type === type || query.type === types.ANY;
  const answers: Resource[] = [];
  if (found.kind === 'name') {
    if (found.apex && asked(types.SOA)) answers.push(soa(options, zone, 'answer'));
    if (found.apex && asked(types.NS)) answers.push(ns(options));
    if (found.txt !== undefined && asked(types.TXT))
      for (const value of found.txt.values)
        answers.push({
          owner: 'question',
          type: types.TXT,
          ttl: wholeSeconds(found.txt.ttl),
          data: encodeStrings(splitValue(value)),
        });
  }
  return {
    rcode: found.kind === 'no-such-name' ? rcodes.NXDOMAIN : rcodes.NOERROR,
    authoritative: true,
    zone,
    answers,
    authorities: answers.length > 0 ? [] : [soa(options, zone, 'negative')],
  };
};

const wholeSeconds = (length: Duration): number => Math.floor(length / seconds(1));

const ns = (options: DnsServerOptions): Resource => ({
  owner: 'zone',
  type: types.NS,
  ttl: wholeSeconds(options.soaTtl ?? seconds(0)),
  data: encodeName(options.nameServer ?? 'localhost'),
});

/** The serial never changes: nobody transfers these zones. */
const soa = (options: DnsServerOptions, zone: string, section: 'answer' | 'negative'): Resource => {
  const ttl = wholeSeconds(options.soaTtl ?? seconds(0));
  const minimum = wholeSeconds(options.soaMinimum ?? seconds(0));
  const numbers = Buffer.alloc(20);
  for (const [index, n] of [1, 3_600, 600, 604_800, minimum].entries()) numbers.writeUInt32BE(n, index * 4);
  return {
    owner: 'zone',
    type: types.SOA,
    // RFC 2308 §3: in a negative answer the SOA's TTL is the lesser of the two.
    ttl: section === 'negative' ? Math.min(ttl, minimum) : ttl,
    data: Buffer.concat([
      encodeName(options.nameServer ?? 'localhost'),
      encodeName(`hostmaster.${zone}`),
      numbers,
    ]),
  };
};
