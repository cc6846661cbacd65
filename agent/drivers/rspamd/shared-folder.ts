// The folder that the agent writes and rspamd reads: two maps, and a key file for each key. Files take the folder's group, which
// is rspamd's; nobody else may read keys. Touches that folder only.
import { createPublicKey } from 'node:crypto';
import type { Stats } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, SelkieError } from '../../../core/errors.ts';
import { isCode, syncFolder, unfinished } from '../../files.ts';
import { sharedNames } from './configuration.ts';

export interface SharedFolder {
  readonly path: string;
  /** A file's text; empty where there is none. */
  read(name: string): Promise<string>;
  /** Whole or not at all, on the disk when this returns; rspamd may read it. */
  replace(name: string, content: string): Promise<void>;
  /** Names of the key files. */
  keys(): Promise<ReadonlySet<string>>;
  /** `p=` of the RSA key in this file; undefined where it is not whole. */
  publicKey(file: string): Promise<string | undefined>;
  /** @param pem PKCS#8 */
  writeKey(file: string, pem: string): Promise<void>;
  renameKey(file: string, to: string): Promise<void>;
  /** One key under two names. */
  linkKey(file: string, to: string): Promise<void>;
  /** Gone from the disk when this returns. */
  eraseKeys(files: readonly string[]): Promise<void>;
}

const folderOf = async (path: string): Promise<{ readonly gid: number }> => {
  let found: Stats | undefined;
  try {
    found = await stat(path);
  } catch (error) {
    if (!isCode(error, 'ENOENT'))
      throw new SelkieError('denied', `${path} cannot be used: ${describe(error)}`);
  }
  const mend = `install -d -o "$(id -un)" -g _rspamd -m 2750 ${path} ${join(path, sharedNames.keys)} (with the agent's user and rspamd's group)`;
  if (found?.isDirectory() !== true)
    throw new SelkieError(
      'not-found',
      `The folder ${path}, in which the agent hands keys to rspamd, is not there: ${mend}`,
    );
  if ((found.mode & 0o027) !== 0)
    throw new SelkieError(
      'unsafe',
      `${path} would hold private keys, but others may enter or change it: name a folder that is the agent's and rspamd's alone (rspamd.folder); if this is it, chmod 2750 ${path}`,
    );
  return { gid: found.gid };
};

/**
 * @throws SelkieError not-found where the folder is missing, unsafe where others may enter it, denied where it cannot be used;
 *   each with the command that mends it
 */
export const openSharedFolder = async (path: string): Promise<SharedFolder> => {
  const { gid } = await folderOf(path);
  const keyFolder = join(path, sharedNames.keys);
  await mkdir(keyFolder, { recursive: true, mode: 0o750 });

  /** `draft` on the disk, readable by the group. */
  const write = async (draft: string, content: string): Promise<void> => {
    const file = await open(draft, 'w', 0o600);
    try {
      const { uid } = await file.stat();
      await file.chown(uid, gid);
      await file.chmod(0o640);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  };
  const replaceIn = async (folder: string, name: string, content: string): Promise<void> => {
    const draft = join(folder, `${name}${unfinished}`);
    try {
      await write(draft, content);
      await rename(draft, join(folder, name));
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
    await syncFolder(folder);
  };
  const key = (name: string): string => join(keyFolder, name);
  // The key folder's group too, however it came to be.
  const folder = await open(keyFolder, 'r');
  try {
    const { uid, gid: present } = await folder.stat();
    if (present !== gid) await folder.chown(uid, gid);
  } finally {
    await folder.close();
  }

  return {
    path,
    async read(name) {
      try {
        return await readFile(join(path, name), 'utf8');
      } catch (error) {
        if (isCode(error, 'ENOENT')) return '';
        throw error;
      }
    },
    replace: (name, content) => replaceIn(path, name, content),
    async keys() {
      return new Set(await readdir(keyFolder));
    },
    async publicKey(name) {
      const content = await readFile(key(name), 'utf8');
      try {
        return createPublicKey(content).export({ type: 'spki', format: 'der' }).toString('base64');
      } catch {
        // OpenSSL's own words may quote what it read.
        return undefined;
      }
    },
    writeKey: (name, pem) => replaceIn(keyFolder, name, pem),
    async renameKey(name, to) {
      await rename(key(name), key(to));
      await syncFolder(keyFolder);
    },
    async linkKey(name, to) {
      try {
        await link(key(name), key(to));
      } catch (error) {
        if (!isCode(error, 'EEXIST')) throw error;
      }
    },
    async eraseKeys(files) {
      if (files.length === 0) return;
      for (const name of files) await rm(key(name), { force: true });
      await syncFolder(keyFolder);
    },
  };
};
