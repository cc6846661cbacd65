// How one identity of this host follows another without a gap. `selkie-agent keys roll` makes the next one beside the present
// one and prints the new fleet entry; the first bundle that is sealed to it proves that the entry is deployed, and everything
// turns to it: acknowledgements, pulls, the certificate that is shown. The old one still opens what was under way, and is
// erased after a day. Touches the identities' folders only; the timer comes from outside.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from '../core/errors.ts';
import { add, days, hours, type Instant, instant } from '../core/time.ts';
import { isCode, isUnwritable, readIfThere, replaceFile } from './files.ts';
import {
  eraseIdentity,
  type Identity,
  loadIdentity,
  loadOrMakeIdentity,
  places,
  switchIdentity,
} from './identity.ts';
import type { Log } from './log.ts';
import type { Timer } from './pull.ts';

/** How long the old identity opens bundles that were sealed before the switch. */
const keepOld = days(1);

export interface Identities {
  readonly present: Identity;
  /** Those that bundles may be sealed to and endpoints asked for: the present one first, then the next and the old, if any. */
  all(): Promise<readonly Identity[]>;
  /** A bundle that is sealed to this identity was opened and its signature holds. */
  proved(identity: Identity): Promise<void>;
  close(): void;
}

export interface IdentitiesOptions {
  readonly dir: string;
  readonly endpointHost: string;
  readonly now: () => Instant;
  readonly timer: Timer;
  readonly log: Log;
  /** Called with the new present identity, right after a switch. */
  readonly switched?: (identity: Identity) => void;
}

const switchedAt = (dir: string): string => join(dir, places.old, 'since');

/**
 * The present identity. On a disk that takes no writes, a crash in the middle of a switch cannot be mended: there the next
 * one, which was to be the present one, is it.
 */
const loadPresent = async ({ dir, endpointHost, now, log }: IdentitiesOptions): Promise<Identity> => {
  try {
    return await loadOrMakeIdentity(dir, endpointHost, now());
  } catch (error) {
    const next = isUnwritable(error) ? await loadIdentity(dir, places.next) : undefined;
    if (next === undefined) throw error;
    log(`identity: the switch to the new keys of this host cannot be finished: ${describe(error)}`);
    return next;
  }
};

/** @throws SelkieError invalid, unsafe: the present identity */
export const openIdentities = async (options: IdentitiesOptions): Promise<Identities> => {
  const { dir, now, timer, log } = options;
  let present = await loadPresent(options);

  /** A folder is made whole in one step, so its own number and time tell whether it is another one. */
  const watched = (place: typeof places.next | typeof places.old) => {
    let seen = '';
    let known: Identity | undefined;
    return async (): Promise<readonly Identity[]> => {
      try {
        const { ino, birthtimeMs } = await stat(join(dir, place));
        if (seen !== `${ino} ${birthtimeMs}`) {
          known = await loadIdentity(dir, place);
          seen = `${ino} ${birthtimeMs}`;
        }
      } catch (error) {
        [seen, known] = ['', undefined];
        // The present one serves all the same.
        if (!isCode(error, 'ENOENT')) log(`identity: ${join(dir, place)} is passed over: ${describe(error)}`);
      }
      return known === undefined ? [] : [known];
    };
  };
  const [nextOne, oldOne] = [watched(places.next), watched(places.old)];

  /** @returns whether it is still there */
  const eraseOld = async (): Promise<boolean> => {
    if ((await oldOne()).length === 0) return false;
    const text = await readIfThere(switchedAt(dir));
    const since = text === undefined ? Number.NaN : Date.parse(text.trim());
    if (since <= now()) {
      if (now() < add(instant(since), keepOld)) return true;
      await eraseIdentity(dir, places.old);
      log('identity: the old keys of this host are erased');
      return false;
    }
    // After a crash before it was written, or a clock that went back: from now on.
    await replaceFile(switchedAt(dir), `${new Date(now()).toISOString()}\n`);
    return true;
  };

  let cancel = (): void => {};
  let closed = false;
  const tidy = async (): Promise<void> => {
    cancel();
    const remains = await eraseOld().catch((error: unknown) => {
      log(`identity: the old keys of this host cannot be erased: ${describe(error)}`);
      return true;
    });
    if (remains && !closed) cancel = timer.after(hours(1), () => void tidy());
  };
  await tidy();

  let last: Promise<void> = Promise.resolve();
  const turn = async (identity: Identity): Promise<void> => {
    const [next] = await nextOne();
    if (identity.encryptionKey === present.encryptionKey || next?.encryptionKey !== identity.encryptionKey)
      return;
    await switchIdentity(dir);
    present = next;
    log('identity: the new keys of this host are in use: the fleet file has them');
    options.switched?.(present);
    await tidy();
  };

  return {
    get present() {
      return present;
    },
    all: async () => [present, ...(await nextOne()), ...(await oldOne())],
    proved(identity) {
      const mine = last.then(() => turn(identity));
      last = mine.catch(() => undefined);
      return mine;
    },
    close() {
      closed = true;
      cancel();
    },
  };
};
