// What hosts are told: domains of a pool that have something to tell at the same time share one entry of its log, one write
// and one wake-up of each host. Numbers of a log are given out one after the other, so that an entry for each domain would
// have the workers of a large fleet wait for each other.

import { hasCode } from '../core/errors.ts';
import type { DomainRow, Place } from '../core/key/evidence.ts';
import type { DutyChange } from './ports.ts';
import { wakeHosts } from './wake-hosts.ts';
import type { Work } from './work.ts';
import type { Session, World } from './world.ts';

/** What one domain's step tells the hosts of its pool. */
export interface Telling {
  readonly work: Work;
  readonly next: (place: Place) => DomainRow;
  readonly changes: readonly DutyChange[];
  /** Says what was done, once it is. */
  readonly told: () => void;
}

/** Domains of one entry: a commit holds 100 items, an entry 400 KB. */
const mostTogether = 40;
/** Tries of an entry's number, for when other workers take it first. */
const tries = 4;

const alone = async ({ work, next, changes, told }: Telling): Promise<void> => {
  await work.append(next, changes);
  told();
};

/** @returns false: somebody wrote one of the rows, or a rule forbids one of the steps; nothing was written */
const writeTogether = async (world: World, pool: string, tellings: readonly Telling[]): Promise<boolean> => {
  for (let n = 1; n <= tries; n += 1) {
    const place = await world.ledger.nextPlace(pool);
    try {
      const rows = tellings.map(({ work, next }) => work.prepared(next(place)));
      const changes = tellings.flatMap((each) => each.changes);
      await world.ledger.commit({ domains: rows, append: { pool, place, changes } });
      tellings.forEach(({ work, told }, index) => {
        const row = rows[index];
        if (row !== undefined) work.wrote(row);
        told();
      });
      return true;
    } catch (error) {
      if (hasCode(error, 'unsafe', 'invalid')) return false;
      if (!hasCode(error, 'conflict')) throw error;
      const now = await world.ledger.nextPlace(pool);
      if (now.n === place.n && now.epoch === place.epoch) return false;
    }
  }
  return false;
};

/**
 * Tells hosts what the steps of some domains of one pool tell them. Where that cannot be written together, each is tried by
 * itself, and `failed` is told of those that cannot be.
 * @throws unavailable, throttled
 */
export const tellTogether = async (
  world: World,
  session: Session,
  tellings: readonly Telling[],
  failed: (telling: Telling, error: unknown) => Promise<void>,
): Promise<void> => {
  for (const [pool, all] of Map.groupBy(tellings, ({ work }) => work.row.pool))
    for (let from = 0; from < all.length; from += mostTogether) {
      const some = all.slice(from, from + mostTogether);
      if (some.length > 1 && (await writeTogether(world, pool, some))) {
        await wakeHosts(world, session, pool);
        continue;
      }
      for (const each of some) await alone(each).catch((error: unknown) => failed(each, error));
    }
};
