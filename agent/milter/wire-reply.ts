// What a milter says to an MTA (SMFIR_*): encoded for the server, decoded for the client. Pure.

import { cString, encodePacket, malformed, type Packet, reader, uint32 } from './wire.ts';
import type { Offer } from './wire-command.ts';

/** Stages of SMFIR_SETSYMLIST (SMFIM_*): before which command the macros are to come. */
export const macroStage = {
  connect: 0,
  helo: 1,
  mail: 2,
  recipient: 3,
  data: 4,
  'end-of-message': 5,
  'end-of-headers': 6,
} as const;

/** The macros that a milter asks for at one stage, in place of those that the MTA is set to send there. */
export interface MacroRequest {
  readonly stage: number;
  /** Separated by spaces: `i {auth_type}`. */
  readonly names: string;
}

/** Replies that end a stage or a message. `progress` only asks for patience. */
export type Verdict = 'accept' | 'continue' | 'discard' | 'reject' | 'tempfail' | 'skip' | 'progress';

export type Reply =
  | ({ readonly reply: 'negotiate'; readonly macros?: readonly MacroRequest[] } & Offer)
  | { readonly reply: Verdict }
  /** SMFIR_REPLYCODE: the SMTP answer itself, `451 4.7.1 …`. */
  | { readonly reply: 'smtp'; readonly text: string }
  /** Before the header field that is number `index`, counted from 0. */
  | { readonly reply: 'insert-header'; readonly index: number; readonly name: string; readonly value: string }
  /** Behind all header fields. */
  | { readonly reply: 'add-header'; readonly name: string; readonly value: string }
  /** The `index`th field of that name, counted from 1; an empty value deletes it. */
  | { readonly reply: 'change-header'; readonly index: number; readonly name: string; readonly value: string }
  /** Anything else: changes of body or recipients, quarantine. Decoded only. */
  | { readonly reply: 'other'; readonly letter: string };

const verdicts: Readonly<Record<string, Verdict>> = {
  a: 'accept',
  c: 'continue',
  d: 'discard',
  r: 'reject',
  t: 'tempfail',
  s: 'skip',
  p: 'progress',
};

const others = new Set(['+', '-', '2', '4', 'b', 'e', 'f', 'l', 'q']);

export const encodeReply = (reply: Reply): Uint8Array => {
  switch (reply.reply) {
    case 'negotiate':
      return encodePacket(
        'O',
        uint32(reply.version),
        uint32(reply.actions),
        uint32(reply.steps),
        ...(reply.macros ?? []).flatMap(({ stage, names }) => [uint32(stage), cString(names)]),
      );
    case 'smtp':
      return encodePacket('y', cString(reply.text));
    case 'insert-header':
      return encodePacket('i', uint32(reply.index), cString(reply.name), cString(reply.value));
    case 'add-header':
      return encodePacket('h', cString(reply.name), cString(reply.value));
    case 'change-header':
      return encodePacket('m', uint32(reply.index), cString(reply.name), cString(reply.value));
    case 'other':
      return encodePacket(reply.letter);
    default: {
      const letter = Object.keys(verdicts).find((key) => verdicts[key] === reply.reply) ?? 'c';
      return encodePacket(letter);
    }
  }
};

/**
 * A packet's meaning.
 * @throws invalid where it has none
 */
export const decodeReply = (packet: Packet): Reply => {
  const from = reader(packet.data, `reply ${JSON.stringify(packet.letter)}`);
  const verdict = Object.hasOwn(verdicts, packet.letter) ? verdicts[packet.letter] : undefined;
  if (verdict !== undefined) return { reply: verdict };
  switch (packet.letter) {
    case 'O': {
      const offer = { version: from.uint32(), actions: from.uint32(), steps: from.uint32() };
      const macros: MacroRequest[] = [];
      while (from.left > 0) macros.push({ stage: from.uint32(), names: from.string() });
      return { reply: 'negotiate', ...offer, ...(macros.length === 0 ? {} : { macros }) };
    }
    case 'y':
      return { reply: 'smtp', text: from.string() };
    case 'i':
      return { reply: 'insert-header', index: from.uint32(), name: from.string(), value: from.string() };
    case 'h':
      return { reply: 'add-header', name: from.string(), value: from.string() };
    case 'm':
      return { reply: 'change-header', index: from.uint32(), name: from.string(), value: from.string() };
    default:
      if (!others.has(packet.letter)) throw malformed(`unknown reply ${JSON.stringify(packet.letter)}`);
      return { reply: 'other', letter: packet.letter };
  }
};
