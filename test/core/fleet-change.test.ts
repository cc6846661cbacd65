// A valid fleet for a ledger of ten domains, then one change: what is refused, in words that say what to do.
import { describe, expect, it } from 'vitest';
import { effectOf, forced, hostedZone, refusals, refusalText } from '../../core/fleet-change.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import { withEvidence } from '../../core/key/row.ts';
import { defaultPolicy, type Fleet, type FleetDomain, type FleetZone } from '../../core/policy.ts';
import { at, evidenceUpTo, key, row, t } from './key/made.ts';

const role = { arn: 'arn:aws:iam::123456789012:role/zones', externalId: 'x' };
const zones: readonly FleetZone[] = [
  { name: 'example.com', id: 'Z1' },
  { name: 'example.net', id: 'Z2', role },
];
const entry = (n: number): FleetDomain => ({
  domain: `d${n}.example.com`,
  zone: n === 9 ? 'example.net' : 'example.com',
  pool: 'mx',
  policy: defaultPolicy,
  leaving: false,
});
const entries = Array.from({ length: 10 }, (_, n) => entry(n));

const fleetOf = (domains: readonly FleetDomain[], of: readonly FleetZone[] = zones): Fleet => ({
  version: 2,
  pools: ['mx'],
  hosts: new Map(),
  zones: new Map(of.map((zone) => [zone.name, zone])),
  domains: new Map(domains.map((one) => [one.domain, one])),
});

const zoneOf = (name: string): FleetZone => zones.find((zone) => zone.name === name) ?? { name, id: 'Z0' };

/** Each domain signs with one key. */
const rows: readonly DomainRow[] = entries.map(({ domain, zone }) => ({
  ...row([key('240128e', 'active')]),
  domain,
  zone,
  hostedZone: hostedZone(zoneOf(zone)),
}));

const refused = (fleet: Fleet, of: readonly DomainRow[] = rows): readonly string[] =>
  refusals(of.map((one) => effectOf(one, fleet)));

const without = (...gone: readonly number[]): Fleet => fleetOf(entries.filter((_, n) => !gone.includes(n)));
const leaving = (...those: readonly number[]): Fleet =>
  fleetOf(entries.map((one, n) => ({ ...one, leaving: those.includes(n) })));
const changedZone = (name: string, change: Partial<FleetZone>): Fleet =>
  fleetOf(
    entries,
    zones.map((zone) => (zone.name === name ? { ...zone, ...change } : zone)),
  );
const changedRow = (n: number, change: (row: DomainRow) => DomainRow): readonly DomainRow[] =>
  rows.map((one, index) => (index === n ? change(one) : one));

