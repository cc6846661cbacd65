// One world: the real core, engine and agent's applier on ports in memory, one thread, one clock. Faults come as the
// scenario says; then they stop, and everything has to come to rest.

import { buildKeyRecord } from '../../core/dkim/key-record.ts';
import { SelkieError } from '../../core/errors.ts';
import { mayHaveSigned } from '../../core/key/state.ts';
import { keyRecordName } from '../../core/names.ts';
import type { Fleet } from '../../core/policy.ts';
import { add, formatInstant, hours, type Instant, instant, milliseconds, minutes } from '../../core/time.ts';
import type { Commit, Happening, Unit } from '../../engine/ports.ts';
import type { World } from '../../engine/world.ts';
import { createMemoryDisclosure } from '../fakes/memory-disclosure.ts';
import type { Weather } from './calls.ts';
import { createChecker } from './checker.ts';
import { Coverage } from './coverage.ts';
import { createDns, createResolver, loosen } from './dns.ts';
import { checkEnd, checkSettled, lookAfter, retire, settleTime, windingUp } from './end.ts';
import { createFleetFile } from './fleet-file.ts';
import { createHost, type FormerKey, type MailHost } from './hosts.ts';
import { createMemoryLedger, type MemoryLedger } from './ledger.ts';
import { createLoop } from './loop.ts';
import { createMail } from './mail.ts';
import { happen, insist } from './operators.ts';
import type { Cryptography, Outcome, WorldParts } from './parts.ts';
import { createPolicyJudge } from './policy-judge.ts';
import { stream } from './random.ts';
import type { DomainPlan, Scenario } from './scenario.ts';
import { createStanding } from './standing.ts';
import { createSymbolicKeys, leaks, symbolicSeals } from './symbols.ts';
import { createMemoryVault } from './vault.ts';
import { clockOf, createCrew, type Worker } from './workers.ts';

