// What an order makes of a domain's row: rotate, emergency, compromise, roll back, abort. Looks, and writes nothing: commands.ts
// writes it, and forecast.ts shows what would come of it.

import { SelkieError } from '../core/errors.ts';
import { adoptable } from '../core/key/adoption.ts';
import type { DomainRow, Rotation } from '../core/key/evidence.ts';
import { keyOf, withEvidence, withNewTurn } from '../core/key/row.ts';
import {
  dutyTurn,
  isServing,
  keysOf,
  pendingRotation,
  servingKeys,
  servingRotation,
} from '../core/key/state.ts';
import { abandoned } from './perform.ts';
import type { Work } from './work.ts';

export interface RotationOrder {
  readonly kind?: 'requested' | 'emergency';
  readonly reason?: string;
  readonly by?: string;
  /** With `emergency`; whatever signs now where absent. */
  readonly compromised?: string;
  readonly unsigned?: boolean;
  readonly idempotencyKey?: string;
}

/** What an operator says of a key that others may hold. */
export interface CompromiseOrder {
  readonly reason?: string;
  readonly by?: string;
  /** Stop and revoke at once, though mail then goes unsigned until a successor signs. */
  readonly unsigned?: boolean;
  readonly idempotencyKey?: string;
}

/** What an operator says when going back or giving up. */
export interface ReturnOrder {
  readonly reason?: string;
  readonly by?: string;
  readonly idempotencyKey?: string;
}

/** What a row becomes by an order. */
export interface Considered {
  /** As it is, where the order joins what is under way. */
  readonly row: DomainRow;
  /** The id of the rotation that answers it; absent: it needs none. */
  readonly rotation?: string;
  readonly joined: boolean;
}

/** Declares keys compromised; those that never signed are given up with their rotation. */
const declare = (work: Work, selectors: readonly string[], order: RotationOrder): DomainRow => {
  const at = work.now();
  const facts = {
    compromised: { at, reason: order.reason ?? 'declared compromised' },
    ...(order.unsigned === true ? { unsigned: { at } } : {}),
  };
  return selectors.reduce((row, selector) => withEvidence(row, selector, facts), work.row);
};

const begin = (
  work: Work,
  row: DomainRow,
  rotation: Omit<Rotation, 'at'>,
  order: Pick<RotationOrder, 'by' | 'reason'>,
): DomainRow => ({
  ...row,
  rotations: [
    ...row.rotations,
    {
      ...rotation,
      at: work.now(),
      ...(order.by === undefined ? {} : { by: order.by }),
      ...(order.reason === undefined ? {} : { reason: order.reason }),
    },
  ],
});

/** The beginning of a new key set. */
const beginNew = (work: Work, row: DomainRow, order: RotationOrder, id: string): DomainRow =>
  begin(
    work,
    row,
    {
      id,
      kind: order.kind ?? 'requested',
      algorithms: work.policy.algorithms,
      selectors: [],
      ...(order.unsigned === true ? { unsigned: true as const } : {}),
    },
    order,
  );

/** What the row becomes by an emergency: a successor that hurries, and the compromised keys marked. */
const emergency = (work: Work, order: RotationOrder, id: string): DomainRow => {
  const { row } = work;
  const selectors =
    order.compromised === undefined ? servingKeys(row).map((key) => key.selector) : [order.compromised];
  for (const selector of selectors)
    if (keyOf(row, selector) === undefined)
      throw new SelkieError('not-found', `${selector} is not a key of ${row.domain}`, {
        field: 'compromised',
      });
  if (selectors.length === 0)
    throw new SelkieError('conflict', `${row.domain} signs with no key yet: name the compromised selector`, {
      field: 'compromised',
    });
  const declared = declare(work, selectors, order);
  const pending = pendingRotation(declared);
  const freed =
    pending === undefined
      ? declared
      : abandoned(declared, pending.id, work.now(), 'an emergency takes its place', 'compromised');
  return beginNew(work, freed, order, id);
};

/** Whether the rotation under way is the answer to this very emergency: one request, one successor. */
const isAnswering = (row: DomainRow, pending: Rotation, order: RotationOrder): boolean =>
  pending.kind === 'emergency' &&
  pending.unsigned === (order.unsigned === true ? true : undefined) &&
  (order.compromised === undefined || keyOf(row, order.compromised)?.evidence.compromised !== undefined);

/**
 * A rotation now. One that is under way is joined; an emergency takes the place of one that has not switched.
 * @throws not-found; conflict: something else is under way, or the domain leaves
 */
