// Is this host enrolled, is its state folder closed to others, and does an agent work on it? Reads the state folder's
// metadata, settings and trusted keys; connects to the agent's lock.
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from '../../core/errors.ts';
import { loadIdentity } from '../identity.ts';
import { parseIndex } from '../key-state.ts';
import { isLocked } from '../lock.ts';
import { loadSettings } from '../settings.ts';
import { trustedKeys } from '../trust.ts';
import { type Check, type Finding, skipped, sound, wrong } from './check.ts';

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      // Others' folders say EACCES.
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
      throw error;
    },
  );

const enrolHint =
  'selkie-agent enrol --name THIS-HOST --bundle-key THUMBPRINT --control-plane URL (the deployment prints both)';

/** Keys that the host took over from OpenDKIM. They sign without a control plane, which cannot rotate them, either. */
const adoptedKeys = async (dir: string): Promise<number> => {
  const index = join(dir, 'store', 'index.json');
  if (!(await isThere(index))) return 0;
  const { adopted } = parseIndex(await readFile(index, 'utf8'), `The key store's index ${index}`).state(
    new Map(),
  );
  return adopted?.size ?? 0;
};

export const enrolmentCheck = (dir: string): Check => ({
  name: 'enrolment',
  async run() {
    if (!(await isThere(join(dir, 'agent.json')))) {
      const adopted = await adoptedKeys(dir);
      return wrong(
        adopted === 0
          ? `this host is not enrolled: there is no ${join(dir, 'agent.json')}`
          : `this host signs with the ${adopted === 1 ? 'key' : `${adopted} keys`} that it adopted, but is not enrolled: nothing rotates ${adopted === 1 ? 'it' : 'them'}`,
        enrolHint,
      );
    }
    const findings: Finding[] = [];
    const settings = await loadSettings(dir);
    let trusted = 0;
    try {
      trusted = (await trustedKeys(dir)).length;
    } catch (error) {
      findings.push({ problem: describe(error).replace(/\.$/, ''), mends: [enrolHint] });
    }
    if ((await loadIdentity(dir)) === undefined)
      findings.push({ problem: `there is no identity in ${dir}`, mends: [enrolHint] });
    return { findings, note: `${settings.name}, ${trusted} bundle ${trusted === 1 ? 'key' : 'keys'} pinned` };
  },
});

/** A key store of 100,000 keys is not walked through: they are all made by one process. */
const mostFiles = 2_000;

const filesBelow = async (folder: string, found: string[] = []): Promise<string[]> => {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (found.length >= mostFiles) return found;
    const path = join(folder, entry.name);
    found.push(path);
    if (entry.isDirectory()) await filesBelow(path, found);
  }
  return found;
};

/** @param user who the agent runs as, where this host has such a user */
export const stateFolderCheck = (
  dir: string,
  user: { readonly name: string; readonly uid: number } | undefined,
): Check => ({
  name: 'state folder',
  async run() {
    if (!(await isThere(dir))) return skipped(`there is no ${dir} yet`);
    const { mode, uid } = await lstat(dir);
    const findings: Finding[] = [];
    const octal = (mode & 0o777).toString(8);
    if ((mode & 0o077) !== 0)
      findings.push({
        problem: `others may enter ${dir} (mode ${octal}), which holds private keys`,
        mends: [`chmod 700 ${dir}`],
      });
    const owner = user?.uid ?? uid;
    const open: string[] = [];
    const foreign: string[] = uid === owner ? [] : [dir];
    for (const path of await filesBelow(dir)) {
      const file = await lstat(path).catch(() => undefined);
      if (file === undefined) continue;
      if (!file.isSocket() && (file.mode & 0o077) !== 0 && (file.isDirectory() || (file.mode & 0o044) !== 0))
        open.push(path);
      if (file.uid !== owner) foreign.push(path);
    }
    const some = (paths: readonly string[]): string =>
      `${paths.slice(0, 2).join(', ')}${paths.length > 2 ? ` and ${paths.length - 2} more` : ''}`;
    if (open.length > 0)
      findings.push({ problem: `others may read ${some(open)}`, mends: [`chmod -R go= ${dir}`] });
    if (foreign.length > 0)
      findings.push({
        problem: `${some(foreign)} ${foreign.length === 1 ? 'does' : 'do'} not belong to ${user?.name ?? `user ${uid}, whose the folder is`}: the agent cannot read it`,
        mends: [`chown -R ${user === undefined ? uid : `${user.name}:`} ${dir}`],
      });
    return { findings, note: dir };
  },
});

/** @param unit the agent's service */
export const runningCheck = (dir: string, unit: string): Check => ({
  name: 'agent',
  async run() {
    return (await isLocked(dir))
      ? sound('runs')
      : wrong(`no selkie-agent works on ${dir}`, `systemctl start ${unit}`, `journalctl -u ${unit} -n 50`);
  },
});
