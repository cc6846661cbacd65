// How many keys sign, by selector, and since when the oldest is here: counted when the key store has changed and somebody
// asks, for a host may have 100,000. Reads the times of key files, one for each selector.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoreState } from '../key-store.ts';
import { otherSelectors } from './selector-uses.ts';

export interface SigningKeys {
  /** Keys that sign, by selector. */
  counts(state: StoreState): readonly (readonly [string, number])[];
  /** When the oldest of one key a selector came to this host, in milliseconds since 1970. */
  oldest(state: StoreState): Promise<number | undefined>;
}

interface Group {
  readonly file: string;
  count: number;
}

/** Keys of a selector come within hours of each other: one file stands for all. */
const grouped = ({ keys }: StoreState, most: number): ReadonlyMap<string, Group> => {
  const groups = new Map<string, Group>();
  for (const { selector, file, duty } of keys.values()) {
    if (duty !== 'signing') continue;
    const name = groups.has(selector) || groups.size < most ? selector : otherSelectors;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { file, count: 1 });
    else group.count += 1;
  }
  return groups;
};

/** @param folder of the key files @param most selectors that are told apart */
export const createSigningKeys = (folder: string, most: number): SigningKeys => {
  let last: { readonly of: StoreState; readonly groups: ReadonlyMap<string, Group> } | undefined;
  /** Files of keys never change. */
  let times = new Map<string, number>();
  const groupsOf = (state: StoreState): ReadonlyMap<string, Group> => {
    // A state is a value: what was counted of it stays true.
    if (last?.of !== state) last = { of: state, groups: grouped(state, most) };
    return last.groups;
  };
  const timeOf = async (file: string): Promise<number | undefined> =>
    times.get(file) ?? (await stat(join(folder, file)).catch(() => undefined))?.mtimeMs;

  return {
    counts: (state) => [...groupsOf(state)].map(([selector, { count }]) => [selector, count]),
    async oldest(state) {
      const found = new Map<string, number>();
      for (const { file } of groupsOf(state).values()) {
        const time = await timeOf(file);
        if (time !== undefined) found.set(file, time);
      }
      times = found;
      return found.size === 0 ? undefined : Math.min(...found.values());
    },
  };
};
