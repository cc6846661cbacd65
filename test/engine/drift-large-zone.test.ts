// The audit of a zone that takes several units, at the strict Route 53: what is listed in one and what in the next makes no
// difference, and it asks for what is suspect alone.
import { Route53Client } from '@aws-sdk/client-route-53';
import { afterEach, expect, test } from 'vitest';
import { createRoute53Writer } from '../../adapters/aws/route53-writer.ts';
import { openSqliteLedger } from '../../adapters/local/ledger.ts';
import { buildTombstone } from '../../core/dkim/key-record.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import { defaultPolicy, type FleetDomain } from '../../core/policy.ts';
import { hours } from '../../core/time.ts';
import type { Change, DnsWriter, TxtSet, Unit } from '../../engine/ports.ts';
import { workOn } from '../../engine/tick.ts';
import type { World } from '../../engine/world.ts';
import { type StrictRoute53, startStrictRoute53 } from '../fakes/strict-route53.ts';
import { motoClient } from '../tools/moto.ts';
import { simulate } from '../world/world.ts';

const domains = 400;
const ttl = hours(1);
const set = (value: string): TxtSet => ({ ttl, values: [value] });

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

const rowOf = (domain: string, n: number, at: number): DomainRow => {
  const now = { at: at as DomainRow['taken'][number]['at'] };
  const reserved = { reserved: now };
  const value = `v=DKIM1; k=ed25519; p=${String(n).padStart(43, 'A')}=`;
  const published = {
    ...reserved,
    publishIntended: { ...now, value, ttl },
    created: { ...now, changeId: 'C0' },
    inSync: now,
  };
  const turn = { begun: now, proved: { ...now, servers: 1, negativeTtl: ttl } };
  const key = { algorithm: 'ed25519', rotation: 'r' } as const;
  return {
    domain,
    zone: 'example.org',
    pool: 'mx',
    version: 0,
    rotations: [],
    taken: [],
    troubles: [],
    keys: [
      { ...key, selector: '240128e', evidence: published, turns: [turn] },
      {
        ...key,
        selector: '231101e',
        evidence: {
          ...published,
          revocationIntended: now,
          tombstoned: { ...now, changeId: 'C0' },
          revoked: now,
        },
        turns: [turn],
      },
      { ...key, selector: '240129e', evidence: reserved, turns: [{ begun: now }] },
    ],
  };
};

