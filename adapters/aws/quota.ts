// An account's quota at Route 53, shared by all workers: each of its buckets is one item of the ledger's table, in which is
// written until when what was taken is paid for. Whoever takes writes it on, and waits until its own part begins: so all
// take in turn, one small write for each request, and nobody asks twice. (The generic cell rate algorithm, ITU-T I.371.)
//
// Nothing is taken in stock: what a worker held back and spent later would come on top of what the others spend then.

import { type DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { SelkieError } from '../../core/errors.ts';
import { ledgerTable } from '../../core/table.ts';
import {
  add,
  between,
  type Duration,
  type Instant,
  instant,
  milliseconds,
  minutes,
  seconds,
} from '../../core/time.ts';
import type { Bucket, Clock, Ledger, Quota } from '../../engine/ports.ts';
import { toSelkieError } from './errors.ts';

/** What a bucket gives, by Route 53's documentation. https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html */
export interface Allowance {
  readonly perSecond: number;
  readonly burst: number;
}

export const route53Allowances: Readonly<Record<Bucket, Allowance>> = {
  requests: { perSecond: 10, burst: 50 },
  changes: { perSecond: 100, burst: 1_500 },
};

/** Where AWS has raised an account's requests in a second; its burst, which nobody documents then, counts as it was. */
export const raised = (requests: number): Readonly<Record<Bucket, Allowance>> => ({
  ...route53Allowances,
  requests: { ...route53Allowances.requests, perSecond: requests },
});

/** What others of the account may rely on is left. */
export const defaultShare = 0.8;

export interface Draw {
  readonly bucket: string;
  readonly now: Instant;
  /** What is taken, in the time that it takes to come in. */
  readonly cost: Duration;
  /** A full bucket, in the time that it takes to fill. */
  readonly full: Duration;
  readonly patience: Duration;
}

/** Where buckets are kept. */
export interface Buckets {
  /**
   * Takes `cost`, and returns until when the bucket is in debt with it, `full` included: what is taken may be spent `full` before.
   * Undefined, and nothing taken, where it may be spent later than after `patience`.
   * @throws unavailable, throttled
   */
  draw(draw: Draw): Promise<Instant | undefined>;
}

const named = (error: unknown, name: string): boolean => error instanceof Error && error.name === name;

/** Buckets as items of the ledger's table: pk `bucket#NAME`, sk `bucket`, number `paid`: milliseconds since 1970. */
export const createDynamoBuckets = ({
  client,
  table,
}: {
  readonly client: DynamoDBClient;
  readonly table: string;
}): Buckets => {
  const { partitionKey, sortKey } = ledgerTable;
  const update = async (
    bucket: string,
    expression: string,
    condition: string,
    values: Readonly<Record<string, number>>,
  ): Promise<Instant | undefined> => {
    try {
      const { Attributes } = await client.send(
        new UpdateItemCommand({
          TableName: table,
          Key: { [partitionKey]: { S: `bucket#${bucket}` }, [sortKey]: { S: 'bucket' } },
          UpdateExpression: expression,
          ConditionExpression: condition,
          ExpressionAttributeNames: { '#paid': 'paid' },
          ExpressionAttributeValues: Object.fromEntries(
            Object.entries(values).map(([name, value]) => [name, { N: String(value) }]),
          ),
          ReturnValues: 'UPDATED_NEW',
        }),
      );
      return instant(Number(Attributes?.paid?.N));
    } catch (error) {
      if (named(error, 'ConditionalCheckFailedException')) return undefined;
      throw toSelkieError(error, `taking from the quota ${bucket}`);
    }
  };
  return {
    async draw({ bucket, now, cost, full, patience }) {
      const last = now + full + patience - cost;
      // Twice, since between the two another worker may have come: then the first holds.
      for (let tries = 1; tries <= 2; tries += 1) {
        const inDebt = await update(bucket, 'SET #paid = #paid + :cost', '#paid BETWEEN :now AND :last', {
          ':cost': cost,
          ':now': now,
          ':last': last,
        });
        if (inDebt !== undefined) return inDebt;
        const idle = await update(
          bucket,
          'SET #paid = :next',
          'attribute_not_exists(#paid) OR #paid < :now',
          {
            ':next': now + cost,
            ':now': now,
          },
        );
        if (idle !== undefined) return idle;
      }
      return undefined;
    },
  };
};

export interface LedgerQuotaOptions {
  readonly buckets: Buckets;
  /** Of whose buckets: an AWS account. */
  readonly account: string;
  readonly clock: Clock;
  /** For its time: workers' clocks differ. */
  readonly ledger: Pick<Ledger, 'head'>;
  readonly pause: (length: Duration) => Promise<void>;
  /** Of the account's quota, more than 0 and at most 1. */
  readonly share?: number;
  /** Where AWS has raised the account's quota. */
  readonly allowances?: Readonly<Record<Bucket, Allowance>>;
  readonly patience?: Duration;
}

/** How long the difference of two clocks is taken to stay as it is. */
const clocksHold = minutes(5);
/** How long a bucket that was less than three quarters full counts as short. */
const shortage = seconds(30);
/** Of a bucket's stock: what was taken is spent some moments later, and may then meet what others take. */
const stocked = 0.75;

/** @throws invalid: a share that is none */
export const createLedgerQuota = ({
  buckets,
  account,
  clock,
  ledger,
  pause,
  share = defaultShare,
  allowances = route53Allowances,
  patience = seconds(40),
}: LedgerQuotaOptions): Quota => {
  if (!(share > 0 && share <= 1))
    throw new SelkieError(
      'invalid',
      `a share of ${share} of the account's quota: more than 0 and at most 1 is wanted`,
    );
  let ahead = 0;
  let measured: Instant | undefined;
  let shortUntil: Instant = instant(0);

  /** The ledger's time, to a second. */
  const now = async (): Promise<Instant> => {
    const mine = clock.now();
    if (measured === undefined || between(measured, mine) >= clocksHold || mine < measured) {
      const { at } = await ledger.head();
      measured = mine;
      ahead = at - mine;
    }
    return instant(Math.floor(clock.now() + ahead));
  };

  return {
    async take(bucket, count) {
      const { perSecond, burst } = allowances[bucket];
      const each = seconds(1) / (perSecond * share);
      const full = milliseconds(Math.floor(burst * share * stocked * each));
      // More than a full bucket is taken as a full one: it cannot be had any sooner.
      const cost = milliseconds(Math.min(full, Math.ceil(count * each)));
      const at = await now();
      const paid = await buckets.draw({ bucket: `${account}/${bucket}`, now: at, cost, full, patience });
      const debt = paid === undefined ? full : between(at, paid);
      if (debt > full / 4) shortUntil = add(clock.now(), shortage);
      if (paid === undefined)
        throw new SelkieError(
          'throttled',
          `the ${bucket} that Selkie may make of account ${account} (${share * 100} % of its quota) are taken for the next ${patience / seconds(1)} s: it is tried again`,
        );
      if (debt > full) await pause(milliseconds(debt - full));
    },
    isShort: () => clock.now() < shortUntil,
  };
};
