// What the ledger holds after an emergency, by domains and by hosts: they must add up, and nowhere be multiplied.

import { days } from '../../core/time.ts';
import { requestMany } from '../../engine/rotate-all.ts';
import { openSession } from '../../engine/world.ts';
import type { Table } from '../table.ts';
import { createScaleWorld, type FleetShape } from './world.ts';

const fleets: readonly FleetShape[] = [500, 2_000].flatMap((domains) =>
  [1, 10, 300].map((hosts) => ({ domains, zones: 1, hosts })),
);
/** Names and numbers grow by a digit. */
const tolerance = 0.05;

const isLike = (a: number, b: number): boolean => Math.abs(a - b) <= tolerance * Math.max(a, b);

/** Bytes for each domain, in its row and in the log, and for each host. */
const each = async (shape: FleetShape): Promise<{ domain: number; host: number }> => {
  const world = await createScaleWorld(shape, { workers: 16, share: 0.8 });
  await world.call(async (by) =>
    requestMany(by, await openSession(by), by.fleet.domains.keys(), { kind: 'emergency', reason: 'a drill' }),
  );
  await world.run(days(30));
  const { domains, log, hosts } = world.ledger.stored();
  return { domain: (domains + log) / shape.domains, host: hosts / shape.hosts };
};

export const storageOf = async (): Promise<{ readonly table: Table; readonly added: boolean }> => {
  const found: { readonly shape: FleetShape; readonly bytes: Awaited<ReturnType<typeof each>> }[] = [];
  for (const shape of fleets) found.push({ shape, bytes: await each(shape) });
  const [first] = found;
  return {
    table: {
      title: 'bytes in the ledger, a month after an emergency',
      columns: ['domains', 'hosts', 'a domain', 'a host'],
      rows: found.map(({ shape, bytes }) => [
        shape.domains.toLocaleString('en'),
        String(shape.hosts),
        bytes.domain.toFixed(0),
        bytes.host.toFixed(0),
      ]),
    },
    added: found.every(
      ({ bytes }) =>
        first !== undefined &&
        isLike(bytes.domain, first.bytes.domain) &&
        isLike(bytes.host, first.bytes.host),
    ),
  };
};
