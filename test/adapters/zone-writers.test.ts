// One writer for zones of two kinds: the provider's are the provider's, and a person is asked for the others.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createHandWriter } from '../../adapters/hand/writer.ts';
import { type LocalHandChanges, openHandChanges } from '../../adapters/local/hand-changes.ts';
import { openZoneStore } from '../../adapters/local/zone-store.ts';
import { createZoneWriters } from '../../adapters/zone-writers.ts';
import { hours, instant, minutes } from '../../core/time.ts';
import type { DnsObserver, DnsWriter } from '../../engine/ports.ts';
import { dnsWriterContract } from '../contracts/dns-writer.ts';

const clock = { now: () => instant(Date.parse('2026-11-24T12:00:00Z')) };
const nobody: DnsObserver = {
  observe: async () => ({
    negativeTtl: minutes(5),
    answers: [{ server: 'ns1', address: '192.0.2.1#53', answer: { kind: 'no-such-name' } }],
  }),
};
const people = (changes: LocalHandChanges): DnsWriter =>
  createHandWriter({ observer: nobody, changes, clock, randomness: { id: () => 'x' } });

dnsWriterContract(
  'zone writers, of a zone that no person changes,',
  async () => {
    const names = Array.from({ length: 100 }, (_, n) => `z${n}.example`);
    let next = 0;
    const store = openZoneStore(':memory:', names);
    return {
      writer: createZoneWriters(store, people(openHandChanges(':memory:'))),
      zone: async () => {
        next += 1;
        return { name: names[next - 1] ?? '', id: 'local' };
      },
      goneZone: { name: 'gone.example', id: 'local' },
      settle: async () => {},
    };
  },
  { strict: true },
);

let changes: LocalHandChanges;
beforeEach(() => {
  changes = openHandChanges(':memory:');
});
afterEach(() => changes.close());

test('what is submitted to a manual zone is asked for, and the provider hears nothing of it', async () => {
  const store = openZoneStore(':memory:', ['example.jp']);
  const writer = createZoneWriters(store, people(changes));
  const manual = { name: 'example.jp', id: 'manual', provider: 'manual' } as const;
  const name = '240128._domainkey.example.jp';
  const set = { ttl: hours(1), values: ['v=DKIM1; p='] };
  const id = await writer.submit(manual, [{ do: 'create', name, set }]);
  expect(await writer.status(manual, id)).toBe('pending');
  expect(await writer.asked?.(manual)).toMatchObject([{ name, to: set }]);
  expect(store.find('example.jp', name)).toBeUndefined();
  expect(await writer.asked?.({ name: 'example.jp', id: 'Z1' })).toEqual([]);
  await writer.withdraw?.(manual, name);
  expect(await writer.asked?.(manual)).toEqual([]);
  expect(await writer.status({ name: 'example.jp', id: 'Z1' }, id)).toBe('unknown');
  store.close();
});

test('only a provider is short of requests', () => {
  const store = openZoneStore(':memory:', []);
  expect(createZoneWriters(store, people(changes)).isShort).toBeUndefined();
  expect(createZoneWriters({ ...store, isShort: () => true }, people(changes)).isShort?.()).toBe(true);
  store.close();
});
