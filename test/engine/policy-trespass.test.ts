// Invariant 4 of policy records: whatever others do at a domain's names, before, after and in the very moment of a change, each
// value that the engine takes away is one that the row says is ours; and once they leave off, what the fleet wants stands.
// Worlds by chance, from fixed seeds.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hours, minutes } from '../../core/time.ts';
import { orderAudit } from '../../engine/drift.ts';
import type { Change, TxtSet } from '../../engine/ports.ts';
import { patience, runs } from '../fuzz/settings.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

patience();

const names = [domain, `_dmarc.${domain}`] as const;
const zone = { name: domain, id: 'Z1' };
const values = [
  'verification=1',
  'verification=2',
  'v=spf1 a -all',
  'v=spf1 mx -all',
  'v=DMARC1; p=none',
  'v=DMARC1; p=reject; rua=mailto:x@example.com',
];

type Step =
  | { readonly do: 'toggle'; readonly name: number; readonly value: string; readonly race: boolean }
  | {
      readonly do: 'want';
      readonly spf: string | undefined;
      readonly dmarc: string | undefined;
      readonly adopt: boolean;
    }
  | { readonly do: 'audit' }
  | { readonly do: 'wait'; readonly minutes: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('toggle' as const),
    name: fc.nat(1),
    value: fc.constantFrom(...values),
    race: fc.boolean(),
  }),
  fc.record({
    do: fc.constant('want' as const),
    spf: fc.constantFrom(undefined, 'v=spf1 a -all', 'v=spf1 ip4:192.0.2.1 -all'),
    dmarc: fc.constantFrom(undefined, 'v=DMARC1; p=none', 'v=DMARC1; p=quarantine'),
    adopt: fc.boolean(),
  }),
  fc.constant({ do: 'audit' as const }),
  fc.record({ do: fc.constant('wait' as const), minutes: fc.constantFrom(1, 3, 90) }),
);

const setOf = (all: readonly string[]): TxtSet | undefined =>
  all.length === 0 ? undefined : { ttl: hours(1), values: all };

const toggled = (there: TxtSet | undefined, value: string): TxtSet | undefined =>
  setOf(
    there?.values.includes(value) === true
      ? there.values.filter((other) => other !== value)
      : [...(there?.values ?? []), value],
  );

/** Others' toggles of one value; `later`: to be done in the moment of the next change. */
const play = async (world: Simulation, steps: readonly Step[], later: Step[]): Promise<void> => {
  for (const one of steps) {
    if (one.do === 'toggle' && one.race) later.push(one);
    else if (one.do === 'toggle') {
      const name = names[one.name] ?? domain;
      world.dns.put(name, toggled(await world.dns.lookup(zone, name), one.value));
    } else if (one.do === 'want') {
      for (const field of ['spf', 'dmarc'] as const) {
        const value = one[field];
        if (value === undefined) world.drop(field);
        else world.change({ [field]: { value, ...(one.adopt ? { adopt: true } : {}) } });
      }
      await world.run(minutes(2));
    } else if (one.do === 'audit') {
      await orderAudit(world.world, { zone: domain });
      await world.run(minutes(5));
    } else await world.run(minutes(one.minutes));
  }
};

test('nothing of others is ever taken away, and what is wanted comes to stand', async () => {
  let changes = 0;
  for (const steps of fc.sample(fc.array(step, { minLength: 4, maxLength: 14 }), runs(30))) {
    const world = await simulate('2024-01-28T09:00:00Z', {}, []);
    try {
      world.dns.elsewhere.set(`A ${domain}`, ['192.0.2.1']);
      const label = JSON.stringify(steps);
      const later: Step[] = [];
      const { submit } = world.dns;
      const check = async (change: Change): Promise<void> => {
        if (!names.some((name) => name === change.name)) return;
        changes += 1;
        const before =
          change.do === 'create' ? [] : (change.do === 'delete' ? change.set : change.old).values;
        const after = change.do === 'delete' ? [] : change.set.values;
        const { records = [] } = (await world.world.ledger.domain(domain)) ?? {};
        const ours = records.filter(({ name }) => name === change.name).flatMap((record) => record.ours);
        const kinds = records.filter(({ name, owned }) => name === change.name && owned !== undefined);
        const lost = before.filter((value) => !after.includes(value) && !ours.includes(value));
        // What an audit replaces is an edit of ours: the only one of its kind, where ours has stood.
        const edits = lost.filter((value) =>
          kinds.some(({ kind }) => value.startsWith(kind === 'spf' ? 'v=spf1' : 'v=DMARC1')),
        );
        expect(lost, label).toEqual(edits);
        expect(edits.length, label).toBeLessThanOrEqual(1);
        if (edits.length > 0)
          expect(
            before.some((value) => ours.includes(value)),
            label,
          ).toBe(false);
      };
      world.dns.submit = async (where, batch) => {
        for (const change of batch) await check(change);
        for (const one of later.splice(0))
          if (one.do === 'toggle') {
            const name = names[one.name] ?? domain;
            world.dns.put(name, toggled(await world.dns.lookup(zone, name), one.value));
          }
        return submit(where, batch);
      };
      await play(world, steps, later);
      // Others take their records of the kind away; the next looks find the way free.
      await world.run(minutes(30));
      for (const name of names) {
        const there = await world.dns.lookup(zone, name);
        const { records = [] } = (await world.world.ledger.domain(domain)) ?? {};
        const ours = records.flatMap((record) => record.ours);
        world.dns.put(
          name,
          setOf((there?.values ?? []).filter((value) => !value.startsWith('v=') || ours.includes(value))),
        );
      }
      await world.run(hours(5));
      await orderAudit(world.world, { zone: domain });
      await world.run(hours(1));
      const entry = world.world.fleet.domains.get(domain);
      for (const [name, wanted, version] of [
        [names[0], entry?.spf, 'v=spf1'],
        [names[1], entry?.dmarc, 'v=DMARC1'],
      ] as const) {
        const found =
          (await world.dns.lookup(zone, name))?.values.filter((value) => value.startsWith(version)) ?? [];
        expect(found, `${name} ${label}`).toEqual(wanted === undefined ? [] : [wanted.value]);
      }
    } finally {
      world.close();
    }
  }
  expect(changes).toBeGreaterThan(30);
});
