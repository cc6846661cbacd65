// How bundles come to this host, by push or only by pull: a connection that this host makes to itself passes no firewall, so
// whether the control plane gets through is known by what came. For `selkie-agent doctor`. Touches
// `<state folder>/deliveries.json` only, and seldom; nothing rests on it.
import { join } from 'node:path';
import * as z from 'zod/mini';
import { checkJson } from '../contract/check.ts';
import { describe } from '../core/errors.ts';
import { between, type Instant, instant, minutes } from '../core/time.ts';
import { readIfThere, replaceFile } from './files.ts';
import type { Log } from './log.ts';
import type { Receive } from './receive.ts';

const time = z.pipe(z.int(), z.transform(instant));

const schema = z.strictObject({
  /** When a bundle was last pushed, to within an hour. */
  pushed: z.exactOptional(time),
  /** Bundles that had to be pulled since. */
  pulls: z.exactOptional(
    z.strictObject({
      since: time,
      last: time,
      /** On how many occasions: one that is due anyway comes by the pull now and then, and a snapshot by many at once. */
      times: z.int(),
    }),
  ),
});

export type Deliveries = z.infer<typeof schema>;

const fileOf = (dir: string): string => join(dir, 'deliveries.json');

/** What is known; nothing where the file is missing or damaged. */
export const readDeliveries = async (dir: string): Promise<Deliveries> => {
  try {
    const text = await readIfThere(fileOf(dir));
    return text === undefined ? {} : checkJson(schema, text, fileOf(dir));
  } catch {
    return {};
  }
};

/** Pulls that are nearer to each other are one occasion. */
const occasion = minutes(5);
const often = minutes(60);

const afterPush = (before: Deliveries, now: Instant): Deliveries =>
  before.pulls === undefined && before.pushed !== undefined && between(before.pushed, now) < often
    ? before
    : { pushed: now };

const afterPull = (before: Deliveries, now: Instant): Deliveries => {
  const { pulls } = before;
  if (pulls === undefined) return { ...before, pulls: { since: now, last: now, times: 1 } };
  return between(pulls.last, now) < occasion
    ? before
    : { ...before, pulls: { ...pulls, last: now, times: pulls.times + 1 } };
};

export interface DeliveryRecord {
  /** The same receiver; what it takes is noted as having been pushed, or pulled. */
  note(way: 'push' | 'pull', receive: Receive): Receive;
}

export const openDeliveries = async (
  dir: string,
  { now, log }: { readonly now: () => Instant; readonly log: Log },
): Promise<DeliveryRecord> => {
  let known = await readDeliveries(dir);
  return {
    note: (way, receive) => async (bundle) => {
      const answer = await receive(bundle);
      const next = way === 'push' ? afterPush(known, now()) : afterPull(known, now());
      if (next === known) return answer;
      known = next;
      // The bundle holds all the same.
      await replaceFile(fileOf(dir), `${JSON.stringify(next)}\n`).catch((error: unknown) =>
        log(`how bundles come cannot be noted: ${describe(error)}`),
      );
      return answer;
    },
  };
};
