// One message after the other of a connection: whether it is signed, with what, and what log and meter hear of it. Gives
// replies; knows nothing of sockets.
import { signatureFieldName } from '../../core/dkim/signature-header.ts';
import type { Log } from '../log.ts';
import type { Meter, UnsignedReason } from '../meter.ts';
import { beginMessage, type MessageSigner, type Signature, type SignerOptions } from '../signing/signer.ts';
import { foreign, type IsInternal, type OriginMacros } from './internal-clients.ts';
import type { Envelope } from './session.ts';
import type { Reply } from './wire-reply.ts';

/** How many messages are in hand, from the end of their header to their verdict. */
export interface Crowd {
  messages: number;
}

export interface MessageOptions extends SignerOptions {
  readonly isInternal: IsInternal;
  /** None unless told otherwise. */
  readonly originMacros?: OriginMacros;
  /** What happens to mail of ours that no key may or can sign; `tempfail` unless told otherwise. */
  readonly onUnusableKey?: 'tempfail' | 'unsigned';
  readonly log: Log;
  readonly meter?: Meter;
  /** Shared by all connections; absent: there is one. */
  readonly crowd?: Crowd;
  /** Milliseconds that only grow; `performance.now` unless told otherwise. */
  readonly monotonic?: () => number;
}

export interface Messages {
  /** The header is complete: `continue` where the body is wanted, else the verdict. */
  begin(envelope: Envelope): Reply;
  body(chunk: Uint8Array): void;
  /** The message is complete: what is to be inserted, and the verdict. Never fails. */
  finish(queueId: string | undefined, leadingSpace: boolean): Promise<readonly Reply[]>;
  /** The MTA gave it up. */
  drop(): void;
}

const unknownQueueId = '(unknown-jobid)';

/** Nothing of what an MTA or a message says may begin a line of its own in the log. */
export const oneLine = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 1000);

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

export const createMessages = (options: MessageOptions): Messages => {
  const { meter, onUnusableKey = 'tempfail', monotonic = () => performance.now() } = options;
  const { crowd = { messages: 0 } } = options;
  let message: MessageSigner | undefined;

  const log = (queueId: string | undefined, text: string, facts: Parameters<Log>[1]): void => {
    const id = oneLine(queueId ?? unknownQueueId);
    options.log(oneLine(`${id}: ${text}`), { queueId: id, ...facts });
  };
  const passes = (queueId: string | undefined, why: UnsignedReason, ...lines: readonly string[]): Reply => {
    // One line of a message has the event, however many there are.
    for (const [i, line] of lines.entries())
      log(queueId, line, { event: i === lines.length - 1 ? 'unsigned' : 'origin', reason: why });
    meter?.unsigned(why);
    return { reply: 'accept' };
  };
  /** Ours, and nothing can sign it. */
  const fails = (queueId: string | undefined, why: UnsignedReason, text: string): Reply => {
    if (onUnusableKey === 'unsigned') return passes(queueId, why, `${text}: passes unsigned`);
    log(queueId, `${text}: message put off`, { event: 'deferred', reason: why });
    meter?.deferred(why);
    return { reply: 'tempfail' };
  };

  return {
    begin(envelope) {
      const { queueId } = envelope;
      const why = foreign(envelope, options.isInternal, options.originMacros);
      if (why.length > 0) return passes(queueId, 'foreign', ...why);
      if (envelope.overflow) return fails(queueId, 'too-long', 'header too long to sign');
      const begun = beginMessage(envelope.fields, options);
      if (begun.kind === 'none') return passes(queueId, begun.why, begun.reason);
      if (begun.kind === 'unusable') return fails(queueId, 'key-unusable', begun.reason);
      message = begun;
      crowd.messages += 1;
      return { reply: 'continue' };
    },
    body(chunk) {
      message?.body(chunk);
    },
    async finish(queueId, leadingSpace) {
      const signer = message;
      message = undefined;
      if (signer === undefined) return [{ reply: 'accept' }];
      const started = monotonic();
      const { signatures, failures } = await signer.finish(crowd.messages === 1);
      crowd.messages -= 1;
      if (signatures.length === 0) return [fails(queueId, 'key-unusable', failures.join('; '))];
      for (const failure of failures) log(queueId, `${failure}: signed without it`, { event: 'key-failed' });
      for (const { selector, domain } of signatures)
        log(queueId, `DKIM-Signature field added (s=${selector}, d=${domain})`, {
          event: 'signed',
          domain,
          selector,
        });
      meter?.signed(signatures, (monotonic() - started) / 1000);
      return [...insertions(signatures, leadingSpace), { reply: 'accept' }];
    },
    drop() {
      if (message !== undefined) crowd.messages -= 1;
      message = undefined;
    },
  };
};
