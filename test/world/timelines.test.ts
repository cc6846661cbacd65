// Golden timelines: what the engine does in a whole life of keys, with its times. `UPDATE_GOLDEN=1` writes them anew;
// each is then to be read against docs/lifecycle.md.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { Policy } from '../../core/policy.ts';
import { days, hours, minutes, seconds } from '../../core/time.ts';
import { abortRotation, requestRotation, rollBack } from '../../engine/commands.ts';
import type { RotationOrder } from '../../engine/orders.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from './world.ts';

const start = '2024-01-28T09:00:00Z';
const hosts = ['mx1.example.com', 'mx2.example.com'];
let open: Simulation | undefined;

afterEach(() => {
  open?.close();
  open = undefined;
});

const begin = async (...args: Parameters<typeof simulate>): Promise<Simulation> => {
  open = await simulate(...args);
  return open;
};

const expectGolden = (name: string, world: Simulation): void => {
  const file = new URL(`../golden/${name}.txt`, import.meta.url);
  const timeline = world.timeline();
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, timeline);
  expect(timeline).toBe(readFileSync(file, 'utf8'));
};

const keys = async ({ world }: Simulation) => (await world.ledger.domain(domain))?.keys ?? [];

const order = async ({ world }: Simulation, wanted: RotationOrder = {}) =>
  requestRotation(world, await openSession(world), domain, wanted);

