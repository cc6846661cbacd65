// The audit of policy records: SPF, DMARC and what goes with them. As of key records, the list of the zone only raises suspicion;
// what differs is looked at once more and put back where it is ours, beside what others have at the name (invariant 4).

import { describe, hasCode } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import type { Fleet, FleetZone } from '../../core/policy.ts';
import type { PolicyRecord } from '../../core/policy-records/evidence.ts';
import { recordOf } from '../../core/policy-records/row.ts';
import { wantedRecords } from '../../core/policy-records/wanted.ts';
import { minutes } from '../../core/time.ts';
import { changeTo, editIn, foreignIn, kindName, merged, rewriting, unreadable } from '../policies/change.ts';
import type { TxtSet } from '../ports.ts';
import { cohortName } from '../units.ts';
import { report, type Session, type World } from '../world.ts';
import type { Found } from './report.ts';

const mostTries = 3;
const leaseLength = minutes(1);

/** The value that should stand there now; undefined: nothing of ours, or a change is under way, whose maker looks himself. */
export const standingValue = ({ intended, created, removalIntended }: PolicyRecord): string | undefined =>
  created === undefined || removalIntended !== undefined ? undefined : intended?.value;

/** Ours stands, and no other of its kind. */
const policyStands = (record: PolicyRecord, value: string, set: TxtSet | undefined): boolean =>
  set?.values.includes(value) === true && foreignIn(record, set).length === 0;

const byZone = new WeakMap<Fleet, ReadonlyMap<string, readonly string[]>>();

/** The domains that the fleet wants policy records of in a zone. */
export const domainsWithPolicies = (fleet: Fleet, zone: string): readonly string[] => {
  const known = byZone.get(fleet);
  if (known !== undefined) return known.get(zone) ?? [];
  const found = new Map<string, Set<string>>();
  for (const entry of fleet.domains.values())
    for (const wanted of wantedRecords(entry, fleet.zones)) {
      if (wanted.zone === undefined) continue;
      const domains = found.get(wanted.zone) ?? new Set();
      domains.add(entry.domain);
      found.set(wanted.zone, domains);
    }
  const zones = new Map([...found].map(([name, domains]) => [name, [...domains]]));
  byZone.set(fleet, zones);
  return zones.get(zone) ?? [];
};

export interface PolicySuspect {
  readonly domain: string;
  readonly record: PolicyRecord;
}

/** The policy records of these rows that should stand in the zone, and which of them do not. */
export const comparePolicies = (
  zone: FleetZone,
  rows: readonly DomainRow[],
  sets: ReadonlyMap<string, TxtSet>,
  isListed: (name: string) => boolean,
): { readonly names: number; readonly suspects: readonly PolicySuspect[] } => {
  const listed = rows.flatMap(({ domain, records = [] }) =>
    records
      .filter((record) => record.zone === zone.name && isListed(record.name))
      .map((record) => ({ domain, record })),
  );
  return {
    names: listed.length,
    suspects: listed.filter(({ record }) => {
      const value = standingValue(record);
      return value !== undefined && !policyStands(record, value, sets.get(record.name));
    }),
  };
};

/**
 * Looks at one record again and puts it back. Undefined: all is as it should be, or about to be changed.
 * @throws throttled, unavailable, busy: the unit is to be tried again
 */
export const mendPolicy = async (
  world: World,
  session: Session,
  zone: FleetZone,
  { domain, record: suspected }: PolicySuspect,
): Promise<Found | undefined> => {
  // The record may lie in another zone than the domain's keys.
  const keysLieIn = world.fleet.domains.get(domain)?.zone ?? zone.name;
  const lease = cohortName(world.fleet, { domain, zone: keysLieIn });
  const holder = world.randomness.id();
  const had = await world.ledger.lease(lease, holder, session.now(), leaseLength);
  try {
    for (let tries = 1; ; tries += 1) {
      const row = await world.ledger.domain(domain);
      const record = row === undefined ? undefined : recordOf(row, suspected);
      const value = record === undefined ? undefined : standingValue(record);
      if (row === undefined || record === undefined || value === undefined) return undefined;
      const { name, kind } = record;
      const there = await world.writer.lookup(zone, name);
      if (policyStands(record, value, there)) return undefined;
      if ((await world.ledger.domain(domain))?.version !== row.version) {
        if (tries < mostTries) continue;
        return undefined;
      }
      const about = { name, domain, level: 'alarm' } as const;
      const edit = editIn(record, there);
      const foreign = foreignIn(record, there).filter((other) => !edit.includes(other));
      if (foreign.length > 0)
        return {
          ...about,
          kind: 'record-foreign',
          says: `${name} has ${kindName[kind]}s that are not Selkie's beside its own or in its place ("${foreign[0]?.slice(0, 60)}"), and receivers take none of several (RFC 7208 §4.5, RFC 9989 §4.10). They are left alone: delete them.`,
        };
      const how = edit.length > 0 ? `says "${edit[0]?.slice(0, 60)}"` : 'is gone';
      const odd = unreadable(there);
      if (odd !== undefined) return { ...about, kind: 'record-missing', says: rewriting(name, odd) };
      const set = merged(there, [...record.ours, ...edit], value, there?.ttl ?? minutes(60));
      const change = changeTo(name, there, set);
      if (change === undefined) return undefined;
      const found = edit.length > 0 ? 'record-edited' : 'record-missing';
      const what = `the ${kindName[kind]} at ${name} ${how}`;
      try {
        const changeId = await world.writer.submit(zone, [change]);
        return {
          ...about,
          kind: found,
          says: `${what}: somebody changed it by hand. It is put back as the ledger says; to change it, change ${kind === 'report' ? 'dmarc' : kind} of ${domain} in fleet.yaml.`,
          mended: { at: session.now(), changeId },
        };
      } catch (error) {
        if (!hasCode(error, 'rejected', 'denied')) {
          report(world, session, 'trouble', `${what}; putting it back failed: ${describe(error)}`, {
            domain,
          });
          throw error;
        }
        if (hasCode(error, 'rejected') && tries < mostTries) continue;
        return {
          ...about,
          kind: found,
          says: `${what}, and could not be put back: ${describe(error)}. Look at what stands there.`,
        };
      }
    }
  } finally {
    if (had) await world.ledger.release(lease, holder).catch(() => {});
  }
};
