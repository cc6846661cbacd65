// What each mail host of a domain's pool last said of that domain's keys, for whoever looks whether they sign as they should.
// Reads, never writes.

import { hostKeyName } from '../core/key/evidence.ts';
import { hasApplied } from '../core/key/gate.ts';
import { dutyTurn, isServing } from '../core/key/state.ts';
import { canSign } from '../core/policy.ts';
import { formatInstant, type Instant } from '../core/time.ts';
import { openDomain } from './commands.ts';
import { silence } from './health.ts';
import type { HostRow } from './ports.ts';
import { hostView, poolHosts, type Session, type World } from './world.ts';

const ofDomain = <T>(all: Readonly<Record<string, T>>, domain: string, selectors: readonly string[]) =>
  selectors.flatMap((selector) => {
    const found = all[hostKeyName(domain, selector)];
    return found === undefined ? [] : [[selector, found] as const];
  });

/** @throws not-found */
export const domainHosts = async (world: World, session: Session, domain: string) => {
  const { row, zone } = await openDomain(world, session, domain);
  const serving = row.keys.filter(isServing);
  const selectors = row.keys.map(({ selector }) => selector);
  // Adopted keys are told by no place of the log before their first switch.
  const told = serving.flatMap((key) => dutyTurn(key).signIntended?.place ?? []);
  const since = (at: Instant | undefined) => (at === undefined ? {} : { lastSeen: formatInstant(at) });
  const status = (host: HostRow) => {
    const view = hostView(host);
    const silent = silence(host, session.now(), session.now());
    return {
      host: host.name,
      signs: serving
        .filter(({ algorithm }) => canSign(world.fleet.hosts.get(host.name) ?? {}, algorithm))
        .map(({ selector }) => selector),
      ready: view.ready,
      current: told.every((place) => hasApplied(view, place, session.head.epoch)),
      failed: Object.fromEntries(ofDomain(host.failed, domain, selectors)),
      lastUse: Object.fromEntries(
        ofDomain(host.lastUse, domain, selectors).map(([selector, at]) => [selector, formatInstant(at)]),
      ),
      ...since(host.lastSeen),
      ...(silent === undefined ? {} : { silent }),
      ...(host.excluded === undefined ? {} : { excluded: host.excluded.reason }),
      ...(host.fenced === undefined ? {} : { fenced: host.fenced.reason }),
      ...(host.trouble === undefined ? {} : { trouble: host.trouble.message }),
    };
  };
  return {
    domain,
    zone: row.zone,
    pool: row.pool,
    ...(zone.nameServers === undefined ? {} : { nameServers: zone.nameServers }),
    signing: serving.map(({ selector }) => selector),
    hosts: (await poolHosts(world, row.pool)).map(status),
  };
};
