// Keys and seals as symbols: a private key is 32 octets of chance behind a mark, its public half their SHA-256, and a signature
// verifies where the two belong together. Real generation and real ciphers would take a day for a million rotations; the
// contract suites and the end-to-end tests run the real ones, and so does one world in some dozens (see real.ts).
//
// The mark makes a leak visible: no text that leaves the engine may hold it (invariant 9).

import { hash } from 'node:crypto';
import type { Acknowledgement } from '../../contract/acknowledgement.ts';
import type { OpenOptions } from '../../contract/bundle.ts';
import type { VerifyOptions } from '../../contract/host-token.ts';
import type { Manifest, Payload } from '../../contract/manifest.ts';
import type { Pull } from '../../contract/pull.ts';
import type { Seals } from '../../contract/seals.ts';
import { algorithms } from '../../core/algorithm.ts';
import { SelkieError } from '../../core/errors.ts';
import { instant, seconds } from '../../core/time.ts';
import type { Keys } from '../../engine/ports.ts';
import type { Random } from './random.ts';

/** 12 octets, so that its base64 is the beginning of every key's base64. */
const mark = 'PRIVATE KEY!';
const markInBase64 = Buffer.from(mark).toString('base64');

/** Whether a text gives a private key away. */
export const leaks = (text: string): boolean => text.includes(markInBase64) || text.includes(mark);

const publicHalf = (privateKey: Uint8Array): string => hash('sha256', privateKey, 'base64');

export const createSymbolicKeys = (random: Random): Keys => ({
  generate: async (algorithm) => {
    const key = new Uint8Array(32);
    key.set(Buffer.from(mark));
    key[mark.length] = algorithms[algorithm].keyType === 'rsa' ? 0 : 1;
    const view = new DataView(key.buffer);
    for (let at = mark.length + 1; at + 4 <= key.length; at += 4) view.setUint32(at, random.next() * 2 ** 32);
    return { privateKey: key };
  },
  publicOf: (privateKey) => ({
    publicKey: publicHalf(privateKey),
    fingerprint: hash('sha256', privateKey, 'hex'),
  }),
  matches: (privateKey, algorithm, publicKey) =>
    (privateKey[mark.length] === 0) === (algorithms[algorithm].keyType === 'rsa') &&
    publicHalf(privateKey) === publicKey,
});

/** What a mail host does with what crosses the wire. */
export interface HostSeals {
  open(
    bundle: string,
    options: Pick<OpenOptions, 'host' | 'now' | 'skew'>,
  ): Promise<{ manifest: Manifest; payload: Payload }>;
  acknowledge(ack: Acknowledgement): Promise<string>;
  ask(pull: Pull): Promise<string>;
}

const untrusted = (message: string): SelkieError => new SelkieError('untrusted', message);

/** Texts that only their addressee may read; the judgements on audience and time are those of contract/. */
export const symbolicSeals: Seals & HostSeals = {
  bundleKeys: async () => [],
  seal: async ({ host, manifest, payload }) =>
    JSON.stringify({ manifest: { ...manifest, aud: host.name, sha256: '' }, payload }),
  acknowledgement: async (jws, proof) => heard<Acknowledgement>(jws, proof),
  pull: async (jws, proof) => heard<Pull>(jws, proof),
  open: async (bundle, { host, now, skew }) => {
    const opened = JSON.parse(bundle) as { manifest: Manifest; payload: Payload };
    const { manifest } = opened;
    if (manifest.aud !== host) throw untrusted(`The bundle is for host ${manifest.aud}; this is ${host}.`);
    if (seconds(manifest.iat) > now + skew) throw untrusted('The manifest is not yet valid.');
    if (seconds(manifest.exp) + skew <= now) throw untrusted('The manifest has expired.');
    return opened;
  },
  acknowledge: async (ack) => JSON.stringify(ack),
  ask: async (pull) => JSON.stringify(pull),
};

const heard = <T extends { readonly iss: string; readonly iat: number }>(
  text: string,
  { host, now, skew }: VerifyOptions,
): T => {
  const claims = JSON.parse(text) as T;
  if (claims.iss !== host) throw untrusted(`it comes from host ${claims.iss}; ${host} was expected`);
  if (Math.abs(instant(seconds(claims.iat)) - now) > skew) throw untrusted(`the clock of ${host} is off`);
  return claims;
};
