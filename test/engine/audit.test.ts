// What leaves an event in the audit trail, and what does not.
import { afterEach, describe, expect, it } from 'vitest';
import { verifyAuditChain } from '../../contract/audit.ts';
import { hostSubject } from '../../core/audit.ts';
import { days, hours, minutes } from '../../core/time.ts';
import { abortRotation, declareCompromised, requestRotation } from '../../engine/commands.ts';
import { excludeHost, fenceHosts, returnHost } from '../../engine/hosts.ts';
import { workOn } from '../../engine/tick.ts';
import { openSession, type World } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const host = 'mx1.example.com';
let open: Simulation | undefined;
afterEach(() => open?.close());

const active = async (): Promise<Simulation> => {
  open = await simulate('2024-01-28T09:00:00Z', { algorithms: ['ed25519'] }, [host]);
  await open.run(hours(2));
  return open;
};
const session = ({ world }: Simulation) => openSession(world);
const trail = ({ world }: Simulation, subject = domain) => world.ledger.audit(subject, { limit: 99 });

it('a life without orders has none; the scheduled rotation of a year neither', async () => {
  const s = await active();
  await s.run(days(120));
  expect((await s.world.ledger.domain(domain))?.rotations.length).toBeGreaterThan(1);
  expect(await trail(s)).toEqual([]);
});

describe('an order', () => {
  it('says who, what, why, before and after, at the ledger’s time', async () => {
    const s = await active();
    const order = { kind: 'emergency', reason: 'stolen', by: 'ada', unsigned: true } as const;
    const { rotation } = await requestRotation(s.world, await session(s), domain, order);
    const [event, ...more] = await trail(s);
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      subject: domain,
      n: 1,
      at: '2024-01-28T11:00:00.000Z',
      who: 'ada',
      what: 'emergency',
      why: 'stolen',
      before: { keys: { '240128e': 'active' }, rotation: null },
      after: {
        keys: { '240128e': 'active, compromised, unsigned' },
        rotation: rotation.id,
        unsigned: true,
      },
    });
    expect((await s.world.ledger.domain(domain))?.audit).toEqual({ n: 1, hash: event?.hash });
  });

  it('that is refused leaves none, and one that only joins without a key neither', async () => {
    const s = await active();
    await expect(abortRotation(s.world, await session(s), domain, {})).rejects.toMatchObject({
      code: 'conflict',
    });
    await requestRotation(s.world, await session(s), domain, {});
    await requestRotation(s.world, await session(s), domain, { by: 'eve' });
    expect(await trail(s)).toHaveLength(1);
    // Under a key it is a write, and so an event: eve asked too.
    await requestRotation(s.world, await session(s), domain, { by: 'eve', idempotencyKey: 'k' });
    await requestRotation(s.world, await session(s), domain, { by: 'eve', idempotencyKey: 'k' });
    expect((await trail(s)).map(({ who, after }) => [who, (after as { joined?: boolean }).joined])).toEqual([
      ['local operator', undefined],
      ['eve', true],
    ]);
  });

  it('that meets others at the row is tried again, and the chain holds', async () => {
    const s = await active();
    const orders = Array.from(
      { length: 6 },
      (_, n) => async () =>
        requestRotation(s.world, await session(s), domain, { by: `p${n}`, idempotencyKey: `k${n}` }),
    );
    const answers = await Promise.all(orders.map((order) => order()));
    expect(new Set(answers.map(({ rotation }) => rotation.id)).size).toBe(1);
    const events = await trail(s);
    expect(events.map(({ who }) => who).toSorted()).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'p5']);
    expect(verifyAuditChain(events)).toEqual({ ok: true });
  });

  it('has nothing of a private key', async () => {
    const s = await active();
    await requestRotation(s.world, await session(s), domain, {});
    await s.run(hours(2));
    await declareCompromised(s.world, await session(s), domain, '240128e', { reason: 'found' });
    const text = JSON.stringify(await trail(s));
    for (const key of (await s.world.ledger.domain(domain))?.keys ?? []) {
      const secret = key.evidence.stored?.secret;
      if (secret === undefined || key.evidence.destroyed !== undefined) continue;
      const pkcs8 = Buffer.from(await s.world.vault.read(secret));
      expect(text).not.toContain(pkcs8.toString('base64').slice(20, 40));
    }
    expect(text).not.toContain('secret');
  });
});

describe('a host', () => {
  it('has a trail of its own: excluded, returned, and fenced by the service', async () => {
    const s = await active();
    await excludeHost(s.world, await session(s), host, 'repair', { by: 'ada' });
    // It is so already.
    await excludeHost(s.world, await session(s), host, 'again', { by: 'eve' });
    await returnHost(s.world, await session(s), host, { by: 'ada', reason: 'repaired' });
    await s.run(minutes(5));
    await fenceHosts(s.world, await session(s), [host], 'silent in an emergency');
    const events = await trail(s, hostSubject(host));
    expect(events.map(({ who, what, why, before, after }) => [who, what, why, before, after])).toEqual([
      ['ada', 'exclude', 'repair', { ready: true }, { ready: false, excluded: 'repair' }],
      ['ada', 'return', 'repaired', { ready: false, excluded: 'repair' }, { ready: false }],
      [
        'selkie',
        'fence',
        'silent in an emergency',
        { ready: true },
        { ready: false, fenced: 'silent in an emergency' },
      ],
    ]);
    expect(verifyAuditChain(events)).toEqual({ ok: true });
    expect(await trail(s)).toEqual([]);
  });

  it('sent the same order twice at once, carries it out once', async () => {
    const s = await active();
    const order = { by: 'ada', idempotencyKey: 'k' };
    const exclude = async () => excludeHost(s.world, await session(s), host, 'repair', order);
    const rows = await Promise.all([exclude(), exclude(), exclude()]);
    for (const row of rows) expect(row.excluded?.reason).toBe('repair');
    expect(await trail(s, hostSubject(host))).toHaveLength(1);
    await expect(returnHost(s.world, await session(s), host, order)).rejects.toMatchObject({
      code: 'conflict',
      field: 'Idempotency-Key',
    });
  });
});

describe('a fleet', () => {
  /** As the ledger sees a newer fleet, without the domain. */
  const without = ({ world }: Simulation, force?: { readonly reason: string }): World => {
    const { fleet } = world;
    const next = {
      ...fleet,
      version: fleet.version + 1,
      domains: new Map(),
      ...(force === undefined ? {} : { force }),
    };
    return { ...world, fleet: next };
  };

  it('that is forced leaves an event with its reason at each domain that loses by it', async () => {
    const s = await active();
    await workOn(without(s, { reason: 'the customer left' }), { kind: 'fleet' });
    const events = await trail(s);
    expect(events).toMatchObject([
      { who: 'selkie', what: 'force fleet', why: 'the customer left', after: { vanished: true, fleet: 2 } },
    ]);
    expect(verifyAuditChain(events)).toEqual({ ok: true });
  });

  it('that nobody forces is refused, and leaves none', async () => {
    const s = await active();
    await workOn(without(s), { kind: 'fleet' });
    expect(await trail(s)).toEqual([]);
  });
});
