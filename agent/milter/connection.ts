// One MTA's connection: reads its socket, lets the session say what to do, and has messages signed. Writes to that socket;
// bounds how long it waits for the MTA and what it holds for it. Knows nothing of listening.
import type { Socket } from 'node:net';
import { describe, SelkieError } from '../../core/errors.ts';
import type { Memory } from './memory.ts';
import { createMessages, type MessageOptions, oneLine } from './message.ts';
import { readIntoOneBuffer } from './one-buffer.ts';
import { createSession, type Effect } from './session.ts';
import { createFramer } from './wire.ts';
import { decodeCommand } from './wire-command.ts';
import { encodeReply, type Reply } from './wire-reply.ts';

export interface ConnectionOptions extends MessageOptions {
  /** Milliseconds without a whole command after which the MTA is taken for gone, between messages and in an envelope. */
  readonly idleTimeout: number;
  /** The same within a message's content, which the MTA has whole, and while it does not read; `idleTimeout` where absent. */
  readonly contentTimeout?: number;
  /** Bytes of signed header fields that a message may have; the session's own where absent. */
  readonly longestHeader?: number;
  /** The MTA is at the other end of a unix socket. */
  readonly local?: boolean;
  /** Shared by all connections; not bounded where absent. */
  readonly memory?: Memory;
}

export interface Connection {
  /** Ends the connection as soon as no message is in hand. */
  finish(): void;
}

export const serve = (accepted: Socket, options: ConnectionOptions): Connection => {
  const { headers, longestHeader, originMacros = {}, idleTimeout, local = false } = options;
  const session = createSession({
    macros: Object.keys(originMacros),
    local,
    ...(headers === undefined ? {} : { headers }),
    ...(longestHeader === undefined ? {} : { longestHeader }),
  });
  const framer = createFramer({ inParts: 'B' });
  const messages = createMessages(options);
  const memory = options.memory?.share();
  /** A signature is being made; the MTA waits for it, and what it sends meanwhile waits too. */
  let signing = false;
  /** The MTA does not read its replies: nothing more is done for it until it does. */
  let choked = false;
  /** The MTA said good-bye, or was refused: what follows is not read, also where it lies in the socket already. */
  let ended = false;
  let finishing = false;
  let timer: NodeJS.Timeout | undefined;
  let patience = 0;

  const write = (...replies: readonly Reply[]): void => {
    if (socket.destroyed) return;
    // One write: two small ones would meet Nagle's algorithm at the other end's delayed acknowledgement.
    choked = !socket.write(Buffer.concat(replies.map(encodeReply)));
  };
  const fail = (error: unknown): void => {
    if (ended && socket.destroyed) return;
    ended = true;
    options.log(oneLine(`milter connection closed: ${describe(error)}`), { event: 'connection-failed' });
    options.meter?.failedConnection();
    socket.destroy();
  };

  /** The MTA did something: it has its time again. */
  const wait = (): void => {
    const next = choked || session.inContent ? (options.contentTimeout ?? idleTimeout) : idleTimeout;
    if (timer !== undefined && next === patience) {
      timer.refresh();
      return;
    }
    clearTimeout(timer);
    patience = next;
    timer = setTimeout(() => {
      if (signing) wait();
      else if (choked) fail(new SelkieError('unavailable', `replies were not read for ${patience} ms`));
      else fail(new SelkieError('unavailable', `nothing came for ${patience} ms`));
    }, patience);
  };

  const perform = (effect: Effect): void => {
    switch (effect.effect) {
      case 'reply':
        write(effect.reply);
        return;
      case 'begin': {
        const answer = messages.begin(effect.envelope);
        if (answer.reply !== 'continue') session.settle();
        write(answer);
        return;
      }
      case 'body':
        messages.body(effect.chunk);
        return;
      case 'finish':
        signing = true;
        messages.finish(effect.queueId, session.leadingSpace).then((replies) => {
          signing = false;
          write(...replies);
          run();
        }, fail);
        return;
      case 'drop':
        messages.drop();
        return;
      case 'close':
        ended = true;
        socket.end();
    }
  };

  /**
   * All commands that are here, up to the end of a message, whose signature must be there before the next command, and no
   * more than the MTA reads the replies to.
   */
  const run = (bytes?: Uint8Array): void => {
    try {
      if (bytes !== undefined) framer.push(bytes);
      let took = bytes === undefined;
      while (!signing && !choked && !ended) {
        const packet = framer.next();
        if (packet === undefined) break;
        took = true;
        for (const effect of session.take(decodeCommand(packet))) perform(effect);
      }
      if (!ended && memory?.hold(framer.held + session.held + socket.writableLength) === false)
        throw new SelkieError('unavailable', 'too much is held for all connections: see milter.memoryLimit');
      if (took && !ended) wait();
    } catch (error) {
      fail(error);
    }
    // The buffer is everybody's.
    framer.keep();
    if (signing || choked) socket.pause();
    else if (!socket.destroyed) socket.resume();
    endIfIdle();
  };
  const endIfIdle = (): void => {
    if (finishing && !signing && !session.inMessage) socket.destroySoon();
  };

  const socket = readIntoOneBuffer(accepted, (bytes) => {
    if (!ended) run(bytes);
  });
  socket.setNoDelay(true);
  wait();
  socket.on('drain', () => {
    choked = false;
    if (!signing && !ended) run();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    // An MTA's process that ends resets its connections: no news.
    if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') fail(error);
  });
  socket.on('close', () => {
    ended = true;
    clearTimeout(timer);
    messages.drop();
    memory?.release();
  });

  return {
    finish() {
      finishing = true;
      endIfIdle();
    },
  };
};
