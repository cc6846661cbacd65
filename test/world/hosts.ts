// Simulated mail hosts: each opens real bundles and answers with real acknowledgements. A host that is down does neither.

import type { webcrypto } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { signAck } from '../../contract/acknowledgement.ts';
import { type BundleSigner, openBundle } from '../../contract/bundle.ts';
import { SelkieError } from '../../core/errors.ts';
import type { Duty } from '../../core/key/evidence.ts';
import type { FleetHost } from '../../core/policy.ts';
import { type Instant, minutes } from '../../core/time.ts';
import type { HostTransport } from '../../engine/ports.ts';

const { subtle } = globalThis.crypto;

export const createSigner = async (): Promise<BundleSigner> => {
  const pair = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const { x = '', y = '' } = await subtle.exportKey('jwk', pair.publicKey);
  const jwk = { kty: 'EC', crv: 'P-256', x, y } as const;
  const kid = await calculateJwkThumbprint(jwk);
  return {
    publicKey: async () => ({ kid, ...jwk }),
    sign: async (data) =>
      new Uint8Array(
        await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, pair.privateKey, new Uint8Array(data)),
      ),
  };
};

export interface SimulatedHost {
  readonly fleet: FleetHost;
  /** As its fleet entry says. */
  keyTypes: FleetHost['keyTypes'];
  /** `domain/selector` → duty. */
  readonly holds: ReadonlyMap<string, Duty>;
  down: boolean;
  /** It falls silent as soon as it is told to stop signing with a key. */
  downFrom: 'switch' | undefined;
  /** Adopted keys that it never had: `domain/selector`. */
  readonly lacks: Set<string>;
  answer(bundle: string): Promise<string>;
}

const jwkPair = async (name: 'X25519' | 'Ed25519'): Promise<{ secret: JWK; x: string }> => {
  const uses: webcrypto.KeyUsage[] = name === 'X25519' ? ['deriveBits'] : ['sign', 'verify'];
  const pair = (await subtle.generateKey(name, true, uses)) as webcrypto.CryptoKeyPair;
  const { kty, crv, x = '', d = '' } = await subtle.exportKey('jwk', pair.privateKey);
  return { secret: { kty: kty ?? 'OKP', crv: crv ?? name, x, d }, x };
};

export const createHost = async (
  name: string,
  pool: string,
  signer: BundleSigner,
  now: () => Instant,
): Promise<SimulatedHost> => {
  const [sealing, signing] = [await jwkPair('X25519'), await jwkPair('Ed25519')];
  const trusted = [await signer.publicKey()];
  const failed = new Map<string, string>();
  const holds = new Map<string, Duty>();
  const host: SimulatedHost = {
    keyTypes: undefined,
    holds,
    get fleet() {
      const { keyTypes } = host;
      const endpoint = `https://${name}:8443`;
      const entry = { name, pool, endpoint, encryptionKey: sealing.x, signingKey: signing.x };
      return keyTypes === undefined ? entry : { ...entry, keyTypes };
    },
    down: false,
    downFrom: undefined,
    lacks: new Set(),
    answer: async (bundle) => {
      const { manifest, payload } = await openBundle(bundle, {
        encryptionKey: sealing.secret,
        host: name,
        trusted,
        now: now(),
        skew: minutes(5),
      });
      if (host.downFrom === 'switch' && payload.changes.some(({ duty }) => duty === 'signing'))
        throw new SelkieError('host.unreachable', `${name} does not answer: is it up?`);
      for (const { domain, selector, duty, adopted } of payload.changes) {
        const key = `${domain}/${selector}`;
        if (adopted === true && duty !== 'none' && host.lacks.has(key)) failed.set(key, 'it is not here');
        else failed.delete(key);
        if (duty === 'none') holds.delete(key);
        else holds.set(key, duty);
      }
      return signAck(
        {
          iss: name,
          iat: now() / 1_000,
          nonce: manifest.nonce,
          cursor: manifest.place,
          incarnation: `store-of-${name.replaceAll('.', '-')}`,
          complete: true,
          failed: Object.fromEntries(failed),
        },
        signing.secret,
      );
    },
  };
  return host;
};

export const createTransport = (hosts: ReadonlyMap<string, SimulatedHost>): HostTransport => ({
  push: async ({ name }, bundle) => {
    const host = hosts.get(name);
    if (host === undefined || host.down)
      throw new SelkieError('host.unreachable', `${name} does not answer: is it up?`);
    return host.answer(bundle);
  },
});
