// The host's key store: private keys and their duties on disk. One file for each key, and an index that names them, written
// whole and last: whatever the index says is there, and what it does not name is the rest of a crash and goes away.
// Touches its folder only (`keys/`, `index.json`, `facts`).
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { check } from '../contract/check.ts';
import { type KeyChange, opaque } from '../contract/manifest.ts';
import type { DriverKey } from './drivers/driver.ts';
import { privateFolder, readIfThere, replaceFile, syncFolder, unfinished } from './files.ts';
import { appendFacts, type KeyFacts, readFacts, writeFacts } from './key-facts.ts';
import { damage, type KeyFiles, openKeyFiles } from './key-files.ts';
import {
  emptyState,
  filesOf,
  type HeldKey,
  indexText,
  parseIndex,
  type StoreState,
  sound,
} from './key-state.ts';

export type { HeldKey, KeySet, Newest, Staged, StoreState } from './key-state.ts';

export interface KeyStore {
  readonly state: StoreState;
  /**
   * `domain/selector` → why: keys that sign, whose files are gone or damaged. They are in `failed` too; mail of their
   * domains should wait until the control plane has sent them again.
   */
  readonly lost: ReadonlyMap<string, string>;
  /**
   * Writes a private key, on the disk when this returns, and read back from there. Nothing refers to it before `commit`.
   * @returns its file and PKCS#8 DER as read
   */
  put(change: KeyChange & { readonly privateKey: string }): Promise<{ file: string; privateKey: Uint8Array }>;
  /** The new state in place of the old, in one step. */
  commit(state: StoreState): Promise<void>;
  /** Erases the files that the state does not name; gone from the disk's folder when this returns. */
  sweep(): Promise<void>;
  /** All of the state's keys, whatever their duty; a private half is read when it is first needed. */
  heldKeys(): readonly DriverKey[];
  /**
   * Reads every key file once, so that damage is found before the key is needed.
   * @param goOn asked after every few files, and waited for, so that this takes its time: whether to go on
   * @throws where the disk fails to read
   */
  inspect(goOn: () => Promise<boolean>): Promise<void>;
}

export interface KeyStoreOptions {
  /** Some time after the start, a key's file turned out to be missing or damaged: the state is another. */
  readonly damaged?: () => void;
  /** Told why the rest of a crash could not be swept away at the opening, which goes on; absent: the opening fails. */
  readonly untidy?: (error: unknown) => void;
  /** How many parsed private keys stay in memory; 10,000 unless told otherwise, about 50 MB of RSA-2048. */
  readonly kept?: number;
}

/** A third of the time that one by one takes. */
const readsAtOnce = 64;
/** Of `inspect`: mail is signed meanwhile. */
const inspectedAtOnce = 16;

/** What the files say: from the facts, and where those do not know a file, from the file. Missing and damaged ones are left out. */
const knownFacts = async (
  wanted: readonly string[],
  present: ReadonlySet<string>,
  files: KeyFiles,
  factsFile: string,
): Promise<{ readonly facts: ReadonlyMap<string, KeyFacts>; readonly lines: number }> => {
  const facts = await readFacts(factsFile);
  const lines = facts.size;
  for (const file of facts.keys()) if (!present.has(file)) facts.delete(file);
  const unknown = wanted.filter((file) => present.has(file) && !facts.has(file));
  for (let i = 0; i < unknown.length; i += readsAtOnce)
    await Promise.all(
      unknown.slice(i, i + readsAtOnce).map(async (file) => {
        const read = await files.facts(file);
        if (read !== undefined) facts.set(file, read);
      }),
    );
  return { facts, lines: unknown.length > 0 ? Number.POSITIVE_INFINITY : lines };
};

/**
 * Opens the store in `dir`, as the last commit left it; makes one where there is none. One process at a time (lock.ts).
 * Key files that are missing are found here; damaged ones when they are first needed, or by `inspect`.
 * @param id a fresh identifier: the incarnation of a new store
 * @throws SelkieError invalid where the index is damaged; unsafe where others may enter the folder
 */
