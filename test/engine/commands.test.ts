// What operators ask for, on a whole world in virtual time.
import { afterEach, describe, expect, it } from 'vitest';
import { servingKeys, stateOf } from '../../core/key/state.ts';
import { days, hours, minutes, seconds } from '../../core/time.ts';
import { abortRotation, declareCompromised, requestRotation, rollBack } from '../../engine/commands.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let open: Simulation | undefined;
afterEach(() => open?.close());

/** A world whose first key is active. */
const active = async (): Promise<Simulation> => {
  open = await simulate('2024-01-28T09:00:00Z', { algorithms: ['ed25519'] }, ['mx1.example.com']);
  await open.run(hours(2));
  return open;
};
const states = async ({ world }: Simulation) =>
  Object.fromEntries(
    ((await world.ledger.domain(domain))?.keys ?? []).map((key) => [
      key.selector,
      key.evidence.destroyed === undefined ? stateOf(key) : 'destroyed',
    ]),
  );
const session = ({ world }: Simulation) => openSession(world);

describe('a request', () => {
  it('joins the rotation under way', async () => {
    const s = await active();
    const first = await requestRotation(s.world, await session(s), domain, {});
    const second = await requestRotation(s.world, await session(s), domain, { reason: 'again' });
    expect([first.joined, second.joined]).toEqual([false, true]);
    expect(second.rotation.id).toBe(first.rotation.id);
  });

  it('under the same Idempotency-Key is answered the same, and another under it is refused', async () => {
    const s = await active();
    const order = { idempotencyKey: 'k' };
    const first = await requestRotation(s.world, await session(s), domain, order);
    await s.run(hours(2));
    const again = await requestRotation(s.world, await session(s), domain, order);
    expect(again).toMatchObject({ joined: true, rotation: { id: first.rotation.id } });
    expect(await states(s)).toEqual({ '240128e': 'draining', '240128e-2': 'active' });
    await expect(
      requestRotation(s.world, await session(s), domain, { ...order, kind: 'emergency' }),
    ).rejects.toMatchObject({ code: 'conflict' });
  });

  it('for an unknown domain says how many are known', async () => {
    const s = await active();
    await expect(requestRotation(s.world, await session(s), 'x.example.net', {})).rejects.toMatchObject({
      code: 'not-found',
      message: 'x.example.net is not in fleet.yaml, which has 1 domain',
    });
  });
});

describe('an emergency', () => {
  it('takes the place of a rotation that has not switched; said twice, it has one successor', async () => {
    const s = await active();
    const planned = await requestRotation(s.world, await session(s), domain, {});
    const order = { kind: 'emergency', compromised: '240128e', reason: 'stolen' } as const;
    const first = await requestRotation(s.world, await session(s), domain, order);
    const second = await requestRotation(s.world, await session(s), domain, order);
    expect(first.rotation.id).not.toBe(planned.rotation.id);
    expect(second).toMatchObject({ joined: true, rotation: { id: first.rotation.id } });
    await s.run(hours(1));
    expect((await states(s))['240128e']).toBe('revoked');
  });

  it('with unsigned stops and revokes at once', async () => {
    const s = await active();
    s.dns.syncDelay = hours(12); // no successor can be published meanwhile
    await requestRotation(s.world, await session(s), domain, { kind: 'emergency', unsigned: true });
    await s.run(minutes(5));
    const key = (await s.world.ledger.domain(domain))?.keys[0];
    expect(key?.evidence.revocationIntended).toBeDefined();
    expect(key?.turns[0].stopIntended).toBeDefined();
  });
});

