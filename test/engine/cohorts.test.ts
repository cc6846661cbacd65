// Cohorts across zones: who works with whom, what they share, and that a zone that fails holds up no other.
import { afterEach, describe, expect, it } from 'vitest';
import { createScaleWorld, type ScaleWorld } from '../../bench/scale/world.ts';
import { SelkieError } from '../../core/errors.ts';
import { defaultPolicy, type Fleet, type FleetDomain, type FleetZone } from '../../core/policy.ts';
import { days, hours, minutes } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { requestMany } from '../../engine/rotate-all.ts';
import { type CohortUnit, cohortUnits, fellowsOf } from '../../engine/units.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

const entry = (domain: string, zone: string, rotateEvery = days(90)): FleetDomain => ({
  domain,
  zone,
  pool: 'mx',
  leaving: false,
  policy: { ...defaultPolicy, rotateEvery },
});

const fleetOf = (entries: readonly FleetDomain[]): Fleet => ({
  version: 1,
  pools: ['mx'],
  hosts: new Map(),
  zones: new Map(entries.map(({ zone }) => [zone, { name: zone, id: 'Z1' }])),
  domains: new Map(entries.map((each) => [each.domain, each])),
});

const own = (n: number): FleetDomain[] => range(n).map((i) => entry(`own${i}.example`, `own${i}.example`));
const shared = (n: number, zone = 'shared.example'): FleetDomain[] =>
  range(n).map((i) => entry(`d${i}.${zone}`, zone));
const unitsOf = (fleet: Fleet): readonly CohortUnit[] => cohortUnits(fleet, fleet.domains.values());

describe('the units of a fleet', () => {
  it('hold each domain once, and 140 domains at most', () => {
    const fleet = fleetOf([...own(300), ...shared(700), ...shared(59, 'small.example')]);
    const all = [...fleet.domains.values()];
    const units = cohortUnits(fleet, [...all, ...all]);
    const named = units.flatMap(({ domains }) => domains);
    expect(named.toSorted()).toEqual([...fleet.domains.keys()].toSorted());
    expect(Math.max(...units.map(({ domains }) => domains.length))).toBeLessThanOrEqual(140);
    const many = fleetOf([
      ...shared(40, 'a.example'),
      ...range(8).flatMap((n) => shared(59, `${n}.example`)),
    ]);
    for (const { domains } of unitsOf(many)) expect(domains.length).toBeLessThanOrEqual(140);
  });

  it('are of many zones where each is too small for a cohort, and of one where it is not', () => {
    const fleet = fleetOf([...own(10_000), ...shared(700)]);
    const zonesOf = ({ domains }: CohortUnit) => domains.map((name) => fleet.domains.get(name)?.zone);
    const [across, within] = [true, false].map((isAcross) =>
      unitsOf(fleet).filter((unit) => zonesOf(unit).includes('shared.example') !== isAcross),
    );
    expect(within?.length).toBe(12);
    for (const unit of within ?? []) expect(new Set(zonesOf(unit))).toEqual(new Set(['shared.example']));
    expect(across?.length).toBe(167);
  });

  it('keep the domains of a small zone together', () => {
    const zones = range(200).map((n) => `z${n}.example`);
    const fleet = fleetOf(zones.flatMap((zone) => shared(10, zone)));
    for (const zone of zones)
      expect(unitsOf(fleet).filter(({ domains }) => domains.includes(`d0.${zone}`))[0]?.domains).toEqual(
        expect.arrayContaining(shared(10, zone).map(({ domain }) => domain)),
      );
  });

  it('are of one period: those of another rotate at other times', () => {
    const fleet = fleetOf([
      ...own(300),
      ...range(300).map((i) => entry(`quick${i}.example`, `quick${i}.example`, days(30))),
    ]);
    for (const { domains } of unitsOf(fleet))
      expect(new Set(domains.map((name) => fleet.domains.get(name)?.policy.rotateEvery)).size).toBe(1);
  });

  it('take in what the fleet does not name any more, by the zone of its row', () => {
    const fleet = fleetOf(own(2));
    expect(fellowsOf(fleet, 'gone.example')).toEqual({ ofZone: 1, ofSmallZones: 1 });
    expect(cohortUnits(fleet, [{ domain: 'gone.example', zone: 'gone.example' }])).toEqual([
      { kind: 'cohort', domains: ['gone.example'] },
    ]);
  });
});

