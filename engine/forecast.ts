// What will happen if nothing goes wrong: the same planner, run on through a world in which every effect succeeds at
// once and every host obeys. Waits are the real ones.

import type { SupposedOrder } from '../contract/api.ts';
import type { Action, Situation } from '../core/key/actions.ts';
import { adopted } from '../core/key/adoption.ts';
import type { DomainRow, HostView, Place } from '../core/key/evidence.ts';
import { plan } from '../core/key/plan.ts';
import { keyOf, withEvidence, withRotation, withTurn } from '../core/key/row.ts';
import { selectorFor } from '../core/key/selector.ts';
import { dutyTurn, keysOf } from '../core/key/state.ts';
import { add, calendarDate, type Duration, days, formatInstant, minutes } from '../core/time.ts';
import { openDomain } from './commands.ts';
import { considerCompromise, considerReturn, considerRotation } from './orders.ts';
import type { Work } from './work.ts';
import type { Session, World } from './world.ts';

export interface Foreseen {
  readonly at: string;
  /** For programs; `does` says it to people. */
  readonly do: Action['do'];
  readonly does: string;
  readonly selector?: string;
  /** Of a switch: the keys that begin to sign, and those that end. */
  readonly begins?: readonly string[];
  readonly ends?: readonly string[];
}

/** An order that nobody gave yet: a forecast shows what would come of it. */
export interface Supposed {
  readonly order: SupposedOrder;
  /** With `compromise`, and with `emergency` where one key is meant. */
  readonly selector?: string;
  readonly unsigned?: boolean;
}

/** The row as the order would leave it. @throws what the order itself would */
const supposing = (work: Work, { order, selector, unsigned }: Supposed): DomainRow => {
  const more = unsigned === undefined ? {} : { unsigned };
  switch (order) {
    case 'rotate':
      return considerRotation(work, {}).row;
    case 'emergency':
      return considerRotation(work, {
        kind: 'emergency',
        ...(selector === undefined ? {} : { compromised: selector }),
        ...more,
      }).row;
    case 'compromise':
      return considerCompromise(work, selector ?? '', more).row;
    case 'rollback':
    case 'abort':
      return considerReturn(work, {}, order).row;
  }
};

/** Steps that a person wants to read; the others are on the way. */
const told: ReadonlySet<Action['do']> = new Set([
  'start',
  'adopt',
  'publish',
  'switch',
  'revoke',
  'remove',
  'disclose',
  'destroy',
]);

/** A forecast that does not end is a defect of the planner, not of the fleet. */
const mostSteps = 20_000;

/** Obedient hosts have applied every place. */
const place: Place = { epoch: 1, n: 0 };

/** A forecast asks no name server: as the last proof found it, or what a newcomer's zone at Route 53 has. */
const negativeTtlOf = (row: DomainRow): Duration =>
  row.keys.flatMap((key) => key.turns).findLast((turn) => turn.proved !== undefined)?.proved?.negativeTtl ??
  minutes(15);

/** The row after an action whose effect succeeded at once. */
const after = (
  row: DomainRow,
  action: Action,
  { now: at, policy, adopted: wanted = [] }: Situation,
): DomainRow => {
  const now = { at };
  const accepted = { at, changeId: 'forecast' };
  switch (action.do) {
    case 'start':
      return {
        ...row,
        rotations: [
          ...row.rotations,
          { id: `forecast-${at}`, kind: action.kind, at, algorithms: policy.algorithms, selectors: [] },
        ],
      };
    case 'adopt': {
      const found = wanted.map((key) => ({
        key,
        value: '',
        ttl: policy.ttl,
        servers: 1,
        negativeTtl: negativeTtlOf(row),
      }));
      return adopted(row, `forecast-${at}`, found, at, place);
    }
    case 'reserve': {
      const used = [...row.keys, ...row.taken].map((each) => each.selector);
      const selector = selectorFor(calendarDate(at, policy.timeZone), action.algorithm, used);
      return withRotation(
        {
          ...row,
          keys: [
            ...row.keys,
            {
              selector,
              algorithm: action.algorithm,
              rotation: action.rotation,
              evidence: { reserved: now },
              turns: [{ begun: now }],
            },
          ],
        },
        action.rotation,
        (rotation) => ({ ...rotation, selectors: [...rotation.selectors, selector] }),
      );
    }
    case 'store':
      return withEvidence(row, action.selector, {
        stored: { at, secret: '', fingerprint: '', publicKey: '' },
      });
    case 'publish':
      return withEvidence(row, action.selector, { created: accepted });
    case 'entomb':
      return withEvidence(row, action.selector, { tombstoned: accepted });
    case 'delete':
      return withEvidence(row, action.selector, { deleted: accepted });
    case 'ask': {
      const fact = { created: 'inSync', tombstoned: 'tombstoneInSync', deleted: 'deletionInSync' }[
        action.change
      ];
      return withEvidence(row, action.selector, { [fact]: now });
    }
    case 'prove':
      if (action.shows === 'key')
        return withTurn(row, action.selector, {
          proved: { at, servers: 1, negativeTtl: negativeTtlOf(row) },
        });
      return withEvidence(
        row,
        action.selector,
        action.shows === 'tombstone' ? { revoked: now } : { removed: now },
      );
    case 'offer': {
      const rotation = row.rotations.find(({ id }) => id === action.rotation);
      return rotation === undefined
        ? row
        : keysOf(row, rotation).reduce(
            (next, key) => withTurn(next, key.selector, { offered: { at, place } }),
            row,
          );
    }
    case 'switch': {
      const rotation = row.rotations.find(({ id }) => id === action.rotation);
      const signing = (rotation === undefined ? [] : keysOf(row, rotation)).reduce(
        (next, key) => withTurn(next, key.selector, { signIntended: { at, place } }),
        row,
      );
      return action.stop.reduce(
        (next, selector) => withTurn(next, selector, { stopIntended: { at, place } }, dutyTurn),
        signing,
      );
    }
    case 'latch':
      return action.gate === 'erased'
        ? withEvidence(row, action.selector, { erased: now })
        : withTurn(
            row,
            action.selector,
            { [action.gate]: now },
            action.gate === 'standby' ? undefined : dutyTurn,
          );
    case 'revoke':
      return withEvidence(row, action.selector, { revocationIntended: now });
    case 'remove':
      return withEvidence(row, action.selector, { removalIntended: now });
    case 'erase':
      return withEvidence(row, action.selector, { eraseTold: { at, place } });
    case 'disclose':
      return withEvidence(row, action.selector, { disclosed: now });
    case 'destroy':
      return withEvidence(row, action.selector, { destroyed: now });
    case 'abort':
      return withRotation(row, action.rotation, (each) => ({
        ...each,
        aborted: { at, reason: action.reason, by: 'leaving' },
      }));
    case 'tell':
    case 'fence':
      return row;
  }
};

