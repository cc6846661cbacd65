// Performs a plan on an instance: copies, postconf, `postfix check`, a look at what Postfix makes of it, reload. What does
// not pass is put back byte by byte before Postfix has seen it. Again is the same.
import { describe, SelkieError } from '../../core/errors.ts';
import type { Instant } from '../../core/time.ts';
import { complaint, type Exec } from './exec.ts';
import { backUp, digestOf, type PostfixFile, restore } from './files.ts';
import { type Journal, joined, readJournal, removeJournal, writeJournal } from './journal.ts';
import { type Change, obstacleText, type Plan, planInstance } from './plan.ts';
import { type Instance, readInstance } from './read.ts';
import type { Wish } from './wish.ts';

export type Reloaded = 'reloaded' | 'not running';

/** Has a running Postfix read its files. @throws SelkieError unavailable */
export const reload = async (exec: Exec, { configDirectory }: Instance): Promise<Reloaded> => {
  const status = await exec('postfix', ['-c', configDirectory, 'status']);
  if (status.code !== 0) return 'not running';
  const outcome = await exec('postfix', ['-c', configDirectory, 'reload']);
  if (outcome.code !== 0)
    throw new SelkieError(
      'unavailable',
      `The changes are made, but postfix -c ${configDirectory} reload failed: ${complaint(outcome)}`,
    );
  return 'reloaded';
};

/** @throws SelkieError rejected with what `postfix check` says */
export const checkPostfix = async (exec: Exec, { configDirectory }: Instance): Promise<void> => {
  const outcome = await exec('postfix', ['-c', configDirectory, 'check']);
  if (outcome.code !== 0)
    throw new SelkieError('rejected', `postfix -c ${configDirectory} check says: ${complaint(outcome)}`);
};

/** @throws SelkieError rejected with what postconf says */
export const postconf = async (
  exec: Exec,
  { configDirectory }: Instance,
  option: '-e' | '-X' | '-P' | '-PX',
  args: readonly string[],
): Promise<void> => {
  if (args.length === 0) return;
  const outcome = await exec('postconf', ['-c', configDirectory, option, ...args]);
  if (outcome.code !== 0)
    throw new SelkieError('rejected', `postconf -c ${configDirectory} ${option}: ${complaint(outcome)}`);
};

const assignments = (changes: readonly Change[], file: PostfixFile): readonly string[] =>
  changes.filter((change) => change.file === file).map(({ parameter, after }) => `${parameter}=${after}`);

export interface Applied {
  /** Names of the copies, by file. */
  readonly backups: ReadonlyMap<PostfixFile, string>;
  readonly postfix: Reloaded;
}

/**
 * Applies the changes of a plan that has some.
 * @throws SelkieError unsafe: the plan has obstacles, nothing was touched; rejected: Postfix did not take them, and the files
 *   are as they were; unavailable: they are made, but the reload failed
 */
export const applyPlan = async (exec: Exec, plan: Plan, wish: Wish, now: Instant): Promise<Applied> => {
  const { instance, changes, obstacles } = plan;
  const { configDirectory } = instance;
  if (obstacles.length > 0) throw new SelkieError('unsafe', obstacles.map(obstacleText).join(' '));
  const files = [...new Set(changes.map(({ file }) => file))];
  const known = await readJournal(configDirectory);
  const backups = new Map<PostfixFile, string>();
  const kept: Journal['files'] = { ...known?.files };
  const whole = new Set<PostfixFile>();
  for (const file of files) {
    const backup = await backUp(configDirectory, file, now);
    backups.set(file, backup);
    // The copy of before the first change, for as long as nobody else has changed the file.
    const first = kept[file];
    const untouched = first === undefined || first.left === (await digestOf(configDirectory, file));
    kept[file] = { backup: first?.backup ?? backup, left: '' };
    if (untouched) whole.add(file);
  }
  const journal: Journal = {
    milter: plan.milter,
    changes: [...joined(known?.changes ?? [], changes)],
    files: kept,
  };
  // Before the effect: after a crash in its middle uninstall still knows what was meant.
  await writeJournal(configDirectory, journal);
  try {
    await postconf(exec, instance, '-e', assignments(changes, 'main.cf'));
    await postconf(exec, instance, '-P', assignments(changes, 'master.cf'));
    await checkPostfix(exec, instance);
    const after = planInstance(await readInstance(exec, configDirectory), wish);
    if (after.changes.length > 0)
      throw new SelkieError(
        'rejected',
        `Postfix does not go by ${after.changes.map(({ parameter }) => parameter).join(', ')} as it was set.`,
      );
  } catch (error) {
    for (const [file, backup] of backups) await restore(configDirectory, file, backup);
    if (known === undefined) await removeJournal(configDirectory);
    else await writeJournal(configDirectory, known);
    throw new SelkieError('rejected', `${describe(error)} Everything in ${configDirectory} is as it was.`, {
      cause: error,
    });
  }
  for (const file of whole) {
    const entry = kept[file];
    if (entry !== undefined) kept[file] = { ...entry, left: await digestOf(configDirectory, file) };
  }
  await writeJournal(configDirectory, journal);
  return { backups, postfix: await reload(exec, instance) };
};
