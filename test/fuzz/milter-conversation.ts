// What MTAs say, made up: valid conversations with what a milter must answer, ways to damage their bytes, and a
// connection without a network, so that a run is the same each time.
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { type ConnectionOptions, serve } from '../../agent/milter/connection.ts';
import { steps } from '../../agent/milter/wire.ts';
import { type Command, encodeCommand } from '../../agent/milter/wire-command.ts';

const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** Header values and body bytes: what canonicalisation looks at, and all the rest. */
const text = fc.string({
  unit: fc.constantFrom(...'ab:;,<>@."()[]\\= \t\r\n\xe9\xff'),
  maxLength: 30,
});
const bytes = fc.oneof(text.map(latin1), fc.uint8Array({ maxLength: 40 }));
const withoutNul = (value: Uint8Array): Uint8Array => value.filter((byte) => byte !== 0);

const field = (name: string, value: string): Command => ({ command: 'header', name, value: latin1(value) });
const otherField = fc
  .tuple(fc.constantFrom('Subject', 'SUBJECT ', 'To', 'X-Other', 'Received', 'DKIM-Signature', ''), bytes)
  .map(([name, value]): Command => ({ command: 'header', name, value: withoutNul(value) }));

export const authorDomain = 'example.com';

const authors = [
  { from: [' Jo <jo@example.com>'], signed: true },
  { from: [' jo@EXAMPLE.com\n (home)'], signed: true },
  { from: [' jo@example.net'], signed: false },
  { from: [' not an address'], signed: false },
  { from: [], signed: false },
  { from: [' jo@example.com', ' jo@example.com'], signed: false },
] as const;

interface Offer {
  readonly version: number;
  readonly steps: number;
}

/** Commands, and the letters of the replies that they must get. */
export interface Script {
  readonly commands: readonly Command[];
  readonly replies: string;
}

const join = (...scripts: readonly Script[]): Script => ({
  commands: scripts.flatMap(({ commands }) => commands),
  replies: scripts.map(({ replies }) => replies).join(''),
});

const message = ({ steps: agreed }: Offer, isInside: boolean): fc.Arbitrary<Script> =>
  fc
    .record({
      author: fc.constantFrom(...authors),
      before: fc.array(otherField, { maxLength: 3 }),
      after: fc.array(otherField, { maxLength: 3 }),
      hasLogin: fc.boolean(),
      recipients: fc.nat(2),
      hasData: fc.boolean(),
      chunks: fc.array(bytes, { maxLength: 4 }),
      last: fc.oneof(fc.constant(new Uint8Array(0)), bytes),
      abortsAfter: fc.option(fc.nat(30), { nil: undefined, freq: 4 }),
      noise: fc.boolean(),
    })
    .map((m) => {
      const replyTo = (step: number): string => ((agreed & step) === 0 ? 'c' : '');
      const isSigned = m.author.signed && (isInside || m.hasLogin);
      const login: [string, string][] = m.hasLogin ? [['auth_type', 'PLAIN']] : [];
      const parts: [Command, string][] = [
        [{ command: 'macros', stage: 'M', macros: new Map([['i', 'Q1'], ...login]) }, ''],
        [{ command: 'mail', args: ['<jo@example.com>', 'SIZE=1'] }, 'c'],
        ...Array.from({ length: m.recipients }, (): [Command, string] => [
          { command: 'recipient', args: ['<a@example.org>'] },
          'c',
        ]),
        ...(m.noise ? [[{ command: 'unknown', line: 'XYZZY' }, 'c'] as [Command, string]] : []),
        ...(m.hasData ? [[{ command: 'data' }, 'c'] as [Command, string]] : []),
        ...[...m.before, ...m.author.from.map((value) => field('From', value)), ...m.after].map(
          (command): [Command, string] => [command, replyTo(steps.noReplyToHeader)],
        ),
        [{ command: 'end-of-headers' }, isSigned ? 'c' : 'a'],
        ...m.chunks.map((chunk): [Command, string] => [
          { command: 'body', chunk },
          replyTo(steps.noReplyToBody),
        ]),
        [{ command: 'end-of-message', chunk: m.last }, isSigned ? 'ia' : 'a'],
      ];
      const kept =
        m.abortsAfter === undefined || m.abortsAfter >= parts.length
          ? parts
          : [...parts.slice(0, m.abortsAfter), [{ command: 'abort' }, ''] as [Command, string]];
      return {
        commands: kept.map(([command]) => command),
        replies: kept.map(([, reply]) => reply).join(''),
      };
    });

const clients: readonly { readonly command: Command; readonly inside: boolean }[] = [
  {
    command: { command: 'connect', host: 'localhost', family: 'inet', port: 25, address: '127.0.0.1' },
    inside: true,
  },
  { command: { command: 'connect', host: 'here', family: 'inet6', port: 25, address: '::1' }, inside: true },
  { command: { command: 'connect', host: 'here', family: 'unix', port: 0, address: '/run/s' }, inside: true },
  {
    command: { command: 'connect', host: 'mx.example.net', family: 'inet', port: 1, address: '192.0.2.1' },
    inside: false,
  },
];

