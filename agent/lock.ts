// One agent to a state folder: two would sweep away each other's files. Holds a socket in the folder that nobody talks to;
// the system lets go of it when the process ends, however it ends. Where the folder cannot be written to, an abstract one
// (unix(7)) stands in for it, so that a host with a read-only disk signs all the same. Touches `<state folder>/agent.sock`
// only.
import { createHash } from 'node:crypto';
import { realpath, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, SelkieError } from '../core/errors.ts';
import { minutes } from '../core/time.ts';
import { isCode, isUnwritable } from './files.ts';
import type { Log } from './log.ts';
import type { Timer } from './pull.ts';

const listen = (path: string): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });

const isHeld = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

type Unlock = () => Promise<void>;

const unlockOf = (server: Server): Unlock => {
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
};

const busy = (dir: string): SelkieError =>
  new SelkieError('busy', `Another selkie-agent works on ${dir}: stop it first.`, { field: 'dir' });

const socketOf = (dir: string): string => join(dir, 'agent.sock');

/** The leading NUL makes it abstract; by the folder's own path, whatever links lead there. */
const standInOf = async (dir: string): Promise<string> =>
  `\0selkie-agent/${createHash('sha256')
    .update(await realpath(dir))
    .digest('hex')}`;

/**
 * @returns lets go
 * @throws SelkieError busy where another agent works on the folder; invalid where its path is too long for a socket
 */
export const lockFolder = async (dir: string): Promise<Unlock> => {
  const path = socketOf(dir);
  // sun_path of unix(7) has 108 bytes, of BSD 104.
  if (Buffer.byteLength(path) > 103)
    throw new SelkieError('invalid', `The state folder's path is too long: ${path} may have 103 bytes.`, {
      field: 'dir',
    });
  const server = await listen(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    if (await isHeld(path)) throw busy(dir);
    await rm(path, { force: true });
    return listen(path);
  });
  return unlockOf(server);
};

const standIn = async (dir: string): Promise<Unlock> => {
  try {
    return unlockOf(await listen(await standInOf(dir)));
  } catch (error) {
    throw isCode(error, 'EADDRINUSE') ? busy(dir) : error;
  }
};

/**
 * The same, on a folder that cannot be written to as well; there it is tried again each minute, until it can.
 * @throws as `lockFolder`
 */
export const lockOrStandIn = async (
  dir: string,
  { timer, log }: { readonly timer: Timer; readonly log: Log },
): Promise<Unlock> => {
  const held: Unlock[] = [];
  let cancel = (): void => {};
  const again = async (): Promise<void> => {
    try {
      held.push(await lockFolder(dir));
      log(`state folder: ${dir} can be written to again`);
    } catch (error) {
      if (isUnwritable(error)) cancel = timer.after(minutes(1), () => void again());
      else log(`state folder: ${describe(error)}`);
    }
  };
  try {
    held.push(await lockFolder(dir));
  } catch (error) {
    if (!isUnwritable(error)) throw error;
    log(
      `state folder: ${dir} cannot be written to (${describe(error)}): this host signs with the keys that are there, and takes no others`,
    );
    held.push(await standIn(dir));
    cancel = timer.after(minutes(1), () => void again());
  }
  return async () => {
    cancel();
    for (const unlock of held.splice(0)) await unlock();
  };
};

/** Whether an agent works on the folder. */
export const isLocked = async (dir: string): Promise<boolean> =>
  (await isHeld(socketOf(dir))) || (await standInOf(dir).then(isHeld, () => false));
