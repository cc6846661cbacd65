// The vault in a folder: each private key in a file of its own, sealed with AES-256-GCM under a master key that lies
// beside them. It keeps keys out of backups of other folders, search indexes and stray reads of one file; whoever can
// read the whole folder has them all. May touch its folder only.
//
//   <folder>/            0700
//     master.key         0600, 32 random bytes, made at first use
//     keys/<domain>/<selector>   0600: one byte of version, 12 of nonce, the ciphertext, 16 of tag
//
// Domain and selector are bound into each seal: a file moved to another name does not open.
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SelkieError } from '../../core/errors.ts';
import { isDnsName } from '../../core/names.ts';
import type { NewSecret, StoredSecret, Vault } from '../../engine/ports.ts';
import {
  fileError,
  isTemporaryOf,
  privateFolder,
  readPrivate,
  syncFolder,
  systemCode,
  writeOnce,
} from './private-file.ts';

const cipher = 'aes-256-gcm';
const version = 1;
const masterLength = 32;
const nonceLength = 12;
const tagLength = 16;
const headLength = 1 + nonceLength;

interface Name {
  readonly domain: string;
  readonly selector: string;
}

/** NUL is in no name, so that no two pairs give the same bytes. */
const boundTo = ({ domain, selector }: Name): Buffer =>
  Buffer.from(`selkie-vault-${version}\0${domain}\0${selector}`);

const seal = (master: KeyObject, name: Name, plain: Uint8Array): Uint8Array => {
  // Straight from the system, never through a port: a nonce that came twice would open both files. At 96 random bits,
  // 2^32 files under one master key are safe (NIST SP 800-38D §8.3).
  const nonce = randomBytes(nonceLength);
  const sealer = createCipheriv(cipher, master, nonce, { authTagLength: tagLength });
  sealer.setAAD(boundTo(name));
  return Buffer.concat([
    Buffer.of(version),
    nonce,
    sealer.update(plain),
    sealer.final(),
    sealer.getAuthTag(),
  ]);
};

const unseal = (master: KeyObject, name: Name, sealed: Uint8Array): Uint8Array | undefined => {
  if (sealed.length < headLength + tagLength || sealed[0] !== version) return undefined;
  const opener = createDecipheriv(cipher, master, sealed.subarray(1, headLength), {
    authTagLength: tagLength,
  });
  opener.setAAD(boundTo(name));
  opener.setAuthTag(sealed.subarray(-tagLength));
  try {
    return new Uint8Array(
      Buffer.concat([opener.update(sealed.subarray(headLength, -tagLength)), opener.final()]),
    );
  } catch {
    return undefined;
  }
};

/** A reference is `<domain>/<selector>`. Undefined for any other text: it becomes part of a path. */
const parseReference = (secret: string): Name | undefined => {
  const [domain, selector, ...rest] = secret.split('/');
  return domain !== undefined &&
    selector !== undefined &&
    rest.length === 0 &&
    isDnsName(domain) &&
    isDnsName(selector)
    ? { domain, selector }
    : undefined;
};

const keysIn = (folder: string): string => join(folder, 'keys');

const namesIn = async (folder: string): Promise<readonly string[]> => {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
};

/** Whether a vault in `folder` ever held a key. */
export const everHeldKeys = async (folder: string): Promise<boolean> =>
  (await namesIn(keysIn(folder))).length > 0;

/**
 * A vault in `folder`, which is made at first use. Several processes may use one folder at once.
 *
 * Beside the port's errors its methods throw:
 * - denied: the folder or the master key can be reached by other users; the sentence has the `chmod`
 * - invalid: a sealed file or the master key is damaged; the sentence names it
 * - unsafe: sealed keys are there and the master key is not
 */
