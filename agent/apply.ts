// Puts an opened bundle to work: keys to the key store, tested; then duties to the signer. What it answers is what the
// acknowledgement says. Touches the key store and the signer's driver only.

import type { Acknowledgement } from '../contract/acknowledgement.ts';
import type { KeyChange, Manifest, Payload } from '../contract/manifest.ts';
import { type Algorithm, algorithms } from '../core/algorithm.ts';
import { describe, SelkieError } from '../core/errors.ts';
import { hostKeyName, samePlace } from '../core/key/evidence.ts';
import type { Duration, Instant } from '../core/time.ts';
import type { Duties } from './duties.ts';
import type { HeldKey, KeySet, KeyStore, Newest, Staged, StoreState } from './key-store.ts';

/** The engine's `Keys`, as far as a host needs it. */
interface KeyTest {
  matches(privateKey: Uint8Array, algorithm: Algorithm, publicKey: string): boolean;
}

/** What the host knows besides its key store. */
export interface Report {
  readonly queueLifetime?: Duration;
  readonly lastUse?: Readonly<Record<string, Instant>>;
}

export interface ApplierOptions {
  /** The host's name. */
  readonly host: string;
  readonly store: KeyStore;
  readonly duties: Duties;
  readonly keys: KeyTest;
  readonly now: () => Instant;
  readonly report?: () => Report;
}

export interface Applier {
  /**
   * Applies a bundle, one at a time in the order of the calls, and says where the host then stands. A repeat of the newest
   * changes nothing, nor does a bundle that begins at another place than this host's.
   * @throws SelkieError untrusted where a newer manifest was seen already
   */
  apply(bundle: { readonly manifest: Manifest; readonly payload: Payload }): Promise<Acknowledgement>;
}

const summary = ({ iat, nonce, place, snapshot }: Manifest): Newest => ({
  iat,
  nonce,
  place,
  part: snapshot?.part ?? 0,
});

/** By the time of issue; within the same, by what the later one must have. Epochs may start again when a ledger is lost. */
const isOlder = (a: Newest, b: Newest): boolean => {
  const order = (m: Newest): readonly number[] => [m.iat, m.place.epoch, m.place.n, m.part];
  const others = order(b);
  const difference = order(a)
    .map((value, i) => value - (others[i] ?? 0))
    .find((d) => d !== 0);
  return (difference ?? 0) < 0;
};

type Tested = { readonly held: Omit<HeldKey, 'duty'> } | { readonly failed: string };

/** Writes the key, and signs with what the disk then holds. */
const writeAndTest = async (
  store: KeyStore,
  keys: KeyTest,
  change: KeyChange,
  privateKey: string,
): Promise<Tested> => {
  const { domain, selector, algorithm, publicKey } = change;
  const broken = (why: string): Tested => ({ failed: `The key was not taken: ${why}` });
  const der = Buffer.from(privateKey, 'base64');
  try {
    if (!keys.matches(der, algorithm, publicKey))
      return broken('its signature does not verify with the public key of its record.');
  } catch (error) {
    return broken(describe(error));
  }
  const written = await store.put({ ...change, privateKey });
  if (!keys.matches(written.privateKey, algorithm, publicKey))
    return broken('read back from the disk, it does not sign.');
  return { held: { domain, selector, algorithm, publicKey, file: written.file } };
};

/** Which key signs, for each domain and key type, where a change says so. */
const signerOf = ({ domain, algorithm }: Pick<KeyChange, 'domain' | 'algorithm'>): string =>
  `${domain} ${algorithms[algorithm].keyType}`;

/** `base` after `changes`, in their order. `tested` are the keys that came with them; `present` those that are on disk anyway. */
const fold = (
  base: KeySet,
  changes: readonly KeyChange[],
  tested: ReadonlyMap<string, Tested>,
  present: ReadonlyMap<string, HeldKey>,
): KeySet => {
  const next = { keys: new Map(base.keys), failed: new Map(base.failed) };
  const signers = new Map<string, string>();
  for (const change of changes) {
    const name = hostKeyName(change.domain, change.selector);
    const role = signerOf(change);
    if (signers.get(role) === name) signers.delete(role);
    if (change.duty === 'none') {
      next.keys.delete(name);
      next.failed.delete(name);
      continue;
    }
    const test = tested.get(name);
    const brought = test !== undefined && 'held' in test ? test.held : undefined;
    const held = [brought, next.keys.get(name), present.get(name)].find(
      (one) => one?.publicKey === change.publicKey && one.algorithm === change.algorithm,
    );
    if (held === undefined) {
      const absent =
        change.adopted === true
          ? notAdopted(name, [next.keys.get(name), present.get(name)])
          : (next.failed.get(name) ?? 'The key is not on this host, and the bundle did not bring it.');
      next.failed.set(name, test !== undefined && 'failed' in test ? test.failed : absent);
      next.keys.delete(name);
      continue;
    }
    next.failed.delete(name);
    next.keys.set(name, { ...held, duty: change.duty });
    if (change.duty === 'signing') signers.set(role, name);
  }
  // Never two keys of one type at once: who signs now is who was told last.
  if (signers.size > 0)
    for (const [name, key] of next.keys)
      if (key.duty === 'signing' && (signers.get(signerOf(key)) ?? name) !== name)
        next.keys.set(name, { ...key, duty: 'standby' });
  return next;
};

