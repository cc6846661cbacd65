// A strict Route 53 in virtual time: an account's two buckets, one request at a time in a zone, the limits of a request, batches
// that are done whole or not at all, CREATE over a name and DELETE of what is not exactly so, INSYNC after a while. By the
// developer guide's quotas, like test/fakes/strict-route53.ts; in memory, since a fleet makes a million calls.
//
// Keys are symbols here: to each value of a key record the characters are added that a real one of RSA-2048 is longer.

import { SelkieError } from '../../core/errors.ts';
import type { FleetZone } from '../../core/policy.ts';
import { type Duration, milliseconds, seconds } from '../../core/time.ts';
import type { Change, DnsObserver, DnsWriter, TxtSet } from '../../engine/ports.ts';
import type { Random } from '../../test/simulation/random.ts';
import { bucket, type Rate } from './bucket.ts';

const quotas = { requests: { perSecond: 10, burst: 50 }, changes: { perSecond: 100, burst: 1_500 } };
const limits = { records: 1_000, characters: 32_000 };
/** Of `"v=DKIM1; k=rsa; p=…" "…"`, as it is written at Route 53. */
const realKeyRecord = 416;
const tombstone = 24;

export interface Route53Counts {
  submits: number;
  /** Changes that were accepted, by kind. */
  created: number;
  replaced: number;
  deleted: number;
  /** Requests that were accepted, by the kind of their first change. */
  creating: number;
  replacing: number;
  deleting: number;
  status: number;
  pending: number;
  list: number;
  throttled: number;
  busy: number;
  rejected: number;
}

export interface ScaleRoute53 extends DnsWriter, DnsObserver {
  readonly counts: Route53Counts;
  /** The most requests and changes that it was asked for beyond what the share of its quota allows, at any time. */
  readonly over: { requests: number; changes: number };
  put(name: string, set: TxtSet): void;
}

/** How much more is taken than a smaller bucket gives, at the most. */
const witness = ({ perSecond, burst }: Rate, share: number, now: () => number) => {
  let [tokens, at, most] = [burst * share, now(), 0];
  return {
    take: (cost: number): void => {
      tokens = Math.min(burst * share, tokens + ((now() - at) / 1_000) * perSecond * share) - cost;
      at = now();
      most = Math.max(most, -tokens);
    },
    most: (): number => most,
  };
};

const sameSet = (a: TxtSet | undefined, b: TxtSet): boolean =>
  a?.ttl === b.ttl && a.values[0] === b.values[0];
const characters = ({ values }: TxtSet): number =>
  values.reduce((sum, value) => sum + (value.endsWith('p=') ? tombstone : realKeyRecord), 0);
const weight = (change: Change): { records: number; characters: number } =>
  change.do === 'replace'
    ? { records: 2, characters: characters(change.old) + characters(change.set) }
    : { records: 1, characters: characters(change.set) };

export const createScaleRoute53 = (options: {
  readonly now: () => number;
  readonly random: Random;
  readonly share: number;
  /** Time that a call takes its worker. */
  readonly sleep: (length: Duration) => Promise<void>;
}): ScaleRoute53 => {
  const { now, random, sleep, share } = options;
  const standing = new Map<string, TxtSet>();
  const inSync = new Map<string, number>();
  const busy = new Set<string>();
  const requests = bucket(quotas.requests, now);
  const changes = bucket(quotas.changes, now);
  const witnesses = {
    requests: witness(quotas.requests, share, now),
    changes: witness(quotas.changes, share, now),
  };
  const counts: Route53Counts = {
    submits: 0,
    created: 0,
    replaced: 0,
    deleted: 0,
    creating: 0,
    replacing: 0,
    deleting: 0,
    status: 0,
    pending: 0,
    list: 0,
    throttled: 0,
    busy: 0,
    rejected: 0,
  };
  let ids = 0;

  const spend = (take: boolean): void => {
    if (take) return;
    counts.throttled += 1;
    throw new SelkieError('throttled', 'Rate exceeded');
  };
  const latency = (low: number, high: number): Promise<void> => sleep(milliseconds(random.int(low, high)));

  const fits = (batch: readonly Change[]): number => {
    let [records, size, count] = [0, 0, 0];
    for (const change of batch) {
      const each = weight(change);
      records += each.records;
      size += each.characters;
      if (records > limits.records || size > limits.characters) break;
      count += 1;
    }
    return Math.max(1, count);
  };

  return {
    counts,
    over: {
      get requests() {
        return witnesses.requests.most();
      },
      get changes() {
        return witnesses.changes.most();
      },
    },
    put: (name, set) => void standing.set(name, set),
    fits,
    lookup: async (_zone, name) => {
      counts.list += 1;
      witnesses.requests.take(1);
      spend(requests(1));
      await latency(30, 90);
      return standing.get(name);
    },
    list: async () => ({ sets: [] }),
    submit: async (zone: FleetZone, batch) => {
      const [first] = batch;
      if (first === undefined || fits(batch) < batch.length)
        throw new SelkieError('rejected', 'the limits of a request are exceeded');
      counts.submits += 1;
      const cost = batch.reduce((sum, change) => sum + weight(change).records, 0);
      witnesses.requests.take(1);
      witnesses.changes.take(cost);
      spend(requests(1));
      if (busy.has(zone.id)) {
        counts.busy += 1;
        throw new SelkieError('busy', 'PriorRequestNotComplete');
      }
      spend(changes(cost));
      busy.add(zone.id);
      await latency(150, 450);
      busy.delete(zone.id);
      const wrong = batch.find((change) =>
        change.do === 'create'
          ? standing.has(change.name)
          : !sameSet(standing.get(change.name), change.do === 'delete' ? change.set : change.old),
      );
      if (wrong !== undefined) {
        counts.rejected += 1;
        throw new SelkieError('rejected', `${wrong.do} of ${wrong.name} does not fit what is there`);
      }
      for (const change of batch) {
        if (change.do === 'delete') standing.delete(change.name);
        else standing.set(change.name, change.set);
        counts[change.do === 'create' ? 'created' : change.do === 'delete' ? 'deleted' : 'replaced'] += 1;
      }
      counts[first.do === 'create' ? 'creating' : first.do === 'delete' ? 'deleting' : 'replacing'] += 1;
      ids += 1;
      // "Typically within 60 seconds": at least 15, a fiftieth of them longer than 60.
      inSync.set(`C${ids}`, now() + 15_000 - 11_500 * Math.log(1 - random.next()));
      return `C${ids}`;
    },
    status: async (_zone, id) => {
      counts.status += 1;
      witnesses.requests.take(1);
      spend(requests(1));
      await latency(20, 60);
      const at = inSync.get(id);
      if (at === undefined) return 'unknown';
      if (at <= now()) return 'in-sync';
      counts.pending += 1;
      return 'pending';
    },
    observe: async (_zone, name) => {
      const set = standing.get(name);
      return {
        negativeTtl: seconds(900),
        answers: [1, 2, 3, 4].map((n) => ({
          server: `ns${n}`,
          address: `ns${n}`,
          answer: set === undefined ? { kind: 'no-such-name' as const } : { kind: 'txt' as const, set },
        })),
      };
    },
  };
};
