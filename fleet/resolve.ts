// The entries of the file, resolved: names in one form, defaults filled in, references checked. Pure but for the IDNA
// and certificate checks of its fields. Every problem is collected; none stops the others.

import { deepestZone, isWithin } from '../core/names.ts';
import {
  canSign,
  defaultPolicy,
  defaultVault,
  type FleetDomain,
  type FleetHost,
  type FleetVault,
  type FleetZone,
  manualZoneId,
  type Policy,
} from '../core/policy.ts';
import { check } from './check.ts';
import { dnsName, domainName, type Named } from './name.ts';
import { conflictIn, policyOf } from './policy-of.ts';
import { type PolicyEntries, policyRecords } from './policy-records.ts';
import type { Path, Problem } from './problems.ts';
import { recordPlaces } from './record-place.ts';
import { defaultsEntry, domainEntry, hostEntry, poolName, vaultEntry, zoneEntry } from './schema.ts';
import type { Source } from './source.ts';
import { didYouMean } from './suggest.ts';

/** Finds a host of a pool that can sign with no algorithm of a policy: invariant 3. */
const cannotSign = (hosts: ReadonlyMap<string, FleetHost>) => {
  // One host of each kind stands for all: a pool may have hundreds, and the file 100,000 domains.
  const kinds = new Map<string, Map<string, FleetHost>>();
  for (const host of hosts.values()) {
    if (host.keyTypes === undefined) continue;
    const ofPool = kinds.get(host.pool) ?? new Map<string, FleetHost>();
    ofPool.set(host.keyTypes.join(), ofPool.get(host.keyTypes.join()) ?? host);
    kinds.set(host.pool, ofPool);
  }
  return (pool: string, policy: Policy): FleetHost | undefined =>
    [...(kinds.get(pool)?.values() ?? [])].find(
      (host) => !policy.algorithms.some((algorithm) => canSign(host, algorithm)),
    );
};

/** What holds for every domain that says nothing else. */
interface Defaults {
  readonly policy: Policy;
  readonly records: PolicyEntries;
}

