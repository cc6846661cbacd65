// A compiled fleet with every field that one can have: each is asked for, and each is judged.
import { describe, expect, it } from 'vitest';
import { compileFleet, loadCompiledFleet } from '../../core/compiled-fleet.ts';
import { SelkieError } from '../../core/errors.ts';

const policy = {
  rotateEvery: 7_776_000_000,
  algorithms: ['rsa2048', 'ed25519'],
  timeZone: 'Asia/Tokyo',
  tags: { hashes: 'sha256', service: 'email', strict: true, note: 'a note' },
  ttl: 3_600_000,
  downstreamQueue: 432_000_000,
  drainMargin: 172_800_000,
  reportedDrain: 1_209_600_000,
  hold: 604_800_000,
  skewBound: 300_000,
  fenceAfter: 600_000,
  disclose: 'after-removal',
};
const adopted = {
  selector: 'mail',
  algorithm: 'rsa1024',
  publicKey: 'MIGf',
  record: 'mail.keys.example.net',
};
const compiled = {
  format: 9,
  version: 1_700_000_000_000,
  zones: [
    {
      name: 'example.jp',
      id: 'Z1',
      provider: 'manual',
      role: { arn: 'arn:aws:iam::123456789012:role/r', externalId: 'x' },
      nameServers: ['192.0.2.1', '[2001:db8::1]:53'],
    },
  ],
  pools: ['outbound'],
  policies: [policy],
  records: [{ value: 'v=spf1 -all', adopt: true }],
  hosts: [
    {
      name: 'mx1',
      pool: 'outbound',
      endpoint: 'https://mx1:8443',
      encryptionKey: 'e',
      signingKey: 's',
      certificate: 'c',
      keyTypes: ['rsa'],
    },
  ],
  domains: [
    ['a.example.jp', 0, 0, 0, 0],
    ['b.example.jp', 0, 0, 0, 1, { adopted: [adopted], cname: 'keys.example.net', spf: 0, dmarc: 0 }],
  ],
  vault: { layout: 'sharded', replicas: ['eu-central-1'] },
  force: 'the domain is sold',
};

type Path = readonly (string | number)[];

/** The compiled fleet with another value at a path; without anything there where the value is `undefined`. */
const changed = (path: Path, value: unknown): string => {
  const copy: unknown = structuredClone(compiled);
  const last = path.at(-1);
  const parent = path
    .slice(0, -1)
    .reduce<unknown>((at, step) => (at as Record<string | number, unknown>)[step], copy);
  if (typeof parent !== 'object' || parent === null || last === undefined)
    throw new Error(`no ${path.join('.')}`);
  if (value === undefined) Reflect.deleteProperty(parent, last);
  else Reflect.set(parent, last, value);
  return JSON.stringify(copy);
};

const accepts = (json: string): boolean => {
  try {
    loadCompiledFleet(json);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(SelkieError);
    expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining('deploy again') });
    return false;
  }
};

const text = [null, 7, '', {}, ['x'], true];
const length = [null, '1', -1, {}, [1], true];
const wrong: readonly (readonly [path: string, needed: 'needed' | 'optional', wrong: readonly unknown[]])[] =
  [
    ['format', 'needed', [null, '6', 5, 0]],
    ['version', 'needed', [null, '1', 1.5, {}]],
    ['zones', 'needed', [null, {}, 'example.jp', [7], [[]]]],
    ['zones.0.name', 'needed', text],
    ['zones.0.id', 'needed', text],
    ['zones.0.provider', 'optional', [null, 'route53', '', {}]],
    ['zones.0.role', 'optional', [null, 'arn', [], 7]],
    ['zones.0.role.arn', 'needed', text],
    ['zones.0.role.externalId', 'optional', text],
    ['zones.0.nameServers', 'optional', [null, '192.0.2.1', {}, [7], ['192.0.2.1', '']]],
    ['force', 'needed', ['', 7, {}, ['x'], true]],
    ['vault', 'needed', ['', 7, [], 'sharded', true]],
    ['vault.layout', 'needed', [...text, 'shards']],
    ['vault.replicas', 'needed', [null, 'eu-central-1', {}, [7], ['']]],
    ['pools', 'needed', [null, {}, 'outbound', [7], ['outbound', '']]],
    ['policies', 'needed', [null, {}, [7], [[]]]],
    ['policies.0.rotateEvery', 'optional', length],
    ['policies.0.algorithms', 'needed', [null, 'rsa2048', [], [7], ['rsa2048', 'rsa1024'], ['rsa2048', '']]],
    ['policies.0.timeZone', 'needed', text],
    ['policies.0.tags', 'needed', [null, 'none', [], 7]],
    ['policies.0.tags.hashes', 'optional', ['sha1', null, true]],
    ['policies.0.tags.service', 'optional', ['*', null, true]],
    ['policies.0.tags.strict', 'optional', [false, null, 'true']],
    ['policies.0.tags.note', 'optional', text],
    ['policies.0.ttl', 'needed', length],
    ['policies.0.downstreamQueue', 'needed', length],
    ['policies.0.drainMargin', 'needed', length],
    ['policies.0.reportedDrain', 'needed', length],
    ['policies.0.hold', 'needed', length],
    ['policies.0.skewBound', 'needed', length],
    ['policies.0.fenceAfter', 'needed', length],
    ['hosts', 'needed', [null, {}, [7], [[]]]],
    ['hosts.0.name', 'needed', text],
    ['hosts.0.pool', 'needed', text],
    ['hosts.0.endpoint', 'optional', text],
    ['hosts.0.encryptionKey', 'needed', text],
    ['hosts.0.signingKey', 'needed', text],
    ['hosts.0.certificate', 'optional', text],
    ['hosts.0.keyTypes', 'optional', [null, 'rsa', {}, ['rsa2048'], [7]]],
    [
      'domains',
      'needed',
      [
        null,
        {},
        [7],
        [{}],
        [['a.example.jp', 0, 0, 0, 0, 0]],
        [['a.example.jp', 0, 0, 0, 0, []]],
        [['a.example.jp', 0, 0, 0]],
        [['a.example.jp', 0, 0, 0, 0, {}, 0]],
      ],
    ],
    ['domains.0.0', 'needed', text],
    ['domains.0.1', 'needed', [null, '0', 0.5, -1, 1]],
    ['domains.0.2', 'needed', [null, '0', 0.5, -1, 1]],
    ['domains.0.3', 'needed', [null, '0', 0.5, -1, 1]],
    ['domains.0.4', 'needed', [null, '0', 2, true]],
    ['domains.1.5.cname', 'optional', text],
    ['domains.1.5.adopted', 'optional', [null, {}, 'x', [7]]],
    ['domains.1.5.adopted.0.selector', 'needed', text],
    ['domains.1.5.adopted.0.algorithm', 'needed', [...text, 'rsa512']],
    ['domains.1.5.adopted.0.publicKey', 'needed', text],
    ['domains.1.5.adopted.0.record', 'optional', text],
  ];

