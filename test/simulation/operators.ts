// What happens to a world from outside, item by item: what operators ask for, what administrators do to their hosts, what
// breaks and heals.

import { hasCode, SelkieError } from '../../core/errors.ts';
import { selectorFor } from '../../core/key/selector.ts';
import { keyRecordName } from '../../core/names.ts';
import { calendarDate, days, instant, milliseconds } from '../../core/time.ts';
import { abortRotation, requestRotation, rollBack } from '../../engine/commands.ts';
import { examineFleet } from '../../engine/fleet-guard.ts';
import { excludeHost, returnHost } from '../../engine/hosts.ts';
import { openSession, type World } from '../../engine/world.ts';
import type { CallWindow } from './calls.ts';
import { drill } from './drill.ts';
import type { WorldParts } from './parts.ts';
import { handOnPolicy } from './policy-hands.ts';
import { stream } from './random.ts';
import { describeItem, type Item, type PolicyPlan } from './scenario.ts';

/** How often a person, or a script, tries again what failed. */
const mostTries = 12;

/** Asks the API until it is answered: with the same words, so that it is done once. */
export const insist = (parts: WorldParts, what: string, order: (world: World) => Promise<unknown>): void => {
  const { loop, crew, trace, random } = parts;
  const attempt = (n: number): void => {
    const again = (): void => {
      if (n < mostTries) loop.begin(loop.now() + random.int(1_000, 120_000), () => attempt(n + 1));
    };
    crew.call(order, again).then(
      () => {
        trace?.(`${what}: done`);
        // Somebody's script did not hear the answer, and asks once more, perhaps much later; not of a ledger that has forgotten it.
        const restores = parts.restores();
        if (what.startsWith('request') && n < mostTries && random.chance(0.3))
          loop.begin(loop.now() + random.int(1_000, 90_000_000), () => {
            if (parts.restores() === restores) attempt(mostTries);
          });
      },
      (error: unknown) => {
        if (!(error instanceof SelkieError)) return parts.failed(error, what);
        trace?.(`${what}: ${error.message}`);
        if (error.retry === 'later' && !hasCode(error, 'conflict')) again();
      },
    );
  };
  attempt(1);
};

const selectorsOf = (parts: WorldParts, domain: string): readonly string[] =>
  (parts.ledger.rows.get(domain)?.keys ?? [])
    .filter((key) => key.evidence.destroyed === undefined)
    .map((key) => key.selector);

/** A name that is reserved, while its record is not there yet. */
const unpublished = (parts: WorldParts, domain: string): string | undefined =>
  parts.ledger.rows.get(domain)?.keys.find((key) => key.evidence.publishIntended === undefined)?.selector;

/** A name that will be wanted: somebody guesses it. */
const guess = (parts: WorldParts, domain: string, policy: PolicyPlan, ahead: number): string => {
  const used = selectorsOf(parts, domain);
  const algorithm = parts.random.any(policy.algorithms) ?? 'rsa2048';
  return selectorFor(calendarDate(instant(parts.loop.now() + days(ahead)), 'UTC'), algorithm, used);
};

