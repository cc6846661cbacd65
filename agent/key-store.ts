// The host's key store: private keys and their duties on disk. One file for each key, named by the hash of its content,
// and an index that names them, written whole and last: whatever the index says is there, and what it does not name
// is the rest of a crash and goes away. Touches `<state folder>/keys` only.
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { check, checkJson } from '../contract/check.ts';
import { type KeyChange, keyFacts, opaque, placeSchema } from '../contract/manifest.ts';
import { SelkieError } from '../core/errors.ts';
import { type Duty, hostKeyName, type Place } from '../core/key/evidence.ts';
import type { DriverKey } from './drivers/driver.ts';
import { privateFolder, readIfThere, replaceFile, syncFolder, unfinished, writeSynced } from './files.ts';

/** A key that the store holds, its private half in `file`. */
export interface HeldKey {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: KeyChange['algorithm'];
  readonly publicKey: string;
  readonly duty: Exclude<Duty, 'none'>;
  readonly file: string;
}

/** `domain/selector` → the key; and those that cannot be used, with the reason. */
export interface KeySet {
  readonly keys: ReadonlyMap<string, HeldKey>;
  readonly failed: ReadonlyMap<string, string>;
}

/** What is remembered of the newest manifest. */
export interface Newest {
  readonly iat: number;
  readonly nonce: string;
  readonly place: Place;
  readonly part: number;
}

/** A snapshot of which some parts have come: its keys are on disk, but have no duty before the last one is there. */
export interface Staged extends KeySet {
  readonly id: string;
  readonly place: Place;
  readonly parts: number;
  readonly received: readonly number[];
}

export interface StoreState extends KeySet {
  /** Made with the store. */
  readonly incarnation: string;
  readonly cursor: Place | null;
  readonly newest: Newest | null;
  readonly staged: Staged | null;
}

export interface KeyStore {
  readonly state: StoreState;
  /**
   * Writes a private key, on the disk when this returns, and read back from there. Nothing refers to it before `commit`.
   * @returns its file and PKCS#8 DER as read
   */
  put(change: KeyChange & { readonly privateKey: string }): Promise<{ file: string; privateKey: Uint8Array }>;
  /** The new state in place of the old, in one step. */
  commit(state: StoreState): Promise<void>;
  /** Erases the files that the state does not name; gone from the disk's folder when this returns. */
  sweep(): Promise<void>;
  /** All of the state's keys, whatever their duty, with their private halves. */
  heldKeys(): readonly DriverKey[];
}

const keyFile = z.strictObject({ ...keyFacts, privateKey: z.string() });

const fileName = z.string().check(z.regex(/^[0-9a-f]{64}\.key$/));
const duty = z.enum(['standby', 'signing']);
const keySet = {
  /** File and duty by `domain/selector`; the rest is in the file, so that the index stays small. */
  keys: z.record(z.string(), z.tuple([fileName, duty])),
  failed: z.record(z.string(), z.string()),
};
const indexSchema = z.strictObject({
  version: z.literal(1),
  incarnation: opaque,
  cursor: z.nullable(placeSchema),
  newest: z.nullable(z.strictObject({ iat: z.number(), nonce: opaque, place: placeSchema, part: z.int() })),
  ...keySet,
  staged: z.nullable(
    z.strictObject({
      id: opaque,
      place: placeSchema,
      parts: z.int(),
      received: z.array(z.int()),
      ...keySet,
    }),
  ),
});

const writeSet = ({ keys, failed }: KeySet) => ({
  keys: Object.fromEntries([...keys].map(([name, key]) => [name, [key.file, key.duty] as const])),
  failed: Object.fromEntries(failed),
});

const writeIndex = ({ keys, failed, staged, ...state }: StoreState): string =>
  JSON.stringify({
    version: 1,
    ...state,
    ...writeSet({ keys, failed }),
    staged: staged === null ? null : { ...staged, ...writeSet(staged) },
  });

interface Loaded {
  readonly facts: Omit<HeldKey, 'duty' | 'file'>;
  readonly key: KeyObject;
  readonly privateKey: Uint8Array;
}

const nameOf = (content: string | Uint8Array): string =>
  `${createHash('sha256').update(content).digest('hex')}.key`;

/** Undefined where the file is missing, or not as it was written. A disk that fails to read is an error: the file may be good. */
const readKey = async (folder: string, file: string): Promise<Loaded | undefined> => {
  const content = await readIfThere(join(folder, file));
  if (content === undefined || file !== nameOf(content)) return undefined;
  const { privateKey, ...facts } = checkJson(keyFile, content, 'The key file');
  const der = Buffer.from(privateKey, 'base64');
  try {
    return { facts, privateKey: der, key: createPrivateKey({ key: der, type: 'pkcs8', format: 'der' }) };
  } catch {
    throw new SelkieError(
      'invalid',
      `The private key of ${hostKeyName(facts.domain, facts.selector)} is not PKCS#8.`,
    );
  }
};

