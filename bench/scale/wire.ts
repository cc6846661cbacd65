// How many bytes a bundle has, measured on real ones: so much for itself, and so much for each change in it.

import { generateKeyPairSync } from 'node:crypto';
import type { KeyChange } from '../../contract/manifest.ts';
import { createSeals } from '../../contract/seals.ts';
import { instant, seconds } from '../../core/time.ts';
import { createHost, createSigner } from '../../test/world/hosts.ts';

export interface WireSizes {
  readonly bundle: number;
  readonly withKey: number;
  readonly withoutKey: number;
}

export const measureWire = async (): Promise<WireSizes> => {
  const now = instant(Date.UTC(2026, 10, 24));
  const signer = await createSigner();
  const host = await createHost('mx1.example', 'mx', signer, () => now);
  const seals = createSeals(signer);
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const change = (n: number, withKey: boolean): KeyChange => ({
    domain: `d${10_000 + n}.z17.example`,
    selector: '261124',
    algorithm: 'rsa2048',
    duty: withKey ? 'standby' : 'signing',
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    ...(withKey
      ? { privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64') }
      : {}),
  });
  const size = async (count: number, withKey: boolean): Promise<number> => {
    const bundle = await seals.seal({
      host: host.fleet,
      manifest: {
        place: { epoch: 1, n: 2 },
        from: { epoch: 1, n: 1 },
        nonce: 'f'.repeat(36),
        iat: now / seconds(1),
        exp: now / seconds(1) + 600,
      },
      payload: { changes: Array.from({ length: count }, (_, n) => change(n, withKey)) },
    });
    return bundle.length;
  };
  const [empty, without, withKeys] = [await size(0, false), await size(100, false), await size(100, true)];
  return { bundle: empty, withoutKey: (without - empty) / 100, withKey: (withKeys - empty) / 100 };
};
