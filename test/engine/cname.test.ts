// A domain whose own zone is somebody else's and leads to key records in ours, on a whole world in virtual time.
import { afterEach, describe, expect, it } from 'vitest';
import { stateOf } from '../../core/key/state.ts';
import type { AdoptedKey } from '../../core/policy.ts';
import { days, hours, minutes } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const zone = { name: domain, id: 'Z1' };
const cname = `keys.${domain}`;
const asked = (selector: string) => `${selector}._domainkey.${domain}`;
const target = (selector: string) => `${asked(selector)}.${cname}`;
const hosts = ['mx1.example.com', 'mx2.example.com'];

let open: Simulation | undefined;
afterEach(() => open?.close());

const world = async () => {
  open = await simulate('2024-01-28T09:00:00Z', { algorithms: ['ed25519'] }, hosts);
  open.change({ cname });
  return open;
};
const row = async (s: Simulation) => {
  const found = await s.world.ledger.domain(domain);
  if (found === undefined) throw new Error('no row');
  return found;
};
const states = async (s: Simulation) =>
  Object.fromEntries((await row(s)).keys.map((key) => [key.selector, stateOf(key)]));
const status = async (s: Simulation) => statusOf(s.world, await openSession(s.world), domain);
const says = async (s: Simulation) => (await status(s)).blockedBy.map((one) => one.says).join('\n');

describe('a rotation behind a CNAME', () => {
  it('waits with what to add to which zone, goes on when it is there, and ends with nothing left', async () => {
    const s = await world();
    await s.run(hours(2));
    expect(await states(s)).toEqual({ '240128e': 'publishing' });
    expect(await s.dns.lookup(zone, target('240128e'))).toBeDefined();
    expect(await s.dns.lookup(zone, asked('240128e'))).toBeUndefined();
    expect(await says(s)).toContain(
      `add to the zone of ${domain}, for all selectors, "_domainkey.${domain}. DNAME _domainkey.${domain}.${cname}.", or for this one "${asked('240128e')}. CNAME ${target('240128e')}."`,
    );
    expect((await status(s)).keys).toMatchObject([{ record: asked('240128e'), target: target('240128e') }]);

    s.dns.cnames.set(asked('240128e'), target('240128e'));
    // The denial that somebody's cache may hold is the other zone's.
    await s.run(minutes(50));
    expect(await states(s)).toEqual({ '240128e': 'published' });
    await s.run(minutes(20));
    expect(await states(s)).toEqual({ '240128e': 'active' });
    const [key] = (await row(s)).keys;
    expect(key?.turns[0].proved?.negativeTtl).toBe(minutes(60));

    s.dns.cnames.set(asked('240128e-2'), target('240128e-2'));
    await requestRotation(s.world, await openSession(s.world), domain, {});
    await s.run(days(40));
    const after = await states(s);
    expect(after['240128e-2']).toBe('active');
    expect(after['240128e'] ?? 'removed').toBe('removed');
    expect(await s.dns.lookup(zone, target('240128e'))).toBeUndefined();
    expect(await s.dns.lookup(zone, target('240128e-2'))).toBeDefined();
  });

  it.each([
    ['a DNAME, which no cache can hold against us', (name: string) => `${name}.${cname}`, minutes(60)],
    ['a wildcard that leads elsewhere, for its TTL', () => 'other.customer.example', hours(6)],
  ])('waits for the caches beside %s', async (_, leads, wanted) => {
    const s = await world();
    s.dns.follow = async (name) => ({
      negativeTtl: minutes(60),
      answers: [
        {
          server: 'ns1.customer.example',
          address: '198.51.100.1#53',
          answer: {
            kind: 'cname',
            ttl: hours(6),
            target: name === asked('240128e') ? target('240128e') : leads(name),
          },
        },
      ],
    });
    await s.run(minutes(10));
    expect((await row(s)).keys[0]?.turns[0].proved?.negativeTtl).toBe(wanted);
  });

  it('is not proved by a CNAME that leads elsewhere', async () => {
    const s = await world();
    s.dns.cnames.set(asked('240128e'), `other.${cname}`);
    await s.run(hours(1));
    expect(await states(s)).toEqual({ '240128e': 'publishing' });
    expect(await says(s)).toContain(`leads to other.${cname}`);
  });

  it('is not proved by a copy of the record, which nobody could revoke', async () => {
    const s = await world();
    s.dns.follow = async () => ({
      answers: [
        {
          server: 'ns1.customer.example',
          address: '198.51.100.1#53',
          answer: { kind: 'txt', set: { ttl: hours(1), values: ['v=DKIM1; p=copy'] } },
        },
      ],
    });
    await s.run(hours(1));
    expect(await states(s)).toEqual({ '240128e': 'publishing' });
    expect(await says(s)).toContain('shows a TXT record instead');
  });

  it('stays where its records are while it has keys, whatever the fleet file says meanwhile', async () => {
    const s = await world();
    s.dns.cnames.set(asked('240128e'), target('240128e'));
    await s.run(hours(2));
    s.change({ cname: `elsewhere.${domain}` });
    await s.run(minutes(10));
    expect(s.timeline()).toContain(`cname elsewhere.${domain}: set it to state: leaving first`);
    s.dns.cnames.set(asked('240128e-2'), target('240128e-2'));
    await requestRotation(s.world, await openSession(s.world), domain, {});
    await s.run(days(1));
    expect((await states(s))['240128e-2']).toBe('active');
    expect((await row(s)).cname).toBe(cname);
  });

  it('leaves as any other, and comes back without it', async () => {
    const s = await world();
    s.dns.cnames.set(asked('240128e'), target('240128e'));
    await s.run(hours(2));
    s.change({ leaving: true });
    await s.run(days(40));
    expect(await s.dns.lookup(zone, target('240128e'))).toBeUndefined();
    const { world: ours } = s;
    s.change({ leaving: false });
    const { cname: _gone, ...plain } = [...ours.fleet.domains.values()][0] ?? {};
    expect(plain).toMatchObject({ leaving: false });
    s.change({ cname: undefined } as never);
    await s.run(days(1));
    const [last] = Object.keys(await states(s)).slice(-1);
    expect((await row(s)).cname).toBeUndefined();
    expect(await s.dns.lookup(zone, asked(last ?? ''))).toBeDefined();
  });
});