export const runScenario = async (
  scenario: Scenario,
  options: { readonly trace?: boolean; readonly real?: Cryptography } = {},
): Promise<Outcome> => {
  const { seed } = scenario;
  const start = instant(Date.parse(scenario.start));
  const loop = createLoop(
    start,
    () => checker.violate(8, 'work goes round in circles: 20,000 events in one minute'),
    options.real?.isBusy,
  );
  const { now } = loop;
  const timeline: string[] = [];
  const trace =
    options.trace === true
      ? (says: string) =>
          void timeline.push(`${formatInstant(now()).slice(0, 23).replace('T', ' ')}  ${says}`)
      : undefined;
  const coverage = new Coverage();
  const random = stream(seed, 'world');
  const keys = options.real?.keys ?? createSymbolicKeys(stream(seed, 'keys'));
  const seals = options.real?.seals ?? symbolicSeals;
  const weather: Weather = {
    windows: new Set(),
    slowness: scenario.slowness,
    random: stream(seed, 'weather'),
    trespassed: (port) => checker.violate(10, `a worker whose clock is off called ${port}`),
    met: (fault) => coverage.count(`call ${fault}`, openStates()),
  };
  let ids = 0;
  const id = (): string => {
    ids += 1;
    return `id-${String(ids).padStart(10, '0')}`;
  };
  let commits = 0;

  const hosts: MailHost[] = [];

  // ---- the judge -------------------------------------------------------------------------------------------------
  const checker = createChecker({
    now,
    hosts: () => hosts,
    vaulted: (domain, selector) => {
      const key = vault.secrets.get(`${domain}/${selector}`);
      return key === undefined ? undefined : keys.publicOf(key).publicKey;
    },
    discloses: (domain) => file.discloses(domain),
    alwaysDiscloses: (domain) => file.alwaysDiscloses(domain),
    onViolation: () => loop.stop(),
    ...(trace === undefined ? {} : { trace }),
    post: (host, key) => mail.post(host, key),
  });
  const policyJudge = createPolicyJudge(checker.violate, () => {
    checker.figures.checks += 1;
  });
  const excusedUntilServed = (host: MailHost): void => {
    for (const facts of checker.domains.values()) {
      const since = facts.excusedSince;
      if (since === undefined || facts.pool !== host.pool || !file.stays(facts.domain)) continue;
      const judged = hosts.filter(
        (each) => each.pool === host.pool && file.isEnrolled(each) && checker.countsAt(each),
      );
      const served =
        judged.length > 0 &&
        judged.every((each) =>
          [...each.ring.values()].some(
            (key) => key.domain === facts.domain && (checker.publishedAt(key) ?? 0) > since,
          ),
        );
      if (served) facts.excusedSince = undefined;
    }
  };
  const file = createFleetFile(scenario, now, checker, () => dns);
  const emergencies = new Map<string, Instant>();
  const dns = createDns({
    loop,
    random: stream(seed, 'dns'),
    zones: scenario.zones.map(({ name, servers, negativeTtl, wildcard }, n) => ({
      zone: { name, id: `Z${n + 1}` },
      servers,
      negativeTtl: milliseconds(negativeTtl),
      ...(wildcard === undefined
        ? {}
        : { wildcard: { ttl: milliseconds(wildcard), values: ['v=spf1 -all'] } }),
    })),
    lags: { server: milliseconds(scenario.serverLag), sync: milliseconds(scenario.syncDelay) },
    watch: {
      written: (zone, name, before, after, ours) => {
        trace?.(
          `${ours ? 'Selkie' : 'somebody'} writes ${name}: ${after === undefined ? 'nothing' : after.values.join(' | ').slice(0, 40)}`,
        );
        checker.written(zone, name, before, after, ours);
        policyJudge.written(name, before?.set, after, ours);
        const domain = name.slice(name.indexOf('._domainkey.') + '._domainkey.'.length);
        const facts = checker.domains.get(domain);
        if (facts !== undefined && emergencies.has(domain))
          facts.hurriedUntil =
            now() + scenario.serverLag + Math.max(zone.negativeTtl, zone.wildcard?.ttl ?? 0);
      },
      shown: (zone, server, name, before, after) => checker.shown(zone, server, name, before, after),
    },
  });
  const resolvers = Array.from({ length: 3 }, (_, n) => createResolver(loop, stream(seed, `resolver-${n}`)));
  const mail = createMail(loop, stream(seed, 'mail'), checker, resolvers);

  // ---- the ledger and the vault ----------------------------------------------------------------------------------
  let restores = 0;
  let leasesFail = 0;
  let eventual = 0;
  const openFaults = new Map<string, number>();
  const openStates = (): readonly string[] => Coverage.statesOf(ledger.rows.values());
  const committed = (commit: Commit): void => {
    commits += 1;
    // Each commit is text in a database: a key in it would be there for ever.
    if (commits % 64 === 0 && leaks(JSON.stringify(commit)))
      checker.violate(9, 'a commit holds a private key');
    let wakeAt: number | undefined;
    for (const row of commit.domains ?? []) {
      if (row.wakeAt !== undefined) wakeAt = Math.min(wakeAt ?? row.wakeAt, row.wakeAt);
      if (emergencies.has(row.domain))
        for (const key of row.keys)
          if (key.evidence.compromised !== undefined) checker.compromised(row.domain, key.selector);
    }
    // A sample: it is for the summary only.
    if (openFaults.size > 0 && commit.domains !== undefined && commits % 4 === 0) {
      const states = Coverage.statesOf(commit.domains);
      for (const [fault, until] of openFaults)
        if (until > now()) coverage.meet(fault, states);
        else openFaults.delete(fault);
    }
    for (const row of commit.hosts ?? []) {
      const host = hosts.find((each) => each.name === row.name);
      if (host === undefined) continue;
      // The status API names a fenced host: from here on its mail is known to be at risk.
      if (row.fenced !== undefined) standing.setAside(host);
      standing.mayBeBack(host);
    }
    crew.written(wakeAt);
  };
  const memory = createMemoryLedger(now, committed);
  const ledger: MemoryLedger = {
    ...memory,
    due: (at, limit) => memory.due(now() < eventual ? instant(at - 90_000) : at, limit),
    lease: async (...lease) => (now() < leasesFail ? true : memory.lease(...lease)),
  };
  const vault = createMemoryVault(
    now,
    () => random.int(100, 20_000),
    (domain, selector) => {
      trace?.(`the key of ${selector} of ${domain} is destroyed`);
      checker.destroyed(domain, selector, hosts);
    },
  );

  const disclosure = createMemoryDisclosure((key) => {
    trace?.(`the private half of ${key.selector} of ${key.domain} is published`);
    checker.disclosed(key, keys.publicOf(key.privateKey).publicKey);
  });

  const standing = createStanding({
    loop,
    checker,
    ledger,
    trace,
    // By the fleet that is installed: nobody waits for a host that only a newer one knows.
    isEnrolled: (host) =>
      file.isEnrolled(host) && file.deployed[ledger.fleetVersion() - 1]?.hosts.has(host.name) === true,
    isCalm: (host) =>
      weather.windows.size === 0 &&
      host.powered &&
      host.connected &&
      host.skew === 0 &&
      file.isEnrolled(host) &&
      crew.scheduleStopsUntil <= now() &&
      crew.stormUntil <= now() &&
      vault.eventualUntil <= now() &&
      crew.workers.every(({ skew }) => skew === 0) &&
      // While a restored ledger is brought up, nothing works on it.
      crew.workers.some(({ downUntil }) => downUntil <= now()),
  });

  // ---- those who work --------------------------------------------------------------------------------------------
  const saidBefore = new Set<string>();
  const reported = (happening: Happening): void => {
    if (leaks(happening.says))
      checker.violate(9, `a report holds a private key: ${happening.says.slice(0, 40)}`);
    if (happening.says.startsWith('hosts are told to sign'))
      rotations.add(`${happening.domain}/${happening.at}`);
    if (happening.level === 'step') crew.progressed();
    // A trouble that goes on is told once between two steps.
    const told = happening.level !== 'step' && saidBefore.has(happening.says);
    if (happening.level === 'step') saidBefore.clear();
    else saidBefore.add(happening.says);
    if (!told)
      trace?.(
        `${happening.domain ?? ''} ${happening.level === 'step' ? '' : `${happening.level}: `}${happening.says}`,
      );
    if (/refused: .* \(invariant \d+\)/.test(happening.says) && scenarioIsStrict)
      parts.failed(new Error(happening.says), 'a unit');
  };
  const scenarioIsStrict = !scenario.items.some(
    (item) => item.do === 'host-restored' || item.do === 'host-wiped',
  );
  const rotations = new Set<string>();
  const worldFor = (worker: Worker): World => ({
    clock: { now: () => clockOf(loop, worker) },
    randomness: { bytes: (length) => new Uint8Array(length), id },
    keys,
    vault,
    disclosure,
    writer: dns,
    observer: dns,
    resolver: dns,
    seals,
    transport: {
      push: async ({ name }, bundle) => {
        const host = hosts.find((each) => each.name === name);
        if (host === undefined) throw new SelkieError('host.unreachable', `${name} does not answer`);
        const ack = await host.receive(bundle);
        standing.mayBeBack(host);
        return ack;
      },
    },
    queue: { send: async (units, delay = milliseconds(0)) => crew.send(units, delay) },
    ledger,
    reporter: { report: reported },
    fleet: file.deployed[worker.fleet] ?? emptyFleet,
    worker: worker.name,
  });
  const failed = (error: unknown, doing: string): void =>
    checker.violate(
      8,
      `${doing} failed for good: ${error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 4).join(' ') : String(error)}`,
    );
  const unitDomains = (unit: Unit): readonly string[] =>
    unit.kind === 'cohort' ? unit.domains : unit.kind === 'host' ? [unit.host] : [];
  const crew = createCrew({
    loop,
    random: stream(seed, 'crew'),
    workers: scenario.workers,
    weather,
    ledger,
    worldFor,
    newestFleet: () => file.deployed.length,
    hosts: () => hosts,
    isEnrolled: (host) => file.isEnrolled(host),
    failed,
    unitDomains,
  });

  const deploy = (change: () => void, force?: string): void => {
    change();
    file.publish(force);
    const newest = file.deployed.length - 1;
    for (const worker of crew.workers)
      loop.at(now() + random.int(0, 600_000), () => {
        worker.fleet = Math.max(worker.fleet, newest);
        crew.stir();
      });
    crew.stir();
  };
  const addHost = async (n: number): Promise<void> => {
    const plan = scenario.hosts[n];
    if (plan === undefined) return;
    const real = await options.real?.hostSeals(plan.name);
    const host = createHost({
      name: plan.name,
      pool: plan.pool,
      pulls: plan.pulls || !plan.pushed,
      pushed: plan.pushed,
      queueLifetime: plan.queueLifetime === undefined ? undefined : milliseconds(plan.queueLifetime),
      now,
      id,
      keys,
      seals: real?.seals ?? symbolicSeals,
      ...(real === undefined ? {} : { fleet: real.fleet }),
      watch: {
        changing: (each) => checker.changing(each),
        changed: (each, before, by) => {
          trace?.(`${each.name} signs with ${[...each.ring.keys()].join(', ') || 'nothing'}`);
          checker.changed(each, before, by);
          excusedUntilServed(each);
          for (const key of each.ring.values())
            if ((checker.publishedAt(key) ?? 0) > (emergencies.get(key.domain) ?? Number.POSITIVE_INFINITY))
              emergencies.delete(key.domain);
        },
      },
    });
    hosts.push(host);
  };

  // ---- what was before -------------------------------------------------------------------------------------------
  const former: FormerKey[] = [];
  const formerKeys = options.real?.keys ?? createSymbolicKeys(stream(seed, 'former keys'));
  /** The records of keys that a domain signed with before stand from the beginning. */
  const begin = async ({ domain, zone: where, adopted = [] }: DomainPlan): Promise<void> => {
    for (const { selector, algorithm, ttl } of adopted) {
      const { privateKey } = await formerKeys.generate(algorithm);
      const { publicKey } = formerKeys.publicOf(privateKey);
      former.push({ domain, selector, algorithm, publicKey, privateKey });
      const value = `${buildKeyRecord({ algorithm, publicKey, tags: {} })}; n=former`;
      const zone = dns.zones.get(where);
      if (zone !== undefined)
        dns.stood(zone, keyRecordName(selector, domain), { ttl: milliseconds(ttl), values: [value] });
    }
  };
  /** A domain comes into the fleet; its hosts' administrators have taken over the keys that they have. */
  const join = (plan: DomainPlan): void => {
    const own = former.filter(({ domain }) => domain === plan.domain);
    file.join(
      plan,
      own.map(({ selector, algorithm, publicKey }) => ({ selector, algorithm, publicKey })),
    );
    const enrolled = hosts.filter((host) => host.pool === plan.pool && file.isEnrolled(host));
    for (const key of own) {
      const { ttl = 0, lacking = 0 } = plan.adopted?.find(({ selector }) => selector === key.selector) ?? {};
      checker.handedOver(key, milliseconds(ttl));
      for (const host of enrolled.slice(lacking)) host.adopt(key);
    }
  };

  const closings = new Set<() => void>();
  const requests = new Map<string, { domain: string; rotations: Set<string> }>();
  const parts: WorldParts = {
    scenario,
    loop,
    random: stream(seed, 'operators'),
    weather,
    checker,
    policyJudge,
    dns,
    ledger,
    vault,
    crew,
    mail,
    hosts,
    file,
    former,
    standing,
    trace,
    deploy,
    power: (host, powered) => {
      if (!powered) checker.changing(host);
      host.powered = powered;
    },
    leasesFailUntil: (time) => {
      leasesFail = Math.max(leasesFail, time);
    },
    eventualUntil: (time) => {
      eventual = Math.max(eventual, time);
      vault.eventualUntil = Math.max(vault.eventualUntil, time);
    },
    asked: (domain, key) => {
      if (!requests.has(key)) requests.set(key, { domain, rotations: new Set() });
    },
    answered: (_domain, key, rotation) => {
      const request = requests.get(key);
      request?.rotations.add(rotation);
      if (request !== undefined && request.rotations.size > 1)
        checker.violate(7, `the request ${key} was answered with ${[...request.rotations].join(' and ')}`);
    },
    hurried: (domain) => void emergencies.set(domain, now()),
    later: (length, run) => {
      const close = (): void => {
        if (closings.delete(close)) run();
      };
      closings.add(close);
      loop.begin(now() + length, close);
    },
    restores: () => restores,
    insist: (what, order) => insist(parts, what, order),
    mended: (zone, name, ttl) => {
      if ((zone.pending.get(name) ?? 0) === 0)
        loop.at(now() + 2 * Math.max(ttl, zone.negativeTtl, zone.wildcard?.ttl ?? 0) + 1, () =>
          checker.heal(name),
        );
      else loop.at(now() + minutes(10), () => parts.mended(zone, name, ttl));
    },
    met: (fault, until) => {
      if (fault === undefined) return;
      coverage.count(fault, openStates());
      openFaults.set(fault, Math.max(openFaults.get(fault) ?? 0, until));
    },
    failed,
    still: () =>
      worldFor({ name: 'drill', skew: 0, downUntil: 0, busy: new Set(), fleet: file.deployed.length - 1 }),
    forgotten: () => {
      restores += 1;
      for (const { rotations: answers } of requests.values()) answers.clear();
      for (const { domain, keys: known } of ledger.rows.values())
        for (const key of known)
          checker.restored(domain, key.selector, {
            signed: mayHaveSigned(key),
            ours: key.evidence.created !== undefined,
          });
      for (const host of hosts) standing.mayBeBack(host);
    },
  };

  // ---- the beginning ---------------------------------------------------------------------------------------------
  for (let n = 0; n < scenario.hosts.length; n += 1) await addHost(n);
  for (const plan of scenario.domains) await begin(plan);
  for (const [n, plan] of scenario.hosts.entries())
    if (plan.from === 0 && hosts[n] !== undefined) file.enrol(hosts[n], true);
  for (const plan of scenario.domains) if (plan.from === 0) join(plan);
  deploy(() => {});
  for (const plan of scenario.domains)
    if (plan.from > 0) loop.begin(start + plan.from, () => deploy(() => join(plan)));
  for (const [n, plan] of scenario.hosts.entries()) {
    const host = hosts[n];
    if (host !== undefined && plan.from > 0)
      loop.begin(start + plan.from, () => deploy(() => file.enrol(host, true)));
  }
  for (const [n, item] of scenario.items.entries()) {
    loop.begin(start + item.at, () => happen(parts, item, n));
    if (item.do === 'ledger-restored')
      loop.at(Math.max(start, start + item.at - item.age), () => ledger.backUp());
    // A disk is backed up long before it is restored.
    if (item.do === 'host-restored')
      loop.at(Math.max(start, start + item.at - item.age), () =>
        hosts.find(({ name }) => name === item.host)?.backUp(),
      );
  }
  for (let n = 0; n < scenario.messages; n += 1)
    loop.at(start + random.int(0, scenario.length), () => mail.postAny(hosts));

  /** Everything that was broken is whole again, and everyone who was sent away is called back. */
  const heal = (): void => {
    weather.windows.clear();
    crew.stormUntil = 0;
    crew.scheduleStopsUntil = 0;
    for (const worker of crew.workers) worker.skew = 0;
    for (const zone of dns.zones.values()) {
      zone.stalledUntil = 0;
      zone.forgetsUntil = 0;
      for (const server of zone.servers) {
        server.stuckUntil = 0;
        server.downUntil = 0;
        loosen(server, now());
      }
    }
    leasesFail = 0;
    eventual = 0;
    vault.eventualUntil = 0;
    openFaults.clear();
    for (const close of [...closings]) close();
    deploy(() => {
      for (const host of hosts) file.enrol(host, true);
      file.stopSchedules();
    });
  };

  await loop.run(add(start, milliseconds(scenario.length)));

  // ---- faults stop -----------------------------------------------------------------------------------------------
  const running = (): boolean => checker.violations.length === 0;
  if (running()) {
    trace?.('faults stop');
    heal();
    // A ledger that is being restored is in use again first: two days where caches held a wildcard.
    const isStill = () => crew.workers.every(({ downUntil }) => downUntil === Number.POSITIVE_INFINITY);
    for (let n = 0; isStill() && n < 48; n += 1) await loop.run(add(now(), hours(1)));
    loop.begin(add(now(), minutes(30)), () => lookAfter(parts));
    await loop.run(add(now(), settleTime(scenario)));
  }
  if (running()) checkSettled(parts);
  if (running()) retire(parts);
  if (running()) await loop.run(add(now(), windingUp));
  if (running()) checkEnd(parts, requests);
  return {
    violations: checker.violations,
    figures: { rotations: rotations.size, events: loop.events(), commits, ...checker.figures },
    coverage,
    timeline,
  };
};

const emptyFleet: Fleet = { version: 0, domains: new Map(), zones: new Map(), pools: [], hosts: new Map() };
