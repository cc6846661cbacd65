// What a host says of the last use of keys that it retired, as far as a drain may count from it. A host holds thousands of them,
// for weeks, and says all of them each time: kept in the rows of all hosts, they would be hosts × domains, and too large for a row.

import type { Acknowledgement } from '../contract/acknowledgement.ts';
import { hostKeyName } from '../core/key/evidence.ts';
import { keyOf } from '../core/key/row.ts';
import { dutyTurn } from '../core/key/state.ts';
import { type Instant, instant, latest } from '../core/time.ts';
import { inParallel } from './parallel.ts';
import type { HostRow } from './ports.ts';
import type { World } from './world.ts';

type Uses = HostRow['lastUse'];

/** Domains' rows read at once. */
const width = 8;

/** What an acknowledgement says. The host's clock is its own: a use is not later than its report. */
export const heardUses = (row: HostRow, ack: Acknowledgement, now: Instant): Uses =>
  Object.fromEntries(
    Object.entries(ack.lastUse ?? {}).map(([name, at]) => {
      const heard = instant(Math.min(at, now));
      return [name, latest(heard, row.lastUse[name] ?? heard)];
    }),
  );

/** Whether the host may say more than follows from its last answer and the log since: it is another, or went back, or was away. */
const beginsAnew = (row: HostRow, { cursor, incarnation }: Acknowledgement): boolean =>
  !row.complete ||
  row.cursor === undefined ||
  cursor === null ||
  row.incarnation !== incarnation ||
  row.cursor.epoch !== cursor.epoch ||
  cursor.n < row.cursor.n;

/** Which keys it may have retired since its last answer. Undefined: any. */
const retiredSince = async (
  world: World,
  row: HostRow,
  ack: Acknowledgement,
): Promise<ReadonlySet<string> | undefined> => {
  if (beginsAnew(row, ack)) return undefined;
  const [from, upTo] = [row.cursor?.n ?? 0, ack.cursor?.n ?? 0];
  if (from === upTo) return new Set();
  const entries = (await world.ledger.log(row.pool, from)).filter(({ place }) => place.n <= upTo);
  return new Set(
    entries.flatMap(({ changes }) => changes.map(({ domain, selector }) => hostKeyName(domain, selector))),
  );
};

/**
 * The uses that came after the key was stopped everywhere. Of one that is not stopped yet nothing need be kept: whatever was
 * signed with it until now, it is stopped later.
 * @param clocks how far the host's clock may be off
 * @throws unavailable, throttled
 */
export const usesThatCount = async (
  world: World,
  row: HostRow,
  ack: Acknowledgement,
  now: Instant,
  clocks: number,
): Promise<Uses> => {
  const heard = Object.entries(heardUses(row, ack, now));
  if (heard.length === 0) return {};
  const retired = await retiredSince(world, row, ack);
  // What it said before was judged before.
  const fresh = heard.filter(
    ([name, at]) => retired === undefined || retired.has(name) || at > (row.lastSeen ?? 0) - clocks,
  );
  const judged = await inParallel(width, fresh, async ([name, at]) => {
    const slash = name.indexOf('/');
    const domain = await world.ledger.domain(name.slice(0, slash));
    const key = domain === undefined ? undefined : keyOf(domain, name.slice(slash + 1));
    const stopped = key === undefined ? undefined : dutyTurn(key).stopped;
    return stopped !== undefined && at > stopped.at ? [[name, at] as const] : [];
  });
  return Object.fromEntries(judged.flat());
};
