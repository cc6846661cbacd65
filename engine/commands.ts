// What operators ask for: rotate, abort, roll back, declare a key compromised. Each is one conditional write of the domain's
// row, together with the request that it answers and its event of the audit trail, and wakes the domain's unit at once.

import { hasCode, SelkieError } from '../core/errors.ts';
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
import { auditedDomain, type Order } from './audit.ts';
import { abandoned } from './perform.ts';
import type { Commit } from './ports.ts';
import { hostCache, openWork, type Work } from './work.ts';
import type { Session, World } from './world.ts';

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

export interface Ordered {
  readonly rotation: Rotation;
  /** It was under way already, or this very request was answered before. */
  readonly joined: boolean;
  /** As it is now. */
  readonly row: DomainRow;
}

export interface Declared {
  /** The successor's; absent: the key does not sign, and needs none. */
  readonly rotation?: Rotation;
  /** It was said before. */
  readonly joined: boolean;
  readonly row: DomainRow;
}

/** Tries of a write from what the row is at that moment. */
const tries = 8;

/** @throws not-found, with the number of known domains */
export const openDomain = async (world: World, session: Session, domain: string): Promise<Work> => {
  const work = await openWork(world, session, domain, hostCache(world));
  if (work !== undefined) return work;
  const known = world.fleet.domains.size;
  throw new SelkieError(
    'not-found',
    world.fleet.domains.has(domain)
      ? `${domain} is in fleet.yaml but not yet in the ledger: it will be within a minute`
      : `${domain} is not in fleet.yaml, which has ${known} domain${known === 1 ? '' : 's'}`,
  );
};

const retried = async <T>(work: Work, attempt: () => Promise<T>): Promise<T> => {
  for (let n = 1; ; n += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!hasCode(error, 'conflict') || n >= tries) throw error;
      const { version } = work.row;
      await work.reload();
      // Nobody else wrote: it is the request itself that cannot be.
      if (work.row.version === version && n > 1) throw error;
    }
  }
};

const rotationOf = (row: DomainRow, id: string): Rotation => {
  const rotation = row.rotations.find((each) => each.id === id);
  if (rotation === undefined)
    throw new SelkieError('not-found', `rotation ${id} of ${row.domain} is over and forgotten`);
  return rotation;
};

const wake = (work: Work): Promise<void> =>
  work.world.queue.send([{ kind: 'zone', zone: work.row.zone, domains: [work.row.domain] }]);

/** Writes what an order makes of the row, with its event and the request that it answers. */
const saveOrder = (
  work: Work,
  order: Order,
  next: DomainRow,
  extra: Omit<Commit, 'domains' | 'audit'>,
  more: Parameters<typeof auditedDomain>[4] = {},
): Promise<void> => {
  const { row, audit } = auditedDomain(work.session, order, work.row, next, more);
  return work.save(row, { ...extra, audit });
};

/** Who orders it and why, for the trail. */
const said = (what: string, { by, reason }: Pick<RotationOrder, 'by' | 'reason'>): Order => ({
  what,
  ...(by === undefined ? {} : { by }),
  ...(reason === undefined ? {} : { why: reason }),
});

const contentOf = (order: RotationOrder): string =>
  JSON.stringify([order.kind ?? 'requested', order.compromised ?? null, order.unsigned ?? false]);

/**
 * What this very request was answered with before, where it says an Idempotency-Key.
 * @throws conflict: the key was used for something else
 */
const answerBefore = async (
  work: Work,
  { idempotencyKey }: Pick<RotationOrder, 'idempotencyKey'>,
  content: string,
): Promise<Declared | undefined> => {
  if (idempotencyKey === undefined) return undefined;
  const { world, row } = work;
  const answered = await world.ledger.request(row.domain, idempotencyKey);
  if (answered === undefined) return undefined;
  if (answered.fingerprint !== content)
    throw new SelkieError('conflict', 'this Idempotency-Key was used for another request', {
      field: 'Idempotency-Key',
    });
  // It may have been answered since the row was read.
  if (!row.rotations.some(({ id }) => id === answered.rotation)) await work.reload();
  return {
    ...(answered.rotation === '' ? {} : { rotation: rotationOf(work.row, answered.rotation) }),
    joined: true,
    row: work.row,
  };
};

/** As `answerBefore`, of an order that always has a rotation. */
const answeredBefore = async (...asked: Parameters<typeof answerBefore>): Promise<Ordered | undefined> => {
  const answer = await answerBefore(...asked);
  return answer?.rotation === undefined ? undefined : { ...answer, rotation: answer.rotation };
};

/** The answer, to be written together with what the request does. */
const answering = (
  work: Work,
  { idempotencyKey }: Pick<RotationOrder, 'idempotencyKey'>,
  content: string,
  rotation: string,
): Omit<Commit, 'domains'> =>
  idempotencyKey === undefined
    ? {}
    : {
        request: {
          domain: work.row.domain,
          idempotencyKey,
          fingerprint: content,
          rotation,
          at: work.now(),
        },
      };

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
 * Asks for a rotation now. One that is under way is joined; an emergency takes the place of one that has not switched.
 * @throws not-found; conflict: something else is under way, the domain leaves, or the Idempotency-Key was used for another request
 */
