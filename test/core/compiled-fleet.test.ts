import { describe, expect, test } from 'vitest';
import { compileFleet, loadCompiledFleet } from '../../core/compiled-fleet.ts';
import { SelkieError } from '../../core/errors.ts';
import { defaultPolicy, type Fleet } from '../../core/policy.ts';
import { minutes } from '../../core/time.ts';

const other = { ...defaultPolicy, ttl: minutes(5) };
const fleet: Fleet = {
  version: 1_700_000_000_000,
  zones: new Map([
    ['example.jp', { name: 'example.jp', id: 'Z1' }],
    [
      'b.jp',
      {
        name: 'b.jp',
        id: 'Z2',
        role: { arn: 'arn:aws:iam::123456789012:role/r' },
        nameServers: ['192.0.2.1'],
      },
    ],
  ]),
  pools: ['outbound', 'lists'],
  hosts: new Map([
    ['mx1', { name: 'mx1', pool: 'lists', encryptionKey: 'e', signingKey: 's', keyTypes: ['rsa'] }],
  ]),
  domains: new Map([
    ['b.jp', { domain: 'b.jp', zone: 'b.jp', pool: 'lists', policy: other, leaving: true }],
    [
      'a.example.jp',
      { domain: 'a.example.jp', zone: 'example.jp', pool: 'outbound', policy: defaultPolicy, leaving: false },
    ],
    [
      'c.example.jp',
      {
        domain: 'c.example.jp',
        zone: 'example.jp',
        pool: 'outbound',
        policy: { ...defaultPolicy },
        leaving: false,
        adopted: [{ selector: 'mail', algorithm: 'rsa1024', publicKey: 'MIGf' }],
      },
    ],
  ]),
};

describe('a compiled fleet', () => {
  test('is read back as it was, in the same order', () => {
    const loaded = loadCompiledFleet(compileFleet(fleet));
    expect(loaded).toEqual(fleet);
    expect([...loaded.domains.keys()]).toEqual(['b.jp', 'a.example.jp', 'c.example.jp']);
  });

  test('holds each policy once', () => {
    expect(JSON.parse(compileFleet(fleet)).policies).toHaveLength(2);
    const loaded = loadCompiledFleet(compileFleet(fleet));
    expect(loaded.domains.get('c.example.jp')?.policy).toBe(loaded.domains.get('a.example.jp')?.policy);
  });

  test('a domain that points out of the fleet is not compiled', () => {
    const torn = { ...fleet, zones: new Map([...fleet.zones].slice(0, 1)) };
    expect(() => compileFleet(torn)).toThrow('names a zone or a pool that the fleet does not have');
  });

  const changed = (change: (compiled: Record<string, unknown>) => void): string => {
    const compiled = JSON.parse(compileFleet(fleet));
    change(compiled);
    return JSON.stringify(compiled);
  };
  test.each([
    ['text', '{"format":1', 'not JSON'],
    ['null', 'null', 'no format'],
    ['another format', changed((it) => Object.assign(it, { format: 99 })), 'format 99 instead of'],
    ['a missing part', changed((it) => Reflect.deleteProperty(it, 'hosts')), 'a part is missing'],
    ['a row that points nowhere', changed((it) => Object.assign(it, { zones: [] })), 'b.jp points nowhere'],
    [
      'a wait without any end',
      JSON.stringify(JSON.parse(compileFleet(fleet))).replace('"ttl":300000', '"ttl":1e999'),
      '',
    ],
    [
      'an unknown algorithm',
      changed((it) => Object.assign(it, { policies: [{ ...other, algorithms: ['rsa1024'] }] })),
      'an algorithm that is not known',
    ],
    ['a list', '[]', 'no format'],
    ...(
      [
        ['a zone that is nothing', { zones: [null, null] }],
        ['a zone without id', { zones: [{ name: 'example.jp' }, { name: 'b.jp', id: 'Z2' }] }],
        [
          'a role without arn',
          {
            zones: [
              { name: 'example.jp', id: 'Z1', role: {} },
              { name: 'b.jp', id: 'Z2' },
            ],
          },
        ],
        [
          'one zone twice',
          {
            zones: [
              { name: 'b.jp', id: 'Z1' },
              { name: 'b.jp', id: 'Z2' },
            ],
          },
        ],
        ['one pool twice', { pools: ['outbound', 'outbound', 'lists'] }],
        ['a pool that is no text', { pools: ['outbound', 7] }],
        ['a policy that is nothing', { policies: [null, null] }],
        ['a policy without algorithms', { policies: [{ ...other, algorithms: [] }, other] }],
        ['algorithms that are no list', { policies: [{ ...other, algorithms: 'ed25519' }, other] }],
        ['a wait that is no number', { policies: [{ ...other, hold: 'P7D' }, other] }],
        ['a wait without end', { policies: [{ ...other, ttl: null }, other] }],
        ['tags that are none', { policies: [{ ...other, tags: [] }, other] }],
        ['a host without keys', { hosts: [{ name: 'mx1', pool: 'lists' }] }],
        [
          'one host twice',
          { hosts: [1, 2].map(() => ({ name: 'm', pool: 'lists', encryptionKey: 'e', signingKey: 's' })) },
        ],
        ['a row that is nothing', { domains: [null] }],
        ['a row cut off', { domains: [['b.jp', 1, 1]] }],
        ['a row of another kind', { domains: [['b.jp', 1, 1, 0, true]] }],
        ['a field that nobody knows', { domains: [['b.jp', 1, 1, 0, 0, { cnamex: 'example.net' }]] }],
        ['a domain that is no text', { domains: [[7, 1, 1, 0, 0]] }],
        ['a domain twice', { domains: [1, 2].map(() => ['b.jp', 1, 1, 0, 0]) }],
        ['a version that is none', { version: 1.5 }],
      ] as const
    ).map(
      ([name, change]) => [name, changed((it) => Object.assign(it, change)), ''] as [string, string, string],
    ),
  ])('refuses %s', (_, json, why) => {
    expect(() => loadCompiledFleet(json)).toThrow(SelkieError);
    expect(() => loadCompiledFleet(json)).toThrow(why);
  });
});
