// Zones in memory for the embedded DNS server.
import type { ZoneSource } from '../../adapters/dns/server.ts';
import type { TxtSet } from '../../engine/ports.ts';

/** @param zones zone → name → TXT set; names lower case. The maps may change while the server runs. */
export const zoneSource = (zones: ReadonlyMap<string, ReadonlyMap<string, TxtSet>>): ZoneSource => ({
  zones: () => [...zones.keys()],
  find: (zone, name) => zones.get(zone)?.get(name),
  hasBelow: (zone, name) => [...(zones.get(zone)?.keys() ?? [])].some((held) => held.endsWith(`.${name}`)),
});
