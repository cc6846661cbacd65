// One MTA's connection: reads its socket, lets the session say what to do, and has messages signed. Writes to that socket
// and to the log; knows nothing of listening.
import type { Socket } from 'node:net';
import { signatureFieldName } from '../../core/dkim/signature-header.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import { beginMessage, type MessageSigner, type Signature, type SignerOptions } from '../signing/signer.ts';
import { foreign, type IsInternal } from './internal-clients.ts';
import { createSession, type Effect, type Envelope } from './session.ts';
import { createFramer } from './wire.ts';
import { decodeCommand } from './wire-command.ts';
import { encodeReply, type Reply } from './wire-reply.ts';

export interface ConnectionOptions extends SignerOptions {
  readonly isInternal: IsInternal;
  readonly log: (line: string) => void;
  /** Milliseconds of silence after which the MTA is taken for gone. */
  readonly idleTimeout: number;
}

export interface Connection {
  /** Ends the connection as soon as no message is in hand. */
  finish(): void;
}

const unknownQueueId = '(unknown-jobid)';

/** Nothing of what an MTA or a message says may begin a line of its own in the log. */
const oneLine = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 1000);

/**
 * The replies that put signatures on top, in the order of `signatures` from the top: each is inserted at index 0, so the
 * last comes first here. With RSA first in the list, RSA ends on top and Ed25519 beneath it: verifiers that look at few
 * signatures see the one that all of them know. MTAs fold with LF on this wire.
 */
const insertions = (signatures: readonly Signature[], leadingSpace: boolean): readonly Reply[] =>
  signatures.toReversed().map(({ value }) => ({
    reply: 'insert-header',
    index: 0,
    name: signatureFieldName,
    value: (leadingSpace ? value : value.trimStart()).replaceAll('\r\n', '\n'),
  }));

export const serve = (socket: Socket, options: ConnectionOptions): Connection => {
  const session = createSession();
  const framer = createFramer();
  let message: MessageSigner | undefined;
  /** A signature is being made; the MTA waits for it, and what it sends meanwhile waits too. */
  let signing = false;
  /** The MTA said good-bye, or was refused: what follows is not read, also where it lies in the socket already. */
  let ended = false;
  let finishing = false;

  const write = (...replies: readonly Reply[]): void => {
    // One write: two small ones would meet Nagle's algorithm at the other end's delayed acknowledgement.
    if (!socket.destroyed) socket.write(Buffer.concat(replies.map(encodeReply)));
  };
  const log = (queueId: string | undefined, text: string): void =>
    options.log(oneLine(`${queueId ?? unknownQueueId}: ${text}`));
  const fail = (error: unknown): void => {
    ended = true;
    options.log(oneLine(`milter connection closed: ${describe(error)}`));
    socket.destroy();
  };

  /** Whether the message's body is wanted; else its verdict. */
  const begin = (envelope: Envelope): Reply => {
    const { queueId } = envelope;
    if (envelope.overflow) {
      log(queueId, 'header too long to sign: message put off');
      return { reply: 'tempfail' };
    }
    const reason = foreign(envelope, options.isInternal);
    const begun = reason === undefined ? beginMessage(envelope.fields, options) : undefined;
    if (begun?.kind === 'signing') {
      message = begun;
      return { reply: 'continue' };
    }
    log(queueId, begun?.reason ?? reason ?? '');
    return { reply: 'accept' };
  };

  const finishMessage = async (queueId: string | undefined): Promise<void> => {
    const signer = message;
    message = undefined;
    if (signer === undefined) {
      write({ reply: 'accept' });
      return;
    }
    try {
      const signatures = await signer.finish();
      write(...insertions(signatures, session.leadingSpace), { reply: 'accept' });
      for (const { selector, domain } of signatures)
        log(queueId, `DKIM-Signature field added (s=${selector}, d=${domain})`);
    } catch (error) {
      log(queueId, `${describe(error)}: message put off`);
      write({ reply: 'tempfail' });
    }
  };

  const perform = (effect: Effect): void => {
    switch (effect.effect) {
      case 'reply':
        write(effect.reply);
        return;
      case 'begin': {
        const answer = begin(effect.envelope);
        if (answer.reply !== 'continue') session.settle();
        write(answer);
        return;
      }
      case 'body':
        message?.body(effect.chunk);
        return;
      case 'finish':
        signing = true;
        socket.pause();
        finishMessage(effect.queueId).then(() => {
          signing = false;
          if (!socket.destroyed) run();
          if (!signing) socket.resume();
        }, fail);
        return;
      case 'drop':
        message = undefined;
        return;
      case 'close':
        ended = true;
        socket.end();
    }
  };

  /** All commands that are here, up to the end of a message, whose signature must be there before the next command. */
  const run = (bytes?: Uint8Array): void => {
    try {
      if (bytes !== undefined) framer.push(bytes);
      while (!signing && !ended) {
        const packet = framer.next();
        if (packet === undefined) break;
        for (const effect of session.take(decodeCommand(packet))) perform(effect);
      }
    } catch (error) {
      fail(error);
    }
    endIfIdle();
  };
  const endIfIdle = (): void => {
    if (finishing && !signing && !session.inMessage) socket.destroySoon();
  };

  socket.setNoDelay(true);
  socket.setTimeout(options.idleTimeout, () => {
    if (signing) return;
    fail(new SelkieError('unavailable', `nothing came for ${options.idleTimeout} ms`));
  });
  socket.on('data', (bytes: Buffer) => {
    if (ended) return;
    run(bytes);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    // An MTA's process that ends resets its connections: no news.
    if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') fail(error);
  });

  return {
    finish() {
      finishing = true;
      endIfIdle();
    },
  };
};