export const happen = (parts: WorldParts, item: Item, index: number): void => {
  const { loop, crew, checker, dns, weather, random } = parts;
  const now = loop.now();
  parts.trace?.(describeItem(item));
  parts.met(item.do === 'calls' ? undefined : item.do, 'for' in item ? now + item.for : now + days(1));
  const { later } = parts;
  const hostCalled = (name: string) => parts.hosts.find((host) => host.name === name);

  switch (item.do) {
    case 'rotate': {
      const key = `rotate-${index}`;
      parts.asked(item.domain, key);
      // Whoever watches a domain guesses its next name, and asks for it before it is there.
      for (const ahead of [0, 1]) {
        const plan = parts.file.policies.get(item.domain);
        if (plan !== undefined && random.chance(0.5))
          parts.mail.snoop(item.domain, guess(parts, item.domain, plan, ahead));
      }
      insist(parts, `request to rotate ${item.domain}`, async (world) => {
        const { rotation } = await requestRotation(world, await openSession(world), item.domain, {
          idempotencyKey: key,
        });
        parts.answered(item.domain, key, rotation.id);
      });
      return;
    }
    case 'emergency': {
      const key = `emergency-${index}`;
      const compromised = item.key < 0 ? undefined : selectorsOf(parts, item.domain).at(item.key);
      parts.asked(item.domain, key);
      parts.hurried(item.domain);
      const facts = checker.domains.get(item.domain);
      if (item.unsigned && facts !== undefined) facts.excusedSince = now;
      insist(parts, `request of an emergency for ${item.domain}`, async (world) => {
        const { rotation } = await requestRotation(world, await openSession(world), item.domain, {
          kind: 'emergency',
          reason: 'stolen',
          idempotencyKey: key,
          unsigned: item.unsigned,
          ...(compromised === undefined ? {} : { compromised }),
        });
        parts.answered(item.domain, key, rotation.id);
      });
      return;
    }
    case 'rollback':
    case 'abort': {
      const key = `${item.do}-${index}`;
      parts.asked(item.domain, key);
      const order = item.do === 'rollback' ? rollBack : abortRotation;
      insist(parts, `request to ${item.do} ${item.domain}`, async (world) => {
        const { rotation } = await order(world, await openSession(world), item.domain, {
          idempotencyKey: key,
        });
        parts.answered(item.domain, key, rotation.id);
      });
      return;
    }
    case 'exclude': {
      const host = hostCalled(item.host);
      if (host === undefined) return;
      parts.standing.orderAside(host);
      insist(parts, `exclude ${item.host}`, async (world) => {
        await excludeHost(world, await openSession(world), item.host, 'under repair');
        parts.standing.setAside(host);
      });
      later(item.for, () =>
        insist(parts, `return ${item.host}`, async (world) =>
          returnHost(world, await openSession(world), item.host),
        ),
      );
      return;
    }
    case 'policy':
      parts.deploy(() => parts.file.setPolicy(item.domain, item.policy));
      return;
    case 'records':
      parts.deploy(() => parts.file.setRecords(item.domain, item.records));
      return;
    case 'hand-policy':
      handOnPolicy(parts, item, index);
      return;
    case 'leave':
      parts.deploy(() => parts.file.setLeaving(item.domain, true));
      later(item.for, () => parts.deploy(() => parts.file.setLeaving(item.domain, false)));
      return;
    case 'vanish':
      vanish(parts, item, index);
      return;
    case 'remove-host': {
      const host = hostCalled(item.host);
      if (host === undefined || !parts.file.isEnrolled(host)) return;
      parts.standing.setAside(host);
      parts.deploy(() => parts.file.enrol(host, false));
      later(item.for, () => parts.deploy(() => parts.file.enrol(host, true)));
      return;
    }
    case 'calls': {
      const window: CallWindow = { ...item, random: stream(parts.scenario.seed, `calls-${index}`) };
      weather.windows.add(window);
      later(item.for, () => {
        weather.windows.delete(window);
        crew.stir();
      });
      return;
    }
    case 'server-stuck':
    case 'server-down': {
      const server = dns.zones.get(item.zone)?.servers[item.server];
      if (server === undefined) return;
      if (item.do === 'server-stuck') server.stuckUntil = Math.max(server.stuckUntil, now + item.for);
      else server.downUntil = Math.max(server.downUntil, now + item.for);
      return;
    }
    case 'never-in-sync':
    case 'ids-forgotten': {
      const zone = dns.zones.get(item.zone);
      if (zone === undefined) return;
      if (item.do === 'never-in-sync') zone.stalledUntil = Math.max(zone.stalledUntil, now + item.for);
      else zone.forgetsUntil = Math.max(zone.forgetsUntil, now + item.for);
      return;
    }
    case 'foreign-record': {
      const [facts, policy] = [checker.domains.get(item.domain), parts.file.policies.get(item.domain)];
      if (facts === undefined || policy === undefined) return;
      const selector = unpublished(parts, item.domain) ?? guess(parts, item.domain, policy, item.ahead);
      const name = keyRecordName(selector, item.domain);
      if (!facts.zone.standing.has(name))
        dns.put(facts.zone, name, { ttl: milliseconds(300_000), values: ['v=DKIM1; k=rsa; p=AAAA'] });
      return;
    }
    case 'hand-edit':
      edit(parts, item);
      return;
    case 'host-off':
    case 'host-cut-off': {
      const host = hostCalled(item.host);
      if (host === undefined) return;
      if (item.do === 'host-off') parts.power(host, false);
      else host.connected = false;
      later(item.for, () => {
        if (item.do === 'host-off') parts.power(host, true);
        else host.connected = true;
        crew.stir();
      });
      return;
    }
    case 'disk-corrupts': {
      const host = hostCalled(item.host);
      if (host === undefined) return;
      host.corrupts = true;
      later(item.for, () => {
        host.corrupts = false;
        crew.stir();
      });
      return;
    }
    case 'host-wiped': {
      const host = hostCalled(item.host);
      if (host === undefined) return;
      parts.standing.goesAstray(host);
      host.wipe();
      crew.stir();
      return;
    }
    case 'host-restored': {
      const host = hostCalled(item.host);
      if (host === undefined) return;
      // The backup was made when the world was younger: see `backUps` in world.ts.
      parts.standing.goesAstray(host);
      host.restore();
      parts.standing.mayBeBack(host);
      crew.stir();
      return;
    }
    case 'clock-skew': {
      const of =
        item.of === 'worker'
          ? crew.workers[item.index % crew.workers.length]
          : parts.hosts[item.index % parts.hosts.length];
      if (of === undefined) return;
      of.skew = item.by;
      later(item.for, () => {
        of.skew = 0;
        crew.stir();
      });
      return;
    }
    case 'schedule-stops':
      crew.scheduleStopsUntil = Math.max(crew.scheduleStopsUntil, now + item.for);
      later(item.for, () => crew.stir());
      return;
    case 'queue-storm':
      crew.stormUntil = Math.max(crew.stormUntil, now + item.for);
      return;
    case 'leases-fail':
      parts.leasesFailUntil(now + item.for);
      return;
    case 'eventual-reads':
      parts.eventualUntil(now + item.for);
      return;
    case 'ledger-restored':
      drill(parts);
      return;
    case 'deploy':
      crew.crashAll();
      parts.deploy(() => {});
      return;
  }
};

