// The MTA's side of the milter protocol: takes a message through a milter as Postfix would, and applies what it changes.
// For `selkie up --once` and for measuring milters, ours and others. It leaves Nagle's algorithm on, as Postfix does: a
// milter that makes an MTA wait for delayed acknowledgements shows here.
import { connect, isIP } from 'node:net';
import { SelkieError } from '../../core/errors.ts';
import { createReplies, type Replies } from './client-replies.ts';
import { applyChange, parseMessage, type RawMessage, toRaw } from './raw-message.ts';
import { actions, newestVersion, steps } from './wire.ts';
import { type Command, encodeCommand, type Offer } from './wire-command.ts';
import type { Reply } from './wire-reply.ts';

export type MilterTarget = { readonly host: string; readonly port: number } | { readonly path: string };

export interface MilterMessage {
  /** By name without braces: `i` (the queue id), `auth_type`. */
  readonly macros?: Readonly<Record<string, string>>;
  /** Envelope addresses, without angle brackets. */
  readonly from: string;
  readonly to: readonly string[];
  /** Header, empty line, body; CRLF. */
  readonly raw: Uint8Array;
}

export interface MilterAnswer {
  readonly verdict: 'accept' | 'tempfail' | 'reject' | 'discard';
  /** With the header fields that the milter inserted. */
  readonly raw: Uint8Array;
}

export interface MilterConnection {
  /** One message after the other: wait for the answer. */
  send(message: MilterMessage): Promise<MilterAnswer>;
  /** Sends the message's header and half of its body, then gives it up, as an MTA whose client went away. */
  sendAndAbort(message: MilterMessage): Promise<void>;
  /** The next of the MTA's clients, on the same connection (SMFIC_QUIT_NC), without a new negotiation. */
  nextClient(client: { readonly host: string; readonly address: string }): Promise<void>;
  close(): Promise<void>;
}

export interface MilterClientOptions {
  /** Who handed the message to the MTA; this host unless told otherwise. */
  readonly client?: { readonly host: string; readonly address: string };
  readonly version?: number;
  /** Bits of `steps` that are offered; all unless told otherwise. */
  readonly steps?: number;
  /** Milliseconds to wait for a reply; 30 s unless told otherwise. */
  readonly timeout?: number;
}

const allOf = (bits: Readonly<Record<string, number>>): number =>
  Object.values(bits).reduce((all, bit) => all | bit, 0);
const chunkSize = 65_535;

/** Which step's bits silence a command and its reply. */
const silence: Partial<Record<Command['command'], { skip: number; noReply: number }>> = {
  connect: { skip: steps.noConnect, noReply: steps.noReplyToConnect },
  helo: { skip: steps.noHelo, noReply: steps.noReplyToHelo },
  mail: { skip: steps.noMail, noReply: steps.noReplyToMail },
  recipient: { skip: steps.noRecipient, noReply: steps.noReplyToRecipient },
  data: { skip: steps.noData, noReply: steps.noReplyToData },
  header: { skip: steps.noHeaders, noReply: steps.noReplyToHeader },
  'end-of-headers': { skip: steps.noEndOfHeaders, noReply: steps.noReplyToEndOfHeaders },
  body: { skip: steps.noBody, noReply: steps.noReplyToBody },
};

const verdictOf = (reply: Reply): MilterAnswer['verdict'] | undefined => {
  switch (reply.reply) {
    case 'accept':
    case 'tempfail':
    case 'reject':
    case 'discard':
      return reply.reply;
    case 'smtp':
      return reply.text.startsWith('4') ? 'tempfail' : 'reject';
    default:
      return undefined;
  }
};

/** One milter connection's conversation, over whatever sends bytes and receives replies. */
class Conversation implements MilterConnection {
  readonly #send: (bytes: Uint8Array) => void;
  readonly #replies: Replies;
  readonly #agreed: number;
  /** What is to be written together with the next command that has a reply. */
  #unsent: Uint8Array[] = [];

  constructor(send: (bytes: Uint8Array) => void, replies: Replies, agreed: number) {
    this.#send = send;
    this.#replies = replies;
    this.#agreed = agreed;
  }

