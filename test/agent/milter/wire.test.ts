import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFramer, encodePacket, longestPacket, type Packet } from '../../../agent/milter/wire.ts';
import { type Command, decodeCommand, encodeCommand } from '../../../agent/milter/wire-command.ts';
import { decodeReply, encodeReply, type Reply } from '../../../agent/milter/wire-reply.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const hex = (data: Uint8Array): string => Buffer.from(data).toString('latin1');
const copy = ({ letter, data }: Packet): [string, string] => [letter, hex(data)];

const packetsOf = (...chunks: readonly Uint8Array[]): [string, string][] => {
  const framer = createFramer();
  const found: [string, string][] = [];
  for (const chunk of chunks) {
    framer.push(chunk);
    for (let packet = framer.next(); packet !== undefined; packet = framer.next()) found.push(copy(packet));
  }
  expect(framer.held).toBe(0);
  return found;
};
const only = (data: Uint8Array): Packet => {
  const framer = createFramer();
  framer.push(data);
  const packet = framer.next();
  if (packet === undefined) throw new Error('no packet');
  return packet;
};

describe('packets', () => {
  const stream = Buffer.concat([
    encodePacket('H', bytes('mx\0')),
    encodePacket('N'),
    encodePacket('B', bytes('x'.repeat(300))),
  ]);
  const expected: [string, string][] = [
    ['H', 'mx\0'],
    ['N', ''],
    ['B', 'x'.repeat(300)],
  ];
  it('bear their length in network order', () =>
    expect(hex(encodePacket('H', bytes('mx\0')))).toBe('\0\0\0\x04Hmx\0'));
  it('are found for every cut of the stream', () => {
    for (let at = 0; at <= stream.length; at += 1)
      expect(packetsOf(stream.subarray(0, at), stream.subarray(at))).toEqual(expected);
    expect(packetsOf(...[...stream].map((byte) => Uint8Array.of(byte)))).toEqual(expected);
  });
  it.each([
    ['an empty packet', '\0\0\0\0', 'an empty packet'],
    ['one byte beyond the limit', '\0\x10\0\x01', '1048577 bytes'],
    ['the longest length there is', '\xff\xff\xff\xff', '4294967295 bytes'],
    ['an SMTP greeting', 'EHLO example', '1162366031 bytes'],
  ])('refuses %s', (_, start, message) => {
    for (const chunks of [[bytes(start)], [...start].map(bytes)]) {
      const framer = createFramer();
      expect(() => {
        for (const chunk of chunks) {
          framer.push(chunk);
          framer.next();
        }
      }).toThrow(expect.objectContaining({ code: 'invalid', message: expect.stringContaining(message) }));
    }
  });
  it('takes a packet of the limit', () => {
    const packet = only(encodePacket('B', new Uint8Array(longestPacket - 1)));
    expect(packet.data.length).toBe(longestPacket - 1);
  });
  it('of one letter are given in parts, the same bytes for every cut, and nothing of them is held', () => {
    const parts = (...chunks: readonly Uint8Array[]) => {
      const framer = createFramer({ inParts: 'B' });
      const found: [string, string][] = [];
      let open = false;
      for (const chunk of chunks) {
        framer.push(chunk);
        for (let packet = framer.next(); packet !== undefined; packet = framer.next()) {
          const [letter, data] = copy(packet);
          const last = found.at(-1);
          if (open && last !== undefined) last[1] += data;
          else found.push([letter, data]);
          open = packet.more ?? false;
        }
        if (open) expect(framer.held).toBe(0);
      }
      expect(open).toBe(false);
      return found;
    };
    const twice = Buffer.concat([stream, encodePacket('B'), stream]);
    const found = [...expected, ['B', ''], ...expected];
    for (let at = 0; at <= twice.length; at += 1)
      expect(parts(twice.subarray(0, at), twice.subarray(at))).toEqual(found);
    expect(parts(...[...twice].map((byte) => Uint8Array.of(byte)))).toEqual(found);
    const cut = createFramer({ inParts: 'B' });
    cut.push(encodePacket('B', bytes('abc')).subarray(0, 6));
    expect(cut.next()).toEqual({ letter: 'B', data: Uint8Array.of(97), more: true });
    expect(cut.next()).toBeUndefined();
  });
  it('that are left are kept when the bytes that were pushed change', () => {
    const framer = createFramer();
    const pushed = Buffer.from(stream);
    framer.push(pushed);
    expect(copy(framer.next() ?? { letter: '', data: pushed })).toEqual(expected[0]);
    framer.keep();
    pushed.fill(255);
    for (const packet of expected.slice(1)) {
      const found = framer.next();
      expect(found && copy(found)).toEqual(packet);
    }
    framer.keep();
    expect(framer.next()).toBeUndefined();
    expect(framer.held).toBe(0);
  });
  it('is not pushed to while packets are left', () => {
    const framer = createFramer();
    framer.push(stream);
    expect(() => framer.push(stream)).toThrow('packets are left');
  });
});

