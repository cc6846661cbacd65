// What the engine publishes of retired keys, and what it does not: in a whole life, and with each thing in its way.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keyRecordName } from '../../core/names.ts';
import { days, hours, minutes } from '../../core/time.ts';
import { declareCompromised, requestRotation, rollBack } from '../../engine/commands.ts';
import { orderAudit } from '../../engine/drift.ts';
import { forecast } from '../../engine/forecast.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let life: Simulation;
beforeEach(async () => {
  life = await simulate('2024-01-28T09:00:00Z', { disclose: 'after-removal' }, ['mx1.example.com']);
  await life.run(hours(2));
});
afterEach(() => life.close());

const rotate = async () => requestRotation(life.world, await openSession(life.world), domain, {});
const keys = async () => (await life.world.ledger.domain(domain))?.keys ?? [];
const first = async () => {
  const [key] = await keys();
  if (key === undefined) throw new Error('no key');
  return key;
};
const published = (): readonly string[] => [...life.published.keys()];
const policy = (disclose?: 'after-removal') => {
  const { disclose: _was, ...rest } = life.world.fleet.domains.get(domain)?.policy ?? ({} as never);
  life.change({ policy: disclose === undefined ? rest : { ...rest, disclose } });
};
/** Until some hours before the hold of the first key's tombstone ends: 7 days. */
const almostGone = async (): Promise<void> => {
  await rotate();
  for (let n = 0; n < 30 * 24 && (await first()).evidence.revoked === undefined; n += 1)
    await life.run(hours(1));
  await life.run(hours(6 * 24 + 20));
  expect((await first()).evidence).toMatchObject({ revoked: {} });
  expect((await first()).evidence.removalIntended).toBeUndefined();
};

describe('a retired key', () => {
  test('is published once, after its removal, with the private half that the record’s public half verifies', async () => {
    await rotate();
    await life.run(days(13));
    expect((await first()).evidence.revoked).toBeDefined();
    expect(published()).toEqual([]);
    await life.run(days(3));
    const { selector, evidence } = await first();
    const { removed, disclosureIntended, disclosed, destroyed, stored } = evidence;
    expect(published()).toEqual([`${domain}/${selector}`]);
    const key = life.published.get(`${domain}/${selector}`);
    expect(key).toMatchObject({ publicKey: stored?.publicKey, removed: removed?.at });
    expect(
      life.world.keys.matches(key?.privateKey ?? new Uint8Array(), 'ed25519', stored?.publicKey ?? ''),
    ).toBe(true);
    const times = [removed, disclosureIntended, disclosed, destroyed].map((fact) => fact?.at ?? Number.NaN);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect([...life.vault.destroyed]).toEqual([stored?.secret]);
  });

  test('is foretold', async () => {
    await rotate();
    await life.run(hours(2));
    const { events } = await forecast(life.world, await openSession(life.world), domain, 30);
    const { selector } = await first();
    const does = events.filter((event) => event.selector === selector).map((event) => event.does);
    expect(does.slice(-3)).toEqual([
      `the record of ${selector} is removed`,
      `the private half of ${selector} is published`,
      `nothing is left of ${selector}`,
    ]);
  });

  test('that is compromised is published like any other, once it is removed', async () => {
    const { selector } = await first();
    await declareCompromised(life.world, await openSession(life.world), domain, selector, {});
    await life.run(days(6));
    expect((await first()).evidence.revoked).toBeDefined();
    expect(published()).toEqual([]);
    await life.run(days(2));
    expect(published()).toEqual([`${domain}/${selector}`]);
  });

  test('that was called back and retired again is published after the last of it', async () => {
    await rotate();
    await life.run(hours(2));
    await rollBack(life.world, await openSession(life.world), domain, {});
    await life.run(days(17));
    const [one, two] = await keys();
    expect(published()).toEqual([`${domain}/${two?.selector}`]);
    expect(one?.evidence.disclosed).toBeUndefined();
  });

  test('of a domain that leaves is published too', async () => {
    const { selector } = await first();
    life.change({ leaving: true });
    await life.run(days(17));
    expect(published()).toEqual([`${domain}/${selector}`]);
  });
});

