// What operators ask for: rotate, abort, roll back, declare a key compromised. Each is one conditional write of the domain's
// row, together with the request that it answers and its event of the audit trail, and wakes the domain's unit at once.

import { hasCode, SelkieError } from '../core/errors.ts';
import type { DomainRow, Rotation } from '../core/key/evidence.ts';
import { auditedDomain, type Order } from './audit.ts';
import {
  type CompromiseOrder,
  considerCompromise,
  considerReturn,
  considerRotation,
  type ReturnOrder,
  type RotationOrder,
} from './orders.ts';
import type { Commit } from './ports.ts';
import { usedForAnother } from './remember.ts';
import { hostCache, openWork, type Work } from './work.ts';
import type { Session, World } from './world.ts';

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
  work.world.queue.send([{ kind: 'cohort', domains: [work.row.domain] }]);

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
  if (answered.fingerprint !== content) throw usedForAnother();
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
    const urgent = order.kind === 'emergency';
    const considered = considerRotation(work, order);
    const { joined, rotation: id = '' } = considered;
    if (!joined || order.idempotencyKey !== undefined)
      await saveOrder(
        work,
        said(urgent ? 'emergency' : 'rotate', order),
        considered.row,
        answering(work, order, content, id),
        {
          rotation: id,
          ...(joined ? { joined: true } : {}),
          ...(order.unsigned === true ? { unsigned: true } : {}),
        },
      );
    await wake(work);
    if (!joined)
      work.report(
        'step',
        `${urgent ? 'emergency ' : ''}rotation requested${order.reason === undefined ? '' : `: ${order.reason}`}`,
      );
    return { rotation: rotationOf(work.row, id), joined, row: work.row };
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
  const content = JSON.stringify(['compromise', selector, order.unsigned ?? false]);
  return retried(work, async () => {
    const before = await answerBefore(work, order, content);
    if (before !== undefined) return before;
    const considered = considerCompromise(work, selector, order);
    const { joined, rotation: id = '' } = considered;
    if (!joined || order.idempotencyKey !== undefined)
      await saveOrder(work, said('compromise', order), considered.row, answering(work, order, content, id), {
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
  const { row, rotation, aborted, to, reason } = considerReturn(work, order, content);
  await saveOrder(
    work,
    said(content, order),
    row,
    answering(work, order, content, rotation),
    aborted === undefined ? { rotation } : { aborted },
  );
  await wake(work);
  work.report(
    'step',
    aborted === undefined
      ? `rollback to ${to.join(' + ')} requested: ${reason}`
      : `the rotation under way is given up: ${reason}`,
  );
  return { rotation: rotationOf(work.row, rotation), joined: false, row: work.row };
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