describe('commands', () => {
  it.each<[string, string, Command]>([
    [
      'O',
      '\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff',
      { command: 'negotiate', version: 6, actions: 0x1ff, steps: 0x1fffff },
    ],
    [
      'D',
      'Mi\0ABC\0{auth_type}\0PLAIN\0',
      {
        command: 'macros',
        stage: 'M',
        macros: new Map([
          ['i', 'ABC'],
          ['auth_type', 'PLAIN'],
        ]),
      },
    ],
    ['D', 'C', { command: 'macros', stage: 'C', macros: new Map() }],
    [
      'C',
      'mx.example\x004\x61\xa8192.0.2.1\0',
      { command: 'connect', host: 'mx.example', family: 'inet', port: 25000, address: '192.0.2.1' },
    ],
    [
      'C',
      'mx.example\x006\0\x19IPv6:2001:db8::1\0',
      { command: 'connect', host: 'mx.example', family: 'inet6', port: 25, address: '2001:db8::1' },
    ],
    [
      'C',
      'localhost\0L\0\0/run/s\0',
      { command: 'connect', host: 'localhost', family: 'unix', port: 0, address: '/run/s' },
    ],
    ['C', 'localhost\0U', { command: 'connect', host: 'localhost', family: 'unknown', port: 0, address: '' }],
    ['H', 'mx\0', { command: 'helo', name: 'mx' }],
    ['M', '<a@b.example>\0SIZE=1\0', { command: 'mail', args: ['<a@b.example>', 'SIZE=1'] }],
    ['M', '<>\0', { command: 'mail', args: ['<>'] }],
    ['R', '<a@b.example>\0', { command: 'recipient', args: ['<a@b.example>'] }],
    ['T', '', { command: 'data' }],
    [
      'L',
      'Subject\0 \xff\n x\0',
      { command: 'header', name: 'Subject', value: new Uint8Array([32, 255, 10, 32, 120]) },
    ],
    ['L', 'Cc\0\0', { command: 'header', name: 'Cc', value: new Uint8Array(0) }],
    ['N', '', { command: 'end-of-headers' }],
    ['B', 'a\0\r\n', { command: 'body', chunk: new Uint8Array([97, 0, 13, 10]) }],
    ['E', '', { command: 'end-of-message', chunk: new Uint8Array(0) }],
    ['E', 'x', { command: 'end-of-message', chunk: new Uint8Array([120]) }],
    ['A', '', { command: 'abort' }],
    ['Q', '', { command: 'quit' }],
    ['K', '', { command: 'quit-new-connection' }],
    ['U', 'XYZZY\0', { command: 'unknown', line: 'XYZZY' }],
  ])('%s %j', (letter, data, command) => {
    const decoded = decodeCommand({ letter, data: new Uint8Array(bytes(data)) });
    expect(decoded).toEqual(command);
    // What the client encodes, the server reads.
    const { data: again, letter: same } = only(encodeCommand(command));
    expect(decodeCommand({ letter: same, data: new Uint8Array(again) })).toEqual(command);
  });

  it.each([
    ['Z', '', 'unknown command "Z"'],
    ['\0', '', 'unknown command'],
    ['O', '\0\0\0\x06\0\0', 'SMFIC_OPTNEG ends early'],
    ['D', '', 'SMFIC_MACRO ends early'],
    ['D', 'Mi\0ABC', 'SMFIC_MACRO has no end'],
    ['D', 'Mi\0', 'SMFIC_MACRO has no end'],
    ['C', 'mx\0', 'SMFIC_CONNECT ends early'],
    ['C', 'mx\0X', 'unknown address family "X"'],
    ['C', 'mx\x004\0', 'SMFIC_CONNECT ends early'],
    ['C', 'mx\x004\0\x19192.0.2.1', 'SMFIC_CONNECT has no end'],
    ['H', 'mx', 'SMFIC_HELO has no end'],
    ['M', '', 'SMFIC_MAIL has no end'],
    ['L', 'Subject\0x', 'SMFIC_HEADER has no end'],
    ['L', 'Subject', 'SMFIC_HEADER has no end'],
  ])('refuses %j %j', (letter, data, message) =>
    expect(() => decodeCommand({ letter, data: bytes(data) })).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(message) }),
    ),
  );
});

