// Adoption and hosts that sign with some key types only, on a whole world in virtual time. What an adoption looks like
// from its beginning to its end is in the golden timelines.
import { afterEach, describe, expect, it } from 'vitest';
import { dutyTurn, stateOf } from '../../core/key/state.ts';
import type { AdoptedKey } from '../../core/policy.ts';
import { days, hours, minutes } from '../../core/time.ts';
import { requestRotation, rollBack } from '../../engine/commands.ts';
import { forecast } from '../../engine/forecast.ts';
import { excludeHost, returnHost } from '../../engine/hosts.ts';
import type { TxtSet } from '../../engine/ports.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const zone = { name: domain, id: 'Z1' };
const name = `mail._domainkey.${domain}`;
const publicKey = Buffer.alloc(32, 7).toString('base64');
const mail: AdoptedKey = { selector: 'mail', algorithm: 'ed25519', publicKey };
const record: TxtSet = { ttl: hours(6), values: [`v=DKIM1; k=ed25519; n=since 2011; p=${publicKey}`] };
const hosts = ['mx1.example.com', 'mx2.example.com'];

let open: Simulation | undefined;
afterEach(() => open?.close());

const world = async (there: TxtSet | null = record, wanted: readonly AdoptedKey[] = [mail]) => {
  open = await simulate('2024-01-28T09:00:00Z', { algorithms: ['ed25519'] }, hosts);
  if (there !== null) open.dns.put(name, there);
  open.change({ adopted: wanted });
  return open;
};
const row = async (s: Simulation) => {
  const found = await s.world.ledger.domain(domain);
  if (found === undefined) throw new Error('no row');
  return found;
};
const status = async (s: Simulation) => statusOf(s.world, await openSession(s.world), domain);
const selectors = async (s: Simulation) => (await row(s)).keys.map(({ selector }) => selector);

