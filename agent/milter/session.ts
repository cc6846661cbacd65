// One MTA's connection as a state machine: a command goes in, effects come out. Pure; connection.ts performs them.
//
// What is negotiated, and why: over TCP, replies are left out for header fields and body chunks only, which the MTA streams
// anyway. SMFIP_NODATA and SMFIP_NR_DATA are never asked for there: with them Postfix writes the DATA macros alone and waits
// for the delayed acknowledgement of TCP, 40 ms a message. A unix socket knows no such wait, and a reply that says nothing
// costs both sides two changes of process: there all are left out up to the end of the header. The reply there lets mail
// that is not signed go without its body being sent. Macros are asked for (SMFIR_SETSYMLIST) only where the configuration
// names some: those that are always of use are in the default lists of Postfix and Sendmail.

import { canonicalName, type HeaderField } from '../../core/dkim/canonical-header.ts';
import { defaultHeaders, type HeaderPolicy } from '../../core/dkim/header-selection.ts';
import { actions, malformed, newestVersion, oldestVersion, steps } from './wire.ts';
import type { Command, Family } from './wire-command.ts';
import { macroStage, type Reply } from './wire-reply.ts';

export interface Client {
  readonly host: string;
  readonly family: Family;
  /** Empty where the family is unknown. */
  readonly address: string;
}

/** A message whose header is complete. */
export interface Envelope {
  /** Undefined where the MTA has not said it (macro `i`). */
  readonly queueId: string | undefined;
  /** Undefined where the MTA gave no connection. */
  readonly client: Client | undefined;
  /** The client logged in (macro `auth_type` or `auth_authen`). */
  readonly authenticated: boolean;
  /** Of the macros that the session was told to keep those that have a value. */
  readonly macros: ReadonlyMap<string, string>;
  /** Those that can be signed, From and Sender, with CRLF in their folds, as they will be on the wire. */
  readonly fields: readonly HeaderField[];
  /** The fields were more than is kept: `fields` is not all. */
  readonly overflow: boolean;
}

export type Effect =
  | { readonly effect: 'reply'; readonly reply: Reply }
  /** Decide on the message: reply `continue` to have its body, anything else ends it. */
  | { readonly effect: 'begin'; readonly envelope: Envelope }
  /** Of the message at hand; a view of the packet. */
  | { readonly effect: 'body'; readonly chunk: Uint8Array }
  /** The message is complete: reply with what is to be inserted and the verdict. */
  | { readonly effect: 'finish'; readonly queueId: string | undefined }
  /** The MTA gave the message up. */
  | { readonly effect: 'drop' }
  | { readonly effect: 'close' };

export interface Session {
  /** @throws invalid where the command cannot stand here: the connection must end */
  take(command: Command): readonly Effect[];
  /** The message at hand got its verdict at the end of its header. An MTA that sends the rest all the same is humoured. */
  settle(): void;
  /** Whether header values bear the space behind the colon, both ways. */
  readonly leadingSpace: boolean;
  /** Whether a message is in hand: from MAIL to its verdict or abort. */
  readonly inMessage: boolean;
  /** Whether its content is on its way: the MTA has all of it, and waits for nobody. */
  readonly inContent: boolean;
  /** Bytes of header fields that are held for the message at hand. */
  readonly held: number;
}

export interface SessionOptions {
  /** Which fields are kept; RFC 6376's unless told otherwise. */
  readonly headers?: HeaderPolicy;
  /** Names without braces of macros to keep, beside the queue id and the login. */
  readonly macros?: readonly string[];
  /** Bytes of signed header fields that a message may have; 1 MiB unless told otherwise: OpenDKIM takes 64 KiB. */
  readonly longestHeader?: number;
  /** The MTA is at the other end of a unix socket. */
  readonly local?: boolean;
}

/** What a field takes in memory besides its bytes, so that very many empty ones are bounded too. */
const fieldOverhead = 100;

/** The macros that are always of use; others are not kept, however many an MTA is set to send. */
const usedMacros: readonly string[] = ['i', 'auth_type', 'auth_authen'];
const longestMacro = 1000;
/** The commands that macros come before: SMFIC_ letters. */
const macroStages = 'CHMRTLNBEU';

const wantedSteps = steps.noReplyToHeader | steps.noReplyToBody | steps.leadingSpace;
const wantedLocally =
  wantedSteps |
  steps.noReplyToConnect |
  steps.noReplyToHelo |
  steps.noReplyToMail |
  steps.noReplyToRecipient |
  steps.noReplyToData |
  steps.noReplyToUnknown;

