// Real keys and ciphers for a simulated world: the node:crypto keys and the sealed bundles of every deployment. RSA keys
// come from a pool made at the start, since making one takes a tenth of a second; Ed25519 keys are made as they are needed.

import type { webcrypto } from 'node:crypto';
import type { JWK } from 'jose';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { signAck } from '../../contract/acknowledgement.ts';
import { openBundle } from '../../contract/bundle.ts';
import { signPull } from '../../contract/pull.ts';
import { createSeals } from '../../contract/seals.ts';
import { createSigner } from '../world/hosts.ts';
import type { Cryptography } from './parts.ts';

const { subtle } = globalThis.crypto;
/** RSA keys in the pool: a world's keys repeat after so many. */
const poolSize = 24;

const pair = async (name: 'X25519' | 'Ed25519'): Promise<{ secret: JWK; x: string }> => {
  const uses: webcrypto.KeyUsage[] = name === 'X25519' ? ['deriveBits'] : ['sign', 'verify'];
  const made = (await subtle.generateKey(name, true, uses)) as webcrypto.CryptoKeyPair;
  const { kty = 'OKP', crv = name, x = '', d = '' } = await subtle.exportKey('jwk', made.privateKey);
  return { secret: { kty, crv, x, d }, x };
};

export const createRealCryptography = async (): Promise<Cryptography> => {
  const node = createNodeKeys();
  const pool = await Promise.all(Array.from({ length: poolSize }, () => node.generate('rsa2048')));
  const signer = await createSigner();
  const trusted = [await signer.publicKey()];
  let taken = 0;
  let busy = 0;
  const counted =
    <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      busy += 1;
      try {
        return await work(...args);
      } finally {
        busy -= 1;
      }
    };
  const seals = createSeals(signer);
  return {
    isBusy: () => busy > 0,
    keys: {
      ...node,
      generate: counted(async (algorithm) => {
        if (algorithm === 'ed25519') return node.generate(algorithm);
        taken += 1;
        return pool[taken % poolSize] ?? node.generate(algorithm);
      }),
    },
    seals: {
      bundleKeys: seals.bundleKeys,
      seal: counted(seals.seal),
      acknowledgement: counted(seals.acknowledgement),
      pull: counted(seals.pull),
    },
    hostSeals: async (_name) => {
      const [sealing, signing] = [await pair('X25519'), await pair('Ed25519')];
      return {
        fleet: { encryptionKey: sealing.x, signingKey: signing.x },
        seals: {
          open: counted((bundle, { host, now, skew }) =>
            openBundle(bundle, { encryptionKey: sealing.secret, host, trusted, now, skew }),
          ),
          acknowledge: counted((ack) => signAck(ack, signing.secret)),
          ask: counted((pull) => signPull(pull, signing.secret)),
        },
      };
    },
  };
};