describe('an adoption', () => {
  it('takes the record over as it stands, and tells hosts to sign, without a key in the bundle', async () => {
    const s = await world();
    await s.run(minutes(10));
    const [key] = (await row(s)).keys;
    expect(key?.evidence).toMatchObject({
      adopted: { publicKey },
      publishIntended: { value: record.values[0], ttl: hours(6) },
    });
    expect(key?.evidence).not.toHaveProperty('stored');
    expect(await s.world.ledger.log('mx', 0)).toEqual([
      {
        place: { epoch: 1, n: 1 },
        changes: [{ domain, selector: 'mail', algorithm: 'ed25519', duty: 'signing', publicKey }],
      },
    ]);
    expect(await s.dns.lookup(zone, name)).toEqual(record);
    expect(await s.world.vault.find(domain, 'mail')).toBeUndefined();
    expect((await status(s)).keys).toMatchObject([
      { selector: 'mail', state: 'active', adopted: '2024-01-28T09:01:00.000Z' },
    ]);
  });

  it('asks every name server: one that shows another record holds it up', async () => {
    const s = await world();
    const { observe } = s.dns;
    s.dns.observe = async (of, at) => {
      const seen = await observe(of, at);
      const [first, ...rest] = seen.answers;
      if (first === undefined || at !== name) return seen;
      return { ...seen, answers: [{ ...first, answer: { kind: 'no-such-name' } }, ...rest] };
    };
    await s.run(minutes(30));
    expect(await selectors(s)).toEqual([]);
    expect((await status(s)).blockedBy[0]?.says).toContain('1 of 2 servers show what they should; ns1');
    s.dns.observe = observe;
    await s.run(minutes(10));
    expect(await selectors(s)).toEqual(['mail']);
  });

  it.each([
    ['there is none', null, 'there is no TXT record'],
    [
      'there are two',
      { ttl: hours(1), values: [...record.values, 'v=DKIM1; p=x'] },
      'there are 2 TXT records',
    ],
    ['it is of another key', { ttl: hours(1), values: ['v=DKIM1; k=ed25519; p=AAAA'] }, 'another key'],
    ['it is revoked', { ttl: hours(1), values: ['v=DKIM1; p='] }, 'revoked'],
  ])('of a record waits and changes nothing where %s', async (_, there, why) => {
    const s = await world(null);
    if (there !== null) s.dns.put(name, there);
    await s.run(hours(2));
    expect(await selectors(s)).toEqual([]);
    expect(await s.world.ledger.log('mx', 0)).toEqual([]);
    expect(await s.dns.lookup(zone, name)).toEqual(there ?? undefined);
    const { blockedBy } = await status(s);
    expect(blockedBy[0]?.says).toContain(`adopt: ${name} in zone example.com (Z1): `);
    expect(blockedBy[0]?.says).toContain(why);
    // Whoever gives it up takes the entry away: the domain begins with a key of ours.
    s.change({ adopted: [] });
    await s.run(hours(2));
    expect(await selectors(s)).toEqual(['240128e']);
  });

  it('of two keys is whole or not at all', async () => {
    const other: AdoptedKey = { selector: 'rsa', algorithm: 'rsa1024', publicKey: 'MIGf' };
    const s = await world(record, [mail, other]);
    await s.run(hours(1));
    expect(await selectors(s)).toEqual([]);
    s.dns.put(`rsa._domainkey.${domain}`, { ttl: hours(1), values: ['v=DKIM1; p=MIGf'] });
    await s.run(hours(1));
    expect(await selectors(s)).toEqual(['mail', 'rsa']);
  });

  it('of a selector that an earlier key had is refused', async () => {
    const s = await world();
    await s.world.ledger.commit({ reserve: [{ domain, selector: 'mail' }] });
    await s.run(hours(1));
    expect(await selectors(s)).toEqual([]);
    expect((await status(s)).blockedBy[0]?.says).toContain('mail of example.com was used by an earlier key');
  });

  it('does not happen to a domain that has keys: the row rules, and status says that', async () => {
    const s = await world(record, []);
    await s.run(hours(2));
    s.change({ adopted: [mail] });
    await s.run(hours(1));
    expect(await selectors(s)).toEqual(['240128e']);
    const says =
      'fleet.yaml names mail as adopted, but keys are adopted only before Selkie has any key of example.com: the entry has no effect';
    expect((await status(s)).notes).toEqual([says]);
    expect(s.timeline()).toContain(says);
  });

  it('once done is not undone by the file', async () => {
    const s = await world();
    await s.run(hours(1));
    s.change({ adopted: [] });
    await s.run(hours(1));
    expect((await row(s)).keys.map(stateOf)).toEqual(['active']);
    expect(await status(s)).not.toHaveProperty('notes');
  });

  it('is foreseen, with the rotation that retires the key', async () => {
    const s = await world();
    await s.run(minutes(1));
    const { events } = await forecast(s.world, await openSession(s.world), domain, 30);
    expect(events.map(({ does }) => does)).toEqual([
      'a scheduled rotation starts',
      'the record of 240202e is published',
      'hosts switch; mail drains',
      'mail is revoked',
      'the record of mail is removed',
      'nothing is left of mail',
    ]);
  });
});