test('800 records in pages of 10: exactly the damaged ones are put back, in several units', async () => {
  let clock = 0;
  const fake: StrictRoute53 = await startStrictRoute53({ now: () => (clock += 20_000) });
  stops.push(() => fake.stop());
  const client = new Route53Client({ ...motoClient(fake.url), maxAttempts: 1 });
  stops.push(() => client.destroy());
  const route53 = createRoute53Writer({ clientFor: () => client });
  const zone = { name: 'example.org', id: fake.addZone('example.org') };
  const base = await simulate('2024-01-28T09:00:00Z', {}, []);
  stops.push(() => base.close());
  const ledger = openSqliteLedger(':memory:', base.now);
  stops.push(() => ledger.close());

  const names = Array.from({ length: domains }, (_, n) => `${(n * 7_919) % 1_009}-${n}.example.org`);
  const rows = names.map((domain, n) => rowOf(domain, n, base.now() - hours(24)));
  for (const row of rows) await ledger.commit({ domains: [row] });
  const expected = new Map<string, TxtSet>();
  for (const { domain, keys } of rows)
    for (const key of keys) {
      if (key.evidence.publishIntended === undefined) continue;
      const { value } = key.evidence.publishIntended;
      expected.set(
        `${key.selector}._domainkey.${domain}`,
        set(key.evidence.tombstoned === undefined ? value : buildTombstone('ed25519')),
      );
    }
  // Others' records between ours, and one set of another type.
  const others = new Map<string, TxtSet>([
    ['example.org', set('v=spf1 -all')],
    ['*.example.org', set('wild')],
    ['zz.zz.example.org', set('last')],
    [`mailchimp._domainkey.${names[5]}`, set('v=DKIM1; p=AAAA')],
    ...names.map((domain): [string, TxtSet] => [`_dmarc.${domain}`, set('v=DMARC1; p=none')]),
  ]);
  for (const [name, { values }] of [...expected, ...others])
    fake.put(zone.id, { name, type: 'TXT', ttl: 3_600, values: [`"${values[0]}"`] });

  const ours = [...expected.keys()];
  const damaged = ours.filter((_, n) => n % 29 === 0);
  for (const [n, name] of damaged.entries()) {
    const old = expected.get(name) ?? set('');
    const change: Change =
      n % 2 === 0 ? { do: 'delete', name, set: old } : { do: 'replace', name, old, set: set('changed') };
    await route53.submit(zone, [change]);
  }
  const [calls, queued]: [Record<string, number>, Unit[]] = [{}, []];
  const counted = <T>(what: string, call: Promise<T>): Promise<T> => {
    calls[what] = (calls[what] ?? 0) + 1;
    return call;
  };
  const writer: DnsWriter = {
    ...route53,
    list: (where, options) => counted('list', route53.list(where, { ...options, limit: 10 })),
    lookup: (where, name) => counted('lookup', route53.lookup(where, name)),
    submit: (where, changes) => counted('submit', route53.submit(where, changes)),
  };
  const observe = async (where: typeof zone, name: string) => {
    const found = await route53.lookup(where, name);
    const answer =
      found === undefined ? ({ kind: 'no-data' } as const) : ({ kind: 'txt', set: found } as const);
    return { answers: [{ server: 'ns', address: '192.0.2.1#53', answer }] };
  };
  const entry = (domain: string): FleetDomain => ({
    domain,
    zone: zone.name,
    pool: 'mx',
    policy: defaultPolicy,
    leaving: false,
  });
  const world: World = {
    ...base.world,
    ledger,
    writer,
    observer: { observe },
    fleet: {
      version: 0,
      domains: new Map(names.map((domain) => [domain, entry(domain)])),
      zones: new Map([[zone.name, zone]]),
      pools: ['mx'],
      hosts: new Map(),
    },
    queue: { send: async (units) => void queued.push(...units.filter(({ kind }) => kind === 'audit')) },
  };
  queued.push({ kind: 'audit', zone: zone.name });
  let units = 0;
  for (let unit = queued.shift(); unit !== undefined; unit = queued.shift()) {
    units += 1;
    await workOn(world, unit);
    // A unit that is delivered twice comes too late the second time.
    if (units === 3) await workOn(world, unit);
  }

  const there = new Map<string, TxtSet>();
  let next: string | undefined;
  do {
    const page = await route53.list(zone, { limit: 300, ...(next === undefined ? {} : { after: next }) });
    for (const each of page.sets) there.set(each.name, each.set);
    next = page.next;
  } while (next !== undefined);
  expect(there).toEqual(new Map([...expected, ...others]));

  const report = await ledger.driftOf(`zone/${zone.name}`);
  expect(report).toMatchObject({ complete: true, compared: ours.length + 1, alarms: damaged.length });
  const named = (kind: string) =>
    report?.findings
      .filter((finding) => finding.kind === kind)
      .map(({ name }) => name)
      .toSorted();
  expect(named('record-missing')).toEqual(damaged.filter((_, n) => n % 2 === 0).toSorted());
  expect(named('record-edited')).toEqual(damaged.filter((_, n) => n % 2 === 1).toSorted());
  expect(named('record-foreign')).toEqual([`mailchimp._domainkey.${names[5]}`]);
  expect(units).toBeGreaterThan(4);
  expect(calls).toEqual({ list: calls.list, lookup: damaged.length, submit: damaged.length });
  expect(calls.list).toBeLessThan(130);
}, 120_000);
