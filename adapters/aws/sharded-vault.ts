// The vault in Secrets Manager, many keys in each secret: `<prefix>/shard/<id>` holds those of one call, is written once,
// and is deleted after its last key. Touches Secrets Manager (secret-store.ts) and the index of the shards (shard-index.ts).
//
// A reference is `<prefix>/shard/<id>#<domain>/<selector>`; the id is the secret's version, too. A key is read without
// the index.
//
// A crash loses none and leaks none. The index is written before the secret: of what was begun and never stored, a later
// call takes the index away. A key counts as held until it is destroyed by its reference, and only a shard that holds
// none is deleted; where the table has no item of a shard, as after a restore, the shard itself says what it holds.
import { hasCode, SelkieError } from '../../core/errors.ts';
import { add, type Duration, hours, type Instant } from '../../core/time.ts';
import { inParallel } from '../../engine/parallel.ts';
import type { NewSecret, StoredSecret, Vault } from '../../engine/ports.ts';
import { toSelkieError } from './errors.ts';
import { createSecretStore, type SecretStore, type SecretStoreOptions } from './secret-store.ts';
import { formatShard, type KeyName, keyNameOf, parseKeyName, shardsOf } from './shard-form.ts';
import { createShardIndex, type ShardIndex, type ShardIndexOptions } from './shard-index.ts';
import { createShardReader } from './shard-reader.ts';
import { type Layout, vaultOf } from './vault-layout.ts';

/** Shards looked for at once. */
const width = 4;
/** No worker comes back to what it began so long ago. */
const abandonedAfter: Duration = hours(1);

export interface ShardedLayoutOptions {
  readonly secrets: SecretStore;
  readonly index: ShardIndex;
  /** A fresh UUID. */
  readonly id: () => string;
  readonly now: () => Instant;
}

interface Reference {
  readonly shard: string;
  readonly name: KeyName;
}

