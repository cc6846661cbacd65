// Finds the running OpenDKIM: its process, and what its command line says in place of its configuration. Reads /proc and
// the PidFile.
import { readdir, readFile } from 'node:fs/promises';
import { SelkieError } from '../../core/errors.ts';
import { readIfThere } from '../files.ts';
import type { OpendkimConf } from './conf.ts';

export interface OpendkimProcess {
  readonly pid: number;
  /** Effective user and group. */
  readonly uid: number;
  readonly gid: number;
  /** `-p`, which counts more than `Socket`. */
  readonly socket?: string;
}

const defaultConf = '/etc/opendkim.conf';

/** The last value of an option letter, `-pX` or `-p X`. */
const option = (args: readonly string[], letter: string): string | undefined => {
  const at = args.findLastIndex((arg) => arg.startsWith(`-${letter}`));
  if (at < 0) return undefined;
  const joined = args[at]?.slice(2) ?? '';
  return joined === '' ? args[at + 1] : joined;
};

interface Candidate extends OpendkimProcess {
  readonly parent: number;
  readonly conf: string;
}

/** Undefined where this process is gone, or is no OpenDKIM: a PidFile may outlive its process, and the number be another's. */
const candidate = async (pid: number): Promise<Candidate | undefined> => {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const [name, parent, uid, gid] = [
      /^Name:\s+(.*)$/m,
      /^PPid:\s+(\d+)$/m,
      /^Uid:\s+\d+\s+(\d+)/m,
      /^Gid:\s+\d+\s+(\d+)/m,
    ].map((wanted) => wanted.exec(status)?.[1]);
    if (name !== 'opendkim' || /^State:\s+Z/m.test(status)) return undefined;
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(1);
    const socket = option(args, 'p');
    return {
      pid,
      uid: Number(uid),
      gid: Number(gid),
      parent: Number(parent),
      conf: option(args, 'x') ?? defaultConf,
      ...(socket === undefined ? {} : { socket }),
    };
  } catch {
    return undefined;
  }
};

const fromPidFile = async (file: string): Promise<Candidate | undefined> => {
  const text = await readIfThere(file).catch(() => undefined);
  const pid = Number(text?.trim());
  return Number.isSafeInteger(pid) && pid > 1 ? candidate(pid) : undefined;
};

/**
 * The OpenDKIM that runs with this configuration: by its PidFile, or else by its command line. With AutoRestart, the parent,
 * which passes signals on.
 * @returns undefined where none runs
 * @throws SelkieError invalid where several do
 */
export const findOpendkim = async (conf: OpendkimConf): Promise<OpendkimProcess | undefined> => {
  const pidFile = conf.get('PidFile');
  const named = pidFile === undefined ? undefined : await fromPidFile(pidFile);
  if (named !== undefined) return named;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: Candidate[] = [];
  for (const pid of pids) {
    const one = await candidate(pid);
    if (one !== undefined && one.conf === conf.file) found.push(one);
  }
  const parents = found.filter(({ parent }) => !found.some(({ pid }) => pid === parent));
  if (parents.length > 1)
    throw new SelkieError(
      'invalid',
      `Several OpenDKIM processes run with ${conf.file} (${parents.map(({ pid }) => pid).join(', ')}): set PidFile in it, so that the right one is told to reload.`,
      { field: 'PidFile' },
    );
  return parents[0];
};
