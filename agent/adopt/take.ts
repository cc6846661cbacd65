// Takes private keys into this host's key store, as keys that sign and that the control plane has not brought. OpenDKIM's own
// files are only read. Touches the state folder only.
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { algorithms } from '../../core/algorithm.ts';
import { SelkieError } from '../../core/errors.ts';
import { hostKeyName } from '../../core/key/evidence.ts';
import { privateFolder } from '../files.ts';
import type { HeldKey, StoreState } from '../key-state.ts';
import { openKeyStore } from '../key-store.ts';
import { lockFolder } from '../lock.ts';
import { giveTo } from '../owner.ts';
import type { Judged, ReadKey } from './judge.ts';

export interface Taken {
  readonly name: string;
  /** `standby`: another key of its type signs for the domain already. `held`: it was there before. */
  readonly as: 'signing' | 'standby' | 'held';
}

interface TestKeys {
  matches(privateKey: Uint8Array, algorithm: ReadKey['algorithm'], publicKey: string): boolean;
}

const sameRole = (
  a: Pick<HeldKey, 'domain' | 'algorithm'>,
  b: Pick<HeldKey, 'domain' | 'algorithm'>,
): boolean => a.domain === b.domain && algorithms[a.algorithm].keyType === algorithms[b.algorithm].keyType;

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
    const { state } = store;
    const next = { keys: new Map(state.keys), failed: new Map(state.failed) };
    const adopted = new Set(state.adopted);
    const taken: Taken[] = [];
    for (const { domain, selector } of keys) {
      const name = hostKeyName(domain, selector);
      const held = state.keys.get(name);
      const found = keys.find((key) => key.domain === domain && key.selector === selector);
      if (held !== undefined && held.publicKey !== found?.read.publicKey)
        throw new SelkieError(
          'exists',
          `The key store of ${dir} has another key as ${name} already: nothing was taken. Look at both before you move one away.`,
        );
    }
    for (const { domain, selector, read } of keys) {
      const name = hostKeyName(domain, selector);
      const { algorithm, publicKey, key } = read;
      if (state.keys.has(name)) {
        taken.push({ name, as: 'held' });
        continue;
      }
      const privateKey = key.export({ type: 'pkcs8', format: 'der' });
      const facts = { domain, selector, algorithm, publicKey };
      const written = await store.put({
        ...facts,
        duty: 'signing',
        privateKey: privateKey.toString('base64'),
      });
      if (!tests.matches(written.privateKey, algorithm, publicKey))
        throw new SelkieError(
          'unavailable',
          `${name}: read back from the disk, the key does not sign for its record: nothing was taken.`,
        );
      const signs = [...next.keys.values()].some(
        (other) => other.duty === 'signing' && sameRole(other, facts),
      );
      const duty = signs ? 'standby' : 'signing';
      next.keys.set(name, { ...facts, duty, file: written.file });
      // Where the control plane has told it to sign already, this is what was missing: it rules the key from here on.
      if (!next.failed.delete(name)) adopted.add(name);
      taken.push({ name, as: duty });
    }
    const committed: StoreState = {
      ...state,
      ...next,
      ...(adopted.size === 0 ? {} : { adopted }),
    };
    if (taken.some(({ as }) => as !== 'held')) await store.commit(committed);
    await store.sweep();
    await giveStore(dir);
    return taken;
  } finally {
    await unlock();
  }
};
