// Takes private keys into this host's key store, as keys that sign and that the control plane has not brought. OpenDKIM's own
// files are only read. Touches the state folder only.
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { algorithms } from '../../core/algorithm.ts';
import { SelkieError } from '../../core/errors.ts';
import { hostKeyName } from '../../core/key/evidence.ts';
import { privateFolder } from '../files.ts';
import type { FiledKey } from '../key-files.ts';
import type { HeldKey, StoreState } from '../key-state.ts';
import { openKeyStore } from '../key-store.ts';
import { lockFolder } from '../lock.ts';
import { giveTo } from '../owner.ts';
import type { Judged, ReadKey } from './judge.ts';

export interface Taken {
  readonly name: string;
  /**
   * `signing`: from now on. `told`: the control plane knows it, and says again what this host is to do with it. `standby`: its
   * domain has another key here. `held`: it was here before.
   */
  readonly as: 'signing' | 'told' | 'standby' | 'held';
}

interface TestKeys {
  matches(privateKey: Uint8Array, algorithm: ReadKey['algorithm'], publicKey: string): boolean;
}

/**
 * The key store's state with a key that was taken in. It signs where this host has no key of its domain; anything else the
 * control plane has had its say about.
 */
export const withTaken = (state: StoreState, key: FiledKey): { state: StoreState; as: Taken['as'] } => {
  const name = hostKeyName(key.domain, key.selector);
  if (state.keys.has(name)) return { state, as: 'held' };
  const held = (as: HeldKey['duty']): ReadonlyMap<string, HeldKey> =>
    new Map([...state.keys, [name, { ...key, duty: as }]]);
  const adopted = new Set([...(state.adopted ?? []), name]);
  if (state.failed.has(name)) {
    // Nobody here knows what it was told to do with it. A host that says it has applied nothing of the log is told all again.
    const cursor = state.cursor === null ? null : { ...state.cursor, n: 0 };
    return { state: { ...state, cursor, keys: held('standby'), adopted }, as: 'told' };
  }
  const ofDomain = [...state.keys.keys(), ...state.failed.keys()].filter((other) =>
    other.startsWith(hostKeyName(key.domain, '')),
  );
  const spokenOf = ofDomain.some((other) => state.adopted?.has(other) !== true);
  const rival = [...state.keys.values()].some(
    ({ domain, algorithm, duty }) =>
      duty === 'signing' &&
      domain === key.domain &&
      algorithms[algorithm].keyType === algorithms[key.algorithm].keyType,
  );
  const as = spokenOf || rival ? 'standby' : 'signing';
  return { state: { ...state, keys: held(as), adopted }, as };
};

/** Who may read OpenDKIM's keys is root; the daemon that will read these is another. */
const giveStore = async (dir: string): Promise<void> => {
  const store = join(dir, 'store');
  const inside = await readdir(store, { recursive: true });
  await giveTo(dir, store, ...inside.map((name) => join(store, name)));
};

/**
 * @param keys judged, none of them refused
 * @throws SelkieError busy where the agent runs; exists where a key of the same name is another one: nothing is taken then
 */
export const takeKeys = async (
  dir: string,
  keys: readonly (Judged & { readonly read: ReadKey })[],
  tests: TestKeys,
): Promise<readonly Taken[]> => {
  await privateFolder(dir);
  const unlock = await lockFolder(dir);
  try {
    const store = await openKeyStore(join(dir, 'store'), randomUUID);
    for (const { domain, selector, read } of keys) {
      const held = store.state.keys.get(hostKeyName(domain, selector));
      if (held !== undefined && held.publicKey !== read.publicKey)
        throw new SelkieError(
          'exists',
          `The key store of ${dir} has another key as ${hostKeyName(domain, selector)} already: nothing was taken. Look at both before you move one away.`,
        );
    }
    let { state } = store;
    const taken: Taken[] = [];
    for (const { domain, selector, read } of keys) {
      const name = hostKeyName(domain, selector);
      const { algorithm, publicKey, key } = read;
      const facts = { domain, selector, algorithm, publicKey };
      if (state.keys.has(name)) {
        taken.push({ name, as: 'held' });
        continue;
      }
      const privateKey = key.export({ type: 'pkcs8', format: 'der' }).toString('base64');
      const written = await store.put({ ...facts, duty: 'signing', privateKey });
      if (!tests.matches(written.privateKey, algorithm, publicKey))
        throw new SelkieError(
          'unavailable',
          `${name}: read back from the disk, the key does not sign for its record: nothing was taken.`,
        );
      const next = withTaken(state, { ...facts, file: written.file });
      state = next.state;
      taken.push({ name, as: next.as });
    }
    if (state !== store.state) await store.commit(state);
    await store.sweep();
    await giveStore(dir);
    return taken;
  } finally {
    await unlock();
  }
};
