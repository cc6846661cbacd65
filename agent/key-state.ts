// What the key store knows: the keys that the host holds, with their duties, and where it stands in its pool's log. As
// values, and as the text of the index file. Pure.
import * as z from 'zod/mini';
import { checkJson } from '../contract/check.ts';
import { opaque, placeSchema } from '../contract/manifest.ts';
import type { Duty, Place } from '../core/key/evidence.ts';
import type { KeyFacts } from './key-facts.ts';
import { damage, type FiledKey, fileName } from './key-files.ts';

/** A key that the store holds, its private half in `file`. */
export interface HeldKey extends FiledKey {
  readonly duty: Exclude<Duty, 'none'>;
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
  /**
   * Of `keys`, those that this host adopted. No bundle can bring one back, so a snapshot that does not speak of one, as an
   * older one may not, leaves it as it is: it goes when the control plane says so.
   */
  readonly adopted?: ReadonlySet<string>;
}

export const emptyState = (incarnation: string): StoreState => ({
  incarnation,
  cursor: null,
  newest: null,
  keys: new Map(),
  failed: new Map(),
  staged: null,
});

/** The names of the files that the state needs. */
export const filesOf = ({ keys, staged }: StoreState): Set<string> =>
  new Set([...keys.values(), ...(staged?.keys.values() ?? [])].map(({ file }) => file));

const soundSet = <T extends KeySet>(set: T, isBad: (file: string) => boolean): T => {
  const bad = [...set.keys].filter(([, { file }]) => isBad(file)).map(([name]) => name);
  if (bad.length === 0) return set;
  const keys = new Map(set.keys);
  const failed = new Map(set.failed);
  for (const name of bad) {
    keys.delete(name);
    failed.set(name, damage);
  }
  return { ...set, keys, failed };
};

/** The state without the keys whose files are missing or damaged: those failed. */
export const sound = (state: StoreState, isBad: (file: string) => boolean): StoreState => {
  const { staged } = state;
  const current = soundSet(state, isBad);
  return {
    ...current,
    // Without one of its keys this is no longer what the control plane believes: ask for everything.
    cursor: current === state ? state.cursor : null,
    staged: staged === null ? null : soundSet(staged, isBad),
  };
};

const duty = z.enum(['standby', 'signing']);
const keySet = {
  /** File and duty by `domain/selector`; the rest is in the file and in the facts, so that the index stays small. */
  keys: z.record(z.string(), z.tuple([z.string().check(z.regex(fileName)), duty])),
  failed: z.record(z.string(), z.string()),
};
const indexSchema = z.strictObject({
  version: z.literal(1),
  incarnation: opaque,
  cursor: z.nullable(placeSchema),
  newest: z.nullable(z.strictObject({ iat: z.number(), nonce: opaque, place: placeSchema, part: z.int() })),
  ...keySet,
  /** Names in `failed` of keys that signed. */
  lost: z.exactOptional(z.array(z.string())),
  /** Names in `keys`. */
  adopted: z.exactOptional(z.array(z.string())),
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

type IndexedSet = Pick<z.infer<typeof indexSchema>, 'keys' | 'failed'>;

const writeSet = ({ keys, failed }: KeySet): IndexedSet => ({
  keys: Object.fromEntries([...keys].map(([name, key]) => [name, [key.file, key.duty]])),
  failed: Object.fromEntries(failed),
});

export const indexText = (
  { keys, failed, staged, adopted, ...state }: StoreState,
  lost: ReadonlySet<string>,
): string =>
  JSON.stringify({
    version: 1,
    ...state,
    ...writeSet({ keys, failed }),
    ...(lost.size === 0 ? {} : { lost: [...lost] }),
    ...(adopted === undefined ? {} : { adopted: [...adopted] }),
    staged: staged === null ? null : { ...staged, ...writeSet(staged) },
  });

/** An index as it was read: its keys are known by their files only. */
export interface Index {
  readonly files: readonly string[];
  /** @param facts by file; keys that it does not know failed */
  state(facts: ReadonlyMap<string, KeyFacts>): StoreState;
  /** Signing keys that had failed for their files. */
  readonly lost: readonly string[];
  /** The names of keys that sign, by file. */
  readonly signing: ReadonlyMap<string, string>;
}

const held = ({ keys, failed }: IndexedSet, facts: ReadonlyMap<string, KeyFacts>): KeySet => {
  const found = new Map<string, HeldKey>();
  const missing = new Map(Object.entries(failed));
  for (const [name, [file, duty]] of Object.entries(keys)) {
    const known = facts.get(file);
    if (known === undefined) missing.set(name, damage);
    else found.set(name, { ...known, duty, file });
  }
  return { keys: found, failed: missing };
};

/** @param what the index, as a sentence begins @throws SelkieError invalid */
export const parseIndex = (text: string, what: string): Index => {
  const {
    version: _,
    keys,
    failed,
    staged,
    lost = [],
    adopted,
    ...rest
  } = checkJson(indexSchema, text, what);
  const entries = [keys, staged?.keys ?? {}].flatMap((set) => Object.values(set));
  return {
    files: entries.map(([file]) => file),
    lost,
    signing: new Map(
      Object.entries(keys).flatMap(([name, [file, duty]]) => (duty === 'signing' ? [[file, name]] : [])),
    ),
    state(facts) {
      const current = held({ keys, failed }, facts);
      const whole = current.keys.size === Object.keys(keys).length;
      return {
        ...rest,
        ...current,
        ...(adopted === undefined ? {} : { adopted: new Set(adopted) }),
        // As in `sound`.
        cursor: whole ? rest.cursor : null,
        staged: staged === null ? null : { ...staged, ...held(staged, facts) },
      };
    },
  };
};
