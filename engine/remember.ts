// An order of no one domain or host, which has no row of its own to change: it is remembered under its Idempotency-Key, so that
// what is sent again is known again, and leaves its event in the fleet's audit trail, both in one commit.

import { fleetSubject } from '../core/audit.ts';
import { hasCode, SelkieError } from '../core/errors.ts';
import type { Instant } from '../core/time.ts';
import { auditedFleet, type FleetOrder } from './audit.ts';
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

/** Tries of a commit that another order of the fleet was before. */
const tries = 8;

/**
 * @param subject under which it is remembered, where requests of a domain are under its name
 * @throws conflict: the key was used for another request; or very many orders of the fleet are given at once
 */
export const remember = async (
  world: World,
  session: Session,
  subject: string,
  idempotencyKey: string,
  fingerprint: string,
  order: FleetOrder,
): Promise<Remembered> => {
  for (let n = 1; ; n += 1) {
    const request: RequestRow = {
      domain: subject,
      idempotencyKey,
      fingerprint,
      rotation: '',
      at: session.now(),
    };
    const { row, audit } = auditedFleet(session, order, await world.ledger.trail(fleetSubject));
    try {
      await world.ledger.commit({ request, trails: [row], audit });
      return { at: request.at, joined: false };
    } catch (error) {
      if (!hasCode(error, 'conflict')) throw error;
      const saved = await world.ledger.request(subject, idempotencyKey);
      if (saved !== undefined && saved.fingerprint !== fingerprint) throw usedForAnother();
      if (saved !== undefined) return { at: saved.at, joined: true };
      if (n >= tries) throw error;
    }
  }
};