export const openFileVault = (folder: string): Vault => {
  const masterFile = join(folder, 'master.key');
  const keys = keysIn(folder);
  const fileOf = ({ domain, selector }: Name): string => join(keys, domain, selector);

  const masterBytes = async (): Promise<Uint8Array> => {
    await privateFolder(folder);
    const there = await readPrivate(masterFile);
    if (there !== undefined) return there;
    const sealedBefore = (await namesIn(keys)).length > 0;
    if (!sealedBefore) await writeOnce(masterFile, randomBytes(masterLength));
    const made = await readPrivate(masterFile);
    if (made === undefined)
      throw new SelkieError(
        'unsafe',
        `${keys} holds sealed keys, but ${masterFile} is missing: restore it from a backup. A new one would not open them.`,
      );
    return made;
  };

  const readMaster = async (): Promise<KeyObject> => {
    const bytes = await masterBytes();
    if (bytes.length !== masterLength)
      throw new SelkieError(
        'invalid',
        `${masterFile} is damaged (${bytes.length} bytes where ${masterLength} belong): restore it from a backup.`,
      );
    return createSecretKey(bytes);
  };

  let known: Promise<KeyObject> | undefined;
  const master = (): Promise<KeyObject> => {
    known ??= readMaster().catch((error: unknown) => {
      // Forgotten, so that after a `chmod` the next call looks again.
      known = undefined;
      throw error;
    });
    return known;
  };

  const storeOne = async ({ domain, selector, privateKey }: NewSecret): Promise<string> => {
    const name = parseReference(`${domain}/${selector}`);
    if (name === undefined)
      throw new SelkieError('invalid', `No DNS names: domain "${domain}", selector "${selector}".`);
    try {
      const sealed = seal(await master(), name, privateKey);
      await privateFolder(join(keys, domain));
      await writeOnce(fileOf(name), sealed);
    } catch (error) {
      throw fileError(`The key of selector ${selector} of ${domain} could not be stored`, error);
    }
    return `${domain}/${selector}`;
  };

  return {
    async store(all) {
      const secrets: string[] = [];
      // One after the other: each waits for the disk.
      for (const key of all) secrets.push(await storeOne(key));
      return secrets;
    },

    async read(secret) {
      const name = parseReference(secret);
      if (name === undefined) throw new SelkieError('not-found', `The vault has no secret "${secret}".`);
      const { domain, selector } = name;
      try {
        const key = await master();
        const plain = unseal(key, name, await readFile(fileOf(name)));
        if (plain !== undefined) return plain;
      } catch (error) {
        if (systemCode(error) === 'ENOENT')
          throw new SelkieError('not-found', `The vault has no key for selector ${selector} of ${domain}.`);
        throw fileError(`The key of selector ${selector} of ${domain} could not be read`, error);
      }
      throw new SelkieError(
        'invalid',
        `The sealed key of selector ${selector} of ${domain} is damaged, or was sealed under another master key: restore ${fileOf(name)} or ${masterFile} from a backup.`,
      );
    },

    async find(domain, selector) {
      const name = parseReference(`${domain}/${selector}`);
      if (name === undefined) return undefined;
      try {
        return (await namesIn(join(keys, domain))).includes(selector) ? `${domain}/${selector}` : undefined;
      } catch (error) {
        throw fileError(`The key of selector ${selector} of ${domain} could not be looked for`, error);
      }
    },

    /** At once: a folder keeps nothing for later. */
    async destroy(secret) {
      const name = parseReference(secret);
      if (name === undefined) return;
      const home = join(keys, name.domain);
      try {
        const left = (await namesIn(home)).filter(
          (file) => file === name.selector || isTemporaryOf(name.selector, file),
        );
        for (const file of left)
          await unlink(join(home, file)).catch((error: unknown) => {
            if (systemCode(error) !== 'ENOENT') throw error;
          });
        if (left.length > 0) await syncFolder(home);
      } catch (error) {
        throw fileError(
          `The key of selector ${name.selector} of ${name.domain} could not be destroyed`,
          error,
        );
      }
    },

    async list({ after, limit }) {
      try {
        const secrets: StoredSecret[] = [];
        const from = after === undefined ? undefined : parseReference(after);
        for (const domain of (await namesIn(keys)).filter(isDnsName).toSorted()) {
          if (from !== undefined && domain < from.domain) continue;
          // Names of files that a crash left behind are no DNS names.
          for (const selector of (await namesIn(join(keys, domain))).filter(isDnsName).toSorted()) {
            if (from !== undefined && domain === from.domain && selector <= from.selector) continue;
            const last = secrets.at(-1);
            if (secrets.length >= limit && last !== undefined) return { secrets, next: last.secret };
            secrets.push({ secret: `${domain}/${selector}`, domain, selector });
          }
        }
        return { secrets };
      } catch (error) {
        throw fileError('The keys of the vault could not be listed', error);
      }
    },
  };
};