describe('a fleet', () => {
  it('that is as before is not refused, nor one with another domain', () => {
    expect(refused(fleetOf(entries))).toEqual([]);
    expect(refused(fleetOf([...entries, entry(10)]))).toEqual([]);
  });

  it('that drops a domain with a live key is refused, saying how a domain leaves', () => {
    expect(refused(without(3))).toEqual([
      'it drops d3.example.com (240128e), whose keys have records that stand: put it back with "state: leaving", and take it out when selkie status shows no keys.',
    ]);
  });

  it('that drops one whose records are gone, or were never there, is not', () => {
    const removed = changedRow(3, (one) => ({
      ...one,
      keys: [key('240128e', 'stopped', { evidence: evidenceUpTo('removed') })],
    }));
    const unpublished = changedRow(3, (one) => ({
      ...one,
      keys: [key('240128e', 'begun', { evidence: evidenceUpTo('stored') })],
    }));
    expect(refused(without(3), removed)).toEqual([]);
    expect(refused(without(3), unpublished)).toEqual([]);
    expect(
      refused(
        without(3),
        changedRow(3, (one) => ({ ...one, keys: [] })),
      ),
    ).toEqual([]);
  });

  it('that drops one while its tombstone stands is refused', () => {
    const revoked = changedRow(3, (one) => ({
      ...one,
      keys: [key('240128e', 'stopped', { evidence: evidenceUpTo('revoked') })],
    }));
    expect(refused(without(3), revoked)).toHaveLength(1);
  });

  it('is not blamed again for what an earlier one dropped', () => {
    expect(
      refused(
        without(3),
        changedRow(3, (one) => ({ ...one, vanished: { at: t } })),
      ),
    ).toEqual([]);
  });

  it('may let a fifth of the keys go, and not more', () => {
    expect(refused(leaving(0, 1))).toEqual([]);
    expect(refused(leaving(0, 1, 2))).toEqual([
      'it has 3 of 10 signing keys revoked at once, those of d0.example.com, d1.example.com, d2.example.com: let not more than 20 % of them leave at a time.',
    ]);
  });

  it('may let a single domain go, however small the fleet is', () => {
    expect(refused(leaving(0), rows.slice(0, 1))).toEqual([]);
    expect(refused(leaving(0, 1), rows.slice(0, 2))).toHaveLength(1);
  });

  it('counts keys, not domains, and those that stop already no more', () => {
    const dual = changedRow(0, (one) => ({
      ...one,
      keys: [key('240128', 'active', { algorithm: 'rsa2048' }), key('240128e', 'active')],
    }));
    expect(refused(leaving(0, 1), dual)).toEqual([
      expect.stringContaining('3 of 11 signing keys revoked at once'),
    ]);
    const stopping = rows.map((one, n) => (n < 3 ? { ...one, keys: [key('240128e', 'stopIntended')] } : one));
    expect(refused(leaving(0, 1, 2, 4), stopping)).toEqual([]);
  });

  it('names five of many', () => {
    const [dropped] = refused(without(0, 1, 2, 3, 4, 5, 6));
    expect(dropped).toContain('d4.example.com (240128e) and 2 more, whose keys');
    expect(dropped).not.toContain('d5.example.com');
  });

  it('names five without a word of others, and says of several what is done with them', () => {
    expect(refused(without(0, 1, 2, 3, 4))[0]).toBe(
      `it drops ${[0, 1, 2, 3, 4].map((n) => `d${n}.example.com (240128e)`).join(', ')}, whose keys have records that stand: put them back with "state: leaving", and take them out when selkie status shows no keys.`,
    );
  });

  it('is not blamed for keys of domains that an earlier one had vanish', () => {
    const vanished = rows.map((one, n) => (n < 3 ? { ...one, vanished: { at: t } } : one));
    expect(refused(without(0, 1, 2), vanished)).toEqual([]);
    expect(refused(leaving(3, 4), vanished)).toEqual([
      expect.stringContaining('2 of 7 signing keys revoked at once'),
    ]);
  });

  it.each([
    [
      'gone',
      fleetOf(entries, zones.slice(1)),
      'zone example.com is gone from the file, while records of d0.example.com,',
    ],
    [
      'another hosted zone',
      changedZone('example.com', { id: 'Z9' }),
      'zone example.com is another hosted zone: Z9 instead of Z1, while',
    ],
    [
      'reached by a role',
      changedZone('example.com', { role }),
      `by role ${role.arn} instead of no role, while records of`,
    ],
    [
      'reached by another role',
      changedZone('example.net', { role: { arn: 'arn:aws:iam::1:role/b' } }),
      `by role arn:aws:iam::1:role/b instead of role ${role.arn}, while records of d9.example.com stand`,
    ],
  ])('whose zone is %s is refused', (_what, fleet, says) => {
    expect(refused(fleet)).toEqual([expect.stringContaining(says)]);
  });

  it('may change a zone in which nothing stands, or that an older ledger says nothing of', () => {
    const fleet = changedZone('example.net', { id: 'Z9' });
    const empty = changedRow(9, (one) => ({ ...one, keys: [] }));
    const older = changedRow(9, ({ hostedZone: _unknown, ...one }) => one);
    expect(refused(fleet, empty)).toEqual([]);
    expect(refused(fleet, older)).toEqual([]);
    expect(refused(fleet)).toHaveLength(1);
  });

  it('may change how a zone is served, and its external id', () => {
    expect(refused(changedZone('example.com', { nameServers: ['192.0.2.1'] }))).toEqual([]);
    expect(refused(changedZone('example.net', { role: { ...role, externalId: 'y' } }))).toEqual([]);
  });

  it('says all that is wrong in one text, and how to do it all the same', () => {
    const all = refused(fleetOf(entries.slice(0, 5), zones.slice(1)));
    expect(all).toHaveLength(3);
    expect(refusalText(all)).toMatch(
      /^fleet.yaml is refused: it drops .* Also, it has .* Also, zone .*force="REASON"/,
    );
  });
});