export const requestRotation = async (
  world: World,
  session: Session,
  domain: string,
  order: RotationOrder,
): Promise<Ordered> => {
  const work = await openDomain(world, session, domain);
  return retried(work, async () => {
    const content = contentOf(order);
    const before = await answeredBefore(work, order, content);
    if (before !== undefined) return before;
    const { row } = work;
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
    const joins = pending !== undefined && (!urgent || isAnswering(row, pending, order));
    if (joins && pending.kind === 'rollback')
      throw new SelkieError('conflict', `a rollback of ${domain} is under way: wait for it, or abort it`);

    const id = joins ? pending.id : world.randomness.id();
    const next = joins ? row : urgent ? emergency(work, order, id) : beginNew(work, row, order, id);
    if (!joins || order.idempotencyKey !== undefined)
      await saveOrder(
        work,
        said(urgent ? 'emergency' : 'rotate', order),
        next,
        answering(work, order, content, id),
        {
          rotation: id,
          ...(joins ? { joined: true } : {}),
          ...(order.unsigned === true ? { unsigned: true } : {}),
        },
      );
    await wake(work);
    if (!joins)
      work.report(
        'step',
        `${urgent ? 'emergency ' : ''}rotation requested${order.reason === undefined ? '' : `: ${order.reason}`}`,
      );
    return { rotation: rotationOf(work.row, id), joined: joins, row: work.row };
  });
};

/**
 * Declares that others may hold a key, in whatever state it is. One that signs, or is about to, is replaced as by an
 * emergency; any other is revoked as soon as no host signs with it, without the time of its drain; of one that is revoked or
 * gone it is only noted.
 * @throws not-found: no such key; conflict: the Idempotency-Key was used for another request, or adoption is not done
 */
export const declareCompromised = async (
  world: World,
  session: Session,
  domain: string,
  selector: string,
  order: CompromiseOrder,
): Promise<Declared> => {
  const work = await openDomain(world, session, domain);
  const emergencyOrder: RotationOrder = { ...order, kind: 'emergency', compromised: selector };
  const content = JSON.stringify(['compromise', selector, order.unsigned ?? false]);
  return retried(work, async () => {
    const before = await answerBefore(work, order, content);
    if (before !== undefined) return before;
    const { row } = work;
    const key = keyOf(row, selector);
    if (key === undefined)
      throw new SelkieError(
        'not-found',
        `${selector} is not a key of ${domain}: see selkie status ${domain}`,
        {
          field: 'selector',
        },
      );
    const pending = pendingRotation(row);
    const needed = isServing(key) || pending?.selectors.includes(selector) === true;
    const successor = needed && !work.situation().leaving;
    const answers = successor && pending !== undefined && isAnswering(row, pending, emergencyOrder);
    const news =
      key.evidence.compromised === undefined ||
      (order.unsigned === true && key.evidence.unsigned === undefined);
    const joined = successor ? answers : !news;

    const id = answers ? pending.id : successor ? world.randomness.id() : '';
    const next = joined
      ? row
      : successor
        ? emergency(work, emergencyOrder, id)
        : declare(work, [selector], emergencyOrder);
    if (!joined || order.idempotencyKey !== undefined)
      await saveOrder(work, said('compromise', order), next, answering(work, order, content, id), {
        selector,
        ...(id === '' ? {} : { rotation: id }),
        ...(joined ? { joined: true } : {}),
      });
    await wake(work);
    if (!joined)
      work.report(
        'step',
        `${selector} is declared compromised${order.reason === undefined ? '' : `: ${order.reason}`}`,
        selector,
      );
    return { ...(id === '' ? {} : { rotation: rotationOf(work.row, id) }), joined, row: work.row };
  });
};

/**
 * Goes back to the key set before: its records are proved again, its hosts hold it again, then it signs and the present one drains.
 * A rotation that has not switched is aborted instead.
 * @throws not-found; conflict: there is nothing to go back to, or it is too late
 */
export const rollBack = async (
  world: World,
  session: Session,
  domain: string,
  order: ReturnOrder,
): Promise<Ordered> => {
  const work = await openDomain(world, session, domain);
  return retried(work, () => goBack(work, order, 'rollback'));
};

const goBack = async (work: Work, order: ReturnOrder, content: 'rollback' | 'abort'): Promise<Ordered> => {
  const answered = await answeredBefore(work, order, content);
  if (answered !== undefined) return answered;
  const { row, world } = work;
  const { domain } = row;
  if (content === 'abort' && !isUnderWay(row))
    throw new SelkieError('conflict', `no rotation of ${domain} is under way`);
  const reason = order.reason ?? (content === 'abort' ? 'aborted' : 'rolled back');
  const pending = pendingRotation(row);
  if (pending !== undefined) {
    await saveOrder(
      work,
      said(content, order),
      abandoned(row, pending.id, work.now(), reason, 'operator'),
      answering(work, order, content, pending.id),
      { aborted: pending.id },
    );
    await wake(work);
    work.report('step', `the rotation under way is given up: ${reason}`);
    return { rotation: rotationOf(work.row, pending.id), joined: false, row: work.row };
  }
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
  await saveOrder(
    work,
    said(content, order),
    begin(work, next, { id, kind: 'rollback', algorithms, selectors }, { ...order, reason }),
    answering(work, order, content, id),
    { rotation: id },
  );
  await wake(work);
  work.report('step', `rollback to ${before.selectors.join(' + ')} requested: ${reason}`);
  return { rotation: rotationOf(work.row, id), joined: false, row: work.row };
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

/**
 * Gives up the rotation under way. One that has switched is rolled back: from the intent to sign on, some host may use its keys.
 * @throws not-found; conflict: nothing is under way, or the Idempotency-Key was used for another request
 */
export const abortRotation = async (
  world: World,
  session: Session,
  domain: string,
  order: ReturnOrder,
): Promise<Ordered> => {
  const work = await openDomain(world, session, domain);
  return retried(work, () => goBack(work, order, 'abort'));
};
