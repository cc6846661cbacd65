// One DNS writer for all zones of a fleet: people change those that say `manual`, the provider all others. No I/O of its own.
import type { FleetZone } from '../core/policy.ts';
import type { DnsWriter } from '../engine/ports.ts';

export const createZoneWriters = (provider: DnsWriter, people: DnsWriter): DnsWriter => {
  const of = (zone: FleetZone): DnsWriter => (zone.provider === 'manual' ? people : provider);
  const { isShort } = provider;
  return {
    lookup: (zone, name) => of(zone).lookup(zone, name),
    submit: (zone, changes) => of(zone).submit(zone, changes),
    status: (zone, changeId) => of(zone).status(zone, changeId),
    list: (zone, options) => of(zone).list(zone, options),
    // What fits in one request of the provider is not too much to ask of a person at once.
    fits: (changes) => provider.fits(changes),
    ...(isShort === undefined ? {} : { isShort: () => isShort() }),
    asked: async (zone) => (await of(zone).asked?.(zone)) ?? [],
    withdraw: async (zone, name) => of(zone).withdraw?.(zone, name),
  };
};