/** Many keys in each secret. */
export const shardedLayout = ({ secrets, index, id, now }: ShardedLayoutOptions): Layout => {
  const { prefix } = secrets;
  const secretOf = (shard: string): string => `${prefix}/shard/${shard}`;
  const formatReference = ({ shard, name }: Reference): string => `${secretOf(shard)}#${name}`;

  /** Undefined for what this vault never gave out. */
  const parseReference = (secret: string): Reference | undefined => {
    const [name, key, ...rest] = secret.split('#');
    const shard = /^[A-Za-z0-9-]{32,64}$/.exec(name?.slice(`${prefix}/shard/`.length) ?? '')?.[0];
    return shard !== undefined &&
      name === secretOf(shard) &&
      key !== undefined &&
      rest.length === 0 &&
      parseKeyName(key) !== undefined
      ? { shard, name: key }
      : undefined;
  };

  const isThere = async (shard: string): Promise<boolean> => {
    const standing = await secrets.standing(secretOf(shard));
    return standing !== undefined && !standing.scheduled;
  };

  const reader = createShardReader((shard) => secrets.read(secretOf(shard), shard));

  /** What a shard holds by its own word; undefined where it is gone, or scheduled for deletion. */
  const contentOf = async (shard: string): Promise<readonly KeyName[] | undefined> => {
    try {
      return await reader.names(shard);
    } catch (error) {
      if (hasCode(error, 'not-found')) return undefined;
      throw error;
    }
  };

  /** Takes away what the index says of shards that were begun long ago and never stored. */
  const tidy = async (): Promise<void> => {
    for (const begun of await index.unfinished(add(now(), -abandonedAfter as Duration))) {
      if ((await secrets.standing(secretOf(begun.shard))) === undefined) {
        for (const name of (await index.namesIn(begun.shard)) ?? []) await index.leave(begun.shard, name);
        await index.forget(begun.shard);
      }
      await index.finish(begun);
    }
  };

  const what = (keys: readonly NewSecret[]): string => {
    const [first] = keys;
    const others = keys.length === 1 ? '' : ` and ${keys.length - 1} more keys`;
    return `Storing the key of selector ${first?.selector} of ${first?.domain}${others}`;
  };

  const storeShard = async (keys: readonly NewSecret[]): Promise<string> => {
    const begun = { shard: id(), at: now() };
    await index.begin(begun, keys.map(keyNameOf));
    const bytes = formatShard(keys);
    try {
      const version = await secrets.create({
        name: secretOf(begun.shard),
        bytes,
        description: `DKIM private keys (PKCS#8) of ${keys.length} selectors`,
        tags: { 'selkie:layout': 'sharded' },
        version: begun.shard,
      });
      if (version === undefined)
        throw new SelkieError('unavailable', `The secret ${secretOf(begun.shard)} is another's.`);
    } catch (error) {
      throw toSelkieError(error, what(keys));
    } finally {
      bytes.fill(0);
    }
    // Where this is not heard, a later call finds the secret, and no more is to be done.
    await index.finish(begun).catch(() => {});
    return begun.shard;
  };

  /** Where each of these keys is stored already. A shard that was begun and is not there does not count. */
  const alreadyIn = async (keys: readonly NewSecret[]): Promise<ReadonlyMap<KeyName, string>> => {
    const known = await index.shardsOf(keys.map(keyNameOf));
    const shards = [...new Set(known.values())];
    const there = await inParallel(width, shards, async (shard) => ((await isThere(shard)) ? [shard] : []));
    const standing = new Set(there.flat());
    return new Map([...known].filter(([, shard]) => standing.has(shard)));
  };

  return {
    owns: (secret) => parseReference(secret) !== undefined,

    async store(keys) {
      if (keys.length === 0) return [];
      const names = keys.map(keyNameOf);
      const found = new Map(await alreadyIn(keys));
      // Each name once, should it be there twice.
      const fresh = keys.filter(
        (key, n) => !found.has(keyNameOf(key)) && names.indexOf(keyNameOf(key)) === n,
      );
      const failures: unknown[] = [];
      // One after the other: a unit has two or three.
      for (const some of shardsOf(fresh))
        try {
          const shard = await storeShard(some);
          for (const key of some) found.set(keyNameOf(key), shard);
        } catch (error) {
          // The others are stored all the same.
          failures.push(error);
        }
      // Not what the caller came for: what fails here is done by a later call.
      await tidy().catch(() => {});
      if (failures.length > 0) throw failures[0];
      return names.map((name) => {
        const shard = found.get(name);
        if (shard === undefined) throw new SelkieError('unavailable', `${what(keys)} was not done.`);
        return formatReference({ shard, name });
      });
    },

    async read(secret) {
      const reference = parseReference(secret);
      if (reference === undefined) throw new SelkieError('not-found', `The vault has no secret "${secret}".`);
      const key = await reader.read(reference.shard, reference.name);
      if (key === undefined)
        throw new SelkieError(
          'not-found',
          `The secret ${secretOf(reference.shard)} has no key of ${reference.name}.`,
        );
      return key;
    },

    async find(domain, selector) {
      const name = keyNameOf({ domain, selector });
      if (parseKeyName(name) === undefined) return undefined;
      const shard = (await index.shardsOf([name])).get(name);
      return shard !== undefined && (await isThere(shard)) ? formatReference({ shard, name }) : undefined;
    },

    async destroy(secret) {
      const reference = parseReference(secret);
      if (reference === undefined) return;
      const { shard, name } = reference;
      let left = await index.take(shard, name);
      if (left === undefined) {
        const content = await contentOf(shard);
        if (content !== undefined) {
          await index.restore(shard, content);
          left = await index.take(shard, name);
        }
      }
      if (left?.length === 0) {
        await secrets.remove(secretOf(shard));
        await index.forget(shard);
      }
      // Last: where this is found, the steps before it can be done again.
      await index.leave(shard, name);
    },

    async holds(secret) {
      const shard = secret.slice(`${prefix}/shard/`.length);
      if (secret !== secretOf(shard) || shard.includes('/')) return [];
      const names = (await index.namesIn(shard)) ?? (await contentOf(shard)) ?? [];
      return names.flatMap((name): readonly StoredSecret[] => {
        const parsed = parseKeyName(name);
        return parsed === undefined ? [] : [{ secret: formatReference({ shard, name }), ...parsed }];
      });
    },
  };
};

export type ShardedVaultOptions = SecretStoreOptions &
  Pick<ShardedLayoutOptions, 'id' | 'now'> & { readonly ledger: ShardIndexOptions };

export const createShardedVault = ({ id, now, ledger, ...options }: ShardedVaultOptions): Vault => {
  const secrets = createSecretStore(options);
  return vaultOf(secrets, [shardedLayout({ secrets, index: createShardIndex(ledger), id, now })]);
};
