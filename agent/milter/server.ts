// The milter as a server: listens on TCP or a unix socket, bounds the connections, and ends without dropping a message
// that is in hand. Owns its listening socket and the file of a unix socket.
import { chmodSync, chownSync, existsSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { SelkieError } from '../../core/errors.ts';
import { readAccounts } from '../accounts.ts';
import { type Connection, type ConnectionOptions, serve } from './connection.ts';
import { internalClients, loopback } from './internal-clients.ts';
import { sharedMemory } from './memory.ts';

export interface UnixAddress {
  readonly path: string;
  /** 0o660 unless told otherwise. */
  readonly mode?: number;
  /** The one that Postfix is in, by name or number; the process's own where absent. */
  readonly group?: string;
}

/** `host`: a name, or an address of either family without brackets. */
export type MilterAddress = { readonly host: string; readonly port: number } | UnixAddress;

export interface MilterOptions extends Omit<ConnectionOptions, 'isInternal' | 'idleTimeout' | 'memory'> {
  readonly listen: MilterAddress;
  /** Addresses and CIDR ranges whose mail is signed without a login; this host's loopback unless told otherwise. */
  readonly internal?: readonly string[];
  /** 1,024 unless told otherwise; further ones are closed at once, and the MTA tries again. */
  readonly maxConnections?: number;
  /** Milliseconds; libmilter's 7,210 s unless told otherwise, for MTAs keep a connection as long as their client's. */
  readonly idleTimeout?: number;
  /** Milliseconds within a message's content, and while the MTA does not read; 300 s unless told otherwise. */
  readonly contentTimeout?: number;
  /** Bytes that all connections together may hold, beyond 128 KiB each; 64 MiB unless told otherwise. */
  readonly memoryLimit?: number;
  /** How long `close` waits for messages in hand, in milliseconds; 10 s unless told otherwise. */
  readonly closeWithin?: number;
}

/** Without the ports: what an administrator chose. */
export type MilterPolicy = Omit<MilterOptions, 'ring' | 'now' | 'log' | 'meter'>;

export interface Milter {
  /** Of a TCP address; the system's choice where 0 was asked for. */
  readonly port?: number;
  /** Holds for connections from now on; open ones go on as they began. The address and the limits of all together stay. */
  configure(policy: MilterPolicy): void;
  /** Takes no more connections, lets messages in hand be finished, then ends. */
  close(): Promise<void>;
}

const describeAddress = (listen: MilterAddress): string =>
  'path' in listen
    ? listen.path
    : `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`;

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
const removeStale = async (listen: UnixAddress): Promise<void> => {
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

/** Numbers stand for themselves: so is a group named that only a directory service knows. */
const groupId = async (group: string): Promise<number> => {
  if (/^\d+$/.test(group)) return Number(group);
  const { groups } = await readAccounts();
  const found = groups.find(({ name }) => name === group);
  if (found === undefined)
    throw new SelkieError(
      'invalid',
      `there is no group ${group} on this host: name the one that Postfix is in, or its number`,
      { field: 'milter.group' },
    );
  return found.gid;
};

/** Lets in whom the administrator named. Until then only this process's user may connect (umask 022 and stricter). */
const admit = ({ path, mode, group }: UnixAddress, id: number | undefined): void => {
  try {
    if (id !== undefined) chownSync(path, -1, id);
  } catch (cause) {
    throw new SelkieError(
      'invalid',
      `cannot give ${path} to the group ${group}: make the agent's user a member (usermod -aG ${group} USER)`,
      { field: 'milter.group', cause },
    );
  }
  chmodSync(path, mode ?? 0o660);
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
 * Starts the milter. Mail of internal and authenticated clients whose author's domain has keys in `ring` is signed; other
 * mail passes as it is; mail that should be signed and cannot be is put off (4xx) unless `onUnusableKey` says otherwise.
 * @throws invalid, with `field` milterPort or milterSocket, where the address cannot be listened on; milter.group,
 *   signing.internalHosts
 */
export const startMilter = async (options: MilterOptions): Promise<Milter> => {
  const { listen, log, maxConnections = 1024, memoryLimit = 64 << 20 } = options;
  const memory = sharedMemory(memoryLimit);
  const { ring, now, meter } = options;
  const ports = { ring, now, log, memory, crowd: { messages: 0 }, ...(meter === undefined ? {} : { meter }) };
  const connectionOptions = (policy: MilterPolicy): ConnectionOptions => ({
    ...policy,
    ...ports,
    local: 'path' in listen,
    isInternal: internalClients(policy.internal ?? loopback),
    idleTimeout: policy.idleTimeout ?? 7_210_000,
    contentTimeout: policy.contentTimeout ?? 300_000,
  });
  let shared = connectionOptions(options);
  const group = 'path' in listen && listen.group !== undefined ? await groupId(listen.group) : undefined;
  const open = new Map<Socket, Connection>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const connection = serve(socket, shared);
    open.set(socket, connection);
    socket.once('close', () => open.delete(socket));
  });
  server.maxConnections = maxConnections;
  server.on('drop', () =>
    log(`milter connection refused: ${maxConnections} are open`, { event: 'connection-failed' }),
  );

  if ('path' in listen) await removeStale(listen);
  await listening(server, listen);
  try {
    if ('path' in listen) admit(listen, group);
  } catch (error) {
    server.close();
    throw error;
  }
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

  const configure = (policy: MilterPolicy): void => {
    shared = connectionOptions(policy);
  };
  const address = server.address();
  return {
    ...(address !== null && typeof address === 'object' ? { port: address.port } : {}),
    configure,
    close,
  };
};
