// Names as receivers resolve them: through a recursive resolver, and a zone of ours with name servers of its own at those.
import { afterEach, expect, test } from 'vitest';
import { createResolver } from '../../../adapters/dns/resolver.ts';
import { startDnsServer } from '../../../adapters/dns/server.ts';
import { minutes, seconds } from '../../../core/time.ts';
import type { TxtSet } from '../../../engine/ports.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const serve = async (zone: string, records: Readonly<Record<string, readonly string[]>>): Promise<string> => {
  const find = (name: string): TxtSet | undefined =>
    records[name] === undefined ? undefined : { ttl: minutes(1), values: records[name] };
  const server = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    zones: {
      zones: () => [zone],
      find: (_zone, name) => find(name),
      hasBelow: (_zone, name) => Object.keys(records).some((other) => other.endsWith(`.${name}`)),
    },
  });
  closers.push(() => server.close());
  return `127.0.0.1:${server.port}`;
};

test('a zone of ours is asked at its own name servers, also where the world does not know it', async () => {
  const server = await serve('example.com', {
    'example.com': ['one', 'v=spf1 -all'],
    '_dmarc.example.com': ['v=DMARC1; '.repeat(40)],
  });
  const zone = { name: 'example.com', id: 'Z1', nameServers: [server] };
  const { resolve } = createResolver({ resolvers: [], zones: new Map([['example.com', zone]]) });
  expect([...(await resolve({ name: 'Example.com.', type: 'TXT' }))].toSorted()).toEqual([
    'one',
    'v=spf1 -all',
  ]);
  // Strings are joined with nothing between: RFC 7208 §3.3.
  expect(await resolve({ name: '_dmarc.example.com', type: 'TXT' })).toEqual(['v=DMARC1; '.repeat(40)]);
  expect(await resolve({ name: 'nothing.example.com', type: 'TXT' })).toEqual([]);
  expect(await resolve({ name: 'example.com', type: 'MX' })).toEqual([]);
});

test('other names are asked of the resolvers; where none tells, that is said', async () => {
  const { resolve } = createResolver({ resolvers: [], timeout: seconds(1) });
  await expect(resolve({ name: 'example.net', type: 'MX' })).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('MX of example.net'),
  });
});
