// The cohort unit: named domains that rotate together, of one record zone or of many small ones. Level-triggered: it loads, plans,
// performs and plans again until only waits are left, then writes when to look again. It may run at any time, twice,
// in two workers: every write is conditional, and a conflict only means that the next round plans anew.
//
// Domains share a round for what they share in it: secrets, entries of the pool's log, record changes of a zone. Whoever gets no
// further leaves it, and whoever met a trouble waits behind the others, so that a zone that fails holds up nobody else's.

import { hasCode } from '../core/errors.ts';
import { type Action, type Plan, stepOf } from '../core/key/actions.ts';
import { plan } from '../core/key/plan.ts';
import { withoutTrouble } from '../core/key/row.ts';
import { inCompany, nextTelling } from '../core/key/waits.ts';
import { add, between, earliest, latest, minutes, seconds } from '../core/time.ts';
import { changeRecords, fail, isRecordAction } from './change-records.ts';
import { countDomains } from './health.ts';
import { fenceHosts } from './hosts.ts';
import { inParallel } from './parallel.ts';
import {
  type DomainAction,
  isTellAction,
  perform,
  type StatusOf,
  type TellAction,
  tellingOf,
} from './perform.ts';
import { policyRest, workOnPolicies } from './policies/work.ts';
import { isStoreAction, storeKeys } from './store-keys.ts';
import { type Telling, tellTogether } from './tell.ts';
import { type CohortUnit, cohortName } from './units.ts';
import { type HostCache, hostCache, openWork, type Work } from './work.ts';
import { comeBack, isInstalled, lyingOf, openSession, type Session, type World } from './world.ts';

/** Domains worked on at once. */
const width = 8;
/** A key's whole provision takes about a dozen rounds; beyond this something goes round in circles, and it yields. */
const mostRounds = 40;
/** Waits so short are not left to the sweep, where the provider's requests are short and units are many. */
const soon = seconds(75);
/** Longer than a unit runs: the lease only saves work. */
const leaseLength = minutes(2);
/** A unit that has run so long begins nothing new: what is left is due, and another's. Its function ends with the lease. */
const unitLength = seconds(75);

const isDomainAction = (action: Action): action is DomainAction =>
  !isRecordAction(action) &&
  !isStoreAction(action) &&
  !isTellAction(action) &&
  action.do !== 'tell' &&
  action.do !== 'fence';

/** One change id is asked once a round, however many records it carried. */
const statusOnce = (): StatusOf => {
  const asked = new Map<string, ReturnType<StatusOf>>();
  return (work, changeId) => {
    const change = `${work.row.zone} ${changeId}`;
    const status = asked.get(change) ?? work.world.writer.status(work.zone, changeId);
    asked.set(change, status);
    return status;
  };
};

/** What the rounds of one unit share. */
interface Run {
  readonly world: World;
  readonly session: Session;
  readonly cache: HostCache;
  isLate(): boolean;
}

/** @returns false: another worker has moved the row on, or it is too late for more */
const performAll = async (
  run: Run,
  work: Work,
  actions: readonly DomainAction[],
  statusOf: StatusOf,
): Promise<boolean> => {
  for (const action of actions) {
    if (run.isLate()) return false;
    try {
      await perform(work, action, statusOf);
      const mended = withoutTrouble(work.row, stepOf(action));
      if (mended !== work.row) await work.save(mended);
    } catch (error) {
      if (hasCode(error, 'conflict')) return false;
      await fail(work, action, error);
    }
  }
  return true;
};

/** Tells the hosts what the plans tell them: of each domain its first such step, a further one in the next round. */
const tellAll = async (
  world: World,
  session: Session,
  plans: ReadonlyMap<Work, Plan>,
  works: readonly Work[],
): Promise<void> => {
  const steps = new Map<Work, TellAction>();
  const tellings = works.flatMap((work): Telling[] => {
    const action = plans.get(work)?.actions.find(isTellAction);
    const telling = action === undefined ? undefined : tellingOf(work, action);
    if (action === undefined || telling === undefined) return [];
    steps.set(work, action);
    return [{ ...telling, next: (place) => withoutTrouble(telling.next(place), stepOf(action)) }];
  });
  await tellTogether(world, session, tellings, async ({ work }, error) => {
    const action = steps.get(work);
    if (action !== undefined) await quietly(() => fail(work, action, error));
  });
};

interface Round {
  readonly plans: ReadonlyMap<Work, Plan>;
  /** Those who got further, and may have more to do at once. */
  readonly further: readonly Work[];
}

const round = async (run: Run, works: readonly Work[]): Promise<Round> => {
  const { world, session, cache, isLate } = run;
  const before = new Map(works.map((work) => [work, work.row.version]));
  const plans = new Map(works.map((work) => [work, plan(work.situation())]));
  const actionsOf = (work: Work): readonly Action[] => plans.get(work)?.actions ?? [];
  const statusOf = statusOnce();

  const done = await inParallel(width, works, async (work) => {
    let whole = false;
    await quietly(async () => {
      whole = await performAll(run, work, actionsOf(work).filter(isDomainAction), statusOf);
    });
    return whole;
  });
  const whole = works.filter((_, index) => done[index] === true);
  await storeKeys(
    world,
    whole.flatMap((work) =>
      actionsOf(work)
        .filter(isStoreAction)
        .map((action) => ({ work, action })),
    ),
  );
  await tellAll(world, session, plans, whole);
  await changeRecords(
    world,
    works.flatMap((work) =>
      actionsOf(work)
        .filter(isRecordAction)
        .map((action) => ({ work, action })),
    ),
    isLate,
  );
  await quietly(() => workOnPolicies(world, whole));

  const silent = works.flatMap(actionsOf).filter((action) => action.do === 'fence');
  for (const { hosts, reason } of silent) await fenceHosts(world, session, hosts, reason);

  // A host that is fenced lets every gate of its pool pass.
  const further = works.filter((work) => silent.length > 0 || work.row.version !== before.get(work));
  if (further.length > 0) {
    cache.forget();
    await inParallel(width, further, (work) => quietly(() => work.reload()));
  }
  return { plans, further };
};

