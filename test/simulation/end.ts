// How it has to be when faults have stopped: every rotation is complete within its bound, and after the last drain
// nothing is left of any key but those that sign (invariants 7 and 8).

import { hostKeyName } from '../../core/key/evidence.ts';
import { keyRecordName } from '../../core/names.ts';
import { type Duration, days, hours, milliseconds } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { returnHost } from '../../engine/hosts.ts';
import { openSession } from '../../engine/world.ts';
import { answerOf } from './dns.ts';
import type { WorldParts } from './parts.ts';
import type { Scenario } from './scenario.ts';

/** The bound of invariant 8: proof, the caches' wait, hosts; every try that failed comes again within five minutes. */
export const settleTime = (scenario: Scenario): Duration =>
  milliseconds(
    hours(4) +
      2 * scenario.serverLag +
      Math.max(...scenario.zones.map(({ negativeTtl, wildcard }) => Math.max(negativeTtl, wildcard ?? 0))),
  );

/** The longest queue, TTL, margin and hold that scenario.ts gives, and a day. */
export const windingUp: Duration = days(9 + 1 + 2 + 7 + 1);

const signedFor = (parts: WorldParts, domain: string): readonly (readonly [string, readonly string[]])[] => {
  const pool = parts.checker.domains.get(domain)?.pool;
  return parts.hosts
    .filter((host) => host.pool === pool)
    .map((host): [string, readonly string[]] => [
      host.name,
      [...host.ring.values()]
        .filter((key) => key.domain === domain)
        .map(({ selector }) => selector)
        .toSorted(),
    ]);
};

/** Operators look after what waits for them: hosts that are set aside, and domains whose rotation they gave up. */
export const lookAfter = (parts: WorldParts): void => {
  for (const { name, excluded } of parts.ledger.hosts.values())
    if (excluded !== undefined)
      parts.insist(`return ${name}`, async (world) => returnHost(world, await openSession(world), name));
  // What hands did to SPF and DMARC records is found by an audit.
  if (parts.scenario.domains.some(({ records }) => records !== undefined))
    parts.crew.send(
      parts.scenario.zones.map(({ name }) => ({ kind: 'audit', zone: name })),
      0,
    );
  // Status says who lacks an adopted key; its administrator takes it in there.
  for (const key of parts.former)
    for (const host of parts.hosts)
      if (host.state.failed.has(hostKeyName(key.domain, key.selector))) host.adopt(key);
  for (const domain of parts.checker.domains.keys()) {
    if (signedFor(parts, domain).some(([, selectors]) => selectors.length > 0)) continue;
    const key = `again-${domain}`;
    parts.asked(domain, key);
    parts.insist(`rotate ${domain}`, async (world) => {
      const { rotation } = await requestRotation(world, await openSession(world), domain, {
        idempotencyKey: key,
      });
      parts.answered(domain, key, rotation.id);
    });
  }
};

const retired = ({ scenario }: WorldParts): ReadonlySet<string> =>
  new Set(scenario.domains.filter(({ retires }) => retires === true).map(({ domain }) => domain));

/** Some domains leave for good. */
export const retire = (parts: WorldParts): void => {
  const leaving = retired(parts);
  if (leaving.size > 0)
    parts.deploy(() => {
      for (const domain of leaving) parts.file.setLeaving(domain, true);
    });
};

/** SPF and DMARC as the newest fleet wants them. */
const checkRecords = ({ checker, policyJudge, file }: WorldParts): void => {
  const fleet = file.deployed.at(-1);
  for (const { domain, zone } of checker.domains.values())
    policyJudge.atTheEnd(domain, zone, fleet?.domains.get(domain));
};

export const checkSettled = (parts: WorldParts, without: ReadonlySet<string> = new Set()): void => {
  const { checker } = parts;
  checkRecords(parts);
  for (const facts of checker.domains.values()) {
    const { domain, zone } = facts;
    if (without.has(domain)) continue;
    const signed = signedFor(parts, domain);
    const [first] = signed;
    if (first === undefined) continue;
    const [name, selectors] = first;
    if (selectors.length === 0) {
      checker.violate(8, `faults stopped, and ${name} has no key for ${domain}`);
      return;
    }
    const other = signed.find(([, theirs]) => theirs.join() !== selectors.join());
    if (other !== undefined) {
      checker.violate(
        8,
        `faults stopped, and ${name} signs for ${domain} with ${selectors.join(' + ')}, ${other[0]} with ${other[1].join(' + ') || 'nothing'}`,
      );
      return;
    }
    const kinds = new Set(selectors.map((selector) => selector.slice(6, 7) === 'e'));
    if (kinds.size !== selectors.length) {
      checker.violate(8, `${domain} signs with ${selectors.join(' + ')}: two keys of a kind`);
      return;
    }
    for (const selector of selectors)
      for (const server of zone.servers)
        if (answerOf(zone, server, keyRecordName(selector, domain)) === undefined) {
          checker.violate(8, `${server.name} shows nothing for ${selector} of ${domain}, which signs`);
          return;
        }
  }
};

export const checkEnd = (
  parts: WorldParts,
  requests: ReadonlyMap<string, { readonly domain: string; readonly rotations: ReadonlySet<string> }>,
): void => {
  const { checker, scenario } = parts;
  checkSettled(parts, retired(parts));
  if (checker.violations.length > 0) return;
  const serving = new Set<string>();
  for (const { domain } of checker.domains.values())
    for (const [, selectors] of signedFor(parts, domain))
      for (const selector of selectors) serving.add(`${domain}/${selector}`);

  for (const { domain, zone } of checker.domains.values())
    for (const [name, { ours }] of zone.standing) {
      if (!ours || !name.endsWith(`._domainkey.${domain}`)) continue;
      const selector = name.slice(0, -`._domainkey.${domain}`.length);
      if (!serving.has(`${domain}/${selector}`)) {
        checker.violate(8, `${name} still stands, and nobody signs with it`);
        return;
      }
    }
  for (const secret of parts.vault.secrets.keys())
    if (!serving.has(secret)) {
      checker.violate(8, `the vault still holds ${secret}, and nobody signs with it`);
      return;
    }
  for (const host of parts.hosts)
    for (const key of host.state.keys.keys())
      if (!serving.has(key)) {
        checker.violate(8, `${host.name} still holds ${key}, and nobody signs with it`);
        return;
      }

  // One request, one successor: counted in DNS, where nothing but requests can have brought keys about.
  const disturbing = new Set(['rollback', 'abort', 'leave', 'vanish', 'foreign-record', 'policy']);
  for (const plan of scenario.domains) {
    const touched = scenario.items.some(
      (item) =>
        item.do === 'ledger-restored' ||
        ('domain' in item && item.domain === plan.domain && disturbing.has(item.do)),
    );
    if (plan.policy.rotateEvery !== undefined || touched) continue;
    const rotations = new Set(
      [...requests.values()]
        .filter(({ domain }) => domain === plan.domain)
        .flatMap((request) => [...request.rotations]),
    );
    // One whose every answer was lost may have been done all the same.
    const unheard = [...requests.values()].filter(
      (request) => request.domain === plan.domain && request.rotations.size === 0,
    ).length;
    const most = plan.policy.algorithms.length * (1 + rotations.size + unheard) + (plan.adopted?.length ?? 0);
    const published = checker.publishedSelectors(plan.domain);
    if (published > most) {
      checker.violate(
        7,
        `${plan.domain} published ${published} keys for ${rotations.size} requests and its first key set`,
      );
      return;
    }
  }
};