/** A host of 100,000 domains starts in a third of the time that one by one takes. */
const readsAtOnce = 64;

const damaged = "This key's file on the host is missing or damaged: send it again.";

/** Reads what the index names; what cannot be read is a key that failed, and the others go on. */
const readSet = async (
  folder: string,
  set: {
    readonly keys: Record<string, readonly [string, HeldKey['duty']]>;
    readonly failed: Record<string, string>;
  },
  objects: Map<string, KeyObject>,
): Promise<KeySet> => {
  const keys = new Map<string, HeldKey>();
  const failed = new Map(Object.entries(set.failed));
  const entries = Object.entries(set.keys);
  for (let i = 0; i < entries.length; i += readsAtOnce)
    await Promise.all(
      entries.slice(i, i + readsAtOnce).map(async ([name, [file, duty]]) => {
        const loaded = await readKey(folder, file);
        if (loaded === undefined) {
          failed.set(name, damaged);
        } else {
          objects.set(file, loaded.key);
          keys.set(name, { ...loaded.facts, duty, file });
        }
      }),
    );
  return { keys, failed };
};

/**
 * Opens the store in `dir`, as the last commit left it; makes one where there is none. One process at a time (lock.ts).
 * @param id a fresh identifier: the incarnation of a new store
 * @throws SelkieError invalid where the index is damaged; unsafe where others may enter the folder
 */
export const openKeyStore = async (dir: string, id: () => string): Promise<KeyStore> => {
  const folder = join(dir, 'keys');
  const index = join(dir, 'index.json');
  await privateFolder(dir);
  await privateFolder(folder);
  const objects = new Map<string, KeyObject>();

  const read = async (): Promise<StoreState> => {
    const text = await readIfThere(index);
    if (text === undefined) {
      const fresh: StoreState = {
        incarnation: check(opaque, id(), 'The incarnation'),
        cursor: null,
        newest: null,
        keys: new Map(),
        failed: new Map(),
        staged: null,
      };
      await replaceFile(index, writeIndex(fresh));
      return fresh;
    }
    const what = `The key store's index ${index} (move ${dir} away, and the control plane sends all keys anew)`;
    const { version: _, keys, failed, staged, ...rest } = checkJson(indexSchema, text, what);
    const current = await readSet(folder, { keys, failed }, objects);
    const whole = current.keys.size === Object.keys(keys).length;
    return {
      ...rest,
      ...current,
      // Without one of its keys this is no longer what the control plane believes: ask for everything.
      cursor: whole ? rest.cursor : null,
      staged: staged === null ? null : { ...staged, ...(await readSet(folder, staged, objects)) },
    };
  };

  let state = await read();

  const sweep = async (): Promise<void> => {
    const named = new Set(
      [...state.keys.values(), ...(state.staged?.keys.values() ?? [])].map((key) => key.file),
    );
    for (const file of objects.keys()) if (!named.has(file)) objects.delete(file);
    // Overwriting first would promise more than journals and flash can keep.
    const spare = (await readdir(folder)).filter((file) => !named.has(file));
    for (const file of spare) await rm(join(folder, file), { force: true });
    if (spare.length > 0) await syncFolder(folder);
  };

  await sweep();
  for (const file of await readdir(dir))
    if (file.endsWith(unfinished)) await rm(join(dir, file), { force: true });

  return {
    get state() {
      return state;
    },
    async put({ domain, selector, algorithm, publicKey, privateKey }) {
      const content = JSON.stringify({ domain, selector, algorithm, publicKey, privateKey });
      const file = nameOf(content);
      await writeSynced(join(folder, file), content);
      const written = await readKey(folder, file);
      if (written === undefined)
        throw new SelkieError(
          'unavailable',
          `${folder} does not give back what was written: check the disk.`,
        );
      objects.set(file, written.key);
      return { file, privateKey: written.privateKey };
    },
    async commit(next) {
      await syncFolder(folder);
      await replaceFile(index, writeIndex(next));
      state = next;
    },
    sweep,
    heldKeys: () =>
      [...state.keys.values()].flatMap(({ file, ...facts }) => {
        const key = objects.get(file);
        return key === undefined ? [] : [{ ...facts, load: async () => key }];
      }),
  };
};