/**
 * A domain is taken out of the fleet file. Some say that they mean it; of the others, most deploy by a stack that asks the
 * guard first, and the rest bring a fleet to the workers that is refused when it is to be installed.
 */
const vanish = (parts: WorldParts, item: Extract<Item, { do: 'leave' | 'vanish' }>, index: number): void => {
  const { file, later, trace, ledger } = parts;
  const [says, asks] = [0, 1].map((n) => stream(parts.scenario.seed, `vanish-${index}-${n}`).chance(0.6));
  const take = (): void => {
    parts.deploy(() => file.setPresent(item.domain, false), says === true ? 'sold' : undefined);
    later(item.for, () => parts.deploy(() => file.setPresent(item.domain, true)));
  };
  if (says === true || asks !== true) {
    take();
    return;
  }
  examineFleet(ledger, file.without(item.domain)).then(
    (reasons) => {
      if (reasons.length === 0) take();
      else trace?.(`not deployed: ${reasons.join(' ')}`);
    },
    (error: unknown) => parts.failed(error, 'the fleet guard'),
  );
};

/** Somebody changes a key record by hand, and later mends it. */
const edit = (parts: WorldParts, item: Extract<Item, { do: 'hand-edit' }>): void => {
  const { checker, dns, later } = parts;
  const facts = checker.domains.get(item.domain);
  const selector = selectorsOf(parts, item.domain).at(item.key);
  if (facts === undefined || selector === undefined) return;
  const name = keyRecordName(selector, item.domain);
  const standing = facts.zone.standing.get(name);
  if (standing?.ours !== true) return;
  checker.edited(name, Number.MAX_SAFE_INTEGER);
  const wrong = { ttl: standing.set.ttl, values: ['v=DKIM1; k=rsa; p=BBBB'] };
  dns.put(facts.zone, name, item.remove ? undefined : wrong);
  // Some audits come before the hand; then the hand finds nothing to mend.
  const chance = stream(parts.scenario.seed, `audit ${name} ${parts.loop.now()}`);
  const { zone } = facts.zone;
  if (chance.chance(0.6))
    later(chance.int(0, milliseconds(item.for)), () =>
      parts.crew.send([{ kind: 'audit', zone: zone.name }], 0),
    );
  later(item.for, () => {
    // Mended only where nobody, Selkie included, has written there since.
    const there = facts.zone.standing.get(name);
    if (item.remove ? there === undefined && checker.owns(name) : there?.set === wrong)
      dns.put(facts.zone, name, standing.set);
    parts.mended(facts.zone, name, standing.set.ttl);
  });
};
