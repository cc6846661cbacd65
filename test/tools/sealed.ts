// Makes, at run time, what a sealed bundle needs: a signer of manifests, a mail host's keys, signing keys, a valid bundle.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { type BundleSigner, sealBundle } from '../../contract/bundle.ts';
import type { KeyChange, Manifest } from '../../contract/manifest.ts';
import type { Algorithm } from '../../core/algorithm.ts';
import type { Duty } from '../../core/key/evidence.ts';
import { type Instant, instant, minutes } from '../../core/time.ts';

export const noon: Instant = instant(Date.UTC(2024, 0, 28, 12));
export const skew = minutes(5);

export interface TestSigner extends BundleSigner {
  readonly jwk: JWK;
  readonly privateKey: KeyObject;
}

export const makeSigner = async (): Promise<TestSigner> => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const jwk = { kty: 'EC', crv: 'P-256', x, y } as const;
  const kid = await calculateJwkThumbprint(jwk);
  return {
    jwk,
    privateKey,
    publicKey: async () => ({ ...jwk, kid }),
    sign: async (data) =>
      new Uint8Array(sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
  };
};

const okp = (type: 'x25519' | 'ed25519'): { readonly private: JWK; readonly x: string } => {
  const jwk =
    type === 'x25519'
      ? generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' })
      : generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return { private: jwk as JWK, x: jwk.x ?? '' };
};

export const makeHost = (name = 'mx1.example.com') => {
  const encryption = okp('x25519');
  const signing = okp('ed25519');
  return {
    name,
    pool: 'main',
    encryptionKey: encryption.x,
    signingKey: signing.x,
    encryptionPrivate: encryption.private,
    signingPrivate: signing.private,
  };
};

export const makeKey = (
  domain: string,
  selector: string,
  duty: Duty = 'standby',
  algorithm: Algorithm = 'ed25519',
): KeyChange & { readonly privateKey: string } => {
  const { privateKey, publicKey } =
    algorithm === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return {
    domain,
    selector,
    algorithm,
    duty,
    publicKey: spki.subarray(algorithm === 'ed25519' ? 12 : 0).toString('base64'),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
  };
};

export const publicOf = (change: { readonly privateKey: string }): KeyObject =>
  createPublicKey(
    createPrivateKey({ key: Buffer.from(change.privateKey, 'base64'), type: 'pkcs8', format: 'der' }),
  );

/** Without the private key: what a later change of duty says. */
export const turned = ({ privateKey: _, ...change }: KeyChange, duty: Duty): KeyChange => ({
  ...change,
  duty,
});

export const fields = (change: Partial<SealFields> = {}, at: Instant = noon): SealFields => ({
  place: { epoch: 1, n: 1 },
  from: null,
  nonce: randomUUID(),
  iat: at / 1000,
  exp: (at + minutes(10)) / 1000,
  ...change,
});

type SealFields = Omit<Manifest, 'aud' | 'sha256'>;

export const seal = (
  host: { readonly name: string; readonly encryptionKey: string },
  signer: BundleSigner,
  changes: readonly KeyChange[],
  manifest: SealFields = fields(),
): Promise<string> => sealBundle({ host, manifest, payload: { changes }, signer });
