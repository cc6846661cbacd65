// A request that writes no row of its own, remembered under its Idempotency-Key: what is sent again is known again.

import { hasCode, SelkieError } from '../core/errors.ts';
import type { Instant } from '../core/time.ts';
import type { RequestRow } from './ports.ts';
import type { Session, World } from './world.ts';

/** What is said of a key that comes with another request than before. */
export const usedForAnother = (): SelkieError =>
  new SelkieError('conflict', 'this Idempotency-Key was used for another request', {
    field: 'Idempotency-Key',
  });

export interface Remembered {
  /** When it was first asked for. */
  readonly at: Instant;
  /** It was asked for before, or twice at once. */
  readonly joined: boolean;
}

/**
 * @param subject under which it is remembered, where requests of a domain are under its name
 * @throws conflict: the key was used for another request
 */
export const remember = async (
  world: World,
  session: Session,
  subject: string,
  idempotencyKey: string,
  fingerprint: string,
): Promise<Remembered> => {
  const request: RequestRow = {
    domain: subject,
    idempotencyKey,
    fingerprint,
    rotation: '',
    at: session.now(),
  };
  try {
    await world.ledger.commit({ request });
    return { at: request.at, joined: false };
  } catch (error) {
    if (!hasCode(error, 'conflict')) throw error;
  }
  const saved = await world.ledger.request(subject, idempotencyKey);
  if (saved?.fingerprint !== fingerprint) throw usedForAnother();
  return { at: saved.at, joined: true };
};
