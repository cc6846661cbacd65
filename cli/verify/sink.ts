// A small SMTP server that takes the canaries and nothing else: RFC 5321, as far as a mail host needs it to deliver one. It may
// stand on a public port, so that it takes only mail to the canaries' own recipient, and little of it.

import { once } from 'node:events';
import { SMTPServer } from 'smtp-server';
import { SelkieError } from '../../core/errors.ts';
import type { Arrived } from './canary.ts';

const mostBytes = 256 << 10;

export interface Sink {
  readonly port: number;
  /** The message with this in its Message-ID; undefined where it has not come when `until` ends. */
  received(id: string, until: AbortSignal): Promise<Arrived | undefined>;
  close(): Promise<void>;
}

/** An error as smtp-server answers it. */
const refusal = (code: number, text: string): Error => Object.assign(new Error(text), { responseCode: code });

const lowerCase = (address: string): string => address.toLowerCase();

/**
 * @param to the one recipient that it knows
 * @throws invalid, where the address cannot be had
 */
export const openSink = async (host: string, port: number, to: string): Promise<Sink> => {
  const kept = new Map<string, Arrived>();
  const arrivals = new EventTarget();
  const server = new SMTPServer({
    banner: 'selkie verify',
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    size: mostBytes,
    maxClients: 20,
    logger: false,
    onRcptTo: ({ address }, _session, done) =>
      done(
        lowerCase(address) === lowerCase(to) ? null : refusal(550, '5.1.1 this server takes canaries only'),
      ),
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= mostBytes) chunks.push(chunk);
      });
      stream.on('end', () => {
        if (bytes > mostBytes) return done(refusal(552, '5.3.4 too large for a canary'));
        const raw = Buffer.concat(chunks);
        const { mailFrom } = session.envelope;
        const header = raw.subarray(0, Math.max(0, raw.indexOf('\r\n\r\n'))).toString('latin1');
        const id = /^Message-ID:\s*<([^@>\s]+)@/im.exec(header)?.[1];
        if (id !== undefined && kept.size < 1_000)
          kept.set(id, {
            raw,
            sender: mailFrom === false ? '' : mailFrom.address,
            ip: session.remoteAddress.replace(/^::ffff:/, ''),
            helo: session.hostNameAppearsAs,
          });
        arrivals.dispatchEvent(new Event('arrival'));
        done(null, '2.0.0 taken');
      });
    },
  });
  // A client that goes away is none of our business.
  server.on('error', () => {});
  const listening = server.listen(port, host);
  const failed = once(listening, 'error').then(([error]: unknown[]) => error);
  const trouble = await Promise.race([once(listening, 'listening').then(() => undefined), failed]);
  if (trouble !== undefined)
    throw new SelkieError(
      'invalid',
      `nothing can listen at ${host}:${port} (${trouble instanceof Error && 'code' in trouble ? trouble.code : trouble}): choose another with --sink ADDRESS:PORT`,
      { field: 'sink', cause: trouble },
    );
  const bound = listening.address();
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : port,
    received: async (id, until) => {
      while (!kept.has(id) && !until.aborted)
        await once(arrivals, 'arrival', { signal: until }).catch(() => undefined);
      return kept.get(id);
    },
    close: () => new Promise((resolve) => void server.close(() => resolve())),
  };
};
