// A scenario is data: the fleet, the shape of the world, and a list of what happens to it. One seed gives one scenario; a
// failing one is made smaller by leaving items out. Lengths and times are milliseconds; times count from the start.

import type { Algorithm } from '../../core/algorithm.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { alone, cohortOf } from '../../core/key/cohorts.ts';
import { days, hours, minutes, seconds } from '../../core/time.ts';
import { type Random, stream } from './random.ts';

export interface ZonePlan {
  readonly name: string;
  readonly servers: number;
  readonly negativeTtl: number;
  /** TTL of a wildcard TXT. */
  readonly wildcard?: number;
}

export interface PolicyPlan {
  readonly rotateEvery?: number;
  readonly algorithms: readonly Algorithm[];
  readonly ttl: number;
  readonly downstreamQueue: number;
  readonly drainMargin: number;
  readonly hold: number;
  /** `disclose: after-removal` */
  readonly discloses?: true;
}

/** What the fleet file says beside the keys; absent: none of ours. */
export interface RecordsPlan {
  readonly spf?: string;
  readonly dmarc?: string;
}

/** What a person does at the name of an SPF or DMARC record. */
export type HandOnPolicy = 'beside' | 'foreign' | 'edit' | 'remove';

export interface DomainPlan {
  readonly domain: string;
  readonly zone: string;
  readonly pool: string;
  readonly policy: PolicyPlan;
  /** From when on it is in the fleet. */
  readonly from: number;
  /** Keys that it signed with before. */
  readonly adopted?: readonly AdoptedPlan[];
  readonly records?: RecordsPlan;
  /** Leaves for good once faults have stopped. */
  readonly retires?: true;
}

export interface AdoptedPlan {
  readonly selector: string;
  readonly algorithm: Algorithm;
  readonly ttl: number;
  /** Hosts that do not have it: 0 of a domain that signed everywhere. */
  readonly lacking: number;
}

export interface HostPlan {
  readonly name: string;
  readonly pool: string;
  readonly pulls: boolean;
  readonly pushed: boolean;
  readonly queueLifetime?: number;
  readonly from: number;
}

export const callPorts = [
  'ledger.head',
  'ledger.read',
  'ledger.commit',
  'ledger.due',
  'vault.store',
  'vault.read',
  'vault.destroy',
  'disclosure.publish',
  'writer.lookup',
  'writer.submit',
  'writer.status',
  'observer.observe',
  'resolver.resolve',
  'transport.push',
  'queue.send',
  'keys.generate',
] as const;
/** Those that faults are drawn for; the others by chances of their own, so that worlds from before them stay as they were. */
const drawnPorts = callPorts.filter((port) => port !== 'disclosure.publish' && port !== 'resolver.resolve');
export type CallPort = (typeof callPorts)[number];

/** `lost`: the effect happened, the answer did not come. `late`: the effect happens after the caller has given up. */
export type CallFault = 'refused' | 'lost' | 'late' | 'crash-before' | 'crash-after' | 'slow';

export type Item = { readonly at: number } & (
  | { readonly do: 'rotate'; readonly domain: string }
  | { readonly do: 'emergency'; readonly domain: string; readonly unsigned: boolean; readonly key: number }
  | { readonly do: 'rollback' | 'abort'; readonly domain: string }
  | { readonly do: 'exclude'; readonly host: string; readonly for: number }
  | { readonly do: 'policy'; readonly domain: string; readonly policy: PolicyPlan }
  | { readonly do: 'leave' | 'vanish'; readonly domain: string; readonly for: number }
  | { readonly do: 'remove-host'; readonly host: string; readonly for: number }
  | {
      readonly do: 'calls';
      readonly port: CallPort | 'any';
      readonly fault: CallFault;
      readonly code: ErrorCode;
      readonly rate: number;
      readonly for: number;
    }
  | {
      readonly do: 'server-stuck' | 'server-down';
      readonly zone: string;
      readonly server: number;
      readonly for: number;
    }
  | { readonly do: 'never-in-sync' | 'ids-forgotten'; readonly zone: string; readonly for: number }
  | { readonly do: 'foreign-record'; readonly domain: string; readonly ahead: number }
  | {
      readonly do: 'hand-edit';
      readonly domain: string;
      readonly key: number;
      readonly remove: boolean;
      readonly for: number;
    }
  | {
      readonly do: 'host-off' | 'host-cut-off' | 'disk-corrupts';
      readonly host: string;
      readonly for: number;
    }
  | { readonly do: 'host-wiped'; readonly host: string }
  | { readonly do: 'host-restored'; readonly host: string; readonly age: number }
  | {
      readonly do: 'clock-skew';
      readonly of: 'worker' | 'host';
      readonly index: number;
      readonly by: number;
      readonly for: number;
    }
  | { readonly do: 'schedule-stops' | 'queue-storm' | 'leases-fail' | 'eventual-reads'; readonly for: number }
  | { readonly do: 'deploy' }
  | { readonly do: 'records'; readonly domain: string; readonly records: RecordsPlan }
  | {
      readonly do: 'hand-policy';
      readonly domain: string;
      readonly kind: 'spf' | 'dmarc';
      readonly how: HandOnPolicy;
      readonly for: number;
    }
  /** From a backup of that age; never drawn: test/e2e/restore.test.ts puts it in. */
  | { readonly do: 'ledger-restored'; readonly age: number }
);

