// What a fleet costs of which nothing is due: a day of sweeps of the real tick, with the ledger's calls counted.

import type { Duration } from '../../core/time.ts';
import { tick } from '../../engine/tick.ts';
import type { Table } from '../table.ts';
import { createScaleWorld } from './world.ts';

export const idleCost = async (
  fleets: readonly number[],
  day: Duration,
  every: Duration,
): Promise<{ readonly table: Table; readonly same: boolean }> => {
  const rows: string[][] = [];
  for (const domains of fleets) {
    const world = await createScaleWorld({ domains, zones: 'own', hosts: 1 }, { workers: 1, share: 0.8 });
    const sweeps = day / every;
    for (let n = 0; n < sweeps; n += 1) {
      await world.call(tick);
      await world.run(every);
    }
    const { reads, writes } = world.ledger.counts;
    rows.push([domains.toLocaleString('en'), String(sweeps), String(reads), String(writes)]);
  }
  return {
    table: {
      title: 'a day in which nothing is due',
      columns: ['domains', 'sweeps', 'read units', 'write units'],
      rows,
    },
    same: new Set(rows.map((row) => row.slice(1).join(' '))).size === 1,
  };
};
