import { randomUUID } from 'node:crypto';
import { CreateHostedZoneCommand, Route53Client } from '@aws-sdk/client-route-53';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRoute53Writer } from '../../../adapters/aws/route53-writer.ts';
import type { FleetZone } from '../../../core/policy.ts';
import { hours, type Instant, instant, seconds } from '../../../core/time.ts';
import type { Change, DnsWriter, TxtSet } from '../../../engine/ports.ts';
import { dnsWriterContract } from '../../contracts/dns-writer.ts';
import { type ListedSet, type StrictRoute53, startStrictRoute53 } from '../../fakes/strict-route53.ts';
import { describeWith } from '../../tools/machine.ts';
import { motoClient, startMoto } from '../../tools/moto.ts';

const open = (url: string): { client: Route53Client; writer: DnsWriter } => {
  const client = new Route53Client({ ...motoClient(url), maxAttempts: 1 });
  return { client, writer: createRoute53Writer({ clientFor: () => client }) };
};

const stops: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const stop of stops) await stop();
});

dnsWriterContract(
  'Route 53 (strict fake)',
  async () => {
    let now = 0;
    // Each look at the clock is 20 s after the last: no throttling here.
    const fake = await startStrictRoute53({ now: () => (now += 20_000), syncDelay: 60_000 });
    const { client, writer } = open(fake.url);
    stops.push(async () => {
      client.destroy();
      await fake.stop();
    });
    return {
      writer,
      zone: async () => {
        const name = `${randomUUID()}.example`;
        return { name, id: fake.addZone(name) };
      },
      goneZone: { name: 'gone.example', id: 'Z0GONE' },
      settle: async () => {
        now += 60_000;
      },
    };
  },
  { strict: true },
);

describeWith(['moto_server'], 'Route 53 on moto', () => {
  dnsWriterContract(
    'Route 53 (moto)',
    async () => {
      const moto = await startMoto();
      const { client, writer } = open(moto.url);
      stops.push(async () => {
        client.destroy();
        await moto.stop();
      });
      return {
        writer,
        zone: async () => {
          const name = `${randomUUID()}.example`;
          const made = await client.send(
            new CreateHostedZoneCommand({ Name: name, CallerReference: randomUUID() }),
          );
          return { name, id: made.HostedZone?.Id ?? '' };
        },
        goneZone: { name: 'gone.example', id: 'Z0GONE' },
        settle: async () => {},
      };
    },
    { strict: false },
  );
});