describe('replies', () => {
  it.each<[string, string, Reply]>([
    [
      'O',
      '\0\0\0\x06\0\0\0\x01\0\x18\0\x80',
      { reply: 'negotiate', version: 6, actions: 1, steps: 0x180080 },
    ],
    [
      'O',
      '\0\0\0\x06\0\0\x01\x01\0\x18\0\x80\0\0\0\x06i {auth_type}\0\0\0\0\0j\0',
      {
        reply: 'negotiate',
        version: 6,
        actions: 0x101,
        steps: 0x180080,
        macros: [
          { stage: 6, names: 'i {auth_type}' },
          { stage: 0, names: 'j' },
        ],
      },
    ],
    ['a', '', { reply: 'accept' }],
    ['c', '', { reply: 'continue' }],
    ['d', '', { reply: 'discard' }],
    ['r', '', { reply: 'reject' }],
    ['t', '', { reply: 'tempfail' }],
    ['s', '', { reply: 'skip' }],
    ['p', '', { reply: 'progress' }],
    ['y', '451 4.7.1 later\0', { reply: 'smtp', text: '451 4.7.1 later' }],
    [
      'i',
      '\0\0\0\x01DKIM-Signature\0 v=1\0',
      { reply: 'insert-header', index: 1, name: 'DKIM-Signature', value: ' v=1' },
    ],
    ['h', 'X\0y\0', { reply: 'add-header', name: 'X', value: 'y' }],
    ['m', '\0\0\0\x02X\0\0', { reply: 'change-header', index: 2, name: 'X', value: '' }],
    ['q', '', { reply: 'other', letter: 'q' }],
  ])('%s %j', (letter, data, reply) => {
    expect(copy(only(encodeReply(reply)))).toEqual([letter, data]);
    expect(decodeReply({ letter, data: bytes(data) })).toEqual(reply);
  });
  it.each([
    ['x', '', 'unknown reply "x"'],
    ['O', '\0', 'ends early'],
    ['i', '\0\0\0\0X\0', 'has no end'],
  ])('refuses %j %j', (letter, data, message) =>
    expect(() => decodeReply({ letter, data: bytes(data) })).toThrow(message),
  );
});

describe('any bytes', () => {
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    // Mostly well-formed lengths, so that the bytes get as far as the decoders.
    fc
      .tuple(fc.constantFrom(...'ODCHMRTLNBEAQKU+-x'), fc.uint8Array({ maxLength: 30 }))
      .map(([letter, data]) => encodePacket(letter, data)),
  );
  it('are refused or understood, and no more is held than one packet', () => {
    let understood = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 20 }), (chunks) => {
        const framer = createFramer({ limit: 64 });
        try {
          for (const part of chunks) {
            framer.push(part);
            for (let packet = framer.next(); packet !== undefined; packet = framer.next()) {
              decodeCommand(packet);
              understood += 1;
            }
            expect(framer.held).toBeLessThan(64 + 4);
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid' });
          refused += 1;
        }
      }),
      { seed: 1, numRuns: 5000 },
    );
    expect(understood).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(1000);
  });
});
