// OpenDKIM as the signer: its keys and its two tables are kept for it, it is told to reload, and what it then signs with is
// observed. Touches the driver's folder, KeyTable and SigningTable; signals OpenDKIM.
import { SelkieError } from '../../../core/errors.ts';
import { pathFault } from '../../opendkim/safe-path.ts';
import type { Driver } from '../driver.ts';
import { keyTypesOf } from '../key-types.ts';
import { openKeyFiles } from './key-files.ts';
import { runRound } from './round.ts';
import { openState } from './state.ts';
import { lookAt } from './view.ts';
import { beginWork, type Refused, type Settings } from './work.ts';

export interface OpendkimDriverOptions {
  /** opendkim.conf */
  readonly config: string;
  /** Of this driver alone: keys and what it must not forget. Made 0700, of OpenDKIM's user; no directory above may be writable by others. */
  readonly folder: string;
  /** Milliseconds since 1970, for the names of backups. */
  readonly now: () => number;
  /** How many dated copies of each table are kept; 10 unless told otherwise. */
  readonly backups?: number;
  /** Milliseconds that OpenDKIM may take to answer; 10 s unless told otherwise. */
  readonly timeout?: number;
  /** Milliseconds that it may take to reload; 10 s unless told otherwise. */
  readonly reloadWithin?: number;
  /** Milliseconds that a call waits for old connections to end before it answers that they are still there; 2 s unless told otherwise. */
  readonly settleWithin?: number;
  /** How many keys are written and tried in one call, which is to return soon; 1,000 unless told otherwise. */
  readonly atOnce?: number;
  /** Milliseconds after which a call asks OpenDKIM no more, by `now`: with many rows each message takes it long; 20 s unless told otherwise. */
  readonly askWithin?: number;
  /** Told after each effect; for tests of what a crash leaves. */
  readonly step?: (done: string) => Promise<void> | void;
}

/**
 * The keeper of an OpenDKIM, for `driver: opendkim`. Must run as OpenDKIM's user, or as root.
 * @throws SelkieError invalid where opendkim.conf is none that keys can be kept for, saying which lines to write; denied
 *   where this process may not; unsafe where OpenDKIM would refuse keys in `folder`, saying which directory and what mends it
 */
export const createOpendkimDriver = async (options: OpendkimDriverOptions): Promise<Driver> => {
  const settings: Settings = {
    backups: 10,
    timeout: 10_000,
    reloadWithin: 10_000,
    settleWithin: 2_000,
    atOnce: 1_000,
    askWithin: 20_000,
    ...options,
    step: async (done) => options.step?.(done),
  };
  if (!settings.folder.startsWith('/') || /[\s%:#]/.test(settings.folder))
    throw new SelkieError(
      'invalid',
      `The folder ${settings.folder} for OpenDKIM's keys must be an absolute path without white space, "%", ":" and "#": it stands in KeyTable.`,
      { field: 'folder' },
    );
  const prepare = async () => {
    const view = await lookAt(settings.config);
    const files = await openKeyFiles(settings.folder, view.user);
    const fault = await pathFault(files.canaryKey, view.user, view.accounts);
    if (fault !== undefined)
      throw new SelkieError('unsafe', `OpenDKIM would not take keys from ${settings.folder}: ${fault}.`, {
        field: 'folder',
      });
    return { view, files };
  };
  await prepare();
  const saved = await openState(settings.folder);
  const refused: Refused = new Map();
  return {
    keyTypes: keyTypesOf.opendkim,
    async apply(wanted) {
      return runRound(beginWork({ ...(await prepare()), settings, saved, refused, wanted }));
    },
    async close() {},
  };
};