/** `ready` is between messages. */
type Phase = 'new' | 'ready' | 'envelope' | 'header' | 'body';

const anyTime: readonly Phase[] = ['new', 'ready', 'envelope', 'header', 'body'];
const negotiated: readonly Phase[] = anyTime.slice(1);

/** Where each command may stand. MAIL, CONNECT and HELO in a message give the message up, as libmilter has it. */
const allowed: Readonly<Record<Command['command'], readonly Phase[]>> = {
  negotiate: ['new'],
  macros: negotiated,
  connect: negotiated,
  helo: negotiated,
  mail: negotiated,
  recipient: ['envelope'],
  data: ['envelope'],
  header: ['envelope', 'header'],
  'end-of-headers': ['envelope', 'header'],
  body: ['body'],
  'end-of-message': ['body'],
  unknown: negotiated,
  abort: negotiated,
  quit: anyTime,
  'quit-new-connection': negotiated,
};

const [tab, lf, cr, sp] = [9, 10, 13, 32];

/**
 * The value with the space behind the colon, which an MTA that does not keep it (SMFIP_HDR_LEADSPC) has eaten. A guess, as
 * OpenDKIM's: `Subject:x` looks the same. Only "simple" header canonicalisation sees the difference.
 */
const withSpace = (value: Uint8Array): Uint8Array => {
  const first = value[0];
  if (first === tab || first === lf || first === cr) return value;
  const bytes = new Uint8Array(value.length + 1);
  bytes[0] = sp;
  bytes.set(value, 1);
  return bytes;
};

/** A copy with CRLF for each LF that stands alone: MTAs fold with LF on this wire, and with CRLF on the other. */
export const withCrlf = (value: Uint8Array): Uint8Array => {
  let lone = 0;
  for (let i = value.indexOf(lf); i >= 0; i = value.indexOf(lf, i + 1)) if (value[i - 1] !== cr) lone += 1;
  // Not `slice`: of a Buffer that is a view.
  if (lone === 0) return new Uint8Array(value);
  const bytes = new Uint8Array(value.length + lone);
  let at = 0;
  for (let i = 0; i < value.length; i += 1) {
    const byte = value[i] as number;
    if (byte === lf && value[i - 1] !== cr) {
      bytes[at] = cr;
      at += 1;
    }
    bytes[at] = byte;
    at += 1;
  }
  return bytes;
};

const reply = (kind: 'continue'): Effect => ({ effect: 'reply', reply: { reply: kind } });

const braced = (name: string): string => (name.length === 1 ? name : `{${name}}`);

