// The defaults that the documents promise, and the hosts of a pool.
import { expect, it } from 'vitest';
import { defaultPolicy, type Fleet, hostsOf } from '../../core/policy.ts';
import { formatDuration } from '../../core/time.ts';

it('has the defaults that docs/lifecycle.md and fleet.example.yaml say', () => {
  const { algorithms, timeZone, tags, disclose, ...lengths } = defaultPolicy;
  expect(disclose, 'nothing is published that nobody asked for').toBeUndefined();
  expect({ algorithms, timeZone, tags }).toEqual({ algorithms: ['rsa2048'], timeZone: 'UTC', tags: {} });
  expect(Object.entries(lengths).map(([name, length]) => [name, formatDuration(length)])).toEqual([
    ['rotateEvery', 'P90D'],
    ['ttl', 'PT1H'],
    ['downstreamQueue', 'P5D'],
    ['drainMargin', 'P2D'],
    ['reportedDrain', 'P14D'],
    ['hold', 'P7D'],
    ['skewBound', 'PT5M'],
    ['fenceAfter', 'PT10M'],
  ]);
});

it('gives the hosts of a pool in the fleet’s order', () => {
  const host = (name: string, pool: string) =>
    [name, { name, pool, encryptionKey: 'e', signingKey: 's' }] as const;
  const fleet: Fleet = {
    version: 1,
    domains: new Map(),
    zones: new Map(),
    pools: ['out', 'lists'],
    hosts: new Map([host('b', 'out'), host('c', 'lists'), host('a', 'out')]),
  };
  expect(hostsOf(fleet, 'out').map(({ name }) => name)).toEqual(['b', 'a']);
  expect(hostsOf(fleet, 'none')).toEqual([]);
});
