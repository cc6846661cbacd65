// Reads all connections into one buffer. A socket of Node's server gets a new buffer of 64 KiB for each read, which is work
// for the garbage collector only: at 1 MB a message a third of all processor time, and half of the memory. `onread` of
// node:net avoids that, but a server cannot be told to use it, so the connection's handle is given to a socket that does.
// That handle is Node's own affair: where it is not found, the socket reads as Node's sockets do.
import { Socket, type SocketConstructorOpts } from 'node:net';

const buffer = new Uint8Array(64 << 10);

interface WithHandle {
  _handle?: unknown;
}

/**
 * The socket to go on with, in place of one that a server accepted with `pauseOnConnect`.
 * @param take is given each read's bytes, a view that is valid until it returns
 */
export const readIntoOneBuffer = (accepted: Socket, take: (bytes: Uint8Array) => void): Socket => {
  const { _handle: handle } = accepted as unknown as WithHandle;
  if (typeof handle !== 'object' || handle === null) {
    accepted.on('data', take);
    return accepted;
  }
  const onread = {
    buffer,
    callback(length: number) {
      take(buffer.subarray(0, length));
      return true;
    },
  };
  const socket = new Socket({ handle, onread, readable: true, writable: true } as SocketConstructorOpts);
  // The server counts, and waits for, the socket that it accepted.
  (accepted as unknown as WithHandle)._handle = null;
  socket.once('close', () => accepted.destroy());
  socket.resume();
  return socket;
};
