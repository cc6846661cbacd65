// The milter as a server: listens on TCP or a unix socket, bounds the connections, and ends without dropping a message
// that is in hand. Owns its listening socket and the file of a unix socket.
import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Canonicalization } from '../../core/dkim/signature-header.ts';
import { SelkieError } from '../../core/errors.ts';
import type { KeyRing } from '../signing/key-ring.ts';
import { type Connection, serve } from './connection.ts';
import { internalClients, loopback } from './internal-clients.ts';

export type MilterAddress =
  | { readonly host: string; readonly port: number }
  /** A unix socket; `mode` is 0o660 unless told otherwise: Postfix must be in its group. */
  | { readonly path: string; readonly mode?: number };

export interface MilterOptions {
  readonly listen: MilterAddress;
  readonly ring: KeyRing;
  readonly canonicalization?: Canonicalization;
  /** Milliseconds since 1970, for `t=`. */
  readonly now: () => number;
  readonly log: (line: string) => void;
  /** Addresses and CIDR ranges whose mail is signed without a login; this host's loopback unless told otherwise. */
  readonly internal?: readonly string[];
  /** 1,024 unless told otherwise; further ones are closed at once, and the MTA tries again. */
  readonly maxConnections?: number;
  /** Milliseconds; libmilter's 7,210 s unless told otherwise, for MTAs keep a connection as long as their client's. */
  readonly idleTimeout?: number;
  /** How long `close` waits for messages in hand, in milliseconds; 10 s unless told otherwise. */
  readonly closeWithin?: number;
}

export interface Milter {
  /** Of a TCP address; the system's choice where 0 was asked for. */
  readonly port?: number;
  /** Takes no more connections, lets messages in hand be finished, then ends. */
  close(): Promise<void>;
}

const describeAddress = (listen: MilterAddress): string =>
  'path' in listen ? listen.path : `${listen.host}:${listen.port}`;

/** Whether somebody answers at a unix socket. */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });

const inUse = (listen: MilterAddress): SelkieError =>
  new SelkieError(
    'invalid',
    `${describeAddress(listen)} is in use: stop what listens there (another milter?) or choose another address`,
    { field: 'path' in listen ? 'milterSocket' : 'milterPort' },
  );

/** Removes the socket that a process which ended without cleaning up has left; nothing else. */
const removeStale = async (listen: MilterAddress & { path: string }): Promise<void> => {
  // The system would say "permission denied" of it.
  if (!existsSync(dirname(listen.path)))
    throw new SelkieError('invalid', `cannot listen on ${listen.path}: its directory does not exist`, {
      field: 'milterSocket',
    });
  const there = lstatSync(listen.path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket())
    throw new SelkieError('invalid', `${listen.path} is there and is no socket: choose another path`, {
      field: 'milterSocket',
    });
  if (await answers(listen.path)) throw inUse(listen);
  unlinkSync(listen.path);
};

const listening = (server: Server, listen: MilterAddress): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'EACCES'
          ? 'this user may not listen there'
          : error.code === 'EADDRNOTAVAIL'
            ? 'this machine does not have that address'
            : error.message;
      reject(
        error.code === 'EADDRINUSE'
          ? inUse(listen)
          : new SelkieError('invalid', `cannot listen on ${describeAddress(listen)}: ${reason}`, {
              cause: error,
              field: 'path' in listen ? 'milterSocket' : 'milterPort',
            }),
      );
    });
    server.listen(
      'path' in listen ? { path: listen.path } : { host: listen.host, port: listen.port },
      resolve,
    );
  });

/**
 * Starts the milter. Mail of internal and authenticated clients whose From domain has keys in `ring` is signed; other mail
 * passes as it is; mail that should be signed and cannot be is put off (4xx), never sent without a signature.
 * @throws invalid, with `field` milterPort or milterSocket, where the address cannot be listened on
 */
export const startMilter = async (options: MilterOptions): Promise<Milter> => {
  const { listen, log } = options;
  const isInternal = internalClients(options.internal ?? loopback);
  const open = new Map<Socket, Connection>();
  const server = createServer((socket) => {
    const connection = serve(socket, {
      ring: options.ring,
      ...(options.canonicalization === undefined ? {} : { canonicalization: options.canonicalization }),
      now: options.now,
      log,
      isInternal,
      idleTimeout: options.idleTimeout ?? 7_210_000,
    });
    open.set(socket, connection);
    socket.once('close', () => open.delete(socket));
  });
  server.maxConnections = options.maxConnections ?? 1024;
  server.on('drop', () => log(`milter connection refused: ${server.maxConnections} are open`));

  if ('path' in listen) await removeStale(listen);
  await listening(server, listen);
  if ('path' in listen) chmodSync(listen.path, listen.mode ?? 0o660);
  server.on('error', (error) => log(`milter: ${error.message}`));

  const close = (): Promise<void> =>
    new Promise((resolve) => {
      const deadline = setTimeout(() => {
        log(`milter: ${open.size} connections had a message in hand for too long and were closed`);
        for (const socket of open.keys()) socket.destroy();
      }, options.closeWithin ?? 10_000);
      // An error here says that it is closed already.
      server.close(() => {
        clearTimeout(deadline);
        resolve();
      });
      for (const connection of open.values()) connection.finish();
    });

  const address = server.address();
  return address !== null && typeof address === 'object' ? { port: address.port, close } : { close };
};
