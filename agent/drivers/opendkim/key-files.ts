// The private keys as OpenDKIM reads them: PEM files of its own user, 0600, in one folder of its own. Touches that folder.
import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, SelkieError } from '../../../core/errors.ts';
import type { User } from '../../accounts.ts';
import { isUnwritable, readIfThere, syncFolder, unfinished, writeSynced } from '../../files.ts';

export interface KeyFiles {
  readonly canaryKey: string;
  /** Where a key lies, or would. */
  path(key: { readonly domain: string; readonly selector: string }): string;
  /** Writes a key where it is missing or another one; `sync` makes it durable. */
  put(key: { readonly domain: string; readonly selector: string }, pem: string): Promise<void>;
  /** Whether its file is there; owner and mode are put right. What is in it, only OpenDKIM's signature can say. */
  has(key: { readonly domain: string; readonly selector: string }): Promise<boolean>;
  /** Makes written names durable. */
  sync(): Promise<void>;
  /** Erases the keys that are not named here. */
  sweep(kept: ReadonlySet<string>): Promise<void>;
}

const suffix = '.pem';
const canary = 'canary';

/** PKCS#8, as OpenDKIM's crypto library reads it. */
export const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

const isPrivateKey = (pem: string | undefined): boolean => {
  try {
    return pem !== undefined && createPrivateKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    return false;
  }
};

/**
 * The folder, made where it is missing, 0700 and of OpenDKIM's user; with a throw-away key for canaries.
 * @throws SelkieError unavailable, denied
 */
export const openKeyFiles = async (folder: string, user: User): Promise<KeyFiles> => {
  const root = process.getuid?.() === 0;
  const own = async (path: string): Promise<void> => {
    if (root) await chown(path, user.uid, user.gid);
  };
  const writeKey = async (path: string, pem: string): Promise<void> => {
    const draft = `${path}${unfinished}`;
    try {
      await writeSynced(draft, pem);
      await own(draft);
      await rename(draft, path);
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined);
      throw new SelkieError('unavailable', `The key file ${path} cannot be written: ${describe(error)}`, {
        cause: error,
      });
    }
  };
  const canaryKey = join(folder, `${canary}${suffix}`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const { mode, uid } = await stat(folder);
    if ((mode & 0o777) !== 0o700) await chmod(folder, 0o700);
    if (uid !== user.uid) await own(folder);
    for (const name of await readdir(folder))
      if (name.endsWith(unfinished))
        await rm(join(folder, name), { force: true }).catch((error: unknown) => {
          // Nothing names it: it can wait for a disk that takes writes.
          if (!isUnwritable(error)) throw error;
        });
    if (!isPrivateKey(await readIfThere(canaryKey))) {
      const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2_048 });
      await writeKey(canaryKey, pemOf(privateKey));
      await syncFolder(folder);
    }
  } catch (error) {
    if (error instanceof SelkieError) throw error;
    throw new SelkieError(
      'unavailable',
      `The folder ${folder} for OpenDKIM's keys cannot be used: ${describe(error)}`,
      {
        cause: error,
      },
    );
  }

  const setRight = async (file: string): Promise<void> => {
    const { mode, uid } = await stat(file);
    if ((mode & 0o777) !== 0o600) await chmod(file, 0o600);
    if (uid !== user.uid) await own(file);
  };
  const path: KeyFiles['path'] = ({ domain, selector }) =>
    join(folder, `${selector}._domainkey.${domain}${suffix}`);
  return {
    canaryKey,
    path,
    async put(key, pem) {
      const file = path(key);
      if ((await readIfThere(file)) !== pem) await writeKey(file, pem);
      await setRight(file);
    },
    async has(key) {
      try {
        await setRight(path(key));
        return true;
      } catch {
        return false;
      }
    },
    sync: () => syncFolder(folder),
    async sweep(kept) {
      const spare = (await readdir(folder)).filter(
        (name) => name.endsWith(suffix) && name !== `${canary}${suffix}` && !kept.has(join(folder, name)),
      );
      for (const name of spare) await rm(join(folder, name), { force: true });
      if (spare.length > 0) await syncFolder(folder);
    },
  };
};
