// The contract of `BundleSigner`, for every adapter.
import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import type { BundleSigner } from '../../contract/bundle.ts';

export interface BundleSignerHarness {
  /** A signer on the same key each time, as another worker would open it. */
  readonly open: () => BundleSigner;
}

const base64url = (data: string | Uint8Array): string => Buffer.from(data).toString('base64url');

export const bundleSignerContract = (name: string, start: () => Promise<BundleSignerHarness>): void => {
  describe(`${name} as BundleSigner`, () => {
    let harness: BundleSignerHarness;
    beforeAll(async () => {
      harness = await start();
    });

    test('shows a P-256 key by its RFC 7638 thumbprint, and nothing private', async () => {
      const jwk = await harness.open().publicKey();
      expect(Object.keys(jwk).toSorted()).toEqual(['crv', 'kid', 'kty', 'x', 'y']);
      expect(jwk).toMatchObject({ kty: 'EC', crv: 'P-256' });
      expect(jwk.kid).toBe(await calculateJwkThumbprint(jwk, 'sha256'));
    });

    test('is the same key each time, for every worker', async () => {
      const [one, ...rest] = await Promise.all([1, 2, 3].map(() => harness.open().publicKey()));
      for (const other of rest) expect(other).toEqual(one);
    });

    test('signs as ES256: r‖s, 64 bytes, of the SHA-256 of the data', async () => {
      const signer = harness.open();
      const key = createPublicKey({ key: await signer.publicKey(), format: 'jwk' });
      // Many, since 1 signature in 128 has a short integer.
      for (let i = 0; i < 40; i++) {
        const data = randomBytes(1 + i * 17);
        const signature = await signer.sign(data);
        expect(signature).toHaveLength(64);
        expect(verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
        data.writeUInt8(data.readUInt8(0) ^ 1, 0);
        expect(verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature)).toBe(false);
      }
    });

    test('makes a JWS that jose verifies', async () => {
      const signer = harness.open();
      const jwk = await signer.publicKey();
      const input = `${base64url(JSON.stringify({ alg: 'ES256', kid: jwk.kid }))}.${base64url('{"n":1}')}`;
      const jws = `${input}.${base64url(await signer.sign(Buffer.from(input)))}`;
      const verified = await compactVerify(jws, await importJWK(jwk, 'ES256'), { algorithms: ['ES256'] });
      expect(new TextDecoder().decode(verified.payload)).toBe('{"n":1}');
    });

    test('signs 4,096 bytes and refuses one more', async () => {
      const signer = harness.open();
      await expect(signer.sign(new Uint8Array(4_096))).resolves.toHaveLength(64);
      await expect(signer.sign(new Uint8Array(4_097))).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringContaining('4096'),
      });
    });
  });
};