/** The last plan of each domain that has nothing left to do but wait, or cannot get further. */
type Settled = Map<Work, Plan>;

/**
 * Rounds until these domains are settled.
 * @param leaves who is to go no further with the others though it could
 * @returns those
 */
const settle = async (
  run: Run,
  works: readonly Work[],
  settled: Settled,
  leaves: (work: Work) => boolean,
): Promise<readonly Work[]> => {
  const gone: Work[] = [];
  let left = works;
  for (let rounds = 0; rounds < mostRounds && left.length > 0 && !run.isLate(); rounds += 1) {
    const { plans, further } = await round(run, left);
    const on = new Set(further);
    for (const [work, last] of plans) if (!on.has(work)) settled.set(work, last);
    gone.push(...further.filter(leaves));
    left = further.filter((work) => !leaves(work));
  }
  return gone;
};

const isTroubled = ({ row }: Work): boolean => row.troubles.length > 0;

/** A conflict is another worker's progress, not a failure. */
const quietly = async (effect: () => Promise<void>): Promise<void> => {
  try {
    await effect();
  } catch (error) {
    if (!hasCode(error, 'conflict')) throw error;
  }
};

const hostsToTell = (plans: Iterable<Plan>): readonly string[] => [
  ...new Set(
    [...plans].flatMap((each) =>
      each.actions.flatMap((action) => (action.do === 'tell' ? action.hosts : [])),
    ),
  ),
];

/** What was published is asked for as soon as it likely is everywhere, and not by the sweep after that: once, for all of it. */
const askSoon = async (
  world: World,
  session: Session,
  unit: CohortUnit,
  lease: string,
  works: readonly Work[],
): Promise<void> => {
  if (world.writer.isShort?.() !== true) return;
  const now = session.now();
  const [one, ...more] = works
    .flatMap(({ row }) => row.wakeAt ?? [])
    .filter((at) => at > now && at <= add(now, soon));
  if (one !== undefined)
    await comeBack(world, session, `${lease}/soon`, unit, between(now, latest(one, ...more)));
};

/** @throws stale-fleet, unavailable, throttled: the unit is to be tried again */
export const reconcileCohort = async (world: World, unit: CohortUnit): Promise<void> => {
  const session = await openSession(world);
  const [first] = unit.domains;
  if (first === undefined || !isInstalled(world, session)) return;
  const one = (await lyingOf(world, first)) ?? { domain: first, zone: first };
  // A cohort is in one worker's hands at a time; that a zone's changes are made one after the other, its writer sees to.
  const lease = cohortName(world.fleet, one);
  if (!(await world.ledger.lease(lease, world.worker, session.now(), leaseLength))) {
    return comeBack(world, session, `${lease}/${first}+${unit.domains.length}`, unit, seconds(5));
  }
  try {
    const late = add(session.now(), unitLength);
    const cache = hostCache(world);
    const run: Run = { world, session, cache, isLate: () => session.now() >= late };
    const opened = await inParallel(width, unit.domains, (domain) => openWork(world, session, domain, cache));
    const works = opened.filter((work) => work !== undefined);

    const settled: Settled = new Map();
    const sound = works.filter((work) => !isTroubled(work));
    const stumbled = await settle(run, sound, settled, isTroubled);
    await settle(run, [...works.filter((work) => !sound.includes(work)), ...stumbled], settled, () => false);
    await inParallel(width, works, (work) => quietly(() => rest(work, settled.has(work))));
    await askSoon(world, session, unit, lease, works);
    countDomains(world, works);
    const hosts = hostsToTell(settled.values());
    if (hosts.length > 0) await world.queue.send(hosts.map((host) => ({ kind: 'host', host })));
  } finally {
    // The work is done whether or not this is heard: a lease ends by itself.
    await world.ledger.release(lease, world.worker).catch(() => {});
  }
};

/** Steps that come with a time at which to look again. */
const isTimed = ({ do: what }: Action): boolean => what === 'ask' || what === 'prove' || what === 'tell';

/** Where nothing is left to do but wait, when to look again; where work is left over, the row stays due. */
const rest = async (work: Work, isSettled: boolean): Promise<void> => {
  const now = work.now();
  if (!isSettled) return work.rest(now);
  const { wakeAt, actions } = plan(work.situation());
  await work.rest(
    earliest(
      wakeAt === undefined ? undefined : inCompany(wakeAt, now),
      // What is left undone without a time of its own is looked at again in a minute, whatever else the domain waits for.
      actions.every(isTimed) ? undefined : nextTelling(now),
      policyRest(work),
    ),
  );
};