export const createSession = ({
  headers = defaultHeaders,
  macros: extraMacros = [],
  longestHeader = 1 << 20,
  local = false,
}: SessionOptions = {}): Session => {
  const wantedMacros = [...new Set([...usedMacros, ...extraMacros])];
  const isKept = (name: string): boolean => {
    const canonical = canonicalName(name);
    return headers.signed.has(canonical) || canonical === 'sender';
  };
  let phase: Phase = 'new';
  let settled = false;
  let agreedSteps = 0;
  let client: Client | undefined;
  /** By the stage that they came with: a stage's macros replace those of its last time. */
  const macros = new Map<string, ReadonlyMap<string, string>>();
  let fields: HeaderField[] = [];
  let headerBytes = 0;

  const macro = (name: string): string | undefined => {
    for (const stage of [...macros.values()].toReversed()) {
      const value = stage.get(name);
      if (value !== undefined && value !== '') return value;
    }
    return undefined;
  };
  const keepMacros = (stage: string, all: ReadonlyMap<string, string>): void => {
    if (!macroStages.includes(stage)) return;
    const used = wantedMacros.flatMap((name) => {
      const value = all.get(name);
      return value === undefined ? [] : [[name, value.slice(0, longestMacro)] as const];
    });
    // Not in place: the latest stage is looked at first.
    macros.delete(stage);
    macros.set(stage, new Map(used));
  };
  const inMessage = (): boolean => phase !== 'new' && phase !== 'ready' && !settled;

  /** Forgets the message; what is known of the connection stays. */
  const reset = (keepStages: readonly string[]): void => {
    fields = [];
    headerBytes = 0;
    for (const stage of macros.keys()) if (!keepStages.includes(stage)) macros.delete(stage);
    phase = 'ready';
    settled = false;
  };
  const dropped = (): readonly Effect[] => (inMessage() ? [{ effect: 'drop' }] : []);

  const unless = (step: number): readonly Effect[] => ((agreedSteps & step) === 0 ? [reply('continue')] : []);

  const negotiate = (offer: Command & { command: 'negotiate' }): readonly Effect[] => {
    if (offer.version < oldestVersion) throw malformed(`version ${offer.version} is too old`);
    if ((offer.actions & actions.addHeaders) === 0)
      throw malformed('the MTA does not let header fields be added (SMFIF_ADDHDRS)');
    agreedSteps = offer.steps & (local ? wantedLocally : wantedSteps);
    phase = 'ready';
    // As OpenDKIM: at the end of the header, where the decision is made.
    const asks = extraMacros.length > 0 && (offer.actions & actions.setMacros) !== 0;
    const request = { stage: macroStage['end-of-headers'], names: wantedMacros.map(braced).join(' ') };
    return [
      {
        effect: 'reply',
        reply: {
          reply: 'negotiate',
          version: Math.min(offer.version, newestVersion),
          actions: actions.addHeaders | (asks ? actions.setMacros : 0),
          steps: agreedSteps,
          ...(asks ? { macros: [request] } : {}),
        },
      },
    ];
  };

  const header = (name: string, value: Uint8Array): readonly Effect[] => {
    phase = 'header';
    if (isKept(name)) {
      headerBytes += name.length + value.length + fieldOverhead;
      const whole = (agreedSteps & steps.leadingSpace) === 0 ? withSpace(value) : value;
      if (headerBytes <= longestHeader) fields.push({ name, value: withCrlf(whole) });
    }
    return unless(steps.noReplyToHeader);
  };

  const begin = (): readonly Effect[] => {
    phase = 'body';
    const envelope: Envelope = {
      queueId: macro('i'),
      client,
      authenticated: macro('auth_type') !== undefined || macro('auth_authen') !== undefined,
      macros: new Map(
        extraMacros.flatMap((name) => {
          const value = macro(name);
          return value === undefined ? [] : [[name, value] as const];
        }),
      ),
      fields,
      overflow: headerBytes > longestHeader,
    };
    fields = [];
    return [{ effect: 'begin', envelope }];
  };

  const finish = (chunk: Uint8Array): readonly Effect[] => {
    const queueId = macro('i');
    reset(['C', 'H']);
    return [...(chunk.length > 0 ? [{ effect: 'body', chunk } as const] : []), { effect: 'finish', queueId }];
  };

  const act = (command: Command): readonly Effect[] => {
    switch (command.command) {
      case 'negotiate':
        return negotiate(command);
      case 'macros':
        keepMacros(command.stage, command.macros);
        return [];
      case 'connect': {
        const { host, family, address } = command;
        const effects = dropped();
        reset(['C']);
        client = { host, family, address };
        return [...effects, ...unless(steps.noReplyToConnect)];
      }
      case 'helo': {
        const effects = dropped();
        reset(['C', 'H']);
        return [...effects, ...unless(steps.noReplyToHelo)];
      }
      case 'mail': {
        const effects = dropped();
        reset(['C', 'H', 'M']);
        phase = 'envelope';
        return [...effects, ...unless(steps.noReplyToMail)];
      }
      case 'recipient':
        return unless(steps.noReplyToRecipient);
      case 'data':
        return unless(steps.noReplyToData);
      case 'unknown':
        return unless(steps.noReplyToUnknown);
      case 'header':
        return header(command.name, command.value);
      case 'end-of-headers':
        return begin();
      case 'body':
        return [
          { effect: 'body', chunk: command.chunk },
          ...(command.more ? [] : unless(steps.noReplyToBody)),
        ];
      case 'end-of-message':
        return finish(command.chunk);
      case 'abort': {
        const effects = dropped();
        reset(['C', 'H']);
        return effects;
      }
      case 'quit':
        return [...dropped(), { effect: 'close' }];
      case 'quit-new-connection': {
        const effects = dropped();
        reset([]);
        client = undefined;
        return effects;
      }
    }
  };

  return {
    take(command) {
      if (!allowed[command.command].includes(phase)) throw malformed(`${command.command} while ${phase}`);
      return act(command);
    },
    settle() {
      settled = true;
      headerBytes = 0;
    },
    get leadingSpace() {
      return (agreedSteps & steps.leadingSpace) !== 0;
    },
    get inMessage() {
      return inMessage();
    },
    get inContent() {
      return (phase === 'header' || phase === 'body') && !settled;
    },
    get held() {
      return Math.min(headerBytes, longestHeader);
    },
  };
};
