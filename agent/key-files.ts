// The folder of private keys: one file for each, named by the hash of its content, so that a damaged one is known for what
// it is. Parsed keys are kept for a while, within a bound. Touches that folder only.
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { checkJson } from '../contract/check.ts';
import { keyFacts } from '../contract/manifest.ts';
import { algorithms } from '../core/algorithm.ts';
import { SelkieError } from '../core/errors.ts';
import { hostKeyName } from '../core/key/evidence.ts';
import { readIfThere, syncFolder, writeSynced } from './files.ts';
import type { KeyFacts } from './key-facts.ts';

/** A key whose private half is in `file`. */
export interface FiledKey extends KeyFacts {
  readonly file: string;
}

export interface KeyFiles {
  /** On the disk when this returns, though not yet its name (`syncFolder`). @returns its file, and PKCS#8 DER as read back */
  write(key: KeyFacts & { readonly privateKey: string }): Promise<{ file: string; privateKey: Uint8Array }>;
  /** What a file says; undefined where it is missing or not as it was written. @throws where the disk fails to read: the file may be good */
  facts(file: string): Promise<KeyFacts | undefined>;
  /**
   * The private key, kept from before or read now.
   * @throws SelkieError invalid where the file is missing or damaged; unavailable where the disk fails to read
   */
  load(key: FiledKey): Promise<KeyObject>;
  /** Whether the file is there and as it was written. @throws where the disk fails to read: the file may be good */
  isWhole(file: string): Promise<boolean>;
  list(): Promise<string[]>;
  /** Gone from the folder on the disk when this returns. Who was given a key before may still load it. */
  erase(files: readonly string[]): Promise<void>;
}

export interface KeyFilesOptions {
  readonly folder: string;
  /** How many parsed keys are kept; an RSA-2048 key takes about 5 KB. */
  readonly kept: number;
  /** A file turned out to be missing or damaged. */
  readonly damaged: (file: string) => void;
}

export const damage = "This key's file on the host is missing or damaged: send it again.";

export const fileName = /^[0-9a-f]{64}\.key$/;

const keyFile = z.strictObject({ ...keyFacts, privateKey: z.string() });

const nameOf = (content: string): string => `${createHash('sha256').update(content).digest('hex')}.key`;

const sameKey = (a: KeyFacts, b: KeyFacts): boolean =>
  a.domain === b.domain &&
  a.selector === b.selector &&
  a.algorithm === b.algorithm &&
  a.publicKey === b.publicKey;

export const openKeyFiles = ({ folder, kept, damaged }: KeyFilesOptions): KeyFiles => {
  /** Least recently used first. */
  const parsed = new Map<string, KeyObject>();
  const loading = new Map<string, Promise<KeyObject>>();

  const read = async (file: string): Promise<z.infer<typeof keyFile> | undefined> => {
    const content = await readIfThere(join(folder, file));
    if (content === undefined || file !== nameOf(content)) return undefined;
    return checkJson(keyFile, content, 'The key file');
  };

  const keep = (file: string, key: KeyObject): void => {
    parsed.delete(file);
    parsed.set(file, key);
    for (const oldest of parsed.keys()) {
      if (parsed.size <= kept) break;
      parsed.delete(oldest);
    }
  };

  const readAndParse = async (key: FiledKey): Promise<KeyObject> => {
    const name = hostKeyName(key.domain, key.selector);
    let found: Awaited<ReturnType<typeof read>>;
    try {
      found = await read(key.file);
    } catch (cause) {
      throw new SelkieError('unavailable', `The key file of ${name} cannot be read: check the disk.`, {
        cause,
      });
    }
    try {
      if (found !== undefined && sameKey(found, key)) {
        const der = Buffer.from(found.privateKey, 'base64');
        const object = createPrivateKey({ key: der, type: 'pkcs8', format: 'der' });
        if (object.asymmetricKeyType === algorithms[key.algorithm].keyType) return object;
      }
    } catch {
      // Not PKCS#8: OpenSSL's own words may quote what it read.
    }
    damaged(key.file);
    throw new SelkieError('invalid', `The key file of ${name} is missing or damaged.`);
  };

  return {
    async write({ domain, selector, algorithm, publicKey, privateKey }) {
      const content = JSON.stringify({ domain, selector, algorithm, publicKey, privateKey });
      const file = nameOf(content);
      await writeSynced(join(folder, file), content);
      const written = await read(file);
      if (written === undefined)
        throw new SelkieError(
          'unavailable',
          `${folder} does not give back what was written: check the disk.`,
        );
      return { file, privateKey: Buffer.from(written.privateKey, 'base64') };
    },
    async facts(file) {
      const found = await read(file);
      if (found === undefined) return undefined;
      const { privateKey: _, ...facts } = found;
      return facts;
    },
    async load(key) {
      const before = parsed.get(key.file);
      if (before !== undefined) {
        keep(key.file, before);
        return before;
      }
      const underWay = loading.get(key.file) ?? readAndParse(key);
      loading.set(key.file, underWay);
      try {
        const object = await underWay;
        keep(key.file, object);
        return object;
      } finally {
        loading.delete(key.file);
      }
    },
    async isWhole(file) {
      const content = await readIfThere(join(folder, file));
      return content !== undefined && file === nameOf(content);
    },
    list: () => readdir(folder),
    async erase(files) {
      if (files.length === 0) return;
      // Whoever took a key out of the ring before it was swapped has begun to load it.
      await Promise.allSettled(loading.values());
      for (const file of files) {
        parsed.delete(file);
        // Overwriting first would promise more than journals and flash can keep.
        await rm(join(folder, file), { force: true });
      }
      await syncFolder(folder);
    },
  };
};