export const openKeyStore = async (
  dir: string,
  id: () => string,
  options: KeyStoreOptions = {},
): Promise<KeyStore> => {
  const folder = join(dir, 'keys');
  const index = join(dir, 'index.json');
  const factsFile = join(dir, 'facts');
  await privateFolder(dir);
  await privateFolder(folder);

  const bad = new Set<string>();
  const damaged = (file: string): void => {
    if (bad.has(file) || !filesOf(state).has(file)) return;
    bad.add(file);
    adopt(state);
    options.damaged?.();
  };
  const files = openKeyFiles({ folder, kept: options.kept ?? 10_000, damaged });

  const opened = async () => {
    const text = await readIfThere(index);
    if (text === undefined) {
      const state = emptyState(check(opaque, id(), 'The incarnation'));
      await replaceFile(index, indexText(state, new Set()));
      return { state, lost: new Set<string>(), lines: 0 };
    }
    const what = `The key store's index ${index} (move ${dir} away, and the control plane sends all keys anew)`;
    const read = parseIndex(text, what);
    const { facts, lines } = await knownFacts(read.files, new Set(await files.list()), files, factsFile);
    const state = read.state(facts);
    const lost = new Set(read.lost);
    for (const [file, name] of read.signing) if (!facts.has(file)) lost.add(name);
    return { state, lost, lines };
  };
  let { state, lost, lines } = await opened();

  /** What is left of a state, as the files are, and its signing keys that are lost by now. */
  const judged = (next: StoreState): { readonly state: StoreState; readonly lost: Set<string> } => {
    const left = sound(next, (file) => bad.has(file));
    const gone = [...next.keys].filter(([, { file, duty }]) => duty === 'signing' && bad.has(file));
    const still = [...lost].filter((name) => left.failed.has(name));
    return { state: left, lost: new Set([...still, ...gone.map(([name]) => name)]) };
  };
  const adopt = (next: StoreState): void => {
    ({ state, lost } = judged(next));
  };

  /** The facts grow by a line for each new key: written anew when most of them are of keys that are gone. */
  const tidyFacts = async (): Promise<void> => {
    const held = new Map(
      [...state.keys.values(), ...(state.staged?.keys.values() ?? [])].map((key) => [key.file, key]),
    );
    if (lines <= 2 * held.size + 1_000) return;
    await writeFacts(factsFile, held.values());
    lines = held.size;
  };

  const sweep = async (): Promise<void> => {
    const named = filesOf(state);
    await files.erase((await files.list()).filter((file) => !named.has(file)));
    await tidyFacts();
  };

  const tidy = async (): Promise<void> => {
    await sweep();
    for (const file of await readdir(dir))
      if (file.endsWith(unfinished)) await rm(join(dir, file), { force: true });
  };
  try {
    await tidy();
  } catch (error) {
    if (options.untidy === undefined) throw error;
    options.untidy(error);
  }

  /** One object for each held key, whose state may go through many commits. */
  const driverKeys = new WeakMap<HeldKey, DriverKey>();
  const driverKey = (held: HeldKey): DriverKey => {
    const known = driverKeys.get(held);
    if (known !== undefined) return known;
    const { file: _, ...facts } = held;
    const key = { ...facts, load: () => files.load(held) };
    driverKeys.set(held, key);
    return key;
  };

  return {
    get state() {
      return state;
    },
    get lost() {
      return new Map([...lost].map((name) => [name, damage]));
    },
    async put(change) {
      const { domain, selector, algorithm, publicKey } = change;
      const written = await files.write(change);
      bad.delete(written.file);
      await appendFacts(factsFile, written.file, { domain, selector, algorithm, publicKey });
      lines += 1;
      return written;
    },
    async commit(next) {
      await syncFolder(folder);
      const left = judged(next);
      await replaceFile(index, indexText(left.state, left.lost));
      adopt(next);
    },
    sweep,
    heldKeys: () => [...state.keys.values()].map(driverKey),
    async inspect(goOn) {
      const all = [...filesOf(state)];
      for (let i = 0; i < all.length && (i === 0 || (await goOn())); i += inspectedAtOnce)
        for (const file of all.slice(i, i + inspectedAtOnce)) if (!(await files.isWhole(file))) damaged(file);
    },
  };
};