const connection = (offer: Offer): fc.Arbitrary<Script> =>
  fc.constantFrom(...clients).chain((client) =>
    fc
      .record({
        hasHelo: fc.boolean(),
        messages: fc.array(message(offer, client.inside), { maxLength: 3 }),
      })
      .map(({ hasHelo, messages }) =>
        join(
          { commands: [client.command], replies: 'c' },
          hasHelo ? { commands: [{ command: 'helo', name: 'mx' }], replies: 'c' } : join(),
          ...messages,
        ),
      ),
  );

/** One connection of an MTA, which may carry several of its clients. */
export const conversation: fc.Arbitrary<Script> = fc
  .record({ version: fc.integer({ min: 2, max: 7 }), steps: fc.nat(0x3fffffff) })
  .chain((offer) =>
    fc
      .array(connection(offer), { minLength: 1, maxLength: 2 })
      .map((connections) =>
        join(
          { commands: [{ command: 'negotiate', actions: 0x1ff, ...offer }], replies: 'O' },
          ...connections.flatMap((script, i) => [
            ...(i === 0 ? [] : [{ commands: [{ command: 'quit-new-connection' } as const], replies: '' }]),
            script,
          ]),
          { commands: [{ command: 'quit' }], replies: '' },
        ),
      ),
  );

/** One way to damage a stream that is known by its packets. Numbers are taken modulo what there is. */
const damage = fc.record({
  how: fc.constantFrom('flip', 'truncate', 'splice', 'repeat', 'swap', 'drop', 'length', 'insert', 'letter'),
  at: fc.nat(),
  to: fc.nat(),
  value: fc.oneof(fc.nat(0xff), fc.constantFrom(0, 0xff)),
  length: fc.oneof(fc.nat(40), fc.constantFrom(0, 1, 0xffffffff, 0x7fffffff, 0x100001, 0x100000, 0x1000000)),
});
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

const damaged = (packets: Uint8Array[], { how, at, to, value, length }: Damage): Uint8Array[] => {
  const place = at % packets.length;
  const packet = new Uint8Array(packets[place] ?? []);
  const inside = packet.length === 0 ? 0 : to % packet.length;
  const other = to % packets.length;
  switch (how) {
    case 'flip':
      packet[inside] = (packet[inside] ?? 0) ^ (value || 1);
      return packets.with(place, packet);
    case 'letter':
      if (packet.length > 4) packet[4] = 'ODCHMRTLNBEAQKU\0\xffx'.charCodeAt(value % 18);
      return packets.with(place, packet);
    case 'length':
      if (packet.length >= 4) new DataView(packet.buffer, packet.byteOffset).setUint32(0, length);
      return packets.with(place, packet);
    case 'truncate':
      return packets.with(place, packet.subarray(0, inside));
    case 'insert':
      return packets.toSpliced(place, 0, new Uint8Array(length % 50).fill(value));
    case 'splice':
      return packets.toSpliced(place, 1, packet.subarray(inside), ...packets.slice(other, other + 2));
    case 'repeat':
      return packets.toSpliced(other, 0, packet);
    case 'swap':
      return packets.with(place, packets[other] ?? packet).with(other, packet);
    case 'drop':
      return packets.length > 1 ? packets.toSpliced(place, 1) : packets;
  }
};

/** The bytes of a conversation that something went wrong with. */
export const damagedStream: fc.Arbitrary<Uint8Array> = fc
  .tuple(conversation, fc.array(damage, { minLength: 1, maxLength: 4 }))
  .map(([{ commands }, all]) =>
    Buffer.concat(all.reduce((packets, one) => damaged(packets, one), commands.map(encodeCommand))),
  );

export interface Transcript {
  /** All that the milter wrote. */
  readonly written: Uint8Array;
  readonly log: readonly string[];
  /** The milter ended the connection before the MTA had. */
  readonly refused: boolean;
}

/** A socket whose other end has said all that it will. */
class Wire extends Duplex {
  readonly written: Uint8Array[] = [];
  refused = false;
  constructor() {
    super({ allowHalfOpen: false });
  }
  override _read(): void {}
  override _write(chunk: Uint8Array, _: string, done: () => void): void {
    this.written.push(new Uint8Array(chunk));
    done();
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.refused = !this.readableEnded && !this.writableEnded;
    done(error);
  }
  setNoDelay(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
}

/** Has the milter's own connection read `chunks`, each in an event of its own, to the end. */
export const converse = async (
  chunks: readonly Uint8Array[],
  options: Omit<ConnectionOptions, 'log' | 'idleTimeout'>,
): Promise<Transcript> => {
  const wire = new Wire();
  const log: string[] = [];
  serve(wire as unknown as Socket, { ...options, log: (line) => log.push(line), idleTimeout: 1_000 });
  const closed = new Promise((resolve) => wire.once('close', resolve));
  for (const chunk of chunks) if (chunk.length > 0 && !wire.destroyed) wire.push(Buffer.from(chunk));
  // An MTA waits for its answer, which may take a signature, before it hangs up.
  do await new Promise(setImmediate);
  while (!wire.destroyed && (wire.isPaused() || wire.readableLength > 0));
  if (!wire.destroyed) wire.push(null);
  await closed;
  return { written: Buffer.concat(wire.written), log, refused: wire.refused };
};