/** Nothing brings an adopted key; what a person can do. */
const notAdopted = (name: string, held: readonly (HeldKey | undefined)[]): string =>
  held.some((key) => key !== undefined)
    ? `This host holds another key as ${name} than the record shows: adopt the right one with selkie-agent adopt.`
    : `This host never had the adopted key ${name}: adopt it here with selkie-agent adopt, or wait for the first rotation.`;

/** A whole snapshot's set, and beside it the adopted keys that it does not speak of. */
const withAdopted = (set: KeySet, { adopted, keys: present }: StoreState): KeySet => {
  if (adopted === undefined) return set;
  const signers = new Set([...set.keys.values()].filter(({ duty }) => duty === 'signing').map(signerOf));
  const keys = new Map(set.keys);
  for (const name of adopted) {
    const key = present.get(name);
    if (key === undefined || keys.has(name) || set.failed.has(name)) continue;
    keys.set(name, signers.has(signerOf(key)) ? { ...key, duty: 'standby' } : key);
  }
  return { ...set, keys };
};

/** An adopted key is one until it is told to go. */
const withoutEnded = ({ adopted, ...state }: StoreState, changes: readonly KeyChange[]): StoreState => {
  if (adopted === undefined) return state;
  const ended = changes.filter(({ duty }) => duty === 'none');
  const names = new Set(ended.map(({ domain, selector }) => hostKeyName(domain, selector)));
  const left = [...adopted].filter((name) => !names.has(name));
  return left.length === 0 ? state : { ...state, adopted: new Set(left) };
};

const nothing: KeySet = { keys: new Map(), failed: new Map() };

/** The state after a part of a snapshot: with the last missing part, all of it holds at once, and what it does not name is gone. */
const withPart = (
  state: StoreState,
  { place, snapshot, nonce }: Manifest,
  changes: readonly KeyChange[],
  tested: ReadonlyMap<string, Tested>,
): StoreState => {
  const { id, part, parts } = snapshot ?? { id: nonce, part: 1, parts: 1 };
  const same =
    state.staged?.id === id && state.staged.parts === parts && samePlace(state.staged.place, place);
  const before = same ? state.staged : null;
  const set = fold(before ?? nothing, changes, tested, state.keys);
  const received = [...new Set([...(before?.received ?? []), part])];
  if (received.length === parts) return { ...state, ...withAdopted(set, state), cursor: place, staged: null };
  const staged: Staged = { ...set, id, place, parts, received };
  return { ...state, staged };
};

export const createApplier = ({ host, store, duties, keys, now, report }: ApplierOptions): Applier => {
  const acknowledge = ({ nonce, place }: Manifest): Acknowledgement => {
    const { cursor, incarnation, failed, staged } = store.state;
    return {
      iss: host,
      iat: now() / 1_000,
      nonce,
      cursor,
      incarnation,
      complete: cursor !== null && cursor.epoch === place.epoch,
      failed: Object.fromEntries([...duties.unusable, ...failed, ...(staged?.failed ?? [])]),
      ...report?.(),
    };
  };

  const test = async (changes: readonly KeyChange[]): Promise<ReadonlyMap<string, Tested>> => {
    const tested = new Map<string, Tested>();
    for (const change of changes) {
      const { privateKey, domain, selector, publicKey, algorithm } = change;
      if (privateKey === undefined || change.duty === 'none') continue;
      const name = hostKeyName(domain, selector);
      const known = store.state.keys.get(name);
      // Tested when it came; a snapshot brings everything again.
      if (known?.publicKey === publicKey && known.algorithm === algorithm) continue;
      tested.set(name, await writeAndTest(store, keys, change, privateKey));
    }
    return tested;
  };

  const apply: Applier['apply'] = async ({ manifest, payload }) => {
    const { state } = store;
    const newest = summary(manifest);
    if (state.newest?.nonce === manifest.nonce) return acknowledge(manifest);
    if (state.newest !== null && isOlder(newest, state.newest))
      throw new SelkieError('untrusted', `A newer manifest than this one has been seen by host ${host}.`);
    if (manifest.from !== null && !samePlace(manifest.from, state.cursor)) {
      await store.commit({ ...state, newest });
      return acknowledge(manifest);
    }
    try {
      const tested = await test(payload.changes);
      const before = withoutEnded(state, payload.changes);
      const next =
        manifest.from === null
          ? withPart(before, manifest, payload.changes, tested)
          : // A delta moves on from where the staged snapshot was to lead: it will not be finished.
            {
              ...before,
              ...fold(state, payload.changes, tested, state.keys),
              cursor: manifest.place,
              staged: null,
            };
      await store.commit({ ...next, newest });
    } finally {
      await duties.enforce();
      await store.sweep();
    }
    return acknowledge(manifest);
  };

  let last: Promise<unknown> = Promise.resolve();
  return {
    apply(bundle) {
      const mine = last.then(() => apply(bundle));
      last = mine.catch(() => undefined);
      return mine;
    },
  };
};
