// What a fleet costs, against sums made by hand from the prices and the figures of one rotation.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Estimate, estimate } from '../../cli/cost/estimate.ts';
import { prices } from '../../cli/cost/prices.ts';
import { defaultPolicy, type Fleet, type Policy, type VaultLayout } from '../../core/policy.ts';
import { selkie } from '../tools/selkie.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

interface Size {
  readonly domains: number;
  readonly zones?: number;
  readonly hosts?: number;
  readonly policy?: Partial<Policy>;
  readonly leaving?: boolean;
  readonly replicas?: readonly string[];
}

const fleetOf = ({ domains, zones = 1, hosts = 0, policy, leaving = false, replicas }: Size): Fleet => ({
  version: 1,
  pools: ['mx'],
  zones: new Map(range(zones).map((i) => [`z${i}.example`, { name: `z${i}.example`, id: `Z${i}` }])),
  hosts: new Map(
    range(hosts).map((i) => [`h${i}`, { name: `h${i}`, pool: 'mx', encryptionKey: '', signingKey: '' }]),
  ),
  domains: new Map(
    range(domains).map((i) => [
      `d${i}.example`,
      {
        domain: `d${i}.example`,
        zone: `z${i % zones}.example`,
        pool: 'mx',
        policy: { ...defaultPolicy, ...policy },
        leaving,
      },
    ]),
  ),
  ...(replicas === undefined ? {} : { vault: { layout: 'per-key', replicas } }),
});

const of = (size: Size, layout: VaultLayout = 'per-key'): Estimate => estimate(fleetOf(size), layout);
const line = (found: Estimate, name: string) =>
  found.lines.find(({ service, what }) => `${service}: ${what}` === name) ?? { quantity: -1, dollars: -1 };

/** A key lives 90 days, and an hour before them, 5 + 2 days and an hour of drain, and 7 of tombstone: 14 d 2 h. */
const alive = 1 + (14 * 24 + 2) / (90 * 24);

describe('by hand', () => {
  it('one domain on request, no host: a secret, the KMS keys, and what stands there anyway', () => {
    const { rotateEvery: _, ...onRequest } = defaultPolicy;
    const fleet = fleetOf({ domains: 1 });
    const one = fleet.domains.get('d0.example');
    if (one === undefined) throw new Error('no domain');
    const found = estimate(
      { ...fleet, domains: new Map([['d0.example', { ...one, policy: onRequest }]]) },
      'per-key',
    );
    expect(found).toMatchObject({ domains: 1, keys: 1, secrets: 1, rotations: 0, zonesTotal: 0.5 });
    const sum =
      0.4 + // the secret
      4 + // KMS
      ((43_200 * 3 + 30 * 3) * 0.125) / 1e6 + // reads of the ticks and of the audits
      12_000e-9 * 0.45 + // a row and its backup
      ((43_200 + 30) * 0.2) / 1e6 +
      ((43_200 * 0.3 * 0.5 + (30 + 30 / 100) * (1769 / 1024)) * 13.3334) / 1e6 +
      ((15 * 43_200 + 30 * 3) * 0.4) / 1e6 +
      43_230 / 1e6 + // Scheduler
      (43.2e6 + 30 * 1500) * 1e-9 * 0.5 +
      9 * 0.3 +
      21 * 0.1 +
      3 +
      (43_230 * 5) / 1e6; // traces
    expect(found.total).toBeCloseTo(sum, 10);
  });

  it('60 domains of one zone, which rotate together, on two hosts', () => {
    const found = of({ domains: 60, hosts: 2 }, 'sharded');
    // 60 keys of 1,260 bytes take two secrets of 49,152.
    expect(found.secrets).toBeCloseTo(2 * alive, 10);
    expect(line(found, 'Secrets Manager: secrets').dollars).toBeCloseTo(2 * alive * 0.4, 10);
    expect(found.rotations).toBeCloseTo(20, 10);
    // 20 keys a month, each read 5 times by the engine and once for each host, and written 3 times.
    expect(line(found, 'Secrets Manager: calls').quantity).toBeCloseTo(20 * (5 + 2 + 3), 10);
    // A third of a cohort a month, which tells two hosts four times, by two entries of the log each.
    expect(line(found, 'KMS: signatures of bundles').quantity).toBeCloseTo((8 * 2) / 3, 10);
    expect(line(found, 'API Gateway: pulls of hosts')).toMatchObject({ quantity: 86_400, dollars: 0.0864 });
    expect(line(found, 'DynamoDB: write units').quantity).toBeCloseTo(
      (60 + 30) / 3 + 20 * 730 + (16 * 8) / 3 + 86_400 * 0.8,
      6,
    );
    const perKey = of({ domains: 60, hosts: 2 });
    expect(perKey.secrets).toBeCloseTo(60 * alive, 10);
    expect(perKey.total - found.total).toBeCloseTo(58 * alive * 0.4, 10);
  });

  it('two algorithms are two keys, and copies in two regions cost as much again, twice', () => {
    const found = of({ domains: 10, policy: { algorithms: ['rsa2048', 'ed25519'] }, replicas: ['a', 'b'] });
    expect(found.keys).toBeCloseTo(20 * alive, 10);
    expect(line(found, 'Secrets Manager: copies in other regions').quantity).toBeCloseTo(40 * alive, 10);
    expect(line(found, 'KMS: keys').quantity).toBe(6);
  });

  it('what leaves is not counted, and a fleet of nothing costs what stands there anyway', () => {
    expect(of({ domains: 5, leaving: true })).toMatchObject({ domains: 0, keys: 0, secrets: 0 });
  });

  it('zones and records: the first 25 are dearer, and one of more than 10,000 records pays for each', () => {
    expect(of({ domains: 30, zones: 30 }).zonesTotal).toBeCloseTo(25 * 0.5 + 5 * 0.1, 10);
    const found = of({ domains: 10_000 });
    expect(line(found, 'Route 53: records over 10,000 of a zone').dollars).toBeCloseTo(
      10_000 * (alive - 1) * 0.0015,
      8,
    );
  });
});

