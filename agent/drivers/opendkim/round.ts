// One call of the driver, from what is wanted to what OpenDKIM was seen to do. Touches what its parts touch: key files, the
// two tables, the state file; signals OpenDKIM.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, SelkieError } from '../../../core/errors.ts';
import { openConnections } from '../../opendkim/connections.ts';
import { createObserver } from './observe.ts';
import { planRows } from './plan.ts';
import { buildTables, type KeyPlace, namesOurs, servingKeys, type WantedRows } from './rows.ts';
import { standing } from './standing.ts';
import { forgetEnded, noteReload, olderThan } from './state.ts';
import {
  changedDomains,
  checkTables,
  differs,
  inForce,
  purgeKeyTable,
  putTables,
  readTables,
  reload,
  restoreTables,
} from './swap.ts';
import { absence } from './view.ts';
import { isTried, nameOf, type Work } from './work.ts';
import { writeKeys } from './write-keys.ts';

/** What is remembered of keys that are no longer wanted, or wanted again. */
const prune = ({ saved: { state }, byName, refused, failed, reasons, settings }: Work): void => {
  for (const name of Object.keys(state.tried)) if (!byName.has(name)) delete state.tried[name];
  for (const name of Object.keys(state.gone))
    if (byName.get(name)?.duty === 'signing') delete state.gone[name];
  for (const [name, { why, until }] of refused)
    if (byName.get(name)?.duty !== 'signing') refused.delete(name);
    else if (settings.now() < until) {
      failed.add(name);
      reasons.set(name, why);
    }
};

/** By domain that is to be signed for: the key last seen to sign, or else the one that KeyTable names, if it may go on. */
const findServing = async ({
  saved,
  files,
  view,
  signing,
  wanted,
}: Work): Promise<ReadonlyMap<string, KeyPlace>> => {
  const tables = await readTables(view);
  const listed = servingKeys(tables.keyTable, tables.keyType);
  const serving = new Map<string, KeyPlace>();
  for (const domain of signing.keys()) {
    const selector = saved.state.signing[domain]?.selector;
    const seen = selector === undefined ? [] : [{ domain, selector, file: files.path({ domain, selector }) }];
    for (const place of [...seen, ...[listed.get(domain) ?? []].flat()])
      if (!serving.has(domain) && !wanted.stopped.has(nameOf(place)) && (await files.has(place)))
        serving.set(domain, place);
  }
  return serving;
};

/** Whether OpenDKIM answers; and if it has not the tables that it was last seen with, what was seen counts no more. */
const seesAgain = async ({ saved: { state }, view, settings }: Work): Promise<boolean> => {
  try {
    if (await inForce(view, state.tables?.mark ?? 'unknown', settings.timeout)) return true;
    for (const seen of Object.values(state.signing)) delete seen.reload;
    return true;
  } catch {
    return false;
  }
};

const planOf = (work: Work, serving: ReadonlyMap<string, KeyPlace>): WantedRows =>
  planRows(
    work.wanted.keys.map((key) => ({
      name: nameOf(key),
      domain: key.domain,
      selector: key.selector,
      duty: key.duty,
      file: work.files.path(key),
      ready: work.ready.has(nameOf(key)),
      tried: isTried(work, key),
      failed: work.failed.has(nameOf(key)),
    })),
    serving,
    work.files.canaryKey,
  );

/** Rows of others that name one of these keys are rows of ours: see `buildTables`. */
const heldBy = ({ wanted }: Work, rows: WantedRows): ReadonlySet<string> => {
  const signed = new Set(rows.signing.map(({ domain }) => domain));
  return new Set([
    ...wanted.keys.filter(({ domain }) => signed.has(domain)).map(nameOf),
    ...wanted.stopped.keys(),
  ]);
};

/** What was seen of these domains holds no longer: written down before it comes true. */
const unsee = async ({ saved, settings }: Work, domains: ReadonlySet<string>): Promise<void> => {
  for (const domain of domains) delete saved.state.signing[domain]?.reload;
  await saved.save();
  await settings.step('state saved');
};

/** Tables with these rows, on the disk and in force. @returns whether that took a reload */
const bring = async (work: Work, rows: WantedRows): Promise<boolean> => {
  const { view, saved, settings } = work;
  const { timeout, reloadWithin: within, step, now, backups } = settings;
  const present = await readTables(view);
  const built = buildTables(present, rows, heldBy(work, rows), work.saved.state.tables?.mark);
  const changes = differs(present, built);
  if (changes) {
    checkTables(present, built);
    await unsee(work, changedDomains(present, built));
    await putTables(present, built, { now: now(), backups, step });
  }
  // A mark that was seen before is in force, or OpenDKIM was told other tables meanwhile; a new one cannot be.
  if (!changes && (await inForce(view, built.mark, timeout))) return false;
  if (!changes) checkTables(present, built);
  if (!(await reload(view, built.mark, { timeout, within, step }))) {
    if (changes) await restoreTables(present, built);
    throw new SelkieError(
      'unavailable',
      `OpenDKIM did not take new tables within ${within / 1_000} s of the signal to reload; see its log (journalctl -u opendkim).${changes ? ' The old tables are back.' : ''}`,
    );
  }
  // After the reload was seen: a connection that is opened from now on has these tables.
  const number = noteReload(saved.state, await openConnections(view.target));
  saved.state.tables = { mark: built.mark, reload: number };
  await saved.save();
  await step('reload seen');
  return true;
};