export interface Scenario {
  readonly seed: number;
  readonly start: string;
  readonly length: number;
  readonly workers: number;
  readonly serverLag: number;
  readonly syncDelay: number;
  /** Share of calls that take time, and how long. */
  readonly slowness: number;
  readonly zones: readonly ZonePlan[];
  readonly domains: readonly DomainPlan[];
  readonly hosts: readonly HostPlan[];
  readonly items: readonly Item[];
  /** Messages that are followed to their verifiers, besides the first and last of each key. */
  readonly messages: number;
}

const algorithmSets: readonly [readonly Algorithm[], ...(readonly Algorithm[])[]] = [
  ['rsa2048'],
  ['ed25519'],
  ['rsa2048', 'ed25519'],
];

const policyPlan = (random: Random): PolicyPlan => {
  const ttl = random.pick([minutes(5), hours(1), hours(4), days(1)]);
  return {
    ...(random.chance(0.75)
      ? { rotateEvery: random.pick([days(1), days(2), days(3), days(5), days(7)]) }
      : {}),
    algorithms: random.pick(algorithmSets),
    ttl,
    downstreamQueue: random.pick([hours(4), days(1), days(3), days(5)]),
    drainMargin: random.pick([hours(1), days(1), days(2)]),
    hold: Math.max(ttl, random.pick([hours(6), days(1), days(7)])),
  };
};

const pick = <T>(random: Random, from: readonly T[]): T => {
  const found = random.any(from);
  if (found === undefined) throw new Error('nothing to choose from');
  return found;
};

/** Hours: short as a rule, at times as long as `most`. */
const mostlyShort = (random: Random, most: number): number => hours(0.1 + random.next() ** 4 * most);

