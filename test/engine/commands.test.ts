// What operators ask for, on a whole world in virtual time.
import { afterEach, describe, expect, it } from 'vitest';
import { stateOf } from '../../core/key/state.ts';
import { days, hours, minutes } from '../../core/time.ts';
import { abortRotation, requestRotation, rollBack } from '../../engine/commands.ts';
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
});