/** Trial rows first; then, when those were signed with, the domains' rows; and back to the old key where a new one fails. */
const bringAll = async (work: Work, serving: ReadonlyMap<string, KeyPlace>): Promise<void> => {
  const observer = createObserver(work);
  let last = '';
  for (let pass = 0; pass < 5; pass += 1) {
    const rows = planOf(work, serving);
    const said = JSON.stringify(rows);
    if (said === last) return;
    // On a host without keys the tables stay as they were found.
    if (work.wanted.keys.length === 0 && !namesOurs(await readTables(work.view))) return;
    const reloaded = await bring(work, rows);
    await observer.tryKeys(rows);
    const faults = await observer.domains(rows);
    if (faults.length > 0 && !reloaded) {
      // Somebody else may have had other tables loaded under the same mark. Only after a reload of ours is it the key's fault.
      work.saved.state.tables = null;
      continue;
    }
    last = said;
    for (const { place, why } of faults) observer.refuse(place, why);
    await observer.gone(rows);
  }
};

/** OpenDKIM does not run. What must not sign is taken out before it starts again; all else waits until it can be observed. */
const takeOut = async (work: Work): Promise<void> => {
  const { view, signing, wanted, files, settings } = work;
  const present = await readTables(view);
  const rows: WantedRows = {
    signing: [...servingKeys(present.keyTable, present.keyType).values()].filter(
      (key) => signing.has(key.domain) && !wanted.stopped.has(nameOf(key)),
    ),
    trials: [],
    canaryKey: files.canaryKey,
  };
  const built = buildTables(present, rows, heldBy(work, rows), work.saved.state.tables?.mark);
  const changed = changedDomains(present, built);
  if (changed.size === 0) return;
  checkTables(present, built);
  await unsee(work, changed);
  await putTables(present, built, { now: settings.now(), backups: settings.backups, step: settings.step });
};

/** Waits a little for connections to end that were open before a reload. */
const settle = async ({ saved: { state }, view, settings }: Work): Promise<void> => {
  const pause = 50;
  for (let waited = 0; ; waited += pause) {
    if (Object.keys(state.reloads).length === 0) return;
    forgetEnded(state, await openConnections(view.target));
    const numbers = [
      ...Object.values(state.signing).map(({ reload: number }) => number ?? 0),
      ...Object.values(state.gone),
      state.tables?.reload ?? 0,
    ];
    if (!numbers.some((number) => olderThan(state, number) > 0) || waited >= settings.settleWithin) return;
    await sleep(pause);
  }
};

/** When nothing can name them any more: rows of KeyTable, then key files. */
const clean = async (work: Work, serving: ReadonlyMap<string, KeyPlace>): Promise<void> => {
  const { saved, view, wanted, files, settings } = work;
  const { tables, gone } = saved.state;
  for (const [name, number] of Object.entries(gone))
    if (olderThan(saved.state, number) === 0) delete gone[name];
  if (tables === null || olderThan(saved.state, tables.reload) > 0) return;
  const present = await readTables(view);
  const rows = planOf(work, serving);
  const built = buildTables(present, rows, heldBy(work, rows), work.saved.state.tables?.mark);
  if (built.mark !== tables.mark) return;
  await purgeKeyTable(present, built);
  await settings.step('KeyTable purged');
  const named = built.keyTable.split(/[\s:]+/).filter((word) => word.startsWith('/'));
  await files.sweep(new Set([...wanted.keys.map((key) => files.path(key)), ...named]));
  await settings.step('keys swept');
};

/** @returns the driver's answer; what went wrong is in it */
export const runRound = async (work: Work): Promise<ReadonlyMap<string, string>> => {
  prune(work);
  let trouble: string | undefined;
  let answers = true;
  try {
    await writeKeys(work);
    const serving = await findServing(work);
    answers = await seesAgain(work);
    if (answers) await bringAll(work, serving);
    else await takeOut(work);
    if (answers) {
      await settle(work);
      await clean(work, serving);
    }
  } catch (error) {
    trouble = describe(error);
  }
  try {
    await work.saved.save();
  } catch (error) {
    trouble ??= `What was seen cannot be written down: ${describe(error)}`;
  }
  return standing(work, trouble ?? (answers ? undefined : absence(work.view)), answers);
};
