// What setup changed in an instance: `selkie-agent.json` beside its main.cf, so that uninstall puts back that and nothing
// else. Touches that file only.
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { checkJson } from '../../contract/check.ts';
import { readIfThere, replaceFile } from '../files.ts';
import type { Change } from './plan.ts';

const changed = z.strictObject({
  file: z.enum(['main.cf', 'master.cf']),
  parameter: z.string(),
  /** Null: the file did not have it. */
  before: z.nullable(z.string()),
  after: z.string(),
  milters: z.boolean(),
});

const file = z.strictObject({
  /** Name of the copy of before its first change, beside it. */
  backup: z.string(),
  /**
   * SHA-256 of the file as setup left it, in hexadecimal. Empty where the copy lacks more than setup's changes (others have
   * changed the file between two setups), or setup was cut off: the file is then put back parameter by parameter.
   */
  left: z.string(),
});

const schema = z.strictObject({
  /** The signer as this instance calls it. */
  milter: z.string(),
  changes: z.array(changed),
  files: z.partialRecord(z.enum(['main.cf', 'master.cf']), file),
});

export type Journal = z.infer<typeof schema>;
export type Changed = z.infer<typeof changed>;

const journalFile = (configDirectory: string): string => join(configDirectory, 'selkie-agent.json');

/** @throws SelkieError invalid where the file is damaged */
export const readJournal = async (configDirectory: string): Promise<Journal | undefined> => {
  const path = journalFile(configDirectory);
  const text = await readIfThere(path);
  return text === undefined ? undefined : checkJson(schema, text, `The file ${path}`);
};

export const writeJournal = async (configDirectory: string, journal: Journal): Promise<void> => {
  const path = journalFile(configDirectory);
  await replaceFile(path, `${JSON.stringify(journal, null, 2)}\n`);
  // It holds nothing that main.cf does not.
  await chmod(path, 0o644);
};

export const removeJournal = (configDirectory: string): Promise<void> =>
  rm(journalFile(configDirectory), { force: true });

/**
 * The changes of a further setup on those before. Where nobody has touched a parameter in between, what it was before the
 * first of them stays what uninstall puts back; else the administrator's value is.
 */
export const joined = (before: readonly Changed[], changes: readonly Change[]): readonly Changed[] => {
  const key = (one: Pick<Changed, 'file' | 'parameter'>): string => `${one.file} ${one.parameter}`;
  const all = new Map(before.map((one) => [key(one), one]));
  for (const change of changes) {
    const { file: name, parameter, after, milters } = change;
    const known = all.get(key(change));
    const was = change.before ?? null;
    all.set(key(change), {
      file: name,
      parameter,
      before: known !== undefined && known.after === was ? known.before : was,
      after,
      milters,
    });
  }
  return [...all.values()];
};