const sentence = (action: Action, row: DomainRow): string => {
  switch (action.do) {
    case 'start':
      return `a ${action.kind} rotation starts`;
    case 'adopt':
      return 'the adopted keys are taken over';
    case 'publish':
      return `the record of ${action.selector} is published`;
    case 'switch': {
      const stopped = action.stop.join(' + ');
      if (action.stop.length === 0) return 'hosts begin to sign';
      if (action.rotation === undefined) return `hosts stop signing with ${stopped}`;
      // One that others may hold is not left to drain.
      return action.stop.some((selector) => keyOf(row, selector)?.evidence.compromised !== undefined)
        ? `hosts switch; ${stopped} stops`
        : `hosts switch; ${stopped} drains`;
    }
    case 'revoke':
      return `${action.selector} is revoked`;
    case 'remove':
      return `the record of ${action.selector} is removed`;
    case 'disclose':
      return `the private half of ${action.selector} is published`;
    case 'destroy':
      return `nothing is left of ${action.selector}`;
    default:
      return action.do;
  }
};

const switched = (
  row: DomainRow,
  { rotation, stop }: Extract<Action, { do: 'switch' }>,
): Pick<Foreseen, 'begins' | 'ends'> => ({
  begins: row.rotations.find(({ id }) => id === rotation)?.selectors ?? [],
  ends: stop,
});

/**
 * @param horizon days from now  @param supposed an order to be given at this moment
 * @throws not-found; conflict: the order could not be given
 */
export const forecast = async (
  world: World,
  session: Session,
  domain: string,
  horizon: number,
  supposed?: Supposed,
): Promise<{ readonly domain: string; readonly events: readonly Foreseen[] }> => {
  const work = await openDomain(world, session, domain);
  const s = work.situation();
  const obedient: HostView = {
    name: 'every host',
    ready: true,
    excluded: false,
    epoch: s.epoch,
    cursor: Number.MAX_SAFE_INTEGER,
    failed: new Map(),
    lastUse: new Map(),
    ...(s.hosts[0]?.queueLifetime === undefined ? {} : { queueLifetime: s.hosts[0].queueLifetime }),
  };
  const end = add(s.now, days(horizon));
  const events: Foreseen[] = [];
  let row: DomainRow = { ...(supposed === undefined ? s.row : supposing(work, supposed)), troubles: [] };
  let now = s.now;
  for (let steps = 0; now <= end && steps < mostSteps; steps += 1) {
    const planned = plan({ ...s, row, now, hosts: [obedient] });
    const before = row;
    for (const action of planned.actions) {
      row = after(row, action, { ...s, now });
      if (told.has(action.do))
        events.push({
          at: formatInstant(now),
          do: action.do,
          does: sentence(action, row),
          ...('selector' in action ? { selector: action.selector } : {}),
          ...(action.do === 'switch' ? switched(row, action) : {}),
        });
    }
    if (row !== before) continue;
    if (planned.wakeAt === undefined || planned.wakeAt <= now) break;
    now = planned.wakeAt;
  }
  return { domain, events };
};
