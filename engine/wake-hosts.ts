// Wakes the units of a pool's hosts when there is something new to tell them.

import { hostsOf } from '../core/policy.ts';
import { seconds } from '../core/time.ts';
import type { Session, World } from './world.ts';

/** Hosts of a pool that are woken for each entry, and whose every answer wakes the domains that waited for it. */
export const smallPool = 10;
const gathering = seconds(5);

/** Wakes the units of a pool's hosts. Those of a large pool some seconds later, for all that is told until then. */
export const wakeHosts = async (world: World, session: Session, pool: string): Promise<void> => {
  const hosts = hostsOf(world.fleet, pool);
  const units = hosts.map(({ name }) => ({ kind: 'host' as const, host: name }));
  if (units.length === 0) return;
  if (units.length <= smallPool) return world.queue.send(units);
  // Whoever finds the lease taken was before its end, when the hosts' units begin: they see what was just written.
  if (await world.ledger.lease(`told/${pool}`, world.randomness.id(), session.now(), gathering))
    await world.queue.send(units, gathering);
};