describe('a key that others may hold', () => {
  const declared = async (s: Simulation, selector: string, order = {}) =>
    declareCompromised(s.world, await session(s), domain, selector, order);

  it('is replaced as in an emergency where it signs; said twice, it has one successor', async () => {
    const s = await active();
    const first = await declared(s, '240128e', { reason: 'stolen' });
    const second = await declared(s, '240128e');
    expect(first).toMatchObject({ joined: false, rotation: { kind: 'emergency', reason: 'stolen' } });
    expect(second).toMatchObject({ joined: true, rotation: { id: first.rotation?.id } });
    await s.run(hours(1));
    expect(await states(s)).toEqual({ '240128e': 'revoked', '240128e-2': 'active' });
  });

  it('is given up with its rotation where it is about to sign, and another set takes its place', async () => {
    const s = await active();
    await requestRotation(s.world, await session(s), domain, {});
    await s.run(minutes(10));
    const { rotation } = await declared(s, '240128e-2');
    expect(rotation).toMatchObject({ kind: 'emergency' });
    await s.run(hours(1));
    expect(await states(s)).toMatchObject({ '240128e-2': 'destroyed', '240128e-3': 'active' });
    // Nobody said that the one before was in other hands.
    expect((await states(s))['240128e']).toBe('draining');
  });

  it('is revoked without its drain where it signs no more, and nothing else changes', async () => {
    const s = await active();
    await requestRotation(s.world, await session(s), domain, {});
    await s.run(hours(2));
    expect((await states(s))['240128e']).toBe('draining');
    const answer = await declared(s, '240128e', { reason: 'found in a backup' });
    expect(answer).toMatchObject({ joined: false });
    expect(answer.rotation).toBeUndefined();
    await s.run(minutes(30));
    expect(await states(s)).toEqual({ '240128e': 'revoked', '240128e-2': 'active' });
    expect((await s.world.ledger.domain(domain))?.rotations).toHaveLength(2);
    await expect(rollBack(s.world, await session(s), domain, {})).rejects.toMatchObject({ code: 'conflict' });
  });

  it('is noted of one that is revoked, and of one that is gone', async () => {
    const s = await active();
    await requestRotation(s.world, await session(s), domain, {});
    await s.run(days(30));
    expect((await states(s))['240128e']).toBe('destroyed');
    const row = async () => (await s.world.ledger.domain(domain))?.keys[0]?.evidence.compromised;
    expect(await declared(s, '240128e', { reason: 'late news' })).toMatchObject({ joined: false });
    expect(await row()).toMatchObject({ reason: 'late news' });
    expect(await declared(s, '240128e', { reason: 'again' })).toMatchObject({ joined: true });
    expect(await row()).toMatchObject({ reason: 'late news' });
  });

  it('that has not confirmed its end on every host fences a silent one, as an emergency does', async () => {
    open = await simulate('2024-01-28T09:00:00Z', { algorithms: ['ed25519'] }, [
      'mx1.example.com',
      'mx2.example.com',
    ]);
    const s = open;
    await s.run(hours(2));
    await requestRotation(s.world, await session(s), domain, {});
    s.host('mx2.example.com').downFrom = 'switch';
    await s.run(days(1));
    // A planned rotation waits for the host.
    const turn = async () => (await s.world.ledger.domain(domain))?.keys[0]?.turns[0];
    expect(await turn()).toMatchObject({ stopIntended: {} });
    expect((await turn())?.stopped).toBeUndefined();
    await declared(s, '240128e');
    await s.run(hours(2));
    expect((await states(s))['240128e']).toBe('revoked');
    expect((await s.world.ledger.host('mx2.example.com'))?.fenced).toBeDefined();
  });

  it('under one Idempotency-Key is said once, and another under it is refused', async () => {
    const s = await active();
    const order = { idempotencyKey: 'k' };
    const first = await declared(s, '240128e', order);
    await s.run(hours(2));
    expect(await declared(s, '240128e', order)).toMatchObject({
      joined: true,
      rotation: { id: first.rotation?.id },
    });
    await expect(declared(s, '240128e-2', order)).rejects.toMatchObject({
      code: 'conflict',
      field: 'Idempotency-Key',
    });
  });

  it('must be one of the domain', async () => {
    const s = await active();
    await expect(declared(s, '990101')).rejects.toMatchObject({ code: 'not-found', field: 'selector' });
  });

  it('of a domain that leaves is revoked too, without a successor', async () => {
    const s = await active();
    s.change({ leaving: true });
    await s.run(minutes(10));
    const answer = await declared(s, '240128e');
    expect(answer.rotation).toBeUndefined();
    await s.run(hours(1));
    expect(await states(s)).toEqual({ '240128e': 'revoked' });
  });
});