const pathOf = (dotted: string): Path =>
  dotted.split('.').map((step) => (/^\d+$/.test(step) ? Number(step) : step));

it('all fields together are a fleet', () => {
  const fleet = loadCompiledFleet(JSON.stringify(compiled));
  expect([...fleet.domains.values()]).toEqual([
    { domain: 'a.example.jp', zone: 'example.jp', pool: 'outbound', policy, leaving: false },
    {
      domain: 'b.example.jp',
      zone: 'example.jp',
      pool: 'outbound',
      policy,
      leaving: true,
      adopted: [adopted],
      cname: 'keys.example.net',
      spf: { value: 'v=spf1 -all', adopt: true },
      dmarc: { value: 'v=spf1 -all', adopt: true },
    },
  ]);
  expect([...fleet.zones.values(), ...fleet.hosts.values()]).toEqual([...compiled.zones, ...compiled.hosts]);
  expect(fleet.force).toEqual({ reason: compiled.force });
  expect(fleet.vault).toEqual(compiled.vault);
});

describe.each(wrong)('%s, which is %s', (dotted, needed, values) => {
  const path = pathOf(dotted);
  it('is judged', () => {
    for (const value of values) expect([value, accepts(changed(path, value))]).toEqual([value, false]);
  });

  it(needed === 'needed' ? 'may not be absent' : 'may be absent', () => {
    expect(accepts(changed(path, undefined))).toBe(needed === 'optional');
  });
});

it.each([
  ['null', 'no format'],
  ['"format"', 'no format'],
  ['7', 'no format'],
  ['{}', 'no format'],
  ['{"format":9}', 'a part is missing'],
  ['{"format":"9"}', 'format of another kind instead of 9'],
  ['{"format":8}', 'format 8 instead of 9'],
  ['{', 'not JSON'],
  [changed(['pools'], 'outbound'), 'its pools are not whole'],
  [changed(['domains', 0, 1], 9), 'a.example.jp points nowhere'],
  [changed(['domains', 1, 0], 'a.example.jp'), 'a name stands twice'],
])('%s: %s', (json, why) => {
  expect(() => loadCompiledFleet(json)).toThrow(
    new SelkieError('invalid', `This is no compiled fleet of this version of Selkie (${why}): deploy again.`),
  );
});

it('a length of zero is one', () => {
  expect(accepts(changed(['policies', 0, 'drainMargin'], 0))).toBe(true);
});

it.each(['zone', 'pool'] as const)(
  'a domain in a %s that the fleet does not have is not compiled',
  (part) => {
    const fleet = loadCompiledFleet(JSON.stringify(compiled));
    const domains = new Map(
      [...fleet.domains].map(([name, entry]) => [name, { ...entry, [part]: 'elsewhere' }]),
    );
    expect(() => compileFleet({ ...fleet, domains })).toThrow(
      new SelkieError(
        'invalid',
        'A domain of the fleet names a zone or a pool that the fleet does not have.',
      ),
    );
    expect(() => compileFleet({ ...fleet, domains })).toThrow(expect.objectContaining({ code: 'invalid' }));
  },
);
