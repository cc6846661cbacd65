// One domain under work: its row as the ledger has it, and saving, which is always conditional on that row.

import { hasCode, SelkieError } from '../core/errors.ts';
import type { Situation } from '../core/key/actions.ts';
import type { DomainRow, Key, Place } from '../core/key/evidence.ts';
import { keyOf, tidied } from '../core/key/row.ts';
import { assertSafe } from '../core/key/safety.ts';
import type { FleetZone, Policy } from '../core/policy.ts';
import type { Instant } from '../core/time.ts';
import type { Commit, DutyChange, Happening, HostRow } from './ports.ts';
import { wakeHosts } from './wake-hosts.ts';
import { policyOf, poolHosts, report, type Session, situation, type World, zoneOf } from './world.ts';

export interface Work {
  readonly world: World;
  readonly session: Session;
  /** As the ledger has it. */
  readonly row: DomainRow;
  readonly policy: Policy;
  readonly zone: FleetZone;
  now(): Instant;
  situation(): Situation;
  /** Writes `next` in place of `row`; the domain stays due until the unit ends. @throws conflict, exists, unsafe */
  save(next: DomainRow, extra?: Omit<Commit, 'domains'>): Promise<void>;
  /** `next` as it is to be written in place of `row`, by whoever writes it together with others' and then says `wrote`. @throws unsafe */
  prepared(next: DomainRow): DomainRow;
  wrote(prepared: DomainRow): void;
  /** Writes `next(place)` together with an entry of the pool's log, then wakes the pool's hosts. @throws as `save` */
  append(
    next: (place: Place) => DomainRow,
    changes: readonly DutyChange[],
    extra?: Pick<Commit, 'reserve'>,
  ): Promise<void>;
  /** Writes when to look again, where that differs. */
  rest(wakeAt: Instant | undefined): Promise<void>;
  /** Reads the row and the pool's hosts again. */
  reload(): Promise<void>;
  report(level: Happening['level'], says: string, selector?: string): void;
}

/** @throws conflict: another worker has moved the row on */
export const theKey = (row: DomainRow, selector: string): Key => {
  const key = keyOf(row, selector);
  if (key === undefined)
    throw new SelkieError('conflict', `${selector} is not a key of ${row.domain} any more`);
  return key;
};

/** How often a number of the pool's log is tried for when other domains take it first. */
const appendTries = 8;

/** Reads a pool's hosts once for all domains of a unit, until told to forget. */
export interface HostCache {
  of(pool: string): Promise<readonly HostRow[]>;
  forget(): void;
}

export const hostCache = (world: World): HostCache => {
  const known = new Map<string, Promise<readonly HostRow[]>>();
  return {
    of: (pool) => {
      const hosts = known.get(pool) ?? poolHosts(world, pool);
      known.set(pool, hosts);
      return hosts;
    },
    forget: () => known.clear(),
  };
};

/** Undefined where the ledger has no such domain. */
export const openWork = async (
  world: World,
  session: Session,
  domain: string,
  cache: HostCache,
): Promise<Work | undefined> => {
  const found = await world.ledger.domain(domain);
  if (found === undefined) return undefined;
  let row = found;
  let hosts = await cache.of(row.pool);

  const write = async (next: DomainRow, extra: Omit<Commit, 'domains'> = {}): Promise<void> => {
    await world.ledger.commit({ ...extra, domains: [next] });
    row = { ...next, version: next.version + 1 };
  };
  const prepared = (wanted: DomainRow): DomainRow => {
    const now = session.now();
    const next = { ...tidied(wanted, now), version: row.version, wakeAt: now };
    assertSafe(row, next, situation(world, session, next, hosts));
    return next;
  };
  const save = async (wanted: DomainRow, extra?: Omit<Commit, 'domains'>): Promise<void> =>
    write(prepared(wanted), extra);

  return {
    world,
    session,
    get row() {
      return row;
    },
    get policy() {
      return policyOf(world, row.domain);
    },
    get zone() {
      return zoneOf(world, row);
    },
    now: () => session.now(),
    situation: () => situation(world, session, row, hosts),
    save,
    prepared,
    wrote: (next) => {
      row = { ...next, version: next.version + 1 };
    },
    append: async (next, changes, extra) => {
      for (let tries = 1; ; tries += 1) {
        const place = await world.ledger.nextPlace(row.pool);
        try {
          await save(next(place), { ...extra, append: { pool: row.pool, place, changes } });
          break;
        } catch (error) {
          // Either the number or the row was taken; where it was the row, trying again would write over it.
          const current = await world.ledger.domain(row.domain);
          if (!hasCode(error, 'conflict') || tries >= appendTries || current?.version !== row.version)
            throw error;
        }
      }
      await wakeHosts(world, session, row.pool);
    },
    rest: async (wakeAt) => {
      if (row.wakeAt === wakeAt) return;
      // Nothing that a rule could break changes.
      const { wakeAt: _before, ...rest } = row;
      await write({ ...rest, ...(wakeAt === undefined ? {} : { wakeAt }) });
    },
    reload: async () => {
      const current = await world.ledger.domain(domain);
      if (current === undefined) throw new SelkieError('conflict', `${domain} is gone from the ledger`);
      row = current;
      hosts = await cache.of(row.pool);
    },
    report: (level, says, selector) =>
      report(world, session, level, says, {
        domain: row.domain,
        ...(selector === undefined ? {} : { selector }),
      }),
  };
};
