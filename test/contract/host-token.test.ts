import fc from 'fast-check';
import { base64url, CompactSign } from 'jose';
import { describe, expect, it } from 'vitest';
import { type Acknowledgement, signAck, verifyAck } from '../../contract/acknowledgement.ts';
import { type Pull, signPull, verifyPull } from '../../contract/pull.ts';
import { SelkieError } from '../../core/errors.ts';
import { add, days, instant, seconds } from '../../core/time.ts';
import { makeHost, noon, skew } from '../tools/sealed.ts';

const host = makeHost();
const stranger = makeHost();
const options = { host: host.name, signingKey: host.signingKey, now: noon, skew };

const acknowledgement: Acknowledgement = {
  iss: host.name,
  iat: noon / 1000,
  nonce: 'nonce-0001',
  cursor: { epoch: 1, n: 4 },
  incarnation: 'incarnation-1',
  complete: true,
  failed: { 'example.com/240128e': 'does not match' },
  queueLifetime: days(5),
  lastUse: { 'example.com/240101': noon },
};
const pull: Pull = {
  iss: host.name,
  aud: 'selkie',
  iat: noon / 1000,
  nonce: 'nonce-0001',
  incarnation: 'incarnation-1',
  cursor: null,
};

const refused = async (promise: Promise<unknown>, code: string, sentence: RegExp) => {
  const error = await promise.then(
    () => expect.unreachable('it was taken'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SelkieError);
  expect((error as SelkieError).message).toMatch(sentence);
  expect((error as SelkieError).code).toBe(code);
};

const raw = (header: { alg: string; typ?: string }, claims: unknown) =>
  new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader(header)
    .sign(host.signingPrivate);

it.each([
  ['selkie-ack+jws', verifyAck, acknowledgement],
  ['selkie-pull+jws', verifyPull, pull],
] as const)(
  '%s in the name of another is refused on one line, whatever that name is',
  async (typ, verify, claims) => {
    const jws = await raw({ alg: 'EdDSA', typ }, { ...claims, iss: 'mx2\nmx1: all is well' });
    await refused(
      verify(jws, options),
      'untrusted',
      /comes from host mx2\?mx1: all is well; mx1.* was expected.$/,
    );
  },
);

describe('an acknowledgement', () => {
  it('is taken from its host', async () => {
    expect(await verifyAck(await signAck(acknowledgement, host.signingPrivate), options)).toEqual(
      acknowledgement,
    );
  });

  it('may say more than we know: an agent may be newer', async () => {
    const jws = await raw({ alg: 'EdDSA', typ: 'selkie-ack+jws' }, { ...acknowledgement, weather: 'fair' });
    expect(await verifyAck(jws, options)).toEqual(acknowledgement);
  });

  it('by another key is refused', async () =>
    refused(
      signAck(acknowledgement, stranger.signingPrivate).then((jws) => verifyAck(jws, options)),
      'untrusted',
      /not signed with the key of host mx1/,
    ));

  it('in the name of another host is refused', async () =>
    refused(
      signAck({ ...acknowledgement, iss: 'mx2' }, host.signingPrivate).then((jws) => verifyAck(jws, options)),
      'untrusted',
      /comes from host mx2/,
    ));

  it('is no pull, and a pull is none', async () => {
    const ack = await signAck(acknowledgement, host.signingPrivate);
    await refused(verifyPull(ack, options), 'untrusted', /typ/);
    await refused(verifyAck(await signPull(pull, host.signingPrivate), options), 'untrusted', /typ/);
  });

  it.each([
    [seconds(300), 'taken'],
    [seconds(301), /PT5M1S ahead of/],
    [-seconds(300), 'taken'],
    [-seconds(301), /PT5M1S behind/],
  ])('dated %d ms from our clock: %s', async (off, outcome) => {
    const jws = await signAck({ ...acknowledgement, iat: (noon + off) / 1000 }, host.signingPrivate);
    if (outcome instanceof RegExp) await refused(verifyAck(jws, options), 'untrusted', outcome);
    else await expect(verifyAck(jws, options)).resolves.toBeDefined();
  });

  it.each([
    ['a cursor without number', { cursor: { epoch: 1 } }, /cursor\.n/],
    ['no incarnation', { incarnation: undefined }, /incarnation/],
    ['a key that has no name', { failed: { x: 'y' } }, /failed/],
    ['a lifetime below zero', { queueLifetime: -1 }, /queueLifetime/],
    ['a time in words', { lastUse: { 'example.com/a': 'today' } }, /lastUse/],
  ])('with %s is refused', async (_, change, sentence) =>
    refused(
      raw({ alg: 'EdDSA', typ: 'selkie-ack+jws' }, { ...acknowledgement, ...change }).then((jws) =>
        verifyAck(jws, options),
      ),
      'invalid',
      sentence,
    ),
  );

  it('without algorithm or type is refused', async () => {
    const claims = base64url.encode(JSON.stringify(acknowledgement));
    const none = `${base64url.encode('{"alg":"none","typ":"selkie-ack+jws"}')}.${claims}.`;
    await refused(verifyAck(none, options), 'untrusted', /alg/);
    await refused(
      raw({ alg: 'EdDSA' }, acknowledgement).then((jws) => verifyAck(jws, options)),
      'untrusted',
      /typ/,
    );
  });

  it('too long is refused unread', async () =>
    refused(verifyAck('x'.repeat(2 ** 21), options), 'invalid', /over/));

  it('changed anywhere is refused in our own words', async () => {
    const jws = await signAck(acknowledgement, host.signingPrivate);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(jws.length - 1),
        fc.string({ maxLength: 3 }),
        fc.nat(3),
        async (at, put, cut) => {
          const outcome = await verifyAck(jws.slice(0, at) + put + jws.slice(at + cut), options).catch(
            (error: unknown) => error,
          );
          if (!(outcome instanceof SelkieError)) expect(outcome).toEqual(acknowledgement);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('with any signed claims is judged in our own words', async () => {
    const names = fc.constantFrom(
      'iss',
      'iat',
      'nonce',
      'cursor',
      'incarnation',
      'complete',
      'failed',
      'lastUse',
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(names, fc.jsonValue()), async (change) => {
        const jws = await raw({ alg: 'EdDSA', typ: 'selkie-ack+jws' }, { ...acknowledgement, ...change });
        const outcome = await verifyAck(jws, options).catch((error: unknown) => error);
        if (!(outcome instanceof SelkieError)) expect(outcome).toMatchObject({ iss: host.name });
      }),
      { numRuns: 300 },
    );
  });
});

describe('a pull', () => {
  it('is taken from its host', async () =>
    expect(await verifyPull(await signPull(pull, host.signingPrivate), options)).toEqual(pull));

  it('to another audience is refused', async () =>
    refused(
      raw({ alg: 'EdDSA', typ: 'selkie-pull+jws' }, { ...pull, aud: 'other' }).then((jws) =>
        verifyPull(jws, options),
      ),
      'invalid',
      /aud/,
    ));

  it('that is old is refused', async () =>
    refused(
      signPull(pull, host.signingPrivate).then((jws) =>
        verifyPull(jws, { ...options, now: add(instant(noon), skew, seconds(1)) }),
      ),
      'untrusted',
      /behind our clock/,
    ));
});
