// Puts tables in place of those on the disk, tells OpenDKIM, and sees them in force, or puts the old ones back. Touches the
// two table files and their backups; signals OpenDKIM.
import { setTimeout as sleep } from 'node:timers/promises';
import { SelkieError } from '../../../core/errors.ts';
import { keyRows, keyTableFaults } from '../../opendkim/key-table.ts';
import { signingRow, signingTableFaults } from '../../opendkim/signing-table.ts';
import { parseTable, type TableType } from '../../opendkim/table.ts';
import { openCanary } from './canary.ts';
import { type BuiltTables, servingKeys, type Tables, tablesAddress, withoutMark } from './rows.ts';
import { backUp, readTableFile, replaceTables, type TableFile } from './table-files.ts';
import { absence, type OpendkimView } from './view.ts';

export interface PresentTables extends Tables {
  readonly keyFile: TableFile;
  readonly signingFile: TableFile;
}

export const readTables = async (view: OpendkimView): Promise<PresentTables> => {
  const keyFile = await readTableFile(view.keyTable.path);
  const signingFile = await readTableFile(view.signingTable.path);
  return {
    keyFile,
    signingFile,
    keyType: view.keyTable.type,
    keyTable: keyFile.text,
    signingType: view.signingTable.type,
    signingTable: signingFile.text,
  };
};

/**
 * OpenDKIM takes broken rows and then puts off all mail that needs them; after a reload those of others come into force too.
 * @throws SelkieError unsafe, naming the lines
 */
export const checkTables = (present: PresentTables, built: BuiltTables): void => {
  const keyLines = parseTable(built.keyTable, present.keyType);
  const known = keyRows(keyLines);
  const faults = [
    ...keyTableFaults(keyLines).map((fault) => `${present.keyFile.path} ${fault}`),
    ...signingTableFaults(parseTable(built.signingTable, present.signingType), present.signingType, (name) =>
      // A refile KeyTable may find it by a pattern.
      present.keyType === 'refile' ? true : known.has(name),
    ).map((fault) => `${present.signingFile.path} ${fault}`),
  ];
  if (faults.length > 0)
    throw new SelkieError(
      'unsafe',
      `OpenDKIM would put mail off after a reload: ${faults.slice(0, 3).join('; ')}${faults.length > 3 ? ` and ${faults.length - 3} more` : ''}. Mend that first; until then nothing is changed.`,
    );
};

/** Domains whose row is another one, or is found otherwise, in the new tables. */
export const changedDomains = (present: Tables, built: BuiltTables): ReadonlySet<string> => {
  const before = servingKeys(present.keyTable, present.keyType);
  const after = servingKeys(built.keyTable, present.keyType);
  const found = (text: string): ReadonlySet<string> =>
    new Set(parseTable(text, present.signingType).flatMap(({ row }) => (row && signingRow(row)?.name) ?? []));
  const [foundBefore, foundAfter] = [found(present.signingTable), found(built.signingTable)];
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter((domain) => {
    const [a, b] = [before.get(domain), after.get(domain)];
    const name = `selkie/${domain}`;
    return (
      a?.selector !== b?.selector || a?.file !== b?.file || foundBefore.has(name) !== foundAfter.has(name)
    );
  });
  return new Set(changed);
};

/** Whether anything on the disk is to change. Rows of KeyTable that nothing names any more do not count: `purgeKeyTable`. */
export const differs = (present: PresentTables, built: BuiltTables): boolean =>
  !present.keyFile.exists ||
  !present.signingFile.exists ||
  present.keyTable !== built.keyTableMeanwhile ||
  present.signingTable !== built.signingTable;

export type Step = (done: string) => Promise<void>;

/** Whoever reads both files at any moment of this finds every name of SigningTable in KeyTable. */
export const putTables = async (
  present: PresentTables,
  built: BuiltTables,
  { now, backups, step }: { readonly now: number; readonly backups: number; readonly step: Step },
): Promise<void> => {
  const same = (type: TableType) => (a: string, b: string) => withoutMark(a, type) === withoutMark(b, type);
  await backUp(present.keyFile, now, backups, same(present.keyType));
  await backUp(present.signingFile, now, backups, same(present.signingType));
  await step('backed up');
  await replaceTables(
    [
      [present.keyFile, built.keyTableMeanwhile],
      [present.signingFile, built.signingTable],
    ],
    ({ path }) => step(path === present.keyFile.path ? 'KeyTable written' : 'SigningTable written'),
  );
};

/** The way back, after which everything is as `present` says. What stands there now is what `putTables` wrote. */
export const restoreTables = (present: PresentTables, built: BuiltTables): Promise<void> =>
  replaceTables([
    [{ ...present.signingFile, exists: true, text: built.signingTable }, present.signingTable],
    [{ ...present.keyFile, exists: true, text: built.keyTableMeanwhile }, present.keyTable],
  ]);

/** Takes the rows out of KeyTable that neither the disk's SigningTable nor one in force names. */
export const purgeKeyTable = async (present: PresentTables, built: BuiltTables): Promise<void> => {
  if (present.signingTable === built.signingTable) await replaceTables([[present.keyFile, built.keyTable]]);
};

/**
 * Whether new connections get these tables.
 * @throws SelkieError unavailable where OpenDKIM does not answer
 */
export const inForce = async (view: OpendkimView, mark: string, timeout: number): Promise<boolean> => {
  const canary = await openCanary(view.target, timeout).catch((cause: unknown) => {
    throw new SelkieError('unavailable', absence(view), { cause });
  });
  try {
    const { signatures } = await canary.ask(tablesAddress(mark));
    return signatures.some(({ selector }) => selector === mark);
  } finally {
    await canary.close().catch(() => undefined);
  }
};

/**
 * SIGUSR1, then new connections until one has the tables: OpenDKIM notices the signal in its own time.
 * @returns whether it did within that time
 */
export const reload = async (
  view: OpendkimView,
  mark: string,
  { timeout, within, step }: { readonly timeout: number; readonly within: number; readonly step: Step },
): Promise<boolean> => {
  if (view.process === undefined) throw new SelkieError('unavailable', absence(view));
  try {
    process.kill(view.process.pid, 'SIGUSR1');
  } catch (cause) {
    throw new SelkieError(
      'denied',
      `OpenDKIM (process ${view.process.pid}) cannot be told to reload: ${cause instanceof Error ? cause.message : ''}.`,
      { cause },
    );
  }
  await step('signalled');
  const pause = 20;
  for (let waited = 0; waited < within; waited += pause) {
    if (await inForce(view, mark, timeout).catch(() => false)) return true;
    await sleep(pause);
  }
  return false;
};
