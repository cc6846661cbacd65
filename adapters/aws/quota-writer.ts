// A DNS writer that spends no more than its accounts' quotas, and tries again what is refused all the same: with full jitter,
// so that workers that were refused together do not come back together. In each zone one request for changes is under way
// at a time: Route 53 refuses a second one (PriorRequestNotComplete).

import { hasCode } from '../../core/errors.ts';
import type { FleetZone } from '../../core/policy.ts';
import { type Duration, milliseconds, seconds } from '../../core/time.ts';
import type { Change, Clock, DnsWriter, Ledger, Quota, Randomness } from '../../engine/ports.ts';

export interface QuotaWriterOptions {
  readonly writer: DnsWriter;
  /** Of the account that a zone lies in: the same each time. */
  readonly quotaOf: (zone: FleetZone) => Quota;
  readonly ledger: Pick<Ledger, 'lease' | 'release'>;
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly pause: (length: Duration) => Promise<void>;
}

/** Tries of a request that is refused for its time. After them the caller waits a minute. */
const tries = 6;
const firstWait = milliseconds(250);
const longestWait = seconds(8);

/** Tries of a zone's turn, half a second each on average; and how long a turn lasts whose holder is gone. */
const turnTries = 60;
const turnLength = seconds(15);

/** Route 53 counts a CREATE and a DELETE for one each. */
const weight = (changes: readonly Change[]): number =>
  changes.reduce((sum, change) => sum + (change.do === 'replace' ? 2 : 1), 0);

export const createQuotaWriter = ({
  writer,
  quotaOf,
  ledger,
  clock,
  randomness,
  pause,
}: QuotaWriterOptions): DnsWriter => {
  const quotas = new Set<Quota>();
  const quotaFor = (zone: FleetZone): Quota => {
    const quota = quotaOf(zone);
    quotas.add(quota);
    return quota;
  };

  /** Between nothing and `length`. https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/ */
  const jitter = (length: number): Duration => {
    const [high = 0, low = 0] = randomness.bytes(2);
    return milliseconds(Math.floor((length * (high * 256 + low)) / 65_536));
  };

  const patiently = async <T>(spend: () => Promise<void>, request: () => Promise<T>): Promise<T> => {
    for (let n = 1; ; n += 1) {
      await spend();
      try {
        return await request();
      } catch (error) {
        if (!hasCode(error, 'throttled', 'busy') || n >= tries) throw error;
        await pause(jitter(Math.min(longestWait, firstWait * 2 ** n)));
      }
    }
  };

  /** Alone in a zone, where that can be had: whoever cannot tries all the same, and is refused as busy. */
  const inTurn = async <T>(zone: FleetZone, work: () => Promise<T>): Promise<T> => {
    const [name, holder] = [`turn/${zone.id}`, randomness.id()];
    for (let n = 1; n <= turnTries; n += 1) {
      if (await ledger.lease(name, holder, clock.now(), turnLength)) break;
      await pause(jitter(seconds(1)));
    }
    try {
      return await work();
    } finally {
      await ledger.release(name, holder).catch(() => {});
    }
  };

  const one = (zone: FleetZone) => (): Promise<void> => quotaFor(zone).take('requests', 1);

  return {
    ...writer,
    lookup: (zone, name) => patiently(one(zone), () => writer.lookup(zone, name)),
    status: (zone, changeId) => patiently(one(zone), () => writer.status(zone, changeId)),
    list: (zone, options) => patiently(one(zone), () => writer.list(zone, options)),
    submit: (zone, changes) =>
      // The quota first: it lets one after the other go, so that few have to wait for the zone's turn.
      patiently(
        async () => {
          await quotaFor(zone).take('requests', 1);
          await quotaFor(zone).take('changes', weight(changes));
        },
        () => inTurn(zone, () => writer.submit(zone, changes)),
      ),
    isShort: () => [...quotas].some((quota) => quota.isShort()),
  };
};
