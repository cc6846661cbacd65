// What the answers of a zone's servers mean for a key that signs: one row a case.
import { describe, expect, it } from 'vitest';
import type { ServerAnswer } from '../../adapters/dns/authority.ts';
import { verdictOn } from '../../agent/record-verdict.ts';
import { buildTombstone } from '../../core/dkim/key-record.ts';
import { seconds } from '../../core/time.ts';
import { makeKey } from '../tools/sealed.ts';

const { publicKey } = makeKey('example.com', '240128e');
const other = makeKey('example.com', '240428e').publicKey;
const record = '240128e._domainkey.example.com';

const txt = (...values: readonly string[]): ServerAnswer['answer'] => ({
  kind: 'txt',
  set: { ttl: seconds(300), values },
});
const ours = txt(`v=DKIM1; k=ed25519; p=${publicKey}`);
const another = txt(`v=DKIM1; k=ed25519; p=${other}`);
const tombstone = txt(buildTombstone('ed25519'));
const absent = { kind: 'no-such-name' } as const;
const noData = { kind: 'no-data' } as const;
const wildcard = txt('v=spf1 -all');
const silent = { kind: 'failed', why: 'no answer within 2 s' } as const;

const rows: readonly [string, string, readonly ServerAnswer['answer'][], RegExp?][] = [
  ['all show it', 'sound', [ours, ours, ours, ours]],
  ['one shows it, the others are silent', 'sound', [ours, silent, silent, silent]],
  ['it is written with white space in p=', 'sound', [txt(`v=DKIM1; p=${publicKey.replace(/^..../, '$& ')}`)]],
  ['another record stands beside it', 'sound', [txt('v=spf1 -all', `v=DKIM1; k=ed25519; p=${publicKey}`)]],
  ['all are silent', 'unknown', [silent, silent], /no name server tells .*: ns1 no answer within 2 s; ns2/],
  [
    'one of four says that it is absent, three are silent',
    'unknown',
    [absent, silent, silent, silent],
    /only 1 of 4/,
  ],
  ['two of four say so, two are silent', 'unknown', [absent, absent, silent, silent], /only 2 of 4/],
  ['one of two says so', 'unknown', [absent, silent], /only 1 of 2/],
  ['one lags behind: absent', 'mixed', [ours, absent, ours, ours], /missing or another at ns2 only/],
  ['only one shows it', 'mixed', [absent, absent, ours, absent]],
  ['one shows a wildcard', 'mixed', [ours, wildcard]],
  ['one shows another key', 'mixed', [ours, another]],
  [
    'all say that it is absent',
    'gone',
    [absent, noData, absent],
    /on none of its name servers \(ns1, ns2, ns3\)/,
  ],
  ['three of four say so, one is silent', 'gone', [absent, absent, silent, absent]],
  ['the only server says so', 'gone', [absent]],
  ['all show another key', 'gone', [another, another], /does not have this key \(p=\) at ns1, ns2/],
  ['all show a wildcard', 'gone', [wildcard, wildcard], /does not have this key/],
  ['absent here, another there', 'gone', [another, absent], /at ns1$/],
  ['all show the tombstone', 'gone', [tombstone, tombstone], /is revoked \(p= is empty\) at ns1, ns2/],
  ['one shows the tombstone already', 'gone', [ours, ours, tombstone, ours], /is revoked .* at ns3/],
  ['one shows the tombstone, the others are silent', 'gone', [silent, tombstone, silent]],
];

describe('a key that signs, where', () => {
  it.each(rows)('%s: %s', (_, kind, given, why = /^/) => {
    const answers = given.map((answer, i) => ({
      server: `ns${i + 1}`,
      address: `192.0.2.${i + 1}#53`,
      answer,
    }));
    const verdict = verdictOn(record, publicKey, answers);
    expect(verdict.kind).toBe(kind);
    expect('why' in verdict ? verdict.why : '').toMatch(why);
  });

  it('a server counts once, at however many addresses it is silent', () => {
    const at = (server: string, address: string, answer: ServerAnswer['answer']) => ({
      server,
      address,
      answer,
    });
    const answers = [
      at('ns1', '192.0.2.1#53', absent),
      at('ns1', '2001:db8::1#53', absent),
      at('ns2', '192.0.2.2#53', silent),
    ];
    expect(verdictOn(record, publicKey, answers).kind).toBe('unknown');
  });

  it('the sentence stays short, however many servers there are', () => {
    const answers = Array.from({ length: 200 }, (_, i) => ({
      server: `${'a'.repeat(60)}.ns${i}.example.net`,
      address: '192.0.2.1#53',
      answer: absent,
    }));
    const verdict = verdictOn(record, publicKey, answers);
    expect('why' in verdict && verdict.why.length).toBeLessThan(800);
  });
});
