// One agent to a state folder: two would sweep away each other's files. Holds a socket in the folder that nobody talks to;
// the system lets go of it when the process ends, however it ends. Touches `<state folder>/agent.sock` only.
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { SelkieError } from '../core/errors.ts';

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

/**
 * @returns lets go
 * @throws SelkieError busy where another agent works on the folder; invalid where its path is too long for a socket
 */
export const lockFolder = async (dir: string): Promise<() => Promise<void>> => {
  const path = join(dir, 'agent.sock');
  // sun_path of unix(7) has 108 bytes, of BSD 104.
  if (Buffer.byteLength(path) > 103)
    throw new SelkieError('invalid', `The state folder's path is too long: ${path} may have 103 bytes.`, {
      field: 'dir',
    });
  const server = await listen(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    if (await isHeld(path))
      throw new SelkieError('busy', `Another selkie-agent works on ${dir}: stop it first.`, { field: 'dir' });
    await rm(path, { force: true });
    return listen(path);
  });
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
};
