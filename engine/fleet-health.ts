// How the control plane itself stands, in one answer for whoever asks: clocks, the fleet's versions, silent hosts, and work that
// nobody does. Reads, never writes; answers where a session would refuse, since then it is asked most.

import { between, formatInstant } from '../core/time.ts';
import { forgottenDomains, silentHosts } from './health.ts';
import type { World } from './world.ts';

export const fleetHealth = async (world: World) => {
  const { ledger, fleet, clock } = world;
  const head = await ledger.head();
  const now = clock.now();
  return {
    ledger: { at: formatInstant(head.at), epoch: head.epoch, fleet: head.fleetVersion },
    /** How far the worker's clock and the ledger's differ. */
    skew: Math.max(between(head.at, now), between(now, head.at)),
    fleet: {
      version: fleet.version,
      domains: fleet.domains.size,
      zones: fleet.zones.size,
      hosts: fleet.hosts.size,
    },
    silent: await silentHosts(world, head.at),
    forgotten: await forgottenDomains(world, head.at),
  };
};
