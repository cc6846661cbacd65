import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openZoneStore } from '../../../adapters/local/zone-store.ts';
import type { FleetZone } from '../../../core/policy.ts';
import { hours } from '../../../core/time.ts';
import type { Change } from '../../../engine/ports.ts';
import { dnsWriterContract } from '../../contracts/dns-writer.ts';

const home = mkdtempSync(join(tmpdir(), 'selkie-zones-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const zone: FleetZone = { name: 'example.org', id: 'local' };
const create = (name: string, value: string): Change => ({
  do: 'create',
  name,
  set: { ttl: hours(1), values: [value] },
});

for (const [where, path] of [
  ['memory', ':memory:'],
  ['a file', join(home, 'contract.db')],
] as const)
  dnsWriterContract(
    `a zone store in ${where}`,
    async () => {
      const names = Array.from({ length: 100 }, (_, i) => `z${i}.example`);
      let next = 0;
      const store = openZoneStore(path, names);
      return {
        writer: store,
        zone: async () => ({ name: names[next++] ?? '', id: 'local' }),
        goneZone: { name: 'gone.example', id: 'local' },
        settle: async () => {},
      };
    },
    { strict: true },
  );

describe('a zone store', () => {
  test('keeps records and change ids over a restart', async () => {
    const path = join(home, 'kept.db');
    const before = openZoneStore(path, ['example.org']);
    const id = await before.submit(zone, [create('a.example.org', 'x')]);
    before.close();
    const after = openZoneStore(path, ['example.org']);
    expect(await after.lookup(zone, 'a.example.org')).toEqual({ ttl: hours(1), values: ['x'] });
    expect(await after.status(zone, id)).toBe('in-sync');
    expect(await after.submit(zone, [create('b.example.org', 'x')])).not.toBe(id);
    after.close();
  });

  test('two processes see one zone, and one of two CREATEs wins', async () => {
    const path = join(home, 'shared.db');
    const [one, other] = [openZoneStore(path, ['example.org']), openZoneStore(path, ['example.org'])];
    const results = await Promise.allSettled(
      [one, other].map((store, i) => store.submit(zone, [create('a.example.org', `${i}`)])),
    );
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(one.find('example.org', 'a.example.org')).toEqual(other.find('example.org', 'a.example.org'));
    one.close();
    other.close();
  });

  test('shows a server what it needs', async () => {
    const store = openZoneStore(':memory:', ['example.org', 'Example.NET.']);
    await store.submit(zone, [create('240128._domainkey.example.org', 'x'), create('a-b.example.org', 'y')]);
    expect(store.zones()).toEqual(['example.org', 'example.net']);
    expect(store.find('example.org', '240128._domainkey.example.org')?.values).toEqual(['x']);
    expect(store.find('example.org', '_domainkey.example.org')).toBeUndefined();
    expect(store.find('example.net', '240128._domainkey.example.org')).toBeUndefined();
    // RFC 4592 §2.2.2: an empty non-terminal exists.
    expect(store.hasBelow('example.org', '_domainkey.example.org')).toBe(true);
    expect(store.hasBelow('example.org', 'example.org')).toBe(true);
    expect(store.hasBelow('example.net', 'example.net')).toBe(false);
    expect(store.hasBelow('example.org', '240128._domainkey.example.org')).toBe(false);
    // Characters that sort beside the dot.
    for (const name of ['a.example.org', 'a-.example.org', 'domainkey.example.org', 'b.example.org'])
      expect(store.hasBelow('example.org', name)).toBe(false);
  });

  test('a file that is no database is named', () => {
    const path = join(home, 'text.db');
    writeFileSync(path, 'no database at all, but long enough to have a header of 100 bytes'.repeat(4));
    expect(() => openZoneStore(path, [])).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(path) }),
    );
  });
});