export const resolver = (source: Source, problems: Problem[]) => {
  const blame = (path: Path, message: string): undefined => {
    problems.push(source.problem(path, message));
    return undefined;
  };

  /** The entries of a map by their names in one form; a name that is wrong or stands twice is left out. */
  const named = function* (section: string, value: unknown, read: (text: string) => Named) {
    if (value === undefined) return;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      blame([section], 'must be a map of names; an empty one is written {}');
      return;
    }
    const seen = new Map<string, string>();
    for (const [text, entry] of Object.entries(value)) {
      const found = read(text);
      const path = [section, text];
      if ('wrong' in found) {
        blame(path, `'${text}' ${found.wrong}`);
        continue;
      }
      const other = seen.get(found.name);
      if (other === undefined) yield { name: found.name, entry, path };
      else blame(path, `is the same name as '${other}'; remove one`);
      seen.set(found.name, text);
    }
  };

  const defaults = (value: unknown): Defaults => {
    const { spf, dmarc, ...fields } =
      (value === undefined || value === null
        ? undefined
        : check(defaultsEntry, value, ['defaults'], source, problems)) ?? {};
    const policy = policyOf(fields, defaultPolicy);
    const conflict = conflictIn(fields, policy);
    if (conflict !== undefined) blame(['defaults', conflict.field], conflict.message);
    return { policy, records: { spf, dmarc } };
  };

  const zones = (value: unknown): Map<string, FleetZone> => {
    const found = new Map<string, FleetZone>();
    const byId = new Map<string, string>();
    for (const { name, entry, path } of named('zones', value, dnsName)) {
      const zone = check(zoneEntry, entry, path, source, problems);
      // A zone whose entry is wrong still holds its names: one mistake, one message.
      const byHand = zone?.provider === 'manual';
      found.set(name, {
        name,
        id: byHand ? manualZoneId : (zone?.id ?? ''),
        ...(byHand ? { provider: 'manual' as const } : {}),
        ...(zone?.role === undefined
          ? {}
          : {
              role: {
                arn: zone.role.arn,
                ...(zone.role.externalId === undefined ? {} : { externalId: zone.role.externalId }),
              },
            }),
        ...(zone?.nameServers === undefined ? {} : { nameServers: zone.nameServers }),
      });
      if (zone?.id === undefined) continue;
      const other = byId.get(zone.id);
      if (other !== undefined)
        blame([...path, 'id'], `'${zone.id}' is the id of ${other} too; each zone has its own`);
      byId.set(zone.id, name);
    }
    if (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
      blame(
        ['zones'],
        'is empty; add a zone that holds the domains, such as `example.jp: { id: Z0123456789ABC }`',
      );
    return found;
  };

  const pools = (value: unknown): string[] => {
    if (value === undefined) return [];
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isMap && !Array.isArray(value)) {
      blame(['pools'], 'must be a list of names, such as [outbound]');
      return [];
    }
    if (isMap)
      for (const [name, entry] of Object.entries(value)) {
        if (entry === null) continue;
        if (typeof entry !== 'object' || Array.isArray(entry))
          blame(
            ['pools', name],
            'is followed by a value; a pool has no fields, so write nothing behind the colon',
          );
        else if (Object.keys(entry).length > 0)
          blame(['pools', name], 'has fields; a pool has none, so write nothing behind the colon');
      }
    const names: string[] = [];
    for (const [key, text] of isMap ? Object.keys(value).map((name) => [name, name]) : value.entries()) {
      const name = check(poolName, text, ['pools', key], source, problems);
      if (name !== undefined && names.includes(name))
        blame(['pools', key], `'${name}' stands twice; remove one`);
      else if (name !== undefined) names.push(name);
    }
    if (names.length === 0 && Object.keys(value).length === 0)
      blame(['pools'], 'is empty; name at least one pool, such as [outbound]');
    return names;
  };

  const poolOf = (given: string | undefined, known: readonly string[], path: Path): string | undefined => {
    if (known.length === 0) return undefined; // said of `pools`
    if (given === undefined)
      return known.length === 1
        ? known[0]
        : blame(
            path,
            `has no pool, and there are ${known.length}; write pool: and one of ${known.join(', ')}`,
          );
    if (known.includes(given)) return given;
    return blame(
      [...path, 'pool'],
      `'${given}' is not a pool of this file${didYouMean(given, known) || `; there are ${known.join(', ')}`}`,
    );
  };

  const hosts = (value: unknown, known: readonly string[]): Map<string, FleetHost> => {
    const found = new Map<string, FleetHost>();
    const byKey = new Map<string, string>();
    for (const { name, entry, path } of named('hosts', value ?? undefined, dnsName)) {
      const host = check(hostEntry, entry, path, source, problems);
      if (host === undefined) continue;
      const pool = poolOf(host.pool, known, path);
      for (const field of ['encryptionKey', 'signingKey'] as const) {
        const other = byKey.get(host[field]);
        if (other !== undefined)
          blame([...path, field], `is a key of ${other} too; run \`selkie-agent enrol\` on each host`);
        byKey.set(host[field], `${name} (${field})`);
      }
      if (pool === undefined) continue;
      found.set(name, {
        name,
        pool,
        encryptionKey: host.encryptionKey,
        signingKey: host.signingKey,
        ...(host.endpoint === undefined ? {} : { endpoint: new URL(host.endpoint).origin }),
        ...(host.certificate === undefined ? {} : { certificate: host.certificate }),
        ...(host.keyTypes === undefined ? {} : { keyTypes: host.keyTypes }),
        ...(host.addresses === undefined ? {} : { addresses: host.addresses }),
      });
    }
    return found;
  };

  const { recordsBelow, checkAdopted } = recordPlaces(blame);

  /** The deepest zone that holds the key records below a name; any selector stands for all. */
  const zoneOf = (
    given: string | undefined,
    records: string,
    known: ReadonlyMap<string, FleetZone>,
    path: Path,
  ): string | undefined => {
    if (known.size === 0) return undefined; // said of `zones`
    const record = `x.${records}`;
    if (given === undefined) {
      const labels = record.split('.');
      const above = labels.map((_, index) => labels.slice(index).join('.')).filter((name) => known.has(name));
      return (
        deepestZone(record, above) ??
        blame(
          path,
          `no zone of this file holds its key records; add a zone ${records.replace('_domainkey.', '')}, or one above it, to zones with its id`,
        )
      );
    }
    const found = dnsName(given);
    const name = 'name' in found ? found.name : undefined;
    if (name === undefined || !known.has(name))
      return blame(
        [...path, 'zone'],
        `'${given}' is not a zone of this file${didYouMean(given, known.keys()) || '; add it to zones with its id'}`,
      );
    return isWithin(record, name)
      ? name
      : blame(
          [...path, 'zone'],
          `'${given}' does not hold *.${records}; name a zone that does, or leave the field out`,
        );
  };

  const domains = (
    value: unknown,
    { policy: base, records }: Defaults,
    knownZones: ReadonlyMap<string, FleetZone>,
    knownPools: readonly string[],
    hostsOf: ReadonlyMap<string, FleetHost>,
  ): Map<string, FleetDomain> => {
    const found = new Map<string, FleetDomain>();
    const unable = cannotSign(hostsOf);
    const recordsOf = policyRecords(records, hostsOf, knownZones, blame);
    for (const { name, entry, path } of named('domains', value, domainName)) {
      const fields = entry === null ? {} : check(domainEntry, entry, path, source, problems);
      if (fields === undefined) continue;
      const {
        zone: givenZone,
        pool: givenPool,
        state,
        adopted,
        cname: givenCname,
        spf,
        dmarc,
        ...policyFields
      } = fields;
      const { records, cname } = recordsBelow(name, givenCname, path);
      const zone = records === undefined ? undefined : zoneOf(givenZone, records, knownZones, path);
      const pool = poolOf(givenPool, knownPools, path);
      const policy = policyOf(policyFields, base);
      const conflict = conflictIn(policyFields, policy);
      if (conflict !== undefined) blame([...path, conflict.field], conflict.message);
      const wayAndKeys = {
        ...(cname === undefined ? {} : { cname }),
        ...(adopted === undefined || adopted.length === 0 ? {} : { adopted }),
      };
      checkAdopted(name, wayAndKeys, zone, path);
      const published = recordsOf(name, { spf, dmarc }, pool ?? '', path);
      if (zone === undefined || pool === undefined) continue;
      const host = unable(pool, policy);
      if (host !== undefined)
        blame(
          path,
          `signs with ${policy.algorithms.join(' and ')} only, and host ${host.name} of pool ${pool} signs with ${host.keyTypes?.join(' and ')} keys only, so its mail would leave unsigned; add an algorithm that it can sign with`,
        );
      found.set(name, {
        domain: name,
        zone,
        pool,
        policy,
        leaving: state === 'leaving',
        ...wayAndKeys,
        ...published,
      });
    }
    return found;
  };

  const vault = (value: unknown): FleetVault | undefined => {
    if (value === undefined || value === null) return undefined;
    const found = check(vaultEntry, value, ['vault'], source, problems);
    return {
      layout: found?.layout ?? defaultVault.layout,
      replicas: found?.replicas ?? defaultVault.replicas,
    };
  };

  return { blame, defaults, zones, pools, hosts, domains, vault };
};
