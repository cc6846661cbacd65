// When the tortured process is left alone: it must come to rest by itself (invariant 8). Asks its API only.
import { setTimeout as sleep } from 'node:timers/promises';
import { domains } from './fleet.ts';
import { statusIn } from './orders.ts';
import type { Stage } from './stage.ts';
import type { Tally } from './tally.ts';

/** Milliseconds in which everything that can be done is done, once the process is left alone. */
const settleWithin = 120_000;

/** Until every rotation is over and nothing but time is waited for. */
export const settle = async (stage: Stage, tally: Tally, progress: (line: string) => void): Promise<void> => {
  const unsettled = async (): Promise<string | undefined> => {
    for (const { domain } of domains) {
      const status = await statusIn(stage.dir(), domain);
      if (status === undefined) return `${domain}: no answer`;
      const last = status.rotations.at(-1);
      if (last === undefined || !['done', 'aborted'].includes(last.state))
        return `${domain}: the last rotation is ${last?.state ?? 'missing'}: ${status.blockedBy.map(({ says }) => says).join('; ')}`;
      const blocked = status.blockedBy.find(({ by }) => by !== 'wait');
      if (blocked !== undefined) return `${domain}: ${blocked.says}`;
      if (!status.keys.some(({ state }) => state === 'active')) return `${domain}: no key is active`;
    }
    return undefined;
  };
  let told = '';
  for (const end = performance.now() + settleWithin; ; await sleep(200)) {
    const open = await unsettled();
    if (open === undefined) return;
    if (open !== told) progress(`left alone: ${open}`);
    told = open;
    if (performance.now() > end)
      return tally.violation(
        `invariant 8: left alone for ${settleWithin / 1_000} s it does not settle: ${open}`,
      );
  }
};
