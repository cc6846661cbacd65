// The bundle signer on a key file. May touch its folder only.
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BundleSigner } from '../../contract/bundle.ts';
import { SelkieError } from '../../core/errors.ts';
import { bundleJwk, requireSignable } from '../bundle-jwk.ts';
import { fileError, privateFolder, readPrivate, writeOnce } from './private-file.ts';

const pair = promisify(generateKeyPair);
const signAsync = promisify(sign);

/**
 * Signs with a P-256 key in `<folder>/<name>.key` (PKCS#8 DER, 0600), made at first use; two names are two keys, of which
 * one may follow the other. Several processes may use one folder at once.
 *
 * Beside the port's errors its methods throw denied where other users can reach the folder or the file (the sentence has
 * the `chmod`), and invalid where the file is damaged.
 */
export const openBundleSigner = (folder: string, name = 'bundle-signer'): BundleSigner => {
  const file = join(folder, `${name}.key`);

  const readKey = async (): Promise<KeyObject> => {
    await privateFolder(folder);
    let der = await readPrivate(file);
    if (der === undefined) {
      const { privateKey } = await pair('ec', { namedCurve: 'P-256' });
      await writeOnce(file, privateKey.export({ type: 'pkcs8', format: 'der' }));
      // Read back: another process may have been first.
      der = await readPrivate(file);
    }
    try {
      const key = createPrivateKey({ key: Buffer.from(der ?? []), type: 'pkcs8', format: 'der' });
      bundleJwk(createPublicKey(key));
      return key;
    } catch {
      throw new SelkieError(
        'invalid',
        `${file} is not a P-256 key in PKCS#8 DER: restore it from a backup. With a new one, each host must be enrolled again.`,
      );
    }
  };

  let known: Promise<KeyObject> | undefined;
  const key = (): Promise<KeyObject> => {
    known ??= readKey().catch((error: unknown) => {
      // Forgotten, so that after a `chmod` the next call looks again.
      known = undefined;
      throw fileError(`The bundle key ${file} could not be read`, error);
    });
    return known;
  };

  return {
    publicKey: async () => bundleJwk(createPublicKey(await key())),
    async sign(data) {
      requireSignable(data);
      return new Uint8Array(await signAsync('sha256', data, { key: await key(), dsaEncoding: 'ieee-p1363' }));
    },
  };
};
