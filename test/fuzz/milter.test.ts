// The milter against whatever comes over its socket: it answers or refuses, holds little, and never depends on how the
// network cut the bytes.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { internalClients, loopback } from '../../agent/milter/internal-clients.ts';
import { parseMessage, toRaw } from '../../agent/milter/raw-message.ts';
import { createSession } from '../../agent/milter/session.ts';
import { createFramer, encodePacket, longestPacket, uint32 } from '../../agent/milter/wire.ts';
import { decodeCommand, encodeCommand } from '../../agent/milter/wire-command.ts';
import { decodeReply, encodeReply } from '../../agent/milter/wire-reply.ts';
import { fromAddress } from '../../agent/signing/from-address.ts';
import { createKeyRing } from '../../agent/signing/key-ring.ts';
import { signingTable } from '../../agent/signing/signing-table.ts';
import { headerPolicy, isSignedField } from '../../core/dkim/header-selection.ts';
import { testKey } from '../oracles/records.ts';
import {
  authorDomain,
  conversation,
  converse,
  damagedStream,
  type Transcript,
} from './milter-conversation.ts';
import { cutAt, eachByte, ours, outcomeOf, patience, runs, soon } from './settings.ts';

patience();

const ring = createKeyRing();
// Ed25519 signatures are the same each time: RFC 8032 §5.1.6.
ring.replace([testKey(authorDomain, '240128e', 'ed25519')]);
const options = { ring, now: () => 1_706_443_200_000, isInternal: internalClients(loopback) };

/** Everything that can be set, and so little header that it is often too long. */
const narrow = {
  ...options,
  canonicalization: 'simple/simple',
  originMacros: { auth_type: ['PLAIN'], x: [] },
  identityFields: ['Sender', 'From'],
  table: signingTable([
    { match: 'j*@*.net', domain: authorDomain },
    { match: '*(*', domain: authorDomain },
  ]),
  identity: 'subdomains',
  expireAfter: 86_400,
  headers: headerPolicy(['From', 'X-Other', '!'], ['To']),
  onUnusableKey: 'unsigned',
  longestHeader: 350,
} as const;

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const shown = ({ written, log, refused }: Transcript) => ({ written: latin1(written), log, refused });

const lettersIn = (written: Uint8Array): string => {
  const framer = createFramer();
  framer.push(written);
  let letters = '';
  for (let packet = framer.next(); packet !== undefined; packet = framer.next()) {
    decodeReply(packet);
    letters += packet.letter;
  }
  expect(framer.held).toBe(0);
  return letters;
};

const cuts = fc.array(fc.nat(), { maxLength: 12 });

describe('a conversation as an MTA leads it', () => {
  it('is answered as it should be, however the network cuts it', async () => {
    let signed = 0;
    await fc.assert(
      fc.asyncProperty(conversation, cuts, async ({ commands, replies }, at) => {
        const stream = Buffer.concat(commands.map(encodeCommand));
        const whole = await converse([stream], options);
        expect(whole.refused).toBe(false);
        expect(lettersIn(whole.written)).toBe(replies);
        expect(shown(await converse(eachByte(stream), options))).toEqual(shown(whole));
        expect(shown(await converse(cutAt(stream, at), options))).toEqual(shown(whole));
        signed += whole.log.filter((line) => line.includes('field added')).length;
      }),
      runs(300),
    );
    expect(signed).toBeGreaterThan(50);
  });
});

describe('a conversation with damage', () => {
  it.each([
    ['the defaults', options],
    ['every option and little room', narrow],
  ])(
    'is refused in the words of the protocol or understood, however the network cuts it: %s',
    async (_, options) => {
      const seen = { refused: 0, understood: 0 };
      await fc.assert(
        fc.asyncProperty(damagedStream, cuts, async (stream, at) => {
          const whole = await converse([stream], options);
          lettersIn(whole.written);
          seen[whole.refused ? 'refused' : 'understood'] += 1;
          const refusals = whole.log.filter((line) => line.startsWith('milter connection closed'));
          expect(refusals).toHaveLength(whole.refused ? 1 : 0);
          for (const line of refusals) expect(line).toMatch(/^milter connection closed: milter protocol: /);
          for (const line of whole.log) expect(line).toMatch(/^[\x20-\x7e]{1,1000}$/);
          expect(shown(await converse(eachByte(stream), options))).toEqual(shown(whole));
          expect(shown(await converse(cutAt(stream, at), options))).toEqual(shown(whole));
        }),
        runs(500),
      );
      expect(seen.refused).toBeGreaterThan(100);
      expect(seen.understood).toBeGreaterThan(50);
    },
  );
});

