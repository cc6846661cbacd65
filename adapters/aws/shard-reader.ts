// Reads keys of shards. A shard is asked for once while reads of it follow each other without a pause, as those of one
// bundle do; then its bytes are wiped. Touches only what it is given.
import { SelkieError } from '../../core/errors.ts';
import { type KeyName, parseShard } from './shard-form.ts';

interface Open {
  readonly bytes: Promise<Uint8Array>;
  readers: number;
}

export interface ShardReader {
  /** A copy of the key; undefined where the shard has none of that name. @throws invalid; as `get` */
  read(shard: string, name: KeyName): Promise<Uint8Array | undefined>;
  /** @throws invalid; as `get` */
  names(shard: string): Promise<readonly KeyName[]>;
}

export const createShardReader = (get: (shard: string) => Promise<Uint8Array>): ShardReader => {
  const opened = new Map<string, Open>();

  const close = async (shard: string, open: Open): Promise<void> => {
    if (open.readers > 0 || opened.get(shard) !== open) return;
    opened.delete(shard);
    const bytes = await open.bytes.catch(() => undefined);
    bytes?.fill(0);
  };

  const within = async <T>(
    shard: string,
    look: (keys: ReadonlyMap<KeyName, Uint8Array>) => T,
  ): Promise<T> => {
    const open = opened.get(shard) ?? { bytes: get(shard), readers: 0 };
    opened.set(shard, open);
    open.readers += 1;
    try {
      const keys = parseShard(await open.bytes);
      if (keys === undefined)
        throw new SelkieError(
          'invalid',
          `The secret of shard ${shard} holds no keys: Selkie did not write it.`,
        );
      return look(keys);
    } finally {
      open.readers -= 1;
      // After what is ready to run by now: the next read of this shard, where there is one.
      setImmediate(() => void close(shard, open));
    }
  };

  return {
    // A copy of its own, which outlives the shard's bytes.
    read: (shard, name) =>
      within(shard, (keys) => {
        const key = keys.get(name);
        return key === undefined ? undefined : Uint8Array.from(key);
      }),
    names: (shard) => within(shard, (keys) => [...keys.keys()]),
  };
};