export const considerRotation = (work: Work, order: RotationOrder): Considered => {
  const { row, world } = work;
  const { domain } = row;
  if (work.situation().leaving)
    throw new SelkieError('conflict', `${domain} is leaving the fleet: it gets no new keys`);
  const { adopted = [] } = work.situation();
  if (adopted.length > 0 && adoptable(row))
    throw new SelkieError(
      'conflict',
      `${adopted.map(({ selector }) => selector).join(' and ')} of ${domain} ${adopted.length === 1 ? 'is' : 'are'} not adopted yet, and what Selkie does not own it cannot retire: see selkie status ${domain} for what adoption waits for`,
    );
  const pending = pendingRotation(row);
  const urgent = order.kind === 'emergency';
  const joined = pending !== undefined && (!urgent || isAnswering(row, pending, order));
  if (joined && pending.kind === 'rollback')
    throw new SelkieError('conflict', `a rollback of ${domain} is under way: wait for it, or abort it`);
  if (joined) return { row, rotation: pending.id, joined };
  const id = world.randomness.id();
  return {
    row: urgent ? emergency(work, order, id) : beginNew(work, row, order, id),
    rotation: id,
    joined,
  };
};

/**
 * Others may hold a key, in whatever state it is. One that signs, or is about to, is replaced as by an emergency; any other is
 * revoked as soon as no host signs with it, without the time of its drain; of one that is revoked or gone it is only noted.
 * @throws not-found: no such key
 */
export const considerCompromise = (work: Work, selector: string, order: CompromiseOrder): Considered => {
  const { row, world } = work;
  const { domain } = row;
  const key = keyOf(row, selector);
  if (key === undefined)
    throw new SelkieError('not-found', `${selector} is not a key of ${domain}: see selkie status ${domain}`, {
      field: 'selector',
    });
  const emergencyOrder: RotationOrder = { ...order, kind: 'emergency', compromised: selector };
  const pending = pendingRotation(row);
  const needed = isServing(key) || pending?.selectors.includes(selector) === true;
  const successor = needed && !work.situation().leaving;
  if (successor) {
    if (pending !== undefined && isAnswering(row, pending, emergencyOrder))
      return { row, rotation: pending.id, joined: true };
    const id = world.randomness.id();
    return { row: emergency(work, emergencyOrder, id), rotation: id, joined: false };
  }
  const news =
    key.evidence.compromised === undefined ||
    (order.unsigned === true && key.evidence.unsigned === undefined);
  return news ? { row: declare(work, [selector], emergencyOrder), joined: false } : { row, joined: true };
};

/** Not yet switched, or told to switch and not confirmed by every host. */
const isUnderWay = (row: DomainRow): boolean => {
  const last = row.rotations.at(-1);
  return (
    pendingRotation(row) !== undefined ||
    (last !== undefined &&
      last.aborted === undefined &&
      keysOf(row, last).some(
        (key) => dutyTurn(key).signIntended !== undefined && dutyTurn(key).active === undefined,
      ))
  );
};

export interface ConsideredReturn extends Considered {
  readonly rotation: string;
  /** What is given up, where that had not switched. */
  readonly aborted?: string;
  /** The selectors to go back to; none where a rotation is given up. */
  readonly to: readonly string[];
  readonly reason: string;
}

/**
 * Back to the key set before, or the end of a rotation that has not switched.
 * @throws conflict: there is nothing to go back to, nothing to give up, or it is too late
 */
export const considerReturn = (
  work: Work,
  order: ReturnOrder,
  verb: 'rollback' | 'abort',
): ConsideredReturn => {
  const { row, world } = work;
  const { domain } = row;
  if (verb === 'abort' && !isUnderWay(row))
    throw new SelkieError('conflict', `no rotation of ${domain} is under way`);
  const reason = order.reason ?? (verb === 'abort' ? 'aborted' : 'rolled back');
  const pending = pendingRotation(row);
  if (pending !== undefined)
    return {
      row: abandoned(row, pending.id, work.now(), reason, 'operator'),
      rotation: pending.id,
      joined: false,
      aborted: pending.id,
      to: [],
      reason,
    };
  const serving = servingRotation(row);
  const before = row.rotations.findLast(
    (rotation) =>
      rotation.aborted === undefined &&
      rotation.id !== serving?.id &&
      rotation.selectors.length > 0 &&
      keysOf(row, rotation).length === rotation.selectors.length &&
      keysOf(row, rotation).every((key) => dutyTurn(key).stopIntended !== undefined),
  );
  if (serving === undefined || before === undefined)
    throw new SelkieError('conflict', `${domain} has no earlier key set to go back to`);
  const late = keysOf(row, before).find(
    (key) => key.evidence.revocationIntended !== undefined || key.evidence.compromised !== undefined,
  );
  if (late !== undefined)
    throw new SelkieError(
      'conflict',
      `${late.selector} of ${domain} is ${late.evidence.compromised === undefined ? 'being revoked' : 'compromised'}: ask for a new rotation instead`,
    );
  const id = world.randomness.id();
  const { algorithms, selectors } = before;
  const next = selectors.reduce((each, selector) => withNewTurn(each, selector, work.now()), row);
  return {
    row: begin(work, next, { id, kind: 'rollback', algorithms, selectors }, { ...order, reason }),
    rotation: id,
    joined: false,
    to: selectors,
    reason,
  };
};
