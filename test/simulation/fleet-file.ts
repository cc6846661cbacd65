// The fleet file of a simulated world, as its operators change it: each change is a newer fleet.

import { forced } from '../../core/fleet-change.ts';
import {
  type AdoptedKey,
  defaultPolicy,
  type Fleet,
  type FleetDomain,
  type Policy,
} from '../../core/policy.ts';
import { type Instant, milliseconds, minutes } from '../../core/time.ts';
import type { Checker } from './checker.ts';
import type { SimulatedDns } from './dns.ts';
import type { MailHost } from './hosts.ts';
import type { DomainPlan, PolicyPlan, RecordsPlan, Scenario } from './scenario.ts';

export interface FleetFile {
  readonly policies: ReadonlyMap<string, PolicyPlan>;
  /** The fleets that were deployed, oldest first. */
  readonly deployed: readonly Fleet[];
  /** Whether the policy of a domain says that retired keys are published, or said so until lately. */
  discloses(domain: string): boolean;
  /** Whether it said so in every fleet since the domain came. */
  alwaysDiscloses(domain: string): boolean;
  /** The file as it is now becomes the newest fleet. @param force why what would be refused is wanted */
  publish(force?: string): void;
  /** The fleet that the file would be without a domain. */
  without(domain: string): Fleet;
  /** @param adopted keys that it signed with before */
  join(plan: DomainPlan, adopted: readonly AdoptedKey[]): void;
  setPolicy(domain: string, policy: PolicyPlan): void;
  setRecords(domain: string, records: RecordsPlan): void;
  setLeaving(domain: string, leaving: boolean): void;
  setPresent(domain: string, present: boolean): void;
  /** In the file, and not about to leave it. */
  stays(domain: string): boolean;
  enrol(host: MailHost, enrolled: boolean): void;
  isEnrolled(host: MailHost): boolean;
  /** Nothing new is due by the schedule any more. */
  stopSchedules(): void;
}

/** Within so long after a newer fleet came no worker goes on by the one before. */
const takenUp = minutes(30);

const policyOf = (plan: PolicyPlan): Policy => {
  const { rotateEvery: _default, ...rest } = defaultPolicy;
  return {
    ...rest,
    ...(plan.rotateEvery === undefined ? {} : { rotateEvery: milliseconds(plan.rotateEvery) }),
    algorithms: plan.algorithms,
    ttl: milliseconds(plan.ttl),
    downstreamQueue: milliseconds(plan.downstreamQueue),
    drainMargin: milliseconds(plan.drainMargin),
    hold: milliseconds(plan.hold),
    ...(plan.discloses === undefined ? {} : { disclose: 'after-removal' }),
  };
};

export const createFleetFile = (
  scenario: Scenario,
  now: () => Instant,
  checker: Checker,
  dns: () => SimulatedDns,
): FleetFile => {
  interface Entry {
    readonly plan: DomainPlan;
    readonly adopted: readonly AdoptedKey[];
    records: RecordsPlan;
    leaving: boolean;
    present: boolean;
  }
  const entries = new Map<string, Entry>();
  const policies = new Map<string, PolicyPlan>();
  const enrolled = new Set<MailHost>();
  const deployed: Fleet[] = [];
  const since: Instant[] = [];
  const zones = new Map(scenario.zones.map(({ name }, n) => [name, { name, id: `Z${n + 1}` }]));
  const pools = [...new Set([...scenario.domains, ...scenario.hosts].map(({ pool }) => pool))];

  const change = (domain: string, what: { leaving?: boolean; present?: boolean }): void => {
    const entry = entries.get(domain);
    if (entry === undefined) return;
    Object.assign(entry, what);
    const facts = checker.domains.get(domain);
    if (facts !== undefined && (entry.leaving || !entry.present)) facts.excusedSince = now();
  };

  const fleet = (but?: string): Fleet => ({
    version: deployed.length + 1,
    domains: new Map(
      [...entries.values()].flatMap(
        ({ plan, adopted, records, leaving, present }): [string, FleetDomain][] => {
          const { domain, zone, pool } = plan;
          const policy = policyOf(policies.get(domain) ?? plan.policy);
          const past = adopted.length === 0 ? {} : { adopted };
          const { spf, dmarc } = records;
          const beside = {
            ...(spf === undefined ? {} : { spf: { value: spf } }),
            ...(dmarc === undefined ? {} : { dmarc: { value: dmarc } }),
          };
          return present && domain !== but
            ? [[domain, { domain, zone, pool, leaving, policy, ...past, ...beside }]]
            : [];
        },
      ),
    ),
    zones,
    pools,
    hosts: new Map([...enrolled].map((host) => [host.name, host.fleet])),
  });

  const file: FleetFile = {
    policies,
    deployed,
    publish: (force) => {
      deployed.push(force === undefined ? fleet() : forced(fleet(), force));
      since.push(now());
    },
    discloses: (domain) =>
      deployed.some(
        ({ domains }, n) =>
          domains.get(domain)?.policy.disclose === 'after-removal' &&
          now() < (since[n + 1] ?? Number.POSITIVE_INFINITY) + takenUp,
      ),
    alwaysDiscloses: (domain) => {
      const first = deployed.findIndex(({ domains }) => domains.has(domain));
      return (
        first >= 0 &&
        deployed.slice(first).every(({ domains }) => domains.get(domain)?.policy.disclose === 'after-removal')
      );
    },
    without: fleet,
    join: (plan, adopted) => {
      entries.set(plan.domain, {
        plan,
        adopted,
        records: plan.records ?? {},
        leaving: false,
        present: true,
      });
      policies.set(plan.domain, plan.policy);
      const zone = dns().zones.get(plan.zone);
      if (zone === undefined) return;
      checker.domains.set(plan.domain, {
        domain: plan.domain,
        zone,
        pool: plan.pool,
        downstreamQueue: milliseconds(plan.policy.downstreamQueue),
        drainMargin: milliseconds(plan.policy.drainMargin),
        excusedSince: undefined,
        hurriedUntil: 0,
      });
    },
    setPolicy: (domain, policy) => {
      if (!entries.has(domain)) return;
      policies.set(domain, policy);
      const facts = checker.domains.get(domain);
      if (facts === undefined) return;
      facts.downstreamQueue = milliseconds(Math.min(facts.downstreamQueue, policy.downstreamQueue));
      facts.drainMargin = milliseconds(Math.min(facts.drainMargin, policy.drainMargin));
    },
    setRecords: (domain, records) => {
      const entry = entries.get(domain);
      if (entry !== undefined) entry.records = records;
    },
    setLeaving: (domain, leaving) => change(domain, { leaving }),
    setPresent: (domain, present) => change(domain, { present }),
    stays: (domain) => {
      const entry = entries.get(domain);
      return entry?.present === true && !entry.leaving;
    },
    enrol: (host, is) => {
      if (is) enrolled.add(host);
      else enrolled.delete(host);
    },
    isEnrolled: (host) => enrolled.has(host),
    stopSchedules: () => {
      for (const [domain, { rotateEvery: _never, ...rest }] of policies) file.setPolicy(domain, rest);
    },
  };
  return file;
};