describe('a cohort across zones', () => {
  const begin = () => createScaleWorld({ domains: 300, zones: 'own', hosts: 1 }, { workers: 2, share: 0.8 });
  /** The largest, of nine or more. */
  const largest = ({ fleet }: ScaleWorld): readonly string[] =>
    unitsOf(fleet)
      .map(({ domains }) => domains)
      .toSorted((a, b) => b.length - a.length)[0] ?? [];
  const order = (world: ScaleWorld, domains: readonly string[]) =>
    world.call(async (by) => requestMany(by, await openSession(by), domains, { reason: 'a drill' }));
  /** When each domain's new key signed, in minutes after the order. */
  const signing = (world: ScaleWorld): ReadonlyMap<string, number> =>
    new Map(
      [...world.ledger.rows.values()].flatMap(({ domain, keys }) => {
        const at = keys[1]?.turns[0].active?.at;
        return at === undefined ? [] : [[domain, (at - world.start) / minutes(1)]];
      }),
    );

  it('stores its keys together, and makes one request in each of its zones', async () => {
    const world = await begin();
    const units = unitsOf(world.fleet).length;
    expect(units).toBeLessThanOrEqual(64);
    await order(world, [...world.fleet.domains.keys()]);
    await world.run(hours(2));
    expect(signing(world).size).toBe(300);
    expect(world.secrets.counts.createSecret).toBe(units);
    expect(world.route53.counts.creating).toBe(300);
    expect(world.route53.counts.throttled).toBe(0);
    expect(world.counts.unexpected).toEqual([]);
  });

  it.each([
    ['is throttled', 'throttled', 0],
    ['is busy', 'busy', 0],
    ['does not answer', 'unavailable', 0],
    ['answers after half a minute that it cannot', 'unavailable', 30],
    ['may not be written', 'denied', 0],
    ['is gone at its provider', 'not-found', 0],
  ] as const)('is not held up by a zone that %s', async (_, code, slow) => {
    const world = await begin();
    const cohort = largest(world);
    expect(cohort.length).toBeGreaterThanOrEqual(9);
    const [bad = ''] = cohort;
    let isBad = true;
    const { submit, lookup, status } = world.route53;
    const spoilt =
      <T, A extends readonly unknown[]>(call: (zone: { readonly name: string }, ...rest: A) => Promise<T>) =>
      async (zone: { readonly name: string }, ...rest: A): Promise<T> => {
        if (!isBad || zone.name !== bad) return call(zone, ...rest);
        if (slow > 0) await world.sleep(minutes(slow / 60));
        throw new SelkieError(code, 'this zone fails');
      };
    Object.assign(world.route53, {
      submit: spoilt(submit as never),
      lookup: spoilt(lookup as never),
      status: spoilt(status as never),
    });
    await order(world, cohort);
    await world.run(hours(2));
    const times = signing(world);
    expect([...times.keys()].toSorted()).toEqual(cohort.slice(1).toSorted());
    // Some 24 minutes, of which 20 are the negative TTL and the skew.
    expect(Math.max(...times.values())).toBeLessThan(27);

    isBad = false;
    await world.run(hours(2));
    expect(signing(world).size).toBe(cohort.length);
  });

  it('is not held up by a zone that the fleet no longer has', async () => {
    const world = await begin();
    const cohort = largest(world);
    const [bad = '', ...others] = cohort;
    const zones = world.fleet.zones as Map<string, FleetZone>;
    const zone = zones.get(bad);
    zones.delete(bad);
    await order(world, cohort);
    await world.run(hours(2));
    expect([...signing(world).keys()].toSorted()).toEqual(others.toSorted());
    expect(world.ledger.rows.get(bad)?.troubles[0]?.message).toContain(`zone ${bad} of ${bad} is not in`);

    if (zone !== undefined) zones.set(bad, zone);
    await world.run(hours(2));
    expect(signing(world).size).toBe(cohort.length);
  });
});

describe('a step that is refused for its time', () => {
  let open: Simulation | undefined;
  afterEach(() => open?.close());

  // It was left until the drain of the key before had ended, days later.
  it('is tried again in a minute, whatever else the domain waits for', async () => {
    open = await simulate('2024-01-28T09:00:00Z', {}, ['mx1']);
    const { world } = open;
    const rotate = async (): Promise<void> => {
      await requestRotation(world, await openSession(world), domain, { reason: 'a drill' });
    };
    const signing = async () =>
      (await world.ledger.domain(domain))?.keys.filter(({ turns }) => turns[0].active !== undefined).length;
    await open.run(hours(2));
    await rotate();
    await open.run(hours(2));
    expect(await signing()).toBe(2);

    const { writer } = world;
    const refuse = () => Promise.reject(new SelkieError('throttled', 'Rate exceeded'));
    Object.assign(world, { writer: { ...writer, lookup: refuse, submit: refuse } });
    await rotate();
    await open.run(minutes(10));
    Object.assign(world, { writer });
    await open.run(hours(2));
    expect(await signing()).toBe(3);
  });
});
