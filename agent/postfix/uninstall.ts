// Puts back what setup changed in an instance, and only that: what an administrator has changed since stays as it is. Our
// milter goes from every list that setup put it in, or Postfix would put off all mail when the agent is gone.
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, SelkieError } from '../../core/errors.ts';
import type { Instant } from '../../core/time.ts';
import { parseMilters, sameMilter } from './address.ts';
import { checkPostfix, postconf, type Reloaded, reload } from './apply.ts';
import type { Exec } from './exec.ts';
import { backUp, digestOf, type PostfixFile, restore } from './files.ts';
import { type Changed, type Journal, removeJournal } from './journal.ts';
import { withoutSpace } from './plan.ts';
import type { Instance } from './read.ts';

/** One parameter; `to` undefined: it is taken out of the file. */
export interface PutBack extends Pick<Changed, 'file' | 'parameter'> {
  readonly from: string | undefined;
  readonly to: string | undefined;
}

export interface Removal {
  readonly instance: Instance;
  readonly putBack: readonly PutBack[];
  /** Files that nobody has changed since: put back byte by byte, from the copy named. */
  readonly whole: ReadonlyMap<PostfixFile, string>;
  /** What stays as the administrator has it. */
  readonly remarks: readonly string[];
}

const present = (instance: Instance, { file, parameter }: Changed): string | undefined => {
  if (file === 'main.cf') return instance.written(parameter);
  const at = parameter.lastIndexOf('/');
  const service = instance.services.find(({ name }) => name === parameter.slice(0, at));
  return service?.overrides.get(parameter.slice(at + 1));
};

/** Lists that differ in white space only are the same to Postfix. */
const sameValue = (one: string | undefined, other: string | undefined): boolean =>
  one === other || (one !== undefined && other !== undefined && withoutSpace(one) === withoutSpace(other));

const withoutMilter = (list: string, milter: string, queueDirectory: string): string =>
  parseMilters(list)
    .filter(({ address }) => !sameMilter(address, milter, queueDirectory))
    .map(({ text }) => text)
    .join(', ');

type Step = { readonly step: PutBack } | { readonly remark: string } | undefined;

const stepOf = (instance: Instance, changed: Changed, milter: string): Step => {
  const { file, parameter, after } = changed;
  const before = changed.before ?? undefined;
  const from = present(instance, changed);
  if (sameValue(from, after)) return { step: { file, parameter, from, to: before } };
  if (sameValue(from, before)) return undefined;
  const remark = `${parameter} was changed since setup and is now ${from === undefined ? 'not set' : `"${from}"`}: left as it is.`;
  if (!changed.milters || from === undefined) return { remark };
  const rest = withoutMilter(from, milter, instance.queueDirectory);
  if (sameValue(rest, from)) return { remark };
  return { step: { file, parameter, from, to: rest === '' && before === undefined ? undefined : rest } };
};

/** What uninstall would do, from what setup wrote down and what is there now. */
export const planRemoval = async (instance: Instance, journal: Journal): Promise<Removal> => {
  const { configDirectory } = instance;
  const whole = new Map<PostfixFile, string>();
  for (const file of ['main.cf', 'master.cf'] as const) {
    const entry = journal.files[file];
    if (entry === undefined || entry.left !== (await digestOf(configDirectory, file))) continue;
    const copy = await lstat(join(configDirectory, entry.backup)).catch(() => undefined);
    if (copy?.isFile() === true) whole.set(file, entry.backup);
  }
  const steps = journal.changes.map((changed) => stepOf(instance, changed, journal.milter));
  return {
    instance,
    putBack: steps.flatMap((step) => (step !== undefined && 'step' in step ? [step.step] : [])),
    whole,
    remarks: steps.flatMap((step) => (step !== undefined && 'remark' in step ? [step.remark] : [])),
  };
};

export interface Removed {
  readonly backups: ReadonlyMap<PostfixFile, string>;
  readonly postfix: Reloaded;
}

/**
 * Does it. Copies first; `postfix check` decides.
 * @throws SelkieError rejected: Postfix did not take it, and the files are as they were; unavailable: done, but not reloaded
 */
export const applyRemoval = async (exec: Exec, removal: Removal, now: Instant): Promise<Removed> => {
  const { instance, putBack, whole } = removal;
  const { configDirectory } = instance;
  const backups = new Map<PostfixFile, string>();
  for (const file of new Set([...putBack.map((one) => one.file), ...whole.keys()]))
    backups.set(file, await backUp(configDirectory, file, now));
  try {
    for (const file of backups.keys()) {
      const copy = whole.get(file);
      if (copy !== undefined) {
        await restore(configDirectory, file, copy);
        continue;
      }
      const [set, drop] = file === 'main.cf' ? (['-e', '-X'] as const) : (['-P', '-PX'] as const);
      const steps = putBack.filter((one) => one.file === file);
      const value = (to: string): string => (file === 'main.cf' ? to : withoutSpace(to));
      await postconf(
        exec,
        instance,
        set,
        steps.flatMap(({ parameter, to }) => (to === undefined ? [] : [`${parameter}=${value(to)}`])),
      );
      await postconf(
        exec,
        instance,
        drop,
        steps.flatMap(({ parameter, to }) => (to === undefined ? [parameter] : [])),
      );
    }
    await checkPostfix(exec, instance);
  } catch (error) {
    for (const [file, backup] of backups) await restore(configDirectory, file, backup);
    throw new SelkieError('rejected', `${describe(error)} Everything in ${configDirectory} is as it was.`, {
      cause: error,
    });
  }
  await removeJournal(configDirectory);
  return { backups, postfix: backups.size === 0 ? 'not running' : await reload(exec, instance) };
};