describe('an adopted key', () => {
  it('found tampered with at its revocation is still ours: the tombstone takes its place', async () => {
    const s = await world();
    await s.run(hours(1));
    await requestRotation(s.world, await openSession(s.world), domain, {});
    await s.run(hours(2));
    s.dns.put(name, { ttl: hours(1), values: ['v=DKIM1; p=edited'] });
    await s.run(days(30));
    expect((await row(s)).keys[0]?.evidence.destroyed).toBeDefined();
    expect(await s.dns.lookup(zone, name)).toBeUndefined();
  });

  it('compromised is replaced in a hurry, and revoked without a drain', async () => {
    const s = await world();
    await s.run(hours(1));
    await requestRotation(s.world, await openSession(s.world), domain, {
      kind: 'emergency',
      reason: 'copied',
    });
    await s.run(hours(1));
    const [old, successor] = (await row(s)).keys;
    expect(old?.evidence.revoked).toBeDefined();
    expect(successor?.turns[0].active).toBeDefined();
    expect((await s.dns.lookup(zone, name))?.values).toEqual(['v=DKIM1; k=ed25519; p=']);
  });

  it('compromised, of an operator who would rather have mail unsigned, is revoked at once', async () => {
    const s = await world();
    await s.run(hours(1));
    s.host('mx2.example.com').down = true;
    await requestRotation(s.world, await openSession(s.world), domain, { kind: 'emergency', unsigned: true });
    await s.run(minutes(5));
    expect((await row(s)).keys[0]?.evidence.revoked).toBeDefined();
  });

  it('leaves with its domain: its record is revoked and removed', async () => {
    const s = await world();
    await s.run(hours(1));
    s.change({ leaving: true });
    await s.run(days(30));
    expect((await row(s)).keys.map(({ evidence }) => evidence.destroyed !== undefined)).toEqual([true]);
    expect(await s.dns.lookup(zone, name)).toBeUndefined();
  });

  it('is no reason to withdraw its record when the operator gives up what is under way', async () => {
    const s = await world();
    s.host('mx2.example.com').lacks.add(`${domain}/mail`);
    await s.run(hours(1));
    await expect(rollBack(s.world, await openSession(s.world), domain, {})).rejects.toMatchObject({
      code: 'conflict',
    });
    await s.run(hours(1));
    expect(await s.dns.lookup(zone, name)).toEqual(record);
    expect((await status(s)).blockedBy[0]?.says).toBe(
      'mx2.example.com cannot use mail: it is not here; an adopted key is never sent: adopt it on that host (selkie-agent adopt), exclude the host, or rotate',
    );
  });

  it('that ended while a host was away is told to go when the host is back', async () => {
    const s = await world();
    await s.run(hours(1));
    const mx2 = 'mx2.example.com';
    await excludeHost(s.world, await openSession(s.world), mx2, 'under repair');
    s.host(mx2).down = true;
    await requestRotation(s.world, await openSession(s.world), domain, {});
    await s.run(days(20));
    expect((await row(s)).keys[0]?.evidence.destroyed).toBeDefined();
    expect(s.host(mx2).holds.get(`${domain}/mail`)).toBe('signing');
    s.host(mx2).down = false;
    await returnHost(s.world, await openSession(s.world), mx2);
    await s.run(hours(2));
    expect([...s.host(mx2).holds.keys()]).toEqual([`${domain}/240128e`]);
  });

  it('cannot be called back once it is being revoked', async () => {
    const s = await world();
    await s.run(hours(1));
    await requestRotation(s.world, await openSession(s.world), domain, {});
    await s.run(days(9));
    await expect(rollBack(s.world, await openSession(s.world), domain, {})).rejects.toMatchObject({
      message: expect.stringContaining('mail of example.com is being revoked'),
    });
  });
});

describe('a host that signs with RSA only', () => {
  const both = async (): Promise<Simulation> => {
    open = await simulate('2024-01-28T09:00:00Z', { algorithms: ['rsa2048', 'ed25519'] }, hosts);
    return open;
  };
  const mx2 = 'mx2.example.com';
  const held = (s: Simulation, host: string): readonly string[] => [...s.host(host).holds.keys()].toSorted();

  it('is sent no other key, and holds up no gate', async () => {
    const s = await both();
    s.host(mx2).keyTypes = ['rsa'];
    await s.run(hours(2));
    expect((await row(s)).keys.map((key) => [key.selector, stateOf(key)]).toSorted()).toEqual([
      ['240128', 'active'],
      ['240128e', 'active'],
    ]);
    expect(held(s, 'mx1.example.com')).toEqual(['example.com/240128', 'example.com/240128e']);
    expect(held(s, mx2)).toEqual(['example.com/240128']);
    const [cursor, other] = [await s.world.ledger.host(mx2), await s.world.ledger.host('mx1.example.com')];
    expect(cursor?.cursor).toEqual(other?.cursor);
    // A snapshot too: it comes back wiped.
    await s.join(mx2);
    s.host(mx2).keyTypes = ['rsa'];
    await requestRotation(s.world, await openSession(s.world), domain, {});
    await s.run(hours(2));
    expect(held(s, mx2)).toEqual(['example.com/240128', 'example.com/240128-2']);
  });

  it('that had such a key, before it said so, is told to have none when that key’s turn ends', async () => {
    const s = await both();
    await s.run(hours(2));
    expect(held(s, mx2)).toEqual(['example.com/240128', 'example.com/240128e']);
    s.host(mx2).keyTypes = ['rsa'];
    await requestRotation(s.world, await openSession(s.world), domain, {});
    await s.run(hours(2));
    expect(held(s, mx2)).toEqual(['example.com/240128', 'example.com/240128-2']);
    const old = (await row(s)).keys.find(({ selector }) => selector === '240128e');
    expect(old === undefined ? undefined : dutyTurn(old).stopped).toBeDefined();
  });
});
