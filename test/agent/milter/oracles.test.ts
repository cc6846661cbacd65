// Every kind of message through the milter as an MTA would send it, and every signature before verifiers that share no
// code with us.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sendThroughMilter } from '../../../agent/milter/client.ts';
import { type Milter, startMilter } from '../../../agent/milter/server.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import type { Canonicalization } from '../../../core/dkim/signature-header.ts';
import * as dkimpy from '../../oracles/dkimpy.ts';
import * as mailauth from '../../oracles/mailauth.ts';
import { messages } from '../../oracles/messages.ts';
import * as opendkim from '../../oracles/opendkim.ts';
import { lines, type OracleResult, type Records, recordsOf, testKey } from '../../oracles/records.ts';
import { describeWith } from '../../tools/machine.ts';

type Verify = (raw: Uint8Array, records: Records) => Promise<OracleResult[]>;

const keys = [testKey('example.com', '240128'), testKey('example.com', '240128e', 'ed25519')];
const records = recordsOf(...keys);
const ring = createKeyRing();
ring.replace(keys);

const milters = new Map<Canonicalization, Milter>();
beforeAll(async () => {
  for (const canonicalization of ['relaxed/relaxed', 'relaxed/simple'] as const)
    milters.set(
      canonicalization,
      await startMilter({
        listen: { host: '127.0.0.1', port: 0 },
        ring,
        canonicalization,
        now: () => Date.now(),
        log: () => undefined,
      }),
    );
});
afterAll(async () => {
  for (const milter of milters.values()) await milter.close();
});

const signed = async (canonicalization: Canonicalization, raw: Uint8Array): Promise<Uint8Array> => {
  const answer = await sendThroughMilter(
    { host: '127.0.0.1', port: milters.get(canonicalization)?.port ?? 0 },
    { macros: { i: 'Q1' }, from: 'jo@example.com', to: ['rcpt@example.org'], raw },
  );
  expect(answer.verdict).toBe('accept');
  return answer.raw;
};

/** The message with one byte of `part` changed. */
const forged = (raw: Uint8Array, from: string, to: string): Uint8Array =>
  Buffer.from(Buffer.from(raw).toString('latin1').replace(from, to), 'latin1');

const suite = (verify: Verify, leftOut: readonly string[] = []): void => {
  const corpus = Object.entries(messages).filter(([name]) => !leftOut.includes(name));
  for (const kind of ['relaxed/relaxed', 'relaxed/simple'] as const)
    it.each(corpus)(`passes, ${kind}: %s`, async (_, raw) => {
      expect(lines(await verify(await signed(kind, raw), records))).toEqual([
        '240128 example.com pass',
        '240128e example.com pass',
      ]);
    });

  it.each([
    ['a changed body', 'Hello.', 'Hallo.'],
    ['a changed subject', 'Subject: a test', 'Subject: a jest'],
    ['a second From above: oversigned', 'From: Jo', 'From: x@example.net\r\nFrom: Jo'],
    ['a second From below', 'To: rcpt', 'From: x@example.net\r\nTo: rcpt'],
  ])('does not pass with %s', async (_, from, to) => {
    const results = await verify(
      forged(await signed('relaxed/relaxed', messages.plain ?? Buffer.alloc(0)), from, to),
      records,
    );
    expect(results).toHaveLength(2);
    for (const { result } of results) expect(result).not.toBe('pass');
  });

  it('does not pass with another key published', async () => {
    const others = recordsOf(
      { ...testKey('example.net', 'other'), domain: 'example.com', selector: '240128' },
      { ...testKey('example.net', 'other', 'ed25519'), domain: 'example.com', selector: '240128e' },
    );
    const results = await verify(await signed('relaxed/relaxed', messages.plain ?? Buffer.alloc(0)), others);
    expect(results).toHaveLength(2);
    for (const { result } of results) expect(result).not.toBe('pass');
  });
};

describe('signatures before mailauth', () => suite(mailauth.verify));
describeWith(['dkimpy'], 'signatures before dkimpy', () => suite(dkimpy.verify));
// OpenDKIM 2.11 says nothing at all of two signatures over a body without final CRLF (of one it says pass). SMTP cannot
// carry such a body: RFC 5321 §4.1.1.4.
describeWith(['opendkim'], 'signatures before OpenDKIM', () => suite(opendkim.verify, ['no final CRLF']));
