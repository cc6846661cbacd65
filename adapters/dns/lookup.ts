// What an authoritative server answers to a question: RFC 1034 §4.3.2, RFC 2308 (NODATA, NXDOMAIN), RFC 4592 (wildcards).
// Pure, over a ZoneSource.

import { deepestZone } from '../../core/names.ts';
import type { TxtSet } from '../../engine/ports.ts';

/** The zones that the server is authoritative for. Asked anew for every question. Names are lower case, without a final dot. */
export interface ZoneSource {
  zones(): readonly string[];
  /** TXT records at exactly `name`; the label `*` is a wildcard. */
  find(zone: string, name: string): TxtSet | undefined;
  /** Whether anything is below `name`: an empty non-terminal exists, though it holds nothing (RFC 4592 §2.2.2). */
  hasBelow(zone: string, name: string): boolean;
}

export type Found =
  /** In none of our zones. */
  | { readonly kind: 'outside' }
  | { readonly kind: 'no-such-name'; readonly zone: string }
  /** The name exists; `txt` where it has any, `apex` where it bears SOA and NS. */
  | { readonly kind: 'name'; readonly zone: string; readonly txt?: TxtSet; readonly apex: boolean };

/** @param name lower case, without a final dot */
export const lookUp = (source: ZoneSource, name: string): Found => {
  const zone = deepestZone(name, source.zones());
  if (zone === undefined) return { kind: 'outside' };
  const exact = source.find(zone, name);
  if (exact !== undefined) return { kind: 'name', zone, txt: exact, apex: name === zone };
  if (name === zone || source.hasBelow(zone, name)) return { kind: 'name', zone, apex: name === zone };
  const wildcard = `*.${closestEncloser(source, zone, name)}`;
  const synthesised = source.find(zone, wildcard);
  if (synthesised !== undefined) return { kind: 'name', zone, txt: synthesised, apex: false };
  return source.hasBelow(zone, wildcard)
    ? { kind: 'name', zone, apex: false }
    : { kind: 'no-such-name', zone };
};

/** The longest ancestor of `name` that exists: only the wildcard right below it may answer (RFC 4592 §3.3.1). */
const closestEncloser = (source: ZoneSource, zone: string, name: string): string => {
  let ancestor = name;
  while (ancestor !== zone) {
    ancestor = ancestor.slice(ancestor.indexOf('.') + 1);
    if (source.find(zone, ancestor) !== undefined || source.hasBelow(zone, ancestor)) return ancestor;
  }
  return zone;
};
