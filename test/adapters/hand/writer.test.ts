// The writer for zones that people change, against a real BIND whose zones the test edits as a person does in a panel.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDnsObserver } from '../../../adapters/dns/observer.ts';
import { createHandWriter } from '../../../adapters/hand/writer.ts';
import { type LocalHandChanges, openHandChanges } from '../../../adapters/local/hand-changes.ts';
import type { FleetZone } from '../../../core/policy.ts';
import { add, days, hours, type Instant, instant, minutes, seconds } from '../../../core/time.ts';
import type { DnsWriter, TxtSet } from '../../../engine/ports.ts';
import { dnsWriterContract } from '../../contracts/dns-writer.ts';
import { freePort } from '../../tools/free-port.ts';
import { describeWith } from '../../tools/machine.ts';
import { startNamed } from '../../tools/named.ts';
import { editZone } from '../../tools/panel.ts';

const emptyZone =
  '$TTL 300\n@ IN SOA ns.elsewhere.example. hostmaster 1 3600 600 604800 300\n@ IN NS ns.elsewhere.example.\n';

let ids = 0;
const randomness = {
  id: () => {
    ids += 1;
    return `id-${ids}`;
  },
};

describeWith(['named', 'nsupdate'], 'a person at a panel', () => {
  const names = Array.from({ length: 100 }, (_, n) => `z${n}.example`);
  const closers: (() => unknown)[] = [];
  let port: number;
  let otherPort: number;
  let next = 0;
  let now: Instant = instant(Date.parse('2026-11-24T12:00:00Z'));
  const clock = { now: () => now };
  const nextZone = (...servers: readonly number[]): FleetZone => {
    const name = names[next] ?? '';
    next += 1;
    return {
      name,
      id: 'manual',
      provider: 'manual',
      nameServers: (servers.length === 0 ? [port] : servers).map((each) => `127.0.0.1:${each}`),
    };
  };

  beforeAll(async () => {
    [port, otherPort] = [await freePort(), await freePort()];
    const zones = Object.fromEntries(names.map((name) => [name, emptyZone]));
    for (const each of [port, otherPort]) {
      const named = await startNamed({ port: each, zones, updatable: true });
      closers.push(() => named.close());
    }
  });
  afterAll(async () => {
    for (const close of closers) await close();
  });

  const started = (): { writer: DnsWriter; store: LocalHandChanges } => {
    const store = openHandChanges(':memory:');
    closers.push(() => store.close());
    return {
      writer: createHandWriter({ observer: createDnsObserver(), changes: store, clock, randomness }),
      store,
    };
  };

  dnsWriterContract(
    'the writer for zones that people change, with a person who does it at once,',
    async () => {
      const { writer } = started();
      return {
        writer: {
          ...writer,
          submit: async (zone, changes) => {
            const id = await writer.submit(zone, changes);
            const asked = await writer.asked?.(zone);
            await editZone(
              port,
              zone.name,
              (asked ?? []).map(({ name, to }) => ({ name, set: to })),
            );
            return id;
          },
        },
        zone: async () => nextZone(),
        goneZone: {
          name: 'gone.example',
          id: 'manual',
          provider: 'manual',
          nameServers: [`127.0.0.1:${port}`],
        },
        settle: async () => {},
      };
    },
    { strict: true },
  );

  describe('a person who takes their time', () => {
    let writer: DnsWriter;
    let store: LocalHandChanges;
    let zone: FleetZone;
    let name: string;
    const record: TxtSet = { ttl: hours(1), values: [`v=DKIM1; k=rsa; p=${'A'.repeat(392)}`] };
    const tombstone: TxtSet = { ttl: hours(1), values: ['v=DKIM1; k=rsa; p='] };
    const put = (set: TxtSet | undefined, at = port, where = name) =>
      editZone(at, zone.name, [{ name: where, set }]);
    const asked = async () => (await writer.asked?.(zone)) ?? [];
    beforeEach(() => {
      ({ writer, store } = started());
      zone = nextZone();
      name = `240128._domainkey.${zone.name}`;
    });

    test('is asked for a record, and it is pending until every server shows it', async () => {
      const both = nextZone(port, otherPort);
      zone = both;
      name = `240128._domainkey.${zone.name}`;
      const id = await writer.submit(zone, [{ do: 'create', name, set: record }]);
      expect(await asked()).toEqual([
        {
          name,
          to: record,
          since: now,
          servers: 2,
          shown: 0,
          showing: [],
          lagging: [
            `127.0.0.1:${port} (127.0.0.1#${port}) shows none`,
            `127.0.0.1:${otherPort} (127.0.0.1#${otherPort}) shows none`,
          ],
        },
      ]);
      await put(record);
      expect(await writer.status(zone, id)).toBe('pending');
      expect(await asked()).toMatchObject([
        { servers: 2, shown: 1, showing: [`127.0.0.1:${port} (127.0.0.1#${port})`] },
      ]);
      await expect(writer.lookup(zone, name)).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('show different records'),
      });
      await put(record, otherPort);
      expect(await writer.status(zone, id)).toBe('in-sync');
      expect(await asked()).toEqual([]);
      // It was in sync: what somebody does to it later does not take that back.
      await put(undefined, otherPort);
      expect(await writer.status(zone, id)).toBe('in-sync');
    });

    test.each<[string, TxtSet, string]>([
      [
        'only the first string',
        { ttl: hours(1), values: [(record.values[0] ?? '').slice(0, 255)] },
        'shows only the first 255 of 410 characters',
      ],
      [
        'with its quotation marks',
        { ttl: hours(1), values: [`"${record.values[0]}"`] },
        'shows the quotation marks as part of the value',
      ],
      [
        'with a space where the strings were cut',
        {
          ttl: hours(1),
          values: [`${(record.values[0] ?? '').slice(0, 255)} ${(record.values[0] ?? '').slice(255)}`],
        },
        'shows the value with other spaces',
      ],
      [
        'with escaped semicolons',
        { ttl: hours(1), values: [(record.values[0] ?? '').replaceAll(';', '\\;')] },
        'shows a backslash before each semicolon',
      ],
      [
        'beside a value of somebody else',
        { ttl: hours(1), values: [...record.values, 'site-verification=1'] },
        'shows 2 records',
      ],
      ['with a longer TTL', { ttl: hours(24), values: record.values }, 'make that 3600 or less'],
      ['for another key', { ttl: hours(1), values: ['v=DKIM1; p=QUJD'] }, 'shows another record'],
    ])('who pastes it %s is told', async (_, pasted, says) => {
      const id = await writer.submit(zone, [{ do: 'create', name, set: record }]);
      await put(pasted);
      expect(await writer.status(zone, id)).toBe('pending');
      expect((await asked())[0]?.lagging).toEqual([expect.stringContaining(says)]);
      await put(record);
      expect(await writer.status(zone, id)).toBe('in-sync');
    });

    test('a shorter TTL is what panels make of it, and is no obstacle, to the end', async () => {
      const id = await writer.submit(zone, [{ do: 'create', name, set: record }]);
      await put({ ...record, ttl: minutes(5) });
      expect(await writer.status(zone, id)).toBe('in-sync');
      const second = await writer.submit(zone, [{ do: 'replace', name, old: record, set: tombstone }]);
      await put({ ...tombstone, ttl: minutes(5) });
      expect(await writer.status(zone, second)).toBe('in-sync');
      const third = await writer.submit(zone, [{ do: 'delete', name, set: tombstone }]);
      await put(undefined);
      expect(await writer.status(zone, third)).toBe('in-sync');
    });

    test('nobody is asked to write over a record that is not ours', async () => {
      const theirs: TxtSet = { ttl: hours(1), values: ['v=DKIM1; p=theirs'] };
      await put(theirs);
      expect(await writer.lookup(zone, name)).toEqual(theirs);
      for (const change of [
        { do: 'create', name, set: record },
        { do: 'replace', name, old: record, set: tombstone },
        { do: 'delete', name, set: record },
      ] as const)
        await expect(writer.submit(zone, [change])).rejects.toMatchObject({ code: 'rejected' });
      expect(await asked()).toEqual([]);
      expect(await store.of(zone.name)).toEqual([]);
    });

    test('nobody is asked for anything while a server does not answer', async () => {
      const silent = { ...zone, nameServers: [...(zone.nameServers ?? []), `127.0.0.1:${await freePort()}`] };
      const impatient = createHandWriter({
        observer: createDnsObserver({ timeout: seconds(0.1) }),
        changes: store,
        clock,
        randomness,
      });
      await expect(impatient.submit(silent, [{ do: 'create', name, set: record }])).rejects.toMatchObject({
        code: 'unavailable',
      });
      expect(await store.of(zone.name)).toEqual([]);
    });

    test('a request that nobody followed is withdrawn by the one that takes it back', async () => {
      const first = await writer.submit(zone, [{ do: 'create', name, set: record }]);
      const second = await writer.submit(zone, [{ do: 'delete', name, set: record }]);
      expect(await writer.status(zone, first)).toBe('unknown');
      expect(await writer.status(zone, second)).toBe('in-sync');
      expect(await asked()).toEqual([]);
    });

    test('a key that is revoked before anybody pasted its record: its tombstone is asked for', async () => {
      await writer.submit(zone, [{ do: 'create', name, set: record }]);
      await writer.submit(zone, [{ do: 'replace', name, old: record, set: tombstone }]);
      expect(await asked()).toMatchObject([{ name, to: tombstone }]);
      expect((await asked())[0]?.from).toBeUndefined();
    });

    test('asked again for the same, it is one request, and as old as the first', async () => {
      await writer.submit(zone, [{ do: 'create', name, set: record }]);
      const first = now;
      now = add(now, days(1));
      await writer.submit(zone, [{ do: 'create', name, set: record }]);
      expect(await asked()).toMatchObject([{ name, since: first }]);
    });

    test('what is withdrawn is asked for no more', async () => {
      const id = await writer.submit(zone, [
        { do: 'create', name, set: record },
        { do: 'create', name: `z.${zone.name}`, set: record },
      ]);
      await writer.withdraw?.(zone, name.toUpperCase());
      expect(await asked()).toMatchObject([{ name: `z.${zone.name}` }]);
      expect(await writer.status(zone, id)).toBe('unknown');
    });

    test('what is over is forgotten after a month, what stands is not', async () => {
      const other = `z.${zone.name}`;
      await writer.submit(zone, [{ do: 'create', name, set: record }]);
      await put(record);
      const ended = await writer.submit(zone, [{ do: 'create', name: other, set: record }]);
      await put(record, port, other);
      const deleted = await writer.submit(zone, [{ do: 'delete', name: other, set: record }]);
      await put(undefined, port, other);
      expect(await writer.status(zone, deleted)).toBe('in-sync');
      now = add(now, days(31));
      await writer.submit(zone, [{ do: 'create', name: `y.${zone.name}`, set: record }]);
      expect(await writer.status(zone, ended)).toBe('unknown');
      expect(await writer.status(zone, deleted)).toBe('unknown');
      expect(await writer.list(zone, { limit: 10 })).toEqual({ sets: [{ name, set: record }] });
    });

    describe('below a wildcard', () => {
      const wild: TxtSet = { ttl: hours(1), values: ['v=spf1 -all'] };
      beforeEach(() => put(wild, port, `*.${zone.name}`));

      test('a name is free, its record is seen when it comes, and its absence when it went', async () => {
        expect(await writer.lookup(zone, name)).toBeUndefined();
        const id = await writer.submit(zone, [{ do: 'create', name, set: record }]);
        expect(await writer.status(zone, id)).toBe('pending');
        await put(record);
        expect(await writer.status(zone, id)).toBe('in-sync');
        const second = await writer.submit(zone, [{ do: 'delete', name, set: record }]);
        expect(await writer.status(zone, second)).toBe('pending');
        await put(undefined);
        expect(await writer.status(zone, second)).toBe('in-sync');
      });

      test('the wildcard itself is there, and one below it is not', async () => {
        expect(await writer.lookup(zone, `*.${zone.name}`)).toEqual(wild);
        expect(await writer.lookup(zone, `*._domainkey.${zone.name}`)).toBeUndefined();
      });
    });
  });
});
