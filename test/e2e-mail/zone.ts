// What DNS shows at each moment: key records with the time at which each came and went. The times at which they go are those that
// the product's own waits name.

import type { KeyChange } from '../../contract/manifest.ts';
import { algorithms } from '../../core/algorithm.ts';
import type { Key } from '../../core/key/evidence.ts';
import { drainEnds } from '../../core/key/waits.ts';
import { keyRecordName } from '../../core/names.ts';
import { defaultPolicy } from '../../core/policy.ts';
import { type Duration, instant } from '../../core/time.ts';
import { host, key, turnUpTo } from '../core/key/made.ts';
import type { Records } from '../oracles/records.ts';

type ZoneKey = Pick<KeyChange, 'domain' | 'selector' | 'algorithm' | 'publicKey'>;

export interface TestZone {
  publish(keys: readonly ZoneKey[], at: number): void;
  /** The host confirmed that it no longer signs with these; its queues hold mail for so long. @returns when their records go */
  drain(keys: readonly ZoneKey[], stopped: number, queueLifetime: Duration): number;
  at(time: number): Records;
}

const policy = defaultPolicy;

export const createZone = (): TestZone => {
  const records = new Map<string, { readonly value: string; readonly from: number; until: number }>();
  const nameOf = ({ selector, domain }: ZoneKey): string => keyRecordName(selector, domain);
  return {
    publish(keys, at) {
      for (const one of keys)
        records.set(nameOf(one), {
          value: `v=DKIM1; k=${algorithms[one.algorithm].keyType}; p=${one.publicKey}`,
          from: at,
          until: Number.POSITIVE_INFINITY,
        });
    },
    drain(keys, stopped, queueLifetime) {
      let last = stopped;
      for (const one of keys) {
        const record = records.get(nameOf(one));
        const made: Key = key(one.selector, {
          ...turnUpTo('stopIntended'),
          stopped: { at: instant(stopped) },
        });
        const ends = drainEnds(one.domain, made, [host('mx1', { queueLifetime })], policy);
        if (record === undefined || ends === undefined) throw new Error(`no record to drain: ${nameOf(one)}`);
        record.until = ends;
        last = Math.max(last, ends);
      }
      return last;
    },
    at: (time) =>
      Object.fromEntries(
        [...records]
          .filter(([, { from, until }]) => from <= time && time < until)
          .map(([name, { value }]) => [name, value]),
      ),
  };
};
