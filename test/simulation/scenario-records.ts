// SPF and DMARC records in a scenario: which domains have them, how their operators change them, and what hands do at their names.
// Drawn from a stream of its own: a quarter of all worlds has some, and all others stay as they were.

import { minutes } from '../../core/time.ts';
import { type Random, stream } from './random.ts';
import {
  type DomainPlan,
  type HandOnPolicy,
  type Item,
  keyScenarioOf,
  type RecordsPlan,
  type Scenario,
} from './scenario.ts';

/** The domain of an SPF record elsewhere, which others include. */
export const includedSpf = 'spf.elsewhere.example';

/** Each text is another, so that whoever sees one knows whose it is. */
const recordsPlan = (random: Random, domain: string, zones: Scenario['zones']): RecordsPlan => {
  const n = random.int(1, 65_000);
  const mailbox = random.chance(0.2) ? (random.any(zones)?.name ?? domain) : domain;
  const terms = random.pick(['', ` include:${includedSpf}`]);
  return {
    ...(random.chance(0.75) ? { spf: `v=spf1 ip4:10.1.${n >> 8}.${n & 255}${terms} -all` } : {}),
    ...(random.chance(0.75)
      ? { dmarc: `v=DMARC1; p=${random.pick(['none', 'reject'])}; rua=mailto:r${n}@${mailbox}` }
      : {}),
  };
};

const ways: readonly [HandOnPolicy, ...HandOnPolicy[]] = ['beside', 'foreign', 'foreign', 'edit', 'remove'];

/** Minutes: short as a rule, at times days. */
const length = (random: Random): number => minutes(5 + random.next() ** 3 * 4_000);

const makers: readonly [
  (random: Random, domain: string, at: number, world: Scenario) => Item,
  ...((random: Random, domain: string, at: number, world: Scenario) => Item)[],
] = [
  (random, domain, at, { zones }) => ({
    at,
    do: 'records',
    domain,
    records: recordsPlan(random, domain, zones),
  }),
  (random, domain, at) => ({
    at,
    do: 'hand-policy',
    domain,
    kind: random.pick(['spf', 'dmarc']),
    how: random.pick(ways),
    for: length(random),
  }),
  (random, domain, at) => ({ at, do: 'leave', domain, for: length(random) }),
  (random, _domain, at) => ({
    at,
    do: 'calls',
    port: random.pick(['resolver.resolve', 'writer.lookup', 'writer.submit', 'observer.observe', 'any']),
    fault: random.pick(['refused', 'lost', 'late', 'crash-before', 'crash-after']),
    code: random.pick(['unavailable', 'throttled']),
    rate: random.pick([0.2, 0.5]),
    for: minutes(random.pick([15, 60])),
  }),
];

const withRecords = (scenario: Scenario): Scenario => {
  const random = stream(scenario.seed, 'policy records');
  if (!random.chance(0.25)) return scenario;
  const domains = scenario.domains.map((plan, n): DomainPlan => {
    const records =
      n === 0 || random.chance(0.5) ? recordsPlan(random, plan.domain, scenario.zones) : undefined;
    const retires = n === 0 && random.chance(0.5);
    return { ...plan, ...(records === undefined ? {} : { records }), ...(retires ? { retires } : {}) };
  });
  const names = domains.filter(({ records }) => records !== undefined).map(({ domain }) => domain);
  // A world that knows no fault knows none here either: its operators change their minds, and that is all.
  const makes = scenario.items.length === 0 ? makers.slice(0, 1) : makers;
  const items = Array.from({ length: random.int(2, 12) }, () => {
    const at = Math.floor(random.between(0, scenario.length));
    const make = random.any(makes) ?? makers[0];
    return make(random, random.any(names) ?? '', at, scenario);
  });
  // Somebody had a record of their own before Selkie came, and lets go of it some time.
  const before = ({ domain }: DomainPlan): Item => ({
    at: 0,
    do: 'hand-policy',
    domain,
    kind: random.pick(['spf', 'dmarc']),
    how: 'foreign',
    for: length(random),
  });
  const early = scenario.items.length > 0 && random.chance(0.4) ? domains.slice(0, 1).map(before) : [];
  // Behind the others, whose places in the list their streams are named by.
  return { ...scenario, domains, items: [...scenario.items, ...items, ...early] };
};

export const scenarioOf = (seed: number): Scenario => withRecords(keyScenarioOf(seed));
