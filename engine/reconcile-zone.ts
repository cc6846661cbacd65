// The zone unit: named domains of one record zone. Level-triggered: it loads, plans,
// performs and plans again until only waits are left, then writes when to look again. It may run at any time, twice,
// in two workers: every write is conditional, and a conflict only means that the next round plans anew.

import { hasCode } from '../core/errors.ts';
import { type Action, type Plan, stepOf } from '../core/key/actions.ts';
import { cohortOf } from '../core/key/cohorts.ts';
import { plan } from '../core/key/plan.ts';
import { withoutTrouble } from '../core/key/row.ts';
import { inCompany, nextTelling } from '../core/key/waits.ts';
import { add, between, earliest, minutes, seconds } from '../core/time.ts';
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
import type { Unit } from './ports.ts';
import { isStoreAction, storeKeys } from './store-keys.ts';
import { type Telling, tellTogether } from './tell.ts';
import { zoneSize } from './units.ts';
import { type HostCache, hostCache, openWork, type Work } from './work.ts';
import { comeBack, isInstalled, openSession, type Session, type World } from './world.ts';

/** Domains worked on at once. */
const width = 8;
/** A key's whole provision takes about a dozen rounds; beyond this something goes round in circles, and it yields. */
const mostRounds = 40;
/** Waits so short are not left to the sweep, where the provider's requests are short and units are many. */
const soon = seconds(75);
/** Longer than a unit runs: the lease only saves work. */
const leaseLength = minutes(2);

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
    const status = asked.get(changeId) ?? work.world.writer.status(work.zone, changeId);
    asked.set(changeId, status);
    return status;
  };
};

/** @returns false: another worker has moved the row on */
const performAll = async (
  work: Work,
  actions: readonly DomainAction[],
  statusOf: StatusOf,
): Promise<boolean> => {
  for (const action of actions) {
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
  /** Whether any row was written. */
  readonly progressed: boolean;
}

const round = async (
  world: World,
  session: Session,
  works: readonly Work[],
  cache: HostCache,
): Promise<Round> => {
  const before = new Map(works.map((work) => [work, work.row.version]));
  const plans = new Map(works.map((work) => [work, plan(work.situation())]));
  const statusOf = statusOnce();

  const done = await inParallel(width, works, async (work) => {
    let whole = false;
    await quietly(async () => {
      whole = await performAll(work, (plans.get(work)?.actions ?? []).filter(isDomainAction), statusOf);
    });
    return whole;
  });
  const whole = works.filter((_, index) => done[index] === true);
  await storeKeys(
    world,
    whole.flatMap((work) =>
      (plans.get(work)?.actions ?? []).filter(isStoreAction).map((action) => ({ work, action })),
    ),
  );
  await tellAll(world, session, plans, whole);
  const records = works.flatMap((work) =>
    (plans.get(work)?.actions ?? []).filter(isRecordAction).map((action) => ({ work, action })),
  );
  const [first] = records;
  if (first !== undefined) await quietly(() => changeRecords(world, first.work.zone, records));
  await quietly(() => workOnPolicies(world, whole));

  const silent = [...plans.values()]
    .flatMap((each) => each.actions)
    .filter((action) => action.do === 'fence');
  for (const { hosts, reason } of silent) await fenceHosts(world, session, hosts, reason);

  const progressed = silent.length > 0 || works.some((work) => work.row.version !== before.get(work));
  if (progressed) {
    cache.forget();
    await inParallel(width, works, (work) => quietly(() => work.reload()));
  }
  return { plans, progressed };
};

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

/** @throws stale-fleet, unavailable, throttled: the unit is to be tried again */
export const reconcileZone = async (world: World, unit: Extract<Unit, { kind: 'zone' }>): Promise<void> => {
  const session = await openSession(world);
  const [first = ''] = unit.domains;
  // A cohort is in one worker's hands at a time; that a zone's changes are made one after the other, its writer sees to.
  const lease = `zone/${unit.zone}/${cohortOf(first, zoneSize(world.fleet, first))}`;
  if (!isInstalled(world, session)) return;
  if (!(await world.ledger.lease(lease, world.worker, session.now(), leaseLength))) {
    return comeBack(world, session, `${lease}/${first}+${unit.domains.length}`, unit, seconds(5));
  }
  try {
    const cache = hostCache(world);
    const opened = await inParallel(width, unit.domains, (domain) => openWork(world, session, domain, cache));
    const works = opened.filter((work) => work !== undefined).filter((work) => work.row.zone === unit.zone);

    let last: Round | undefined;
    for (let rounds = 0; rounds < mostRounds; rounds += 1) {
      last = await round(world, session, works, cache);
      if (!last.progressed) break;
    }
    await inParallel(width, works, (work) => quietly(() => rest(work, last)));
    // What was published is asked for as soon as it likely is everywhere, and not by the sweep after that.
    const asks = world.writer.isShort?.() === true ? works.flatMap(({ row }) => row.wakeAt ?? []) : [];
    const next = earliest(...asks.filter((at) => at > session.now()));
    if (next !== undefined && next <= add(session.now(), soon))
      await comeBack(world, session, `${lease}/soon`, unit, between(session.now(), next));
    countDomains(world, works);
    const hosts = hostsToTell(last?.plans.values() ?? []);
    if (hosts.length > 0) await world.queue.send(hosts.map((host) => ({ kind: 'host', host })));
  } finally {
    // The work is done whether or not this is heard: a lease ends by itself.
    await world.ledger.release(lease, world.worker).catch(() => {});
  }
};

/** Where nothing is left to do but wait, when to look again; where work is left over, the row stays due. */
const rest = async (work: Work, last: Round | undefined): Promise<void> => {
  const planned = plan(work.situation());
  const idle = last !== undefined && !last.progressed;
  if (!idle) return work.rest(work.now());
  // Whatever is left undone without a time of its own is looked at again in a minute: no wake-up is lost.
  const now = work.now();
  const { wakeAt } = planned;
  const times = [
    wakeAt === undefined
      ? planned.actions.length > 0
        ? nextTelling(now)
        : undefined
      : inCompany(wakeAt, now),
    policyRest(work),
  ];
  await work.rest(earliest(...times));
};