/** What may happen, each with its weight. */
const happenings: readonly (readonly [
  number,
  (random: Random, world: Omit<Scenario, 'items'>, at: number) => Item,
])[] = [
  [10, (r, w, at) => ({ at, do: 'rotate', domain: pick(r, w.domains).domain })],
  [
    3,
    (r, w, at) => ({
      at,
      do: 'emergency',
      domain: pick(r, w.domains).domain,
      unsigned: r.chance(0.3),
      key: r.int(-1, 4),
    }),
  ],
  [3, (r, w, at) => ({ at, do: 'rollback', domain: pick(r, w.domains).domain })],
  [2, (r, w, at) => ({ at, do: 'abort', domain: pick(r, w.domains).domain })],
  [2, (r, w, at) => ({ at, do: 'exclude', host: pick(r, w.hosts).name, for: hours(r.between(1, 200)) })],
  [2, (r, w, at) => ({ at, do: 'policy', domain: pick(r, w.domains).domain, policy: policyPlan(r) })],
  [
    1,
    (r, w, at) => ({
      at,
      do: r.chance(0.6) ? 'leave' : 'vanish',
      domain: pick(r, w.domains).domain,
      for: hours(r.between(1, 600)),
    }),
  ],
  [1, (r, w, at) => ({ at, do: 'remove-host', host: pick(r, w.hosts).name, for: hours(r.between(1, 200)) })],
  [
    8,
    (r, _w, at) => ({
      at,
      do: 'calls',
      port: r.chance(0.3) ? 'any' : pick(r, drawnPorts),
      fault: r.pick(['refused', 'refused', 'lost', 'lost', 'late', 'slow']),
      code: r.pick(['unavailable', 'throttled', 'busy', 'denied']),
      rate: r.pick([0.05, 0.2, 0.5, 1]),
      for: minutes(r.pick([2, 15, 60, 300])),
    }),
  ],
  [
    6,
    (r, _w, at) => ({
      at,
      do: 'calls',
      port: r.chance(0.6) ? 'any' : pick(r, drawnPorts),
      fault: r.pick(['crash-before', 'crash-after']),
      code: 'unavailable',
      rate: r.pick([0.02, 0.1, 0.4]),
      for: minutes(r.pick([5, 30, 120])),
    }),
  ],
  [
    2,
    (r, _w, at) => ({
      at,
      do: 'calls',
      port: r.pick(['vault.store', 'vault.read']),
      fault: 'refused',
      code: 'unavailable',
      rate: 1,
      for: mostlyShort(r, 48),
    }),
  ],
  [
    3,
    (r, w, at) => {
      const zone = pick(r, w.zones);
      return {
        at,
        do: r.chance(0.6) ? 'server-stuck' : 'server-down',
        zone: zone.name,
        server: r.int(0, zone.servers - 1),
        for: mostlyShort(r, 72),
      };
    },
  ],
  [
    2,
    (r, w, at) => ({
      at,
      do: r.chance(0.5) ? 'never-in-sync' : 'ids-forgotten',
      zone: pick(r, w.zones).name,
      for: mostlyShort(r, 48),
    }),
  ],
  [2, (r, w, at) => ({ at, do: 'foreign-record', domain: pick(r, w.domains).domain, ahead: r.int(0, 3) })],
  [
    1,
    (r, w, at) => ({
      at,
      do: 'hand-edit',
      domain: pick(r, w.domains).domain,
      key: r.int(0, 4),
      remove: r.chance(0.3),
      for: mostlyShort(r, 48),
    }),
  ],
  [
    5,
    (r, w, at) => ({
      at,
      do: r.chance(0.5) ? 'host-off' : 'host-cut-off',
      host: pick(r, w.hosts).name,
      for: r.chance(0.8) ? minutes(r.between(1, 600)) : days(r.between(1, 21)),
    }),
  ],
  [2, (r, w, at) => ({ at, do: 'disk-corrupts', host: pick(r, w.hosts).name, for: mostlyShort(r, 30) })],
  [1, (r, w, at) => ({ at, do: 'host-wiped', host: pick(r, w.hosts).name })],
  [
    2,
    (r, w, at) => ({ at, do: 'host-restored', host: pick(r, w.hosts).name, age: hours(r.between(1, 500)) }),
  ],
  [
    2,
    (r, _w, at) => ({
      at,
      do: 'clock-skew',
      of: r.chance(0.5) ? 'worker' : 'host',
      index: r.int(0, 5),
      by: (r.chance(0.5) ? 1 : -1) * minutes(r.pick([1, 4, 6, 60, 600])),
      for: mostlyShort(r, 48),
    }),
  ],
  [2, (r, _w, at) => ({ at, do: 'schedule-stops', for: mostlyShort(r, 100) })],
  [2, (r, _w, at) => ({ at, do: 'queue-storm', for: mostlyShort(r, 24) })],
  [2, (r, _w, at) => ({ at, do: 'leases-fail', for: mostlyShort(r, 24) })],
  [2, (r, _w, at) => ({ at, do: 'eventual-reads', for: mostlyShort(r, 48) })],
  [1, (_r, _w, at) => ({ at, do: 'deploy' })],
];

/**
 * Each world is fond of some kinds and knows nothing of others: what must come together to do harm comes together more
 * often (swarm testing: Groce et al. 2012).
 */
const fondness = (random: Random): readonly number[] =>
  happenings.map(([weight]) => (random.chance(0.5) ? 0 : weight * random.between(0.2, 5)));

const happening = (random: Random, world: Omit<Scenario, 'items'>, weights: readonly number[]): Item => {
  const at = Math.floor(random.between(0, world.length));
  let left = random.between(
    0,
    weights.reduce((sum, weight) => sum + weight, 0),
  );
  for (const [n, [, make]] of happenings.entries()) {
    left -= weights[n] ?? 0;
    if (left < 0) return make(random, world, at);
  }
  return { at, do: 'deploy' };
};

const pasts: readonly [readonly Algorithm[], ...(readonly Algorithm[])[]] = [
  ['rsa1024'],
  ['rsa2048'],
  ['ed25519'],
  ['rsa1024', 'ed25519'],
];

/** Some domains signed before. By chance of its own: the worlds without such a one stay as they were. */
const withPast = (random: Random, plan: DomainPlan): DomainPlan => {
  if (!random.chance(0.15)) return plan;
  const lacking = random.pick([0, 0, 0, 1, 2]);
  const ttl = random.pick([minutes(5), hours(1), days(1)]);
  const adopted = random.pick(pasts).map((algorithm) => ({
    // The seventh letter tells the types apart, as it does for keys that are made.
    selector: algorithm === 'ed25519' ? 'formere' : 'former',
    algorithm,
    ttl,
    lacking,
  }));
  return { ...plan, adopted };
};

/** Some domains publish their retired keys, or begin or cease to. By chance of its own, as `withPast`. */
const withDisclosure = (random: Random, policy: PolicyPlan): PolicyPlan =>
  random.chance(0.3) ? { ...policy, discloses: true } : policy;

const mostZones = 4;

/** Small worlds are the rule: they find as much, and there can be more of them. */
const size = (random: Random, most: number, smallness = 3): number =>
  1 + Math.floor(random.next() ** smallness * most);

