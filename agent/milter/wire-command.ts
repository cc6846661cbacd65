// What an MTA says to a milter (SMFIC_*): decoded for the server, encoded for the client. Pure.
import { cString, encodePacket, malformed, type Packet, reader, uint32 } from './wire.ts';

export interface Offer {
  readonly version: number;
  /** Bits of `actions`. */
  readonly actions: number;
  /** Bits of `steps`. */
  readonly steps: number;
}

export type Family = 'inet' | 'inet6' | 'unix' | 'unknown';

export type Command =
  | ({ readonly command: 'negotiate' } & Offer)
  | { readonly command: 'macros'; readonly stage: string; readonly macros: ReadonlyMap<string, string> }
  | {
      readonly command: 'connect';
      /** The client's name, or its address in brackets where it has none. */
      readonly host: string;
      readonly family: Family;
      readonly port: number;
      /** Empty where the family is unknown. */
      readonly address: string;
    }
  | { readonly command: 'helo'; readonly name: string }
  /** The address in angle brackets, then ESMTP parameters. */
  | { readonly command: 'mail' | 'recipient'; readonly args: readonly string[] }
  /** The value without its final line end; folds are LF or CRLF, as the MTA likes. */
  | { readonly command: 'header'; readonly name: string; readonly value: Uint8Array }
  /** `more`: a part of a chunk, and not its last one. */
  | { readonly command: 'body'; readonly chunk: Uint8Array; readonly more?: boolean }
  | { readonly command: 'end-of-message'; readonly chunk: Uint8Array }
  | { readonly command: 'unknown'; readonly line: string }
  | { readonly command: 'data' | 'end-of-headers' | 'abort' | 'quit' | 'quit-new-connection' };

const families: Readonly<Record<string, Family>> = { '4': 'inet', '6': 'inet6', L: 'unix', U: 'unknown' };

/** Macro names come as `i` or `{auth_type}`; both are kept without braces. */
const macroName = (name: string): string => name.replace(/^\{(.*)\}$/, '$1');

const macros = (data: Uint8Array): Command => {
  const from = reader(data, 'SMFIC_MACRO');
  const stage = String.fromCharCode(from.byte());
  const found = new Map<string, string>();
  while (from.left > 0) {
    const name = macroName(from.string());
    found.set(name, from.string());
  }
  return { command: 'macros', stage, macros: found };
};

const connect = (data: Uint8Array): Command => {
  const from = reader(data, 'SMFIC_CONNECT');
  const host = from.string();
  const letter = String.fromCharCode(from.byte());
  const family = families[letter];
  if (family === undefined) throw malformed(`unknown address family ${JSON.stringify(letter)}`);
  if (family === 'unknown') return { command: 'connect', host, family, port: 0, address: '' };
  const port = from.uint16();
  return { command: 'connect', host, family, port, address: from.string().replace(/^IPv6:/i, '') };
};

const args = (command: 'mail' | 'recipient', data: Uint8Array): Command => {
  const from = reader(data, command === 'mail' ? 'SMFIC_MAIL' : 'SMFIC_RCPT');
  const found = [from.string()];
  while (from.left > 0) found.push(from.string());
  return { command, args: found };
};

const decoders: Readonly<Record<string, (data: Uint8Array, more: boolean) => Command>> = {
  O: (data) => {
    const from = reader(data, 'SMFIC_OPTNEG');
    return { command: 'negotiate', version: from.uint32(), actions: from.uint32(), steps: from.uint32() };
  },
  D: macros,
  C: connect,
  H: (data) => ({ command: 'helo', name: reader(data, 'SMFIC_HELO').string() }),
  M: (data) => args('mail', data),
  R: (data) => args('recipient', data),
  T: () => ({ command: 'data' }),
  L: (data) => {
    const from = reader(data, 'SMFIC_HEADER');
    return { command: 'header', name: from.string(), value: from.bytes() };
  },
  N: () => ({ command: 'end-of-headers' }),
  B: (chunk, more) => (more ? { command: 'body', chunk, more } : { command: 'body', chunk }),
  E: (chunk) => ({ command: 'end-of-message', chunk }),
  A: () => ({ command: 'abort' }),
  Q: () => ({ command: 'quit' }),
  K: () => ({ command: 'quit-new-connection' }),
  U: (data) => ({ command: 'unknown', line: reader(data, 'SMFIC_UNKNOWN').string() }),
};

/**
 * A packet's meaning. Byte arrays in it are views of the packet.
 * @throws invalid where it has none
 */
export const decodeCommand = (packet: Packet): Command => {
  const decode = Object.hasOwn(decoders, packet.letter) ? decoders[packet.letter] : undefined;
  if (decode === undefined) throw malformed(`unknown command ${JSON.stringify(packet.letter)}`);
  return decode(packet.data, packet.more ?? false);
};

const bracedName = (name: string): string => (name.length === 1 || name.startsWith('{') ? name : `{${name}}`);

const letters = {
  data: 'T',
  'end-of-headers': 'N',
  abort: 'A',
  quit: 'Q',
  'quit-new-connection': 'K',
  body: 'B',
  'end-of-message': 'E',
  mail: 'M',
  recipient: 'R',
} as const;

export const encodeCommand = (command: Command): Uint8Array => {
  switch (command.command) {
    case 'negotiate':
      return encodePacket('O', uint32(command.version), uint32(command.actions), uint32(command.steps));
    case 'macros':
      return encodePacket(
        'D',
        Uint8Array.of(command.stage.charCodeAt(0)),
        ...[...command.macros].flatMap(([name, value]) => [cString(bracedName(name)), cString(value)]),
      );
    case 'connect': {
      const letter = Object.keys(families).find((key) => families[key] === command.family) ?? 'U';
      const family = Uint8Array.of(letter.charCodeAt(0));
      if (command.family === 'unknown') return encodePacket('C', cString(command.host), family);
      const port = Uint8Array.of(command.port >> 8, command.port & 255);
      return encodePacket('C', cString(command.host), family, port, cString(command.address));
    }
    case 'helo':
      return encodePacket('H', cString(command.name));
    case 'mail':
    case 'recipient':
      return encodePacket(letters[command.command], ...command.args.map(cString));
    case 'header':
      return encodePacket('L', cString(command.name), command.value, Uint8Array.of(0));
    case 'body':
    case 'end-of-message':
      return encodePacket(letters[command.command], command.chunk);
    case 'unknown':
      return encodePacket('U', cString(command.line));
    default:
      return encodePacket(letters[command.command]);
  }
};