describe('100,000 domains', () => {
  it.each([
    [100, 10],
    [100, 300],
    [1, 300],
    [1_000, 300],
    [100_000, 10],
    [100_000, 300],
  ])('in %i zones on %i hosts are at most 2,500 dollars a month, sharded', (zones, hosts) => {
    const found = of({ domains: 100_000, zones, hosts }, 'sharded');
    expect(found.total).toBeLessThanOrEqual(2_500);
    expect(of({ domains: 100_000, zones, hosts }).total).toBeGreaterThan(40_000);
  });

  it('each in a zone of its own rotate 60 at a time: their keys take two secrets', () => {
    const found = of({ domains: 100_000, zones: 100_000 }, 'sharded');
    // 1,667 cohorts; by chance few of them take one secret, or three.
    expect(found.secrets / (1_667 * alive)).toBeGreaterThan(1.98);
    expect(found.secrets / (1_667 * alive)).toBeLessThan(2.02);
  });

  it('a thousand in zones of their own rotate as 64 cohorts, whose keys take a secret each', () => {
    expect(of({ domains: 1_000, zones: 1_000 }, 'sharded').secrets).toBeCloseTo(64 * alive, 6);
  });

  it('a few in zones of their own hardly ever meet: they cost what their keys cost', () => {
    const size = { domains: 5, zones: 5 };
    expect(of(size, 'sharded').secrets).toBeCloseTo(of(size).secrets, 6);
  });
});

it('each price has a page of AWS as its source, and each line is its quantity at its price', () => {
  for (const { source } of Object.values(prices)) expect(source).toMatch(/^https:\/\/aws\.amazon\.com\//);
  for (const { quantity, price, dollars } of of({ domains: 500, hosts: 3 }).lines)
    expect(dollars).toBeCloseTo((quantity * prices[price].dollars) / prices[price].per, 12);
});

describe('selkie cost', { timeout: 120_000 }, () => {
  const fleetFile = (...more: string[]): string => {
    const file = join(temporaryFolder(), 'fleet.yaml');
    const domains = range(300).map((i) => `  d${i}.example.jp:`);
    const lines = ['domains:', ...domains, 'zones:', '  example.jp: { id: Z0123456789ABC }', 'pools: [mx]'];
    writeFileSync(file, `${[...lines, ...more].join('\n')}\n`);
    return file;
  };

  it('shows each item in 80 columns, and what another layout would save', async () => {
    const { status, stdout, stderr } = await selkie('cost', '--fleet', fleetFile());
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^300 domains, 0 hosts, 1 zones, vault per-key$/m);
    expect(stdout).toMatch(/Secrets Manager: secrets +347 +138\.78$/m);
    expect(stdout).toMatch(
      /With vault: \{ layout: sharded \} in the fleet file it would be \$\d+\.\d\d, \$13\d\.\d\d less/,
    );
    const table = stdout.split('\n').filter((text) => text.startsWith('  '));
    expect(Math.max(...table.map((text) => text.length))).toBeLessThanOrEqual(80);
  });

  it('takes the layout of the fleet file, and --layout before it', async () => {
    const file = fleetFile('vault: { layout: sharded }');
    const of = async (...args: string[]) =>
      JSON.parse((await selkie('cost', '--json', '--fleet', file, ...args)).stdout);
    expect(await of()).toMatchObject({ layout: 'sharded', domains: 300, hints: [], prices: '2026-11-24' });
    const perKey = await of('--layout', 'per-key');
    expect(perKey.layout).toBe('per-key');
    expect(perKey.lines[0]).toMatchObject({ service: 'Secrets Manager', per: 1 });
    expect(perKey.lines[0].source).toContain('secrets-manager');
  });

  it('refuses a layout that is none, and a fleet that is none', async () => {
    const odd = await selkie('cost', '--layout', 'square');
    expect([odd.status, odd.stderr]).toEqual([2, expect.stringContaining('per-key, sharded')]);
    const none = await selkie('cost', '--fleet', 'no-such.yaml');
    expect([none.status, none.stderr]).toEqual([1, expect.stringContaining('no-such.yaml')]);
  });
});
