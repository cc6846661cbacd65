// A milter's replies, one at a time, from a socket that an MTA holds. Reads that socket only.
import type { Socket } from 'node:net';
import { SelkieError } from '../../core/errors.ts';
import { createFramer } from './wire.ts';
import { decodeReply, type Reply } from './wire-reply.ts';

export interface Replies {
  /**
   * The next reply; those that only ask for patience are passed over.
   * @throws unavailable where the connection ends first or nothing comes in time; invalid where it is no reply
   */
  next(): Promise<Reply>;
  /** Settles when the connection is closed. */
  closed(): Promise<void>;
}

export const createReplies = (socket: Socket, timeout: number): Replies => {
  const framer = createFramer();
  const arrived: Reply[] = [];
  let waiting: { resolve: (reply: Reply) => void; reject: (error: unknown) => void } | undefined;
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    waiting?.reject(failure);
    waiting = undefined;
    socket.destroy();
  };
  socket.setTimeout(timeout, () =>
    fail(new SelkieError('unavailable', `the milter did not answer within ${timeout} ms`)),
  );
  socket.on('error', (cause) =>
    fail(new SelkieError('unavailable', `the milter does not answer: ${cause.message}`, { cause })),
  );
  socket.on('close', () => fail(new SelkieError('unavailable', 'the milter closed the connection')));
  socket.on('data', (bytes: Buffer) => {
    try {
      framer.push(bytes);
      for (let packet = framer.next(); packet !== undefined; packet = framer.next()) {
        const reply = decodeReply(packet);
        if (reply.reply !== 'progress') arrived.push(reply);
      }
    } catch (error) {
      fail(error);
    }
    if (waiting === undefined) return;
    const reply = arrived.shift();
    if (reply === undefined) return;
    waiting.resolve(reply);
    waiting = undefined;
  });

  return {
    next() {
      const reply = arrived.shift();
      if (reply !== undefined) return Promise.resolve(reply);
      if (failure !== undefined) return Promise.reject(failure);
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
      });
    },
    closed: () =>
      socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', () => resolve())),
  };
};