describe('force', () => {
  it('carries its reason', () => {
    expect(forced(fleetOf(entries), ' sold ').force).toEqual({ reason: 'sold' });
  });

  it.each(['', '   '])('needs one', (reason) => {
    expect(() => forced(fleetOf(entries), reason)).toThrow(
      expect.objectContaining({
        code: 'invalid',
        field: 'force',
        message: expect.stringContaining('force needs a reason'),
      }),
    );
  });
});

it('a removed key is told from one whose removal is only intended', () => {
  const [one] = rows;
  if (one === undefined) throw new Error('no row');
  const intended = withEvidence(one, '240128e', { removalIntended: at });
  expect(effectOf(intended, without(0)).dropped).toEqual(['240128e']);
  expect(effectOf(withEvidence(intended, '240128e', { removed: at }), without(0)).dropped).toEqual([]);
});

describe('policy records', () => {
  const spf = { kind: 'spf', name: 'd0.example.com', zone: 'example.com', ours: ['v=spf1 -all'] } as const;
  const bare = (one: DomainRow): DomainRow => ({ ...one, keys: [], records: [spf] });
  const wanting = entries.map((one) => ({ ...one, spf: { value: 'v=spf1 -all' } }));
  const records = rows.map(bare);

  it('that stand are not dropped with their domain', () => {
    expect(refused(fleetOf(wanting.slice(1)), records)).toEqual([
      expect.stringContaining('drops d0.example.com (SPF)'),
    ]);
  });

  it('of one domain may go; of more than a fifth at once, not', () => {
    expect(refused(fleetOf([entry(0), ...wanting.slice(1)]), records)).toEqual([]);
    expect(refused(fleetOf([entry(0), entry(1), entry(2), ...wanting.slice(3)]), records)).toEqual([
      expect.stringContaining('removes 3 of 10 SPF and DMARC records at once'),
    ]);
  });

  it('in a zone that would be out of reach hold it', () => {
    const lies = records.map((one) => ({ ...one, records: [{ ...spf, hostedZone: { id: 'Z1' } }] }));
    const moved = zones.map((zone) => (zone.name === 'example.com' ? { ...zone, id: 'Z7' } : zone));
    expect(refused(fleetOf(wanting, moved), lies)).toEqual([
      expect.stringContaining('another hosted zone: Z7 instead of Z1'),
    ]);
  });

  it('of DMARC, and of those that take its reports, are told apart', () => {
    const dmarc = {
      kind: 'dmarc',
      name: '_dmarc.d0.example.com',
      zone: 'example.com',
      ours: ['v=DMARC1; p=none'],
    } as const;
    const report = { ...dmarc, kind: 'report', name: 'd0.example.com._report._dmarc.example.net' } as const;
    const both = rows.map((one): DomainRow => ({ ...one, keys: [], records: [spf, dmarc, report] }));
    const wantsBoth = wanting.map((one) => ({ ...one, dmarc: { value: 'v=DMARC1; p=none' } }));
    expect(refused(fleetOf(wantsBoth), both)).toEqual([]);
    // What others allow is wanted or not by the DMARC record alone.
    expect(refused(fleetOf(wanting), both)).toEqual([
      expect.stringContaining(
        'it removes 10 of 30 SPF and DMARC records at once, those of d0.example.com, d1',
      ),
    ]);
    expect(refused(fleetOf(wantsBoth.slice(1)), both)).toEqual([
      expect.stringContaining('drops d0.example.com (SPF, DMARC, DMARC reports)'),
    ]);
    // A domain that leaves takes its records with it, as it says.
    const all = wanting.map((one) => ({ ...one, leaving: true }));
    expect(refused(fleetOf(all), both)).toEqual([]);
  });

  it('that never were written, or have nothing of ours any more, hold nothing', () => {
    const { zone: _nowhere, ...unwritten } = spf;
    const emptied = { ...spf, ours: [] };
    for (const record of [unwritten, emptied]) {
      const none = rows.map((one): DomainRow => ({ ...one, keys: [], records: [record] }));
      expect(refused(fleetOf(entries, []), none)).toEqual([]);
      expect(refused(fleetOf([]), none)).toEqual([]);
    }
  });
});