describe('an adoption behind a CNAME', () => {
  const publicKey = Buffer.alloc(32, 7).toString('base64');
  const record = `customer1.${cname}`;
  const mail: AdoptedKey = { selector: 'mail', algorithm: 'ed25519', publicKey, record };
  const set = { ttl: hours(6), values: [`v=DKIM1; k=ed25519; p=${publicKey}`] };

  it('takes the record over where it lies, and revokes and removes it there', async () => {
    const s = await world();
    s.dns.put(record, set);
    s.change({ adopted: [mail] });
    await s.run(hours(1));
    expect(await states(s)).toEqual({});
    expect(await says(s)).toContain(`add to the zone of ${domain} "${asked('mail')}. CNAME ${record}."`);

    s.dns.cnames.set(asked('mail'), record);
    await s.run(minutes(10));
    expect(await states(s)).toEqual({ mail: 'active' });
    for (const day of Array.from({ length: 10 }, (_, n) => 28 + n)) {
      const date = new Date(Date.UTC(2024, 0, day)).toISOString().slice(2, 10).replaceAll('-', '');
      s.dns.cnames.set(asked(`${date}e`), target(`${date}e`));
    }
    await s.run(days(40));
    expect(await s.dns.lookup(zone, record)).toBeUndefined();
    expect(Object.values(await states(s)).at(-1)).toBe('active');
    expect(s.timeline()).toContain('mail is revoked: every name server shows the tombstone');
  });
});