  /**
   * The command's reply; undefined where none is awaited. Such commands are written together with the next one that has
   * a reply: Postfix's buffered stream does so too, and separate small writes would each wait for an acknowledgement.
   */
  async #say(command: Command): Promise<Reply | undefined> {
    const { skip, noReply } = silence[command.command] ?? { skip: 0, noReply: 0 };
    if ((this.#agreed & skip) !== 0) return undefined;
    this.#unsent.push(encodeCommand(command));
    if ((this.#agreed & noReply) !== 0) return undefined;
    this.#flush();
    return this.#replies.next();
  }

  #flush(): void {
    this.#send(Buffer.concat(this.#unsent));
    this.#unsent = [];
  }

  async greet(client: { host: string; address: string }): Promise<void> {
    const family = { 4: 'inet', 6: 'inet6', 0: 'unknown' } as const;
    const { host, address } = client;
    const version = isIP(address) as 0 | 4 | 6;
    await this.#say({ command: 'connect', host, family: family[version], port: 25_000, address });
    await this.#say({ command: 'helo', name: host });
  }

  /** Up to the end of the header; a verdict where the milter gave one on the way. */
  async #begin(message: MilterMessage, parsed: RawMessage): Promise<MilterAnswer['verdict'] | undefined> {
    const macros = new Map(Object.entries(message.macros ?? {}));
    for (const stage of macros.size === 0 ? [] : ['M', 'T', 'N'])
      this.#unsent.push(encodeCommand({ command: 'macros', stage, macros }));
    const leadingSpace = (this.#agreed & steps.leadingSpace) !== 0;
    const opening: Command[] = [
      { command: 'mail', args: [`<${message.from}>`] },
      ...message.to.map((to) => ({ command: 'recipient', args: [`<${to}>`] }) as const),
      { command: 'data' },
      ...parsed.fields.map(({ name, value }) => ({
        command: 'header' as const,
        name,
        value: Buffer.from(
          (leadingSpace ? value : value.replace(/^ /, '')).replaceAll('\r\n', '\n'),
          'latin1',
        ),
      })),
      { command: 'end-of-headers' },
    ];
    for (const command of opening) {
      const reply = await this.#say(command);
      const verdict = reply === undefined ? undefined : verdictOf(reply);
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  }

  async send(message: MilterMessage): Promise<MilterAnswer> {
    const parsed = parseMessage(message.raw);
    const early = await this.#begin(message, parsed);
    if (early !== undefined) return { verdict: early, raw: message.raw };
    for (let at = 0; at < parsed.body.length; at += chunkSize) {
      const reply = await this.#say({ command: 'body', chunk: parsed.body.subarray(at, at + chunkSize) });
      if (reply?.reply === 'skip') break;
      const verdict = reply === undefined ? undefined : verdictOf(reply);
      if (verdict !== undefined) return { verdict, raw: message.raw };
    }
    let fields = parsed.fields;
    let reply = await this.#say({ command: 'end-of-message', chunk: new Uint8Array(0) });
    while (reply !== undefined && reply.reply !== 'continue') {
      const verdict = verdictOf(reply);
      if (verdict !== undefined)
        return { verdict, raw: verdict === 'accept' ? toRaw({ ...parsed, fields }) : message.raw };
      fields = applyChange(fields, reply, (this.#agreed & steps.leadingSpace) !== 0);
      reply = await this.#replies.next();
    }
    return { verdict: 'accept', raw: toRaw({ ...parsed, fields }) };
  }

  async sendAndAbort(message: MilterMessage): Promise<void> {
    const parsed = parseMessage(message.raw);
    if ((await this.#begin(message, parsed)) === undefined)
      await this.#say({ command: 'body', chunk: parsed.body.subarray(0, parsed.body.length >> 1) });
    this.#unsent.push(encodeCommand({ command: 'abort' }));
    this.#flush();
  }

  async nextClient(client: { host: string; address: string }): Promise<void> {
    this.#unsent.push(encodeCommand({ command: 'quit-new-connection' }));
    await this.greet(client);
  }

  async close(): Promise<void> {
    this.#unsent.push(encodeCommand({ command: 'quit' }));
    this.#flush();
    await this.#replies.closed();
  }
}

/**
 * Connects and negotiates.
 * @throws unavailable where the milter does not answer; invalid where it does not speak the protocol
 */
export const openMilter = async (
  target: MilterTarget,
  options: MilterClientOptions = {},
): Promise<MilterConnection> => {
  const socket = connect({ ...target });
  const replies = createReplies(socket, options.timeout ?? 30_000);
  const offer: Offer = {
    version: options.version ?? newestVersion,
    actions: allOf(actions),
    steps: options.steps ?? allOf(steps),
  };
  socket.write(encodeCommand({ command: 'negotiate', ...offer }));
  const answer = await replies.next();
  if (answer.reply !== 'negotiate') {
    socket.destroy();
    throw new SelkieError('invalid', `the milter answered the negotiation with ${answer.reply}`);
  }
  const conversation = new Conversation((bytes) => socket.write(bytes), replies, answer.steps);
  await conversation.greet(options.client ?? { host: 'localhost', address: '127.0.0.1' });
  return conversation;
};

/** One message through a milter, on a connection of its own. Errors as `openMilter`. */
export const sendThroughMilter = async (
  target: MilterTarget,
  message: MilterMessage,
  options: MilterClientOptions = {},
): Promise<MilterAnswer> => {
  const milter = await openMilter(target, options);
  const answer = await milter.send(message);
  await milter.close();
  return answer;
};
