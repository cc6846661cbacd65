// A domain's `spf` and `dmarc`, resolved: its own or the defaults', with the hosts of its pool, and a zone of the file for each.
// Pure.

import { authorizationName } from '../core/dmarc/organization.ts';
import { isDnsName } from '../core/names.ts';
import type { FleetDomain, FleetHost, FleetRecord, FleetZone } from '../core/policy.ts';
import { dmarcName, reportHosts, zoneHolding } from '../core/policy-records/wanted.ts';
import type { DmarcEntry } from './dmarc-field.ts';
import type { Path } from './problems.ts';
import { composeSpf, type SpfEntry } from './spf-field.ts';

export interface PolicyEntries {
  readonly spf?: SpfEntry | false | undefined;
  readonly dmarc?: DmarcEntry | false | undefined;
}

type Blame = (path: Path, message: string) => undefined;

const asRecord = (value: string, adopt: boolean): FleetRecord => ({
  value,
  ...(adopt ? { adopt: true } : {}),
});

/** For one file. `base`: what the defaults say. */
export const policyRecords = (
  base: PolicyEntries,
  hosts: ReadonlyMap<string, FleetHost>,
  zones: ReadonlyMap<string, FleetZone>,
  blame: Blame,
) => {
  const byPool = Map.groupBy(hosts.values(), ({ pool }) => pool);
  // The same entry gives the same record, once: 100,000 domains share what the defaults say.
  const composed = new Map<SpfEntry, Map<string, ReturnType<typeof composeSpf>>>();
  const requested = new Map<DmarcEntry, FleetRecord>();

  const compose = (entry: SpfEntry, pool: string) => {
    const ofEntry = composed.get(entry) ?? new Map<string, ReturnType<typeof composeSpf>>();
    composed.set(entry, ofEntry);
    const known = ofEntry.get(pool) ?? composeSpf(entry, byPool.get(pool) ?? []);
    ofEntry.set(pool, known);
    return known;
  };

  const spfTexts = new Map<ReturnType<typeof composeSpf>, FleetRecord>();

  const isHeld = (name: string, field: 'spf' | 'dmarc', path: Path): boolean => {
    if (zones.size === 0 || zoneHolding(name, zones) !== undefined) return true;
    blame(
      [...path, field],
      `no zone of this file holds ${name}, where the record goes; add its zone to zones, or write ${field}: false`,
    );
    return false;
  };

  const spfOf = (domain: string, entry: SpfEntry, pool: string, path: Path): FleetRecord | undefined => {
    const found = compose(entry, pool);
    if ('wrong' in found) return blame([...path, 'spf'], found.wrong);
    if (found.value === undefined || !isHeld(domain, 'spf', path)) return undefined;
    const record = spfTexts.get(found) ?? asRecord(found.value, entry.adopt);
    spfTexts.set(found, record);
    return record;
  };

  const dmarcOf = (domain: string, entry: DmarcEntry, path: Path): FleetRecord | undefined => {
    const record = requested.get(entry) ?? asRecord(entry.value, entry.adopt);
    requested.set(entry, record);
    const far = reportHosts(domain, entry.value).find((host) => !isDnsName(authorizationName(domain, host)));
    if (far !== undefined)
      return blame(
        [...path, 'dmarc'],
        `sends reports to ${far}, whose word would stand at a name of over 253 characters, so nobody would send them (RFC 9990 §4); name a mailbox of a shorter domain`,
      );
    return isHeld(dmarcName(domain), 'dmarc', path) ? record : undefined;
  };

  return (
    domain: string,
    own: PolicyEntries,
    pool: string,
    path: Path,
  ): Pick<FleetDomain, 'spf' | 'dmarc'> => {
    const [spfEntry, dmarcEntry] = [own.spf ?? base.spf, own.dmarc ?? base.dmarc];
    const spf = spfEntry ? spfOf(domain, spfEntry, pool, path) : undefined;
    const dmarc = dmarcEntry ? dmarcOf(domain, dmarcEntry, path) : undefined;
    return { ...(spf === undefined ? {} : { spf }), ...(dmarc === undefined ? {} : { dmarc }) };
  };
};