describe('not published', () => {
  test('where the policy does not say so, or no longer', async () => {
    await almostGone();
    policy();
    await life.run(days(2));
    expect((await first()).evidence.destroyed).toBeDefined();
    expect(published()).toEqual([]);
  });

  test('what never signed: a rotation that was given up', async () => {
    await rotate();
    await life.run(minutes(10));
    await rollBack(life.world, await openSession(life.world), domain, {});
    await life.run(days(1));
    const [, second] = await keys();
    expect(second?.evidence.destroyed).toBeDefined();
    expect(published()).toEqual([]);
  });

  test('before every host erased its copy', async () => {
    await almostGone();
    life.host('mx1.example.com').down = true;
    await life.run(days(1));
    expect((await first()).evidence).toMatchObject({ removed: {}, eraseTold: {} });
    expect(published()).toEqual([]);
    life.host('mx1.example.com').down = false;
    await life.run(hours(2));
    expect(published()).toHaveLength(1);
  });

  test('while somebody has put the record back, in whatever form', async () => {
    await almostGone();
    const { selector, evidence } = await first();
    const name = keyRecordName(selector, domain);
    const { value = '', ttl = hours(1) } = evidence.publishIntended ?? {};
    life.host('mx1.example.com').down = true;
    await life.run(hours(12));
    const p = evidence.stored?.publicKey ?? '';
    life.dns.put(name, { ttl, values: ['v=spf1 -all', value.replace(p, `${p.slice(0, 9)} ${p.slice(9)}`)] });
    life.host('mx1.example.com').down = false;
    await life.run(hours(2));
    expect((await first()).evidence).toMatchObject({ erased: {} });
    expect(published()).toEqual([]);
    expect(life.timeline()).toContain(
      'was put back: the key is not published before somebody deletes the record',
    );
    life.dns.put(name, undefined);
    await life.run(hours(1));
    expect(published()).toEqual([`${domain}/${selector}`]);
    expect((await life.world.ledger.domain(domain))?.troubles).toEqual([]);
  });

  test('while a name server does not answer', async () => {
    await almostGone();
    life.host('mx1.example.com').down = true;
    await life.run(hours(12));
    const { observe } = life.dns;
    life.dns.observe = async (zone, name) => {
      const seen = await observe(zone, name);
      const [one, ...others] = seen.answers;
      return one === undefined
        ? seen
        : { ...seen, answers: [{ ...one, answer: { kind: 'failed', why: 'timeout' } }, ...others] };
    };
    life.host('mx1.example.com').down = false;
    await life.run(hours(2));
    expect((await first()).evidence.erased).toBeDefined();
    expect(published()).toEqual([]);
    life.dns.observe = observe;
    await life.run(hours(1));
    expect(published()).toHaveLength(1);
  });

  test('what the vault lost: an alarm, and the key is over', async () => {
    await almostGone();
    await life.world.vault.destroy((await first()).evidence.stored?.secret ?? '');
    await life.run(days(2));
    expect((await first()).evidence).toMatchObject({ destroyed: {} });
    expect((await first()).evidence.disclosed).toBeUndefined();
    expect(life.timeline()).toContain('it cannot be published');
    expect(published()).toEqual([]);
  });

  test('another key that the vault has in its place', async () => {
    await almostGone();
    const { read } = life.world.vault;
    const { privateKey } = await life.world.keys.generate('ed25519');
    Object.assign(life.world.vault, { read: async () => privateKey });
    await life.run(hours(12));
    expect(published()).toEqual([]);
    expect((await first()).evidence.destroyed).toBeUndefined();
    Object.assign(life.world.vault, { read });
    await life.run(hours(1));
    expect(published()).toHaveLength(1);
  });
});

test('an answer that was lost: published once, and the key destroyed after it', async () => {
  await almostGone();
  const { publish } = life.world.disclosure;
  let calls = 0;
  Object.assign(life.world.disclosure, {
    publish: async (key: Parameters<typeof publish>[0]) => {
      calls += 1;
      await publish(key);
      if (calls === 1) {
        expect((await first()).evidence).toMatchObject({ disclosureIntended: {} });
        expect(life.vault.destroyed.size).toBe(0);
        throw new Error('the answer was lost');
      }
    },
  });
  await life.run(hours(12));
  expect(calls).toBe(2);
  expect(published()).toHaveLength(1);
  expect((await first()).evidence).toMatchObject({ disclosed: {}, destroyed: {} });
});

test('an audit that finds the record of a published key put back says that anybody can sign with it', async () => {
  await rotate();
  await life.run(days(17));
  const { selector, evidence } = await first();
  const { value = '', ttl = hours(1) } = evidence.publishIntended ?? {};
  life.dns.put(keyRecordName(selector, domain), { ttl, values: [value] });
  await orderAudit(life.world, { zone: domain });
  await life.run(hours(1));
  expect((await life.world.ledger.driftOf(`zone/${domain}`))?.findings).toMatchObject([
    { kind: 'record-orphan', says: expect.stringContaining('anybody can sign as example.com') },
  ]);
});
