// A restore from its first pass to its last, wherever the passes are done.

import { setTimeout as sleep } from 'node:timers/promises';
import type { RestoreOrder } from '../contract/restore.ts';
import { SelkieError } from '../core/errors.ts';
import { formatInstant } from '../core/time.ts';
import type { RestoreReport } from '../engine/restore.ts';

/** Does one pass: on AWS, a few minutes of it. */
export interface RestorePass {
  /** Who is said to order it. */
  readonly by: string;
  /** @returns the report, and how many lines of `says` it left out */
  run(order: RestoreOrder): Promise<{ readonly report: RestoreReport; readonly more: number }>;
  close(): Promise<void>;
}

export interface RestoreWish {
  /** Absent: it is only shown. */
  readonly why?: string;
  readonly force?: boolean;
  readonly leave: readonly string[];
  /** Waits until it may begin, and tries again what failed. */
  readonly wait: boolean;
  readonly tell: (line: string) => void;
}

const lookEvery = 60_000;
/** A pass that went on from another has not seen every row: one more does, and finds most of them done. */
const mostPasses = 10_000;

const added = ({ domains, takenBack, says, failed }: RestoreReport, next: RestoreReport): RestoreReport => ({
  ...next,
  domains: domains + next.domains,
  takenBack: takenBack + next.takenBack,
  says: [...says, ...next.says],
  failed: [...failed, ...next.failed],
});

/** @throws whatever a pass throws */
export const restorePasses = async (
  pass: RestorePass,
  { why, force, leave, wait, tell }: RestoreWish,
): Promise<{ readonly report: RestoreReport; readonly more: number }> => {
  const order: RestoreOrder = {
    ...(why === undefined ? {} : { apply: { by: pass.by, why } }),
    ...(force === undefined ? {} : { force }),
    ...(leave.length === 0 ? {} : { leave }),
  };
  let sum: RestoreReport | undefined;
  let [more, after]: [number, string | undefined] = [0, undefined];
  for (let passes = 1; passes <= mostPasses; passes += 1) {
    const done = await pass.run({ ...order, ...(after === undefined ? {} : { after }) });
    const { report } = done;
    const { waitUntil, next } = report;
    if (waitUntil !== undefined) {
      if (!wait) return done;
      tell(`calls that were under way are waited for until ${formatInstant(waitUntil)}`);
      await sleep(Math.min(lookEvery, Math.max(1_000, waitUntil - Date.now())));
      continue;
    }
    sum = sum === undefined ? report : added(sum, report);
    more += done.more;
    if (next !== undefined) {
      tell(`${sum.domains} domains looked at`);
      after = next;
      continue;
    }
    const whole = after === undefined;
    after = undefined;
    if (report.done || !report.applied) return { report: sum, more };
    // Every row was seen but not by one pass: the rows that are done are passed over.
    if (!whole && sum.failed.length === 0) {
      sum = undefined;
      continue;
    }
    if (!wait) return { report: sum, more };
    for (const line of sum.failed) tell(`! ${line}`);
    tell('some domains are not done: tried again in a minute');
    sum = undefined;
    await sleep(lookEvery);
  }
  throw new SelkieError('unavailable', 'it does not come to its end: run it again');
};
