// What the driver must not forget when it is started anew: which key each domain was last seen to sign with, and which
// connections were open then. Only what was observed is written, so that a lost or stale file makes the driver look again
// and wait, never believe. Touches `<folder>/state.json` only.
import { join } from 'node:path';
import * as z from 'zod/mini';
import { checkJson } from '../../../contract/check.ts';
import { readIfThere, replaceFile } from '../../files.ts';
import type { Connections } from '../../opendkim/connections.ts';

const seen = z.strictObject({
  selector: z.string(),
  /** What signed before it, where something did. */
  before: z.exactOptional(z.string()),
  /** Number of the reload since which new connections sign with it; absent: its row may have been changed since. */
  reload: z.exactOptional(z.int()),
});

const schema = z.strictObject({
  version: z.literal(1),
  /** `domain/selector` → its public half: OpenDKIM signed with the key, and the signature held. */
  tried: z.record(z.string(), z.string()),
  /** By domain: the key that new connections were last seen to sign with. */
  signing: z.record(z.string(), seen),
  /** `domain/selector` of keys that signed and have no row now → number of the reload. */
  gone: z.record(z.string(), z.int()),
  /** Mark of the tables that were seen in force, and the reload since which. */
  tables: z.nullable(z.strictObject({ mark: z.string(), reload: z.int() })),
  /** By number: the connections that were open when a reload was seen in force, less those that have ended. */
  reloads: z.record(z.string(), z.array(z.string())),
  last: z.int(),
});

export type DriverState = z.infer<typeof schema>;

const fresh = (): DriverState => ({
  version: 1,
  tried: {},
  signing: {},
  gone: {},
  tables: null,
  reloads: {},
  last: 0,
});

export interface StateFile {
  /** To be changed in place, then saved. */
  readonly state: DriverState;
  save(): Promise<void>;
}

/** A file that cannot be understood is begun anew: that is the safe direction. */
export const openState = async (folder: string): Promise<StateFile> => {
  const file = join(folder, 'state.json');
  let state: DriverState;
  try {
    const text = await readIfThere(file);
    state = text === undefined ? fresh() : checkJson(schema, text, file);
  } catch {
    state = fresh();
  }
  let written = JSON.stringify(state);
  return {
    state,
    async save() {
      const text = JSON.stringify(state);
      if (text === written) return;
      await replaceFile(file, text);
      written = text;
    },
  };
};

/** Notes that a reload was seen in force while these connections were open. @returns its number */
export const noteReload = (state: DriverState, open: Connections): number => {
  state.last += 1;
  state.reloads[state.last] = [...open];
  return state.last;
};

/** How many connections opened before that reload are still there. */
export const olderThan = (state: DriverState, reload: number): number => state.reloads[reload]?.length ?? 0;

/** Forgets the connections that have ended, and the reloads that none is older than. */
export const forgetEnded = (state: DriverState, open: Connections): void => {
  for (const [number, names] of Object.entries(state.reloads)) {
    const left = names.filter((name) => open.has(name));
    if (left.length === 0) delete state.reloads[number];
    else state.reloads[number] = left;
  }
};
