// A zone that people change, in a world that the real engine drives: what they are asked for, and what audits make of it.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keyRecordName } from '../../core/names.ts';
import { days, hours, minutes, seconds } from '../../core/time.ts';
import { byHandStatus } from '../../engine/by-hand.ts';
import { requestRotation } from '../../engine/commands.ts';
import { orderAudit } from '../../engine/drift.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let simulation: Simulation;
beforeEach(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', { rotateEvery: days(90) }, ['mx1.example.com']);
  simulation.byHand();
  await simulation.run(minutes(10));
});
afterEach(() => simulation.close());

const asked = async () => (await byHandStatus(simulation.world, { limit: 10 })).zones[0]?.changes ?? [];
const status = async () => statusOf(simulation.world, await openSession(simulation.world), domain);
const audit = async () => {
  await orderAudit(simulation.world, { zone: domain });
  await simulation.run(minutes(5));
  return (await simulation.world.ledger.driftOf(`zone/${domain}`))?.findings ?? [];
};
const name = keyRecordName('240128e', domain);
const standing = () => simulation.dns.lookup({ name: domain, id: 'Z1' }, name);

test('status says what to paste, and the list has it ready', async () => {
  expect((await status()).blockedBy).toMatchObject([
    {
      by: 'person',
      selector: '240128e',
      says: expect.stringContaining(`${name} TXT, TTL 3600, value "v=DKIM1;`),
    },
  ]);
  expect(await asked()).toEqual([
    {
      do: 'add',
      name,
      host: '240128e._domainkey',
      type: 'TXT',
      ttl: 3600,
      add: [{ value: expect.stringMatching(/^v=DKIM1; k=ed25519; p=/), strings: [expect.any(String)] }],
      remove: [],
      asked: '2024-01-28T09:01:00.000Z',
      servers: 2,
      shown: 0,
      showing: [],
      lagging: ['ns1.example.net (192.0.2.1#53) shows none', 'ns2.example.net (192.0.2.2#53) shows none'],
    },
  ]);
});

test('a name server that lags holds up the key, and is named', async () => {
  simulation.dns.lags = [seconds(0), hours(2)];
  await simulation.paste();
  await simulation.run(hours(1));
  expect((await status()).keys[0]?.state).toBe('publishing');
  expect(await asked()).toMatchObject([
    {
      servers: 2,
      shown: 1,
      showing: ['ns1.example.net (192.0.2.1#53)'],
      lagging: [expect.stringContaining('ns2.example.net')],
    },
  ]);
  await simulation.run(hours(2));
  expect((await status()).keys[0]?.state).toBe('active');
  expect(await asked()).toEqual([]);
});

test('an audit while somebody is awaited finds nothing wrong', async () => {
  expect(await audit()).toEqual([]);
});

test('what somebody deletes or edits later is asked for again, each day as long as it is so', async () => {
  await simulation.paste();
  await simulation.run(hours(2));
  const ours = await standing();
  simulation.dns.put(name, undefined);
  await simulation.run(minutes(1));
  expect(await audit()).toMatchObject([
    { kind: 'record-missing', level: 'alarm', command: `selkie paste ${domain}` },
  ]);
  expect((await audit())[0]).not.toHaveProperty('mended');
  expect(await asked()).toMatchObject([{ do: 'add', name }]);
  await simulation.paste();
  await simulation.run(minutes(1));
  expect(await standing()).toEqual(ours);
  expect(await audit()).toEqual([]);

  simulation.dns.put(name, { ttl: hours(1), values: ['v=DKIM1; p=other'] });
  await simulation.run(minutes(1));
  expect(await audit()).toMatchObject([{ kind: 'record-edited' }]);
  expect(await asked()).toMatchObject([{ do: 'change', add: [{}], remove: [{ value: 'v=DKIM1; p=other' }] }]);
  await simulation.paste();
  await simulation.run(minutes(1));
  expect(await standing()).toEqual(ours);
});

test('a panel that gives a shorter TTL is no drift', async () => {
  const [wish] = await asked();
  simulation.dns.put(name, { ttl: minutes(5), values: [wish?.add[0]?.value ?? ''] });
  await simulation.run(hours(2));
  expect((await status()).keys[0]?.state).toBe('active');
  expect(await audit()).toEqual([]);
});

test('a compromised key is asked to be revoked before its successor has drained, and the reminder comes each hour', async () => {
  await simulation.paste();
  await simulation.run(hours(2));
  await requestRotation(simulation.world, await openSession(simulation.world), domain, {
    kind: 'emergency',
    reason: 'stolen',
  });
  await simulation.run(minutes(5));
  expect((await asked()).map(({ do: what, host }) => [what, host])).toEqual([
    ['add', '240128e-2._domainkey'],
  ]);
  await simulation.run(hours(3));
  expect(simulation.timeline().match(/asked [123] hours? ago, and not done yet: add/g)).toHaveLength(3);
  await simulation.paste();
  await simulation.run(hours(1));
  expect((await asked()).map(({ do: what, host }) => [what, host])).toEqual([
    ['change', '240128e._domainkey'],
  ]);
});
