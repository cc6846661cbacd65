// Compares a fleet with the whole ledger before it is installed. Reads, never writes.

import { type Effect, effectOf, refusals } from '../core/fleet-change.ts';
import type { Fleet } from '../core/policy.ts';
import type { Ledger } from './ports.ts';

const pageSize = 500;

/**
 * Why this fleet is refused where nobody forces it; none: it is not. Reads each row once.
 * @throws unavailable, throttled
 */
export const examineFleet = async (
  ledger: Pick<Ledger, 'domains'>,
  fleet: Fleet,
): Promise<readonly string[]> => {
  const effects: Effect[] = [];
  let after: string | undefined;
  do {
    const page = await ledger.domains({ limit: pageSize, ...(after === undefined ? {} : { after }) });
    effects.push(...page.rows.map((row) => effectOf(row, fleet)));
    after = page.next;
  } while (after !== undefined);
  return refusals(effects);
};
