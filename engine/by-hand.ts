// What people are asked to change in zones that no program can change, as they and programs are shown it. Reads, never writes.

import { splitValue } from '../core/dkim/txt.ts';
import { isWithin } from '../core/names.ts';
import type { FleetZone } from '../core/policy.ts';
import { formatInstant, longest, seconds } from '../core/time.ts';
import type { Asked, TxtSet } from './ports.ts';
import type { World } from './world.ts';

/** One value to paste: whole, and as strings of at most 255 octets where a panel wants them so (RFC 1035 §3.3). */
const pasteOf = (value: string) => ({ value, strings: splitValue(value) });

const stepOf = (from: TxtSet | undefined, to: TxtSet | undefined): 'add' | 'change' | 'delete' =>
  to === undefined ? 'delete' : from === undefined || from.values.length === 0 ? 'add' : 'change';

const host = (name: string, zone: string): string =>
  name === zone ? '@' : isWithin(name, zone) ? name.slice(0, -zone.length - 1) : name;

const askedStatus = (zone: FleetZone, { name, from, to, since, ...seen }: Asked) => {
  const [before, after] = [from?.values ?? [], to?.values ?? []];
  const ttl = to?.ttl ?? longest(seconds(0), ...(from === undefined ? [] : [from.ttl]));
  return {
    do: stepOf(from, to),
    name,
    // As panels want it that add the zone's name themselves.
    host: host(name, zone.name),
    type: 'TXT' as const,
    ttl: ttl / seconds(1),
    // Values that stay are not named.
    add: after.filter((value) => !before.includes(value)).map(pasteOf),
    remove: before.filter((value) => !after.includes(value)).map(pasteOf),
    asked: formatInstant(since),
    servers: seen.servers,
    shown: seen.shown,
    showing: seen.showing,
    lagging: seen.lagging,
  };
};

/**
 * A page of the fleet's zones that people change, in the order of their names, with what is asked for in each.
 * @param options with `zone`, of that one alone
 */
export const byHandStatus = async (
  { fleet, writer }: World,
  { zone: only, after, limit }: { readonly zone?: string; readonly after?: string; readonly limit: number },
) => {
  const zones = [...fleet.zones.values()]
    .filter(({ provider, name }) => provider === 'manual' && (after === undefined || name > after))
    .filter(({ name }) => only === undefined || name === only)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const page = zones.slice(0, limit);
  const found = [];
  // One after the other: each asks name servers of one zone several things.
  for (const zone of page) {
    const asked = (await writer.asked?.(zone)) ?? [];
    found.push({ zone: zone.name, changes: asked.map((each) => askedStatus(zone, each)) });
  }
  const last = page.at(-1);
  return { zones: found, ...(zones.length > limit && last !== undefined ? { next: last.name } : {}) };
};

export type ByHandStatus = Awaited<ReturnType<typeof byHandStatus>>;