describe('abort and rollback', () => {
  it('abort before the switch withdraws the record; the old key signs on', async () => {
    const s = await active();
    await requestRotation(s.world, await session(s), domain, {});
    await s.run(minutes(10));
    expect(await states(s)).toEqual({ '240128e': 'active', '240128e-2': 'published' });
    await abortRotation(s.world, await session(s), domain, { reason: 'second thoughts' });
    await s.run(hours(1));
    expect(await states(s)).toEqual({ '240128e': 'active', '240128e-2': 'destroyed' });
    await s.run(days(1));
    expect((await s.world.ledger.domain(domain))?.rotations).toHaveLength(2);
  });

  it('rollback proves the earlier key again, makes it sign, and lets the present one drain', async () => {
    const s = await active();
    await requestRotation(s.world, await session(s), domain, {});
    await s.run(hours(1));
    expect(await states(s)).toEqual({ '240128e': 'draining', '240128e-2': 'active' });
    await rollBack(s.world, await session(s), domain, {});
    await s.run(hours(1));
    expect(await states(s)).toEqual({ '240128e': 'active', '240128e-2': 'draining' });
    const key = (await s.world.ledger.domain(domain))?.keys[0];
    expect(key?.turns).toHaveLength(2);
    expect(key?.turns[1]?.proved).toBeDefined();
  });

  it('with nothing to go back to, says so', async () => {
    const s = await active();
    await expect(rollBack(s.world, await session(s), domain, {})).rejects.toMatchObject({ code: 'conflict' });
    await expect(abortRotation(s.world, await session(s), domain, {})).rejects.toMatchObject({
      code: 'conflict',
    });
  });

  it('a request that is answered between two reads is answered the same', async () => {
    const world = await active();
    const order = { idempotencyKey: 'k' };
    let first: Awaited<ReturnType<typeof requestRotation>> | undefined;
    // The other one is done after this one has read the row, and before it asks for the answer.
    const racing = {
      ...world.world,
      fleet: world.world.fleet,
      ledger: {
        ...world.world.ledger,
        request: async (...asked: readonly [string, string]) => {
          first ??= await requestRotation(world.world, await openSession(world.world), domain, order);
          return world.world.ledger.request(...asked);
        },
      },
    };
    const second = await requestRotation(racing, await openSession(racing), domain, order);
    expect(second).toMatchObject({ joined: true, rotation: { id: first?.rotation.id } });
  });

  it('a rollback that is asked for again is not taken back', async () => {
    const world = await active();
    await requestRotation(world.world, await openSession(world.world), domain, {});
    await world.run(hours(2));
    const order = { idempotencyKey: 'back' };
    const once = await rollBack(world.world, await openSession(world.world), domain, order);
    const again = await rollBack(world.world, await openSession(world.world), domain, order);
    expect(again).toMatchObject({ joined: true, rotation: { id: once.rotation.id } });
    expect(again.rotation.aborted).toBeUndefined();
    await expect(
      abortRotation(world.world, await openSession(world.world), domain, order),
    ).rejects.toMatchObject({ code: 'conflict', field: 'Idempotency-Key' });
  });

  it('one unsigned emergency does not make the next one unsigned', async () => {
    const world = await active();
    const emergency = async (unsigned: boolean) =>
      requestRotation(world.world, await openSession(world.world), domain, { kind: 'emergency', unsigned });
    await emergency(true);
    await world.run(hours(2));
    await emergency(false);
    const serving = async () => {
      const row = await world.world.ledger.domain(domain);
      return row === undefined ? [] : servingKeys(row).map(({ selector }) => selector);
    };
    const before = await serving();
    expect(before).toHaveLength(1);
    await world.run(seconds(5));
    // The compromised key signs on until its successor does.
    expect((await serving()).length).toBe(1);
  });
});