describe('golden timelines', () => {
  test('first key: the negative TTL is waited for', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(hours(2));
    expect((await keys(world)).map(({ turns }) => turns[0].active !== undefined)).toEqual([true]);
    expectGolden('first-key', world);
  });

  test('scheduled rotation: the first key lives until nothing is left of it', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(days(150));
    const [first] = await keys(world);
    expect(first?.evidence.destroyed).toBeDefined();
    expect([...world.vault.destroyed][0]).toBe(first?.evidence.stored?.secret);
    expectGolden('scheduled-rotation', world);
  });

  test('a retired key that the policy discloses: after removal, before it is destroyed', async () => {
    const world = await begin(start, { disclose: 'after-removal' }, hosts);
    await world.run(days(150));
    const [first] = await keys(world);
    expect(first?.evidence).toMatchObject({ disclosed: {}, destroyed: {} });
    expect([...world.published.keys()]).toEqual([`${domain}/${first?.selector}`]);
    expectGolden('disclosed', world);
  });

  test('on request, the same day: -2, with both algorithms', async () => {
    const world = await begin(start, { algorithms: ['rsa2048', 'ed25519'] }, hosts);
    await world.run(hours(2));
    await order(world, { reason: 'a drill' });
    await world.run(hours(2));
    expect((await keys(world)).map(({ selector }) => selector).toSorted()).toEqual(
      ['240128', '240128-2', '240128e', '240128e-2'].toSorted(),
    );
    expectGolden('same-day-dual', world);
  });

  test('a host is down at standby: nobody signs before it has the key', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(hours(2));
    world.host('mx2.example.com').down = true;
    await order(world);
    await world.run(hours(3));
    expect((await keys(world)).at(-1)?.turns[0].signIntended).toBeUndefined();
    world.host('mx2.example.com').down = false;
    await world.run(hours(1));
    expect((await keys(world)).at(-1)?.turns[0].active).toBeDefined();
    expectGolden('host-down-at-standby', world);
  });

  test('a host goes down at the switch: the old key has not stopped while it may sign', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(hours(2));
    await order(world);
    world.host('mx2.example.com').downFrom = 'switch';
    await world.run(hours(3));
    expect((await keys(world))[0]?.turns[0].stopIntended).toBeDefined();
    expect((await keys(world))[0]?.turns[0].stopped).toBeUndefined();
    world.host('mx2.example.com').downFrom = undefined;
    await world.run(days(20));
    expect((await keys(world))[0]?.evidence.destroyed).toBeDefined();
    expectGolden('host-down-at-switch', world);
  });

  test('a name server lags: the proof waits for it', async () => {
    const world = await begin(start, {}, hosts);
    world.dns.lags = [seconds(0), minutes(25)];
    await world.run(hours(2));
    expect((await keys(world))[0]?.turns[0].proved?.at).toBeGreaterThanOrEqual(
      Date.parse(start) + minutes(26),
    );
    expectGolden('server-lags', world);
  });

  test('a wildcard TXT: the selector is free, and its removal is proved beside a random sibling', async () => {
    const world = await begin(start, {}, hosts);
    world.dns.wildcard = { ttl: hours(1), values: ['v=spf1 -all'] };
    await world.run(days(100));
    expect((await keys(world))[0]?.evidence.removed).toBeDefined();
    expectGolden('wildcard', world);
  });

  test('a record of somebody else at the selector: another is taken, theirs is left', async () => {
    const world = await begin(start, {}, hosts);
    const theirs = { ttl: hours(1), values: ['v=DKIM1; p=theirs'] };
    world.dns.put(`240128e._domainkey.${domain}`, theirs);
    await world.run(hours(2));
    expect((await keys(world)).map(({ selector }) => selector)).toEqual(['240128e-2']);
    expect(await world.dns.lookup({ name: domain, id: 'Z1' }, `240128e._domainkey.${domain}`)).toEqual(
      theirs,
    );
    expectGolden('foreign-record', world);
  });

  test('a host joins in the middle', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(minutes(10));
    await world.join('mx3.example.com');
    await world.run(hours(2));
    expect((await world.world.ledger.host('mx3.example.com'))?.complete).toBe(true);
    expectGolden('host-joins', world);
  });

  test('the provider forgets a change: it is made again under a new id', async () => {
    const world = await begin(start, {}, hosts);
    world.dns.losesIds = true;
    await world.run(seconds(90));
    world.dns.losesIds = false;
    await world.run(hours(3));
    expect((await keys(world))[0]?.turns[0].active).toBeDefined();
    expectGolden('lost-change-id', world);
  });

  test('a domain leaves: nothing is left of it', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(hours(2));
    world.change({ leaving: true });
    await world.run(days(30));
    expect((await keys(world)).every(({ evidence }) => evidence.destroyed !== undefined)).toBe(true);
    expectGolden('leaving', world);
  });

  test('emergency: a silent host is fenced, and the compromised key revoked', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(hours(2));
    world.host('mx2.example.com').down = true;
    await order(world, { kind: 'emergency', reason: 'stolen' });
    await world.run(days(1));
    expect((await world.world.ledger.host('mx2.example.com'))?.fenced).toBeDefined();
    expect((await keys(world))[0]?.evidence.revoked).toBeDefined();
    expectGolden('emergency', world);
  });

  test('abort before the switch: the record is withdrawn, the old key signs on', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(hours(2));
    await order(world);
    await world.run(minutes(10));
    await abortRotation(world.world, await openSession(world.world), domain, { reason: 'second thoughts' });
    await world.run(days(1));
    expect((await keys(world)).map((key) => key.evidence.destroyed !== undefined)).toEqual([false, true]);
    expectGolden('abort', world);
  });

  test('rollback: the earlier key is proved again, signs again, and the present one drains', async () => {
    const world = await begin(start, {}, hosts);
    await world.run(hours(2));
    await order(world);
    await world.run(hours(2));
    await rollBack(world.world, await openSession(world.world), domain, { reason: 'receivers complain' });
    await world.run(days(30));
    const [first, second] = await keys(world);
    expect(first?.turns[1]?.active).toBeDefined();
    expect(second?.evidence.destroyed).toBeDefined();
    expectGolden('rollback', world);
  });

  test('people change the zone: one takes two days, and is reminded; the key is seen before it signs', async () => {
    const world = await begin(start, { rotateEvery: days(30) }, hosts);
    world.byHand();
    await world.run(days(2));
    expect((await keys(world))[0]?.turns[0].proved).toBeUndefined();
    expect(await world.paste()).toEqual([`240128e._domainkey.${domain}`]);
    await world.run(hours(2));
    expect((await keys(world))[0]?.turns[0].active).toBeDefined();
    // The next rotation's record, then the old key's tombstone and its removal: each when somebody comes, every other day.
    for (let visits = 0; visits < 40; visits += 1) {
      await world.run(days(2));
      await world.paste();
    }
    const [first] = await keys(world);
    expect(first?.evidence.destroyed).toBeDefined();
    expect(
      await world.dns.lookup({ name: domain, id: 'Z1' }, `240128e._domainkey.${domain}`),
    ).toBeUndefined();
    expectGolden('by-hand', world);
  });

  test('people change the zone: a rotation is given up before anybody pasted its record, and nobody is asked any more', async () => {
    const world = await begin(start, {}, hosts);
    world.byHand();
    await world.run(hours(1));
    await world.paste();
    await world.run(hours(2));
    await order(world);
    await world.run(hours(5));
    await abortRotation(world.world, await openSession(world.world), domain, { reason: 'second thoughts' });
    await world.run(days(1));
    expect(await world.paste()).toEqual([]);
    expect((await keys(world)).map((key) => key.evidence.destroyed !== undefined)).toEqual([false, true]);
    expectGolden('by-hand-abort', world);
  });

  test('people change the zone: a record of somebody else is seen before anybody is asked, and another selector is taken', async () => {
    const world = await begin(start, {}, hosts);
    world.byHand();
    const theirs = { ttl: hours(1), values: ['v=DKIM1; p=theirs'] };
    world.dns.put(`240128e._domainkey.${domain}`, theirs);
    await world.run(hours(1));
    expect(await world.paste()).toEqual([`240128e-2._domainkey.${domain}`]);
    await world.run(hours(2));
    expect((await keys(world))[0]?.turns[0].active).toBeDefined();
    expect(await world.dns.lookup({ name: domain, id: 'Z1' }, `240128e._domainkey.${domain}`)).toEqual(
      theirs,
    );
  });

  /** Signs with an RSA-1024 key of an OpenDKIM, which its hosts have. */
  const withAdopted = async (policy: Partial<Policy> = {}): Promise<Simulation> => {
    const world = await begin(start, policy, hosts);
    const spki = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    const publicKey = spki.export({ type: 'spki', format: 'der' }).toString('base64');
    world.dns.put(`mail._domainkey.${domain}`, {
      ttl: hours(6),
      values: [`v=DKIM1; h=sha256; k=rsa; s=email; p=${publicKey}`],
    });
    world.change({ adopted: [{ selector: 'mail', algorithm: 'rsa1024', publicKey }] });
    return world;
  };

  test('an adopted key signs on at once; its first rotation retires it like any other', async () => {
    const world = await withAdopted();
    await world.run(days(30));
    const [first, second] = await keys(world);
    expect(first).toMatchObject({ selector: 'mail', evidence: { adopted: {}, destroyed: {} } });
    expect(second?.turns[0].active).toBeDefined();
    expect(await world.dns.lookup({ name: domain, id: 'Z1' }, `mail._domainkey.${domain}`)).toBeUndefined();
    expect([...world.vault.destroyed]).toEqual([]);
    expectGolden('adopted', world);
  });

  test('an adopted key that one host lacks: it says so, and a rotation mends it', async () => {
    const world = await withAdopted();
    world.host('mx2.example.com').lacks.add(`${domain}/mail`);
    await world.run(hours(1));
    expect((await keys(world))[0]?.turns[0].active).toBeUndefined();
    await order(world);
    await world.run(hours(1));
    expect((await keys(world)).at(-1)?.turns[0].active).toBeDefined();
    expectGolden('adopted-host-lacks-it', world);
  });

  test('an adopted key whose record is another: nothing is taken over before it is right', async () => {
    const world = await withAdopted();
    const name = `mail._domainkey.${domain}`;
    const right = await world.dns.lookup({ name: domain, id: 'Z1' }, name);
    world.dns.put(name, { ttl: hours(6), values: ['v=DKIM1; p=MIGfMA0GCSqGSIb3'] });
    await world.run(hours(1));
    expect(await keys(world)).toEqual([]);
    world.dns.put(name, right);
    await world.run(hours(1));
    expect((await keys(world))[0]?.turns[0].active).toBeDefined();
    expectGolden('adopted-other-record', world);
  });

  test('back to the adopted key, which its hosts still hold', async () => {
    const world = await withAdopted({ rotateEvery: days(90) });
    await world.run(hours(1));
    await order(world);
    await world.run(hours(2));
    await rollBack(world.world, await openSession(world.world), domain, { reason: 'receivers complain' });
    await world.run(days(30));
    const [first, second] = await keys(world);
    expect(first?.turns[1]?.active).toBeDefined();
    expect(second?.evidence.destroyed).toBeDefined();
    expectGolden('adopted-rollback', world);
  });
});
