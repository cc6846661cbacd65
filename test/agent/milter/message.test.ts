// What log and meter hear of a message: lines as administrators grep them, the same in fields, and one count for each.
import { beforeEach, describe, expect, it } from 'vitest';
import type { LogFacts } from '../../../agent/log.ts';
import type { Meter } from '../../../agent/meter.ts';
import { createMessages, type MessageOptions } from '../../../agent/milter/message.ts';
import type { Envelope } from '../../../agent/milter/session.ts';
import { createKeyRing, type SigningKey } from '../../../agent/signing/key-ring.ts';
import { testKey } from '../../oracles/records.ts';

const rsa = testKey('example.com', '240128');
const ed25519 = testKey('example.com', '240128e', 'ed25519');
const broken: SigningKey = { ...rsa, load: () => Promise.reject(new Error('its file is gone')) };

let said: [string, LogFacts | undefined][];
let counted: unknown[][];
beforeEach(() => {
  said = [];
  counted = [];
});
const meter: Meter = {
  signed: (keys, seconds) =>
    counted.push(['signed', keys.map(({ domain, selector }) => `${selector} ${domain}`), seconds]),
  unsigned: (reason) => counted.push(['unsigned', reason]),
  deferred: (reason) => counted.push(['deferred', reason]),
  failedConnection: () => counted.push(['failed connection']),
};
const envelope = (from: string | undefined, change: Partial<Envelope> = {}): Envelope => ({
  queueId: '4Fx1',
  client: { host: 'mx.example.net', family: 'inet', address: '192.0.2.1' },
  authenticated: true,
  macros: new Map(),
  fields: from === undefined ? [] : [{ name: 'From', value: Buffer.from(from) }],
  overflow: false,
  ...change,
});
/** Takes one message; gives its replies' names. */
const take = async (
  one: Envelope,
  keys: readonly SigningKey[],
  options: Partial<MessageOptions> = {},
): Promise<string[]> => {
  const ring = createKeyRing();
  ring.replace(keys, new Map([['stopped.example/240128', 'its record is gone']]));
  let time = 5_000;
  const messages = createMessages({
    ring,
    isInternal: () => false,
    log: (line, facts) => said.push([line, facts]),
    meter,
    now: () => 0,
    // Each look at the clock is a quarter of a second later.
    monotonic: () => (time += 250),
    ...options,
  });
  const begun = messages.begin(one);
  if (begun.reply !== 'continue') return [begun.reply];
  messages.body(Buffer.from('Hello.\r\n'));
  return (await messages.finish(one.queueId, true)).map(({ reply }) => reply);
};

describe('messages in hand', () => {
  it('are counted from the end of their header to their verdict, however they end', async () => {
    const crowd = { messages: 0 };
    const ring = createKeyRing();
    ring.replace([rsa]);
    const options = { ring, isInternal: () => true, log: () => {}, now: () => 0, crowd };
    const [one, two, three] = [createMessages(options), createMessages(options), createMessages(options)];
    for (const messages of [one, two, three]) messages.begin(envelope(' jo@example.com'));
    expect(crowd.messages).toBe(3);
    one.drop();
    one.drop();
    expect(crowd.messages).toBe(2);
    const signing = two.finish('A', true);
    two.drop();
    expect(crowd.messages).toBe(2);
    await signing;
    expect(crowd.messages).toBe(1);
    three.begin(envelope(' jo@example.net'));
    await three.finish('B', true);
    await three.finish('B', true);
    expect(crowd.messages).toBe(0);
  });
});

describe('a message', () => {
  it('that is signed: a line for each signature, and its latency', async () => {
    expect(await take(envelope(' jo@example.com'), [rsa, ed25519])).toEqual([
      'insert-header',
      'insert-header',
      'accept',
    ]);
    const facts = { queueId: '4Fx1', event: 'signed', domain: 'example.com' };
    expect(said).toEqual([
      ['4Fx1: DKIM-Signature field added (s=240128, d=example.com)', { ...facts, selector: '240128' }],
      ['4Fx1: DKIM-Signature field added (s=240128e, d=example.com)', { ...facts, selector: '240128e' }],
    ]);
    expect(counted).toEqual([['signed', ['240128 example.com', '240128e example.com'], 0.25]]);
  });

  it.each<[string, Envelope, string[], string]>([
    [
      'of a stranger',
      envelope(' jo@example.com', { authenticated: false }),
      ['4Fx1: mx.example.net [192.0.2.1] not internal', '4Fx1: not authenticated'],
      'foreign',
    ],
    [
      'of another domain',
      envelope(' jo@example.org'),
      ["4Fx1: no signing table match for 'jo@example.org'"],
      'no-match',
    ],
    ['without From', envelope(undefined), ["4Fx1: can't determine message sender; accepting"], 'no-author'],
    [
      'without queue id',
      envelope(' jo@example.org', { queueId: undefined }),
      ["(unknown-jobid): no signing table match for 'jo@example.org'"],
      'no-match',
    ],
    [
      'with a queue id that would begin a line',
      envelope(' jo@example.org', { queueId: 'Q\r\nX' }),
      ["Q??X: no signing table match for 'jo@example.org'"],
      'no-match',
    ],
  ])('%s passes as it is, and is counted once', async (_, one, lines, reason) => {
    expect(await take(one, [rsa])).toEqual(['accept']);
    expect(said.map(([line]) => line)).toEqual(lines);
    expect(said.map(([, facts]) => facts?.event)).toEqual(
      lines.map((_, i) => (i === lines.length - 1 ? 'unsigned' : 'origin')),
    );
    for (const [, facts] of said)
      expect(facts).toMatchObject({ reason, queueId: expect.stringMatching(/^[ -~]+$/) });
    expect(counted).toEqual([['unsigned', reason]]);
  });

  it.each<[string, Envelope, SigningKey[], string, string]>([
    [
      'whose key must not sign',
      envelope(' jo@stopped.example'),
      [],
      'no key of stopped.example may sign (240128: its record is gone)',
      'key-unusable',
    ],
    [
      'whose key cannot sign',
      envelope(' jo@example.com'),
      [broken],
      'cannot sign (s=240128, d=example.com): its file is gone',
      'key-unusable',
    ],
    [
      'whose header is too long',
      envelope(' jo@example.com', { overflow: true }),
      [rsa],
      'header too long to sign',
      'too-long',
    ],
  ])('%s waits, or passes as the configuration says', async (_, one, keys, text, reason) => {
    expect(await take(one, keys)).toEqual(['tempfail']);
    expect(await take(one, keys, { onUnusableKey: 'unsigned' })).toEqual(['accept']);
    expect(said).toEqual([
      [`4Fx1: ${text}: message put off`, { queueId: '4Fx1', event: 'deferred', reason }],
      [`4Fx1: ${text}: passes unsigned`, { queueId: '4Fx1', event: 'unsigned', reason }],
    ]);
    expect(counted).toEqual([
      ['deferred', reason],
      ['unsigned', reason],
    ]);
  });

  it('of which one key cannot sign is signed with the other, and that is said', async () => {
    expect(await take(envelope(' jo@example.com'), [broken, ed25519])).toEqual(['insert-header', 'accept']);
    expect(said.map(([line, facts]) => [line, facts?.event])).toEqual([
      ['4Fx1: cannot sign (s=240128, d=example.com): its file is gone: signed without it', 'key-failed'],
      ['4Fx1: DKIM-Signature field added (s=240128e, d=example.com)', 'signed'],
    ]);
    expect(counted).toEqual([['signed', ['240128e example.com'], 0.25]]);
  });
});
