// Audits of SPF and DMARC records: ours are put back beside what others have, and what is not ours is left exactly as it is.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hours, minutes } from '../../core/time.ts';
import { orderAudit } from '../../engine/drift.ts';
import type { Finding, TxtSet } from '../../engine/ports.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const spf = 'v=spf1 mx -all';
const dmarc = 'v=DMARC1; p=none; rua=mailto:dmarc@example.com';
const verification = 'some-service-verification=0123456789';
const ttl = minutes(5);
let world: Simulation;

beforeEach(async () => {
  world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
  world.dns.elsewhere.set(`MX ${domain}`, ['mail.example.com']);
  world.dns.put(domain, { ttl, values: [verification] });
  world.change({ spf: { value: spf }, dmarc: { value: dmarc } });
  await world.run(hours(2));
});
afterEach(() => world.close());

const standing = (name: string): Promise<TxtSet | undefined> =>
  world.dns.lookup({ name: domain, id: 'Z1' }, name);
const audit = async (): Promise<readonly Finding[]> => {
  await orderAudit(world.world, { zone: domain });
  await world.run(minutes(20));
  return (await world.world.ledger.driftOf(`zone/${domain}`))?.findings ?? [];
};

test('where all is as it should be, nothing is found, and all three records were compared', async () => {
  expect(await audit()).toEqual([]);
  expect(await world.world.ledger.driftOf(`zone/${domain}`)).toMatchObject({ compared: 3, alarms: 0 });
});

test('a value that was taken out of the set is put back, and seen on every server', async () => {
  world.dns.put(domain, { ttl, values: [verification, 'added by hand'] });
  expect(await audit()).toMatchObject([
    {
      kind: 'record-missing',
      name: domain,
      level: 'alarm',
      mended: { changeId: expect.any(String), shown: expect.any(Number) },
    },
  ]);
  expect(await standing(domain)).toEqual({ ttl, values: [verification, 'added by hand', spf] });
});

test('a value that somebody edited is put back, the others with it', async () => {
  world.dns.put(domain, { ttl, values: ['v=spf1 +all', verification] });
  world.dns.put(`_dmarc.${domain}`, undefined);
  expect((await audit()).map(({ kind, name }) => `${kind} ${name}`).toSorted()).toEqual([
    `record-edited ${domain}`,
    `record-missing _dmarc.${domain}`,
  ]);
  expect(await standing(domain)).toEqual({ ttl, values: [verification, spf] });
  expect((await standing(`_dmarc.${domain}`))?.values).toEqual([dmarc]);
});

test('a second SPF record is said and left alone: it is not ours', async () => {
  const both = { ttl, values: [verification, spf, 'v=spf1 include:theirs.example ~all'] };
  world.dns.put(domain, both);
  expect(await audit()).toMatchObject([{ kind: 'record-foreign', level: 'alarm', name: domain }]);
  expect(await standing(domain)).toEqual(both);
});