/** Names of zones that have one place in the period: their domains are one cohort, as in a large fleet those of many zones are. */
const neighbours = ((): readonly string[] => {
  const cohort = (zone: string): number => cohortOf({ domain: zone, zone, fellows: alone });
  const found = ['zone1.example'];
  for (let n = 2; found.length < mostZones; n += 1)
    if (cohort(`zone${n}.example`) === cohort('zone1.example')) found.push(`zone${n}.example`);
  return found;
})();

/** A world that has keys alone: neither SPF nor DMARC. */
export const keyScenarioOf = (seed: number): Scenario => {
  const random = stream(seed, 'scenario');
  // By chance of its own, as `withPast`.
  const beside = stream(seed, 'neighbours');
  const together = beside.chance(0.3)
    ? { rotateEvery: beside.pick([days(1), days(2), days(3), days(5), days(7)]) }
    : undefined;
  const zones = Array.from(
    { length: Math.max(together === undefined ? 1 : 2, size(random, mostZones)) },
    (_, n): ZonePlan => ({
      name: (together === undefined ? undefined : neighbours[n]) ?? `zone${n + 1}.example`,
      servers: random.int(1, 4),
      negativeTtl: random.pick([0, minutes(1), minutes(15), hours(3)]),
      ...(random.chance(0.15) ? { wildcard: random.pick([minutes(5), hours(1), days(1)]) } : {}),
    }),
  );
  const pools = random.chance(0.8) ? ['mx'] : ['mx', 'out'];
  const length = days(random.chance(0.9) ? random.int(3, 12) : random.int(13, 60));
  const fewest = together === undefined ? 1 : 2 * zones.length;
  const domains = Array.from({ length: Math.max(fewest, size(random, 20, 6)) }, (_, n): DomainPlan => {
    const zone = pick(random, zones).name;
    return {
      domain: random.chance(0.1) && !zone.startsWith('_') && n === 0 ? zone : `d${n + 1}.${zone}`,
      zone,
      pool: pick(random, pools),
      policy: { ...policyPlan(random), ...together },
      from: random.chance(0.8) ? 0 : Math.floor(random.between(0, length * 0.8)),
    };
  });
  const hosts = Array.from({ length: Math.max(pools.length, size(random, 6)) }, (_, n): HostPlan => {
    const way = random.next();
    return {
      name: `mx${n + 1}.example`,
      pool: pools[n] ?? pick(random, pools),
      pulls: way < 0.7,
      pushed: way > 0.2,
      ...(random.chance(0.5) ? { queueLifetime: random.pick([hours(4), days(1), days(5), days(9)]) } : {}),
      from: n < pools.length || random.chance(0.7) ? 0 : Math.floor(random.between(0, length)),
    };
  });
  const past = stream(seed, 'past');
  const disclosure = stream(seed, 'disclosure');
  const world: Omit<Scenario, 'items'> = {
    seed,
    start: `20${random.int(24, 35)}-${String(random.int(1, 12)).padStart(2, '0')}-${String(random.int(1, 28)).padStart(2, '0')}T${String(random.int(0, 23)).padStart(2, '0')}:${String(random.int(0, 59)).padStart(2, '0')}:00Z`,
    length,
    workers: random.int(1, 3),
    serverLag: random.pick([seconds(1), seconds(30), minutes(5), hours(1)]),
    syncDelay: random.pick([seconds(1), seconds(30), minutes(2)]),
    slowness: random.pick([0, 0, 0.05, 0.3]),
    zones,
    domains: domains
      .map((plan) => withPast(past, plan))
      .map((plan) => ({ ...plan, policy: withDisclosure(disclosure, plan.policy) })),
    hosts,
    messages: random.int(5, 60),
  };
  // Some worlds know no fault: what fails there is no excuse of the faults.
  const faults = random.chance(0.1) ? 0 : random.int(2, 25);
  const weights = fondness(random);
  const items = Array.from({ length: faults }, () => happening(random, world, weights)).toSorted(
    (a, b) => a.at - b.at,
  );
  return {
    ...world,
    items: items.map((item): Item => {
      if (item.do === 'policy') return { ...item, policy: withDisclosure(disclosure, item.policy) };
      const strikesIt = item.do === 'calls' && item.port === 'vault.destroy' && disclosure.chance(0.5);
      return strikesIt ? { ...item, port: 'disclosure.publish' } : item;
    }),
  };
};

export const describeItem = (item: Item): string => {
  const { at: _at, do: what, ...rest } = item;
  return `${what} ${Object.entries(rest)
    .map(([name, value]) =>
      name === 'for' || name === 'by' || name === 'age'
        ? `${name} ${Math.round(Number(value) / 60_000)} min`
        : `${name} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
    )
    .join(', ')}`;
};