describe('Route 53', () => {
  const start: Instant = instant(Date.UTC(2024, 0, 28));
  const name = '240128._domainkey.example.org';
  const set = (...values: string[]): TxtSet => ({ ttl: hours(1), values });
  let now: number;
  let fake: StrictRoute53;
  let client: Route53Client;
  let writer: DnsWriter;
  let zone: FleetZone;
  beforeEach(async () => {
    now = start;
    fake = await startStrictRoute53({ now: () => now, syncDelay: seconds(30) });
    ({ client, writer } = open(fake.url));
    zone = { name: 'example.org', id: fake.addZone('example.org') };
  });
  afterEach(async () => {
    client.destroy();
    await fake.stop();
  });
  const put = (more: Partial<ListedSet>): void =>
    fake.put(zone.id, { name, type: 'TXT', ttl: 3_600, values: ['"x"'], ...more });
  const txt = (): readonly (readonly string[])[] =>
    fake
      .sets(zone.id)
      .filter(({ type }) => type === 'TXT')
      .map(({ values }) => values);

  test('writes one canonical form, split at 255', async () => {
    await writer.submit(zone, [{ do: 'create', name, set: set(`${'a'.repeat(255)}b"\\\u00ff`) }]);
    expect(txt()).toEqual([[`"${'a'.repeat(255)}" "b\\"\\\\\\377"`]]);
    expect(fake.sets(zone.id).find(({ type }) => type === 'TXT')).toMatchObject({
      name: `${name}.`,
      ttl: 3_600,
    });
  });

  test('spends one request for each call', async () => {
    const id = await writer.submit(zone, [{ do: 'create', name, set: set('x') }]);
    await writer.lookup(zone, name);
    await writer.status(zone, id);
    await writer.submit(zone, [{ do: 'replace', name, old: set('x'), set: set('y') }]);
    expect(fake.requests).toEqual(['POST rrset 200', 'GET rrset 200', 'GET change 200', 'POST rrset 200']);
  });

  describe.each([
    ['without a space', '"v=DKIM1; ""p="'],
    ['with many spaces', '"v=DKIM1; "   "p="'],
    ['in many strings', '"v=" "DK" "IM1; p="'],
    ['with needless escapes', '"\\166=DKIM1\\073 p="'],
  ])('a value that somebody wrote %s', (_, listed) => {
    const meant = set('v=DKIM1; p=');
    beforeEach(() => put({ values: [listed] }));

    test('reads as what it means', async () => {
      expect(await writer.lookup(zone, name)).toEqual(meant);
    });
    test('can be deleted', async () => {
      await writer.submit(zone, [{ do: 'delete', name, set: meant }]);
      expect(txt()).toEqual([]);
    });
    test('can be replaced', async () => {
      await writer.submit(zone, [{ do: 'replace', name, old: meant, set: set('y') }]);
      expect(txt()).toEqual([['"y"']]);
    });
    test('is refused in a batch of several, which is left as a whole', async () => {
      const other: Change = { do: 'create', name: 'other.example.org', set: set('x') };
      await expect(writer.submit(zone, [{ do: 'delete', name, set: meant }, other])).rejects.toMatchObject({
        code: 'rejected',
      });
      expect(txt()).toEqual([[listed]]);
    });
    test('is not deleted for another value', async () => {
      await expect(
        writer.submit(zone, [{ do: 'delete', name, set: set('v=DKIM1; p=x') }]),
      ).rejects.toMatchObject({ code: 'rejected' });
      expect(txt()).toEqual([[listed]]);
    });
  });

  test('an alias is there, is nothing of ours, and can be replaced where it is ours to replace', async () => {
    fake.put(zone.id, {
      name,
      type: 'TXT',
      values: [],
      alias: { zone: zone.id, name: 'other.example.org.' },
    });
    const there = await writer.lookup(zone, name);
    expect(there).toEqual({ ttl: 0, values: [] });
    await expect(writer.submit(zone, [{ do: 'create', name, set: set('x') }])).rejects.toMatchObject({
      code: 'rejected',
    });
    await writer.submit(zone, [{ do: 'replace', name, old: there ?? set(), set: set('v=DKIM1; p=') }]);
    expect(txt()).toEqual([['"v=DKIM1; p="']]);
  });

  test('a weighted set is there, and can be deleted', async () => {
    put({ setIdentifier: 'blue' });
    const there = await writer.lookup(zone, name);
    expect(there).toEqual(set('x'));
    await writer.submit(zone, [{ do: 'delete', name, set: set('x') }]);
    expect(txt()).toEqual([]);
  });

  test('takes no set of another type at the name for TXT', async () => {
    fake.put(zone.id, { name, type: 'CNAME', ttl: 300, values: ['elsewhere.example.'] });
    expect(await writer.lookup(zone, name)).toBeUndefined();
  });

  test('a refusal says what Route 53 said', async () => {
    put({});
    await expect(writer.submit(zone, [{ do: 'create', name, set: set('x') }])).rejects.toMatchObject({
      message: expect.stringMatching(/example\.org.*240128\._domainkey.*already exists/),
    });
  });

  test('is busy while a prior request on the zone is not complete; other zones are not', async () => {
    const other: FleetZone = { name: 'example.net', id: fake.addZone('example.net') };
    const release = fake.hold();
    const first = writer.submit(zone, [{ do: 'create', name, set: set('x') }]);
    await fake.held(1);
    await expect(
      writer.submit(zone, [{ do: 'create', name: 'b.example.org', set: set('x') }]),
    ).rejects.toMatchObject({ code: 'busy', retry: 'later' });
    const elsewhere = writer.submit(other, [{ do: 'create', name: 'b.example.net', set: set('x') }]);
    await fake.held(2);
    release();
    await Promise.all([first, elsewhere]);
    expect(txt()).toEqual([['"x"']]);
  });

  test('is throttled beyond 50 requests, and 10 more come with each second', async () => {
    for (let i = 0; i < 50; i++) await writer.lookup(zone, name);
    await expect(writer.lookup(zone, name)).rejects.toMatchObject({ code: 'throttled', retry: 'later' });
    now += 1_000;
    for (let i = 0; i < 10; i++) await writer.lookup(zone, name);
    await expect(writer.submit(zone, [{ do: 'create', name, set: set('x') }])).rejects.toMatchObject({
      code: 'throttled',
    });
    await expect(writer.status(zone, 'C1')).rejects.toMatchObject({ code: 'throttled' });
    expect(txt()).toEqual([]);
  });

  test('is throttled beyond 1,500 record changes', async () => {
    const batch = (letter: string): Change[] =>
      Array.from({ length: 800 }, (_, i) => ({
        do: 'create',
        name: `${letter}${i}.example.org`,
        set: set('x'),
      }));
    await writer.submit(zone, batch('a'));
    await expect(writer.submit(zone, batch('b'))).rejects.toMatchObject({ code: 'throttled' });
    now += 1_000;
    await writer.submit(zone, batch('b'));
  });

  test('is pending until all name servers have it', async () => {
    const id = await writer.submit(zone, [{ do: 'create', name, set: set('x') }]);
    expect(id).not.toContain('/');
    expect(await writer.status(zone, id)).toBe('pending');
    now += 29_999;
    expect(await writer.status(zone, id)).toBe('pending');
    now += 1;
    expect(await writer.status(zone, id)).toBe('in-sync');
  });

  test('fits a batch to the character: 32,000 in values, quotes included; a replacement counts both', async () => {
    // 400 characters each with their quotes.
    const value = 'a'.repeat(395);
    expect(value.length + '"" ""'.length).toBe(400);
    const creates = Array.from(
      { length: 100 },
      (_, i): Change => ({ do: 'create', name: `k${i}.example.org`, set: set(value) }),
    );
    expect(writer.fits(creates)).toBe(80);
    const replaced = creates.map(
      ({ name: at }): Change => ({ do: 'replace', name: at, old: set(value), set: set(value) }),
    );
    expect(writer.fits(replaced)).toBe(40);
    await writer.submit(zone, creates.slice(0, 80));
    await writer.submit(zone, replaced.slice(0, 40));
    await expect(writer.submit(zone, replaced.slice(0, 41))).rejects.toMatchObject({ code: 'rejected' });
  });

  test('fits a batch to the record: 1,000', async () => {
    const creates = Array.from(
      { length: 1_001 },
      (_, i): Change => ({ do: 'create', name: `k${i}.example.org`, set: set('x') }),
    );
    expect(writer.fits(creates)).toBe(1_000);
    await expect(writer.submit(zone, creates)).rejects.toMatchObject({ code: 'rejected' });
    await writer.submit(zone, creates.slice(0, 1_000));
  });

  describe('whose answer is lost, so that the SDK sends the change again', () => {
    /** A client with the attempts of the functions', whose first answers are lost after they took effect. */
    const losing = (lost: number): DnsWriter => {
      const patient = new Route53Client({ ...motoClient(fake.url), maxAttempts: 2 });
      const { handle } = patient.config.requestHandler;
      let left = lost;
      patient.config.requestHandler.handle = async (...all) => {
        const answer = await handle.apply(patient.config.requestHandler, all);
        left -= 1;
        if (left < 0) return answer;
        throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
      };
      return createRoute53Writer({ clientFor: () => patient });
    };
    const [key, tombstone] = [set('v=DKIM1; p=AAAA'), set('v=DKIM1; p=')];
    const stand = (): void => put({ values: ['"v=DKIM1; p=AAAA"'] });

    // `rejected` would say that nothing was changed.
    test.each<[string, () => void, Change, readonly string[][]]>([
      ['CREATE', () => {}, { do: 'create', name, set: key }, [['"v=DKIM1; p=AAAA"']]],
      ['DELETE', stand, { do: 'delete', name, set: key }, []],
      ['replacement', stand, { do: 'replace', name, old: key, set: tombstone }, [['"v=DKIM1; p="']]],
    ])('a %s is unavailable: it may have been done', async (_, prepare, change, left) => {
      prepare();
      await expect(losing(1).submit(zone, [change])).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('was sent twice'),
      });
      expect(txt()).toEqual(left);
    });

    test('a batch of several is, too', async () => {
      const other = { do: 'create', name: `x.${name}`, set: key } as const;
      await expect(losing(1).submit(zone, [{ do: 'create', name, set: key }, other])).rejects.toMatchObject({
        code: 'unavailable',
      });
    });

    test('a lookup is answered at the second try', async () => {
      stand();
      expect(await losing(1).lookup(zone, name)).toEqual(key);
    });
  });

  test('an answer that does not come is unavailable', async () => {
    await fake.stop();
    await expect(writer.lookup(zone, name)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(writer.submit(zone, [{ do: 'create', name, set: set('x') }])).rejects.toMatchObject({
      code: 'unavailable',
      retry: 'later',
    });
    await expect(writer.status(zone, 'C1')).rejects.toMatchObject({ code: 'unavailable' });
  });
});