describe('packets', () => {
  const packetsIn = (chunks: readonly Uint8Array[]) => {
    const framer = createFramer();
    const found: string[] = [];
    try {
      for (const chunk of chunks) {
        framer.push(chunk);
        for (let packet = framer.next(); packet !== undefined; packet = framer.next())
          found.push(packet.letter + latin1(packet.data));
        expect(framer.held).toBeLessThan(longestPacket + 4);
      }
    } catch (error) {
      found.push(`refused: ${ours(error, 'invalid').message}`);
      return { found };
    }
    return { found, held: framer.held };
  };
  const pieces = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 30 }))
        .map(([letter, data]) => encodePacket(String.fromCharCode(letter), data)),
      fc.nat(0xffffffff).map(uint32),
    ),
    { maxLength: 12 },
  );
  it('are the same for every cut of any bytes', () =>
    fc.assert(
      fc.property(pieces, cuts, (parts, at) => {
        const stream = Buffer.concat(parts);
        const whole = packetsIn([stream]);
        expect(packetsIn(eachByte(stream))).toEqual(whole);
        expect(packetsIn(cutAt(stream, at))).toEqual(whole);
        expect(packetsIn(parts)).toEqual(whole);
      }),
      runs(2_000),
    ));

  it('that any length is said of cost no memory before their bytes are there', () => {
    const before = process.memoryUsage().arrayBuffers;
    const framers = Array.from({ length: 2_000 }, (_, i) => {
      const framer = createFramer();
      framer.push(uint32(i % 2 === 0 ? 0xffffffff : longestPacket + 1 + i));
      return outcomeOf(() => framer.next(), 'invalid');
    });
    expect(framers.every((outcome) => 'refusal' in outcome)).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(longestPacket);
  });

  it.each([
    ['a command', decodeCommand],
    ['a reply', decodeReply],
  ] as const)('of any letter and data are %s or refused', (_, decode) =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.constantFrom(...'ODCHMRTLNBEAQKUacdrtspyihm+-x'),
          fc.string({ minLength: 1, maxLength: 1 }),
        ),
        fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          fc
            .array(fc.constantFrom(0, 0, 1, 52, 54, 76, 85, 97, 123, 125, 255), { maxLength: 40 })
            .map((codes) => Uint8Array.from(codes)),
        ),
        (letter, data) => {
          const outcome = outcomeOf(() => decode({ letter, data }), 'invalid');
          if ('refusal' in outcome) expect(outcome.refusal.message).toMatch(/^milter protocol: /);
        },
      ),
      runs(3_000),
    ),
  );

  it('of replies say the same when they are written again', () =>
    fc.assert(
      fc.property(fc.constantFrom(...'Oacdrtspyihm'), fc.uint8Array({ maxLength: 40 }), (letter, data) => {
        const outcome = outcomeOf(() => decodeReply({ letter, data }), 'invalid');
        if ('refusal' in outcome) return;
        const framer = createFramer();
        framer.push(encodeReply(outcome.value));
        const packet = framer.next();
        expect(packet && decodeReply(packet)).toEqual(outcome.value);
      }),
      runs(2_000),
    ));
});

describe('what a connection holds', () => {
  it('is bounded, whatever is poured into it', () => {
    const session = createSession();
    const take = (letter: string, ...data: Uint8Array[]): void => {
      session.take(decodeCommand({ letter, data: Buffer.concat(data) }));
    };
    const megabyte = new Uint8Array(longestPacket - 20).fill(97);
    const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');
    take('O', uint32(6), uint32(0x1ff), uint32(0x1fffff));
    take('M', text('<jo@example.com>\0'));
    for (let i = 0; i < 12; i += 1) {
      take('L', text('Subject\0'), megabyte, text('\0'));
      take('D', text('Mi\0'), megabyte, text('\0'));
      take('L', megabyte, text('\0x\0'));
      take('U', megabyte, text('\0'));
    }
    const [begin] = session.take({ command: 'end-of-headers' });
    if (begin?.effect !== 'begin') throw new Error('no message began');
    expect(begin.envelope.overflow).toBe(true);
    expect(begin.envelope.fields.length).toBeLessThanOrEqual(8);
    expect(begin.envelope.queueId).toHaveLength(1_000);
  });
});

describe('messages', () => {
  const raw = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc
      .array(fc.constantFrom('\r\n', '\r', '\n', ':', ' ', '\t', 'a', 'From', '\xff', '\r\n\r\n'), {
        maxLength: 30,
      })
      .map((parts) => Buffer.from(parts.join(''), 'latin1')),
  );
  it('of any bytes are split, and split the same when they are put together again', () =>
    fc.assert(
      fc.property(raw, (bytes) => {
        const message = parseMessage(bytes);
        const again = parseMessage(toRaw(message));
        expect(again.fields).toEqual(message.fields);
        expect(latin1(again.body)).toBe(latin1(message.body));
      }),
      runs(2_000),
    ));
});

describe('From fields', () => {
  it('of any bytes have an address that mail can be signed for, or none', () => {
    let found = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          fc
            .string({ unit: fc.constantFrom(...'a@.<>(),:;"\\[] \r\n\té例'), maxLength: 40 })
            .map((t) => Buffer.from(t)),
          fc.uint8Array({ maxLength: 40 }),
          fc.emailAddress().map((address) => Buffer.from(` <${address}>`)),
        ),
        (value) => {
          const address = fromAddress(value);
          if (address === undefined) return;
          found += 1;
          expect(address.domain).toMatch(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/);
          expect(address.localPart).not.toBe('');
        },
      ),
      runs(3_000),
    );
    expect(found).toBeGreaterThan(500);
  });

  it.each([
    '(',
    ')',
    '<',
    '"',
    '"\\',
    '[',
    ',',
    'a,',
    '@',
    'a@',
    '.',
    ' ',
    '\r\n ',
    '\\',
    ':',
    ';',
    'a@b.c,',
    'é',
    '<@a:',
    'a ',
  ])('of 128 KB of %j are judged at once', (unit) => {
    const value = Buffer.from(unit.repeat(Math.ceil(131_072 / Buffer.byteLength(unit))));
    soon(() => fromAddress(value));
    soon(() => isSignedField(value.toString('latin1')));
    soon(() => parseMessage(value));
  });
});
