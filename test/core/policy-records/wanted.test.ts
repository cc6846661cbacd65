// Which policy records a domain of the fleet file is to have, and where each lies.
import { describe, expect, it } from 'vitest';
import {
  dmarcName,
  isOfKind,
  reportHosts,
  wantedRecords,
  zoneHolding,
} from '../../../core/policy-records/wanted.ts';

const zones = new Set(['example.com', 'mail.example.com', 'reports.example']);

describe('the zone that holds a name', () => {
  it.each([
    ['example.com', 'example.com'],
    ['www.example.com', 'example.com'],
    ['_dmarc.mail.example.com', 'mail.example.com'],
    ['mail.example.com', 'mail.example.com'],
    ['a.b.mail.example.com', 'mail.example.com'],
    ['notexample.com', undefined],
    ['com', undefined],
    ['example.com.example.org', undefined],
  ])('%s: the deepest of ours, %s', (name, zone) => expect(zoneHolding(name, zones)).toBe(zone));
});

describe('a TXT value', () => {
  // RFC 7208 §4.5, RFC 9989 §4.7
  it.each([
    ['v=spf1 -all', true, false],
    ['v=spf10', false, false],
    ['v=DMARC1; p=none', false, true],
    ['v=DMARC1', false, true],
    ['some-service-verification=0123456789', false, false],
  ])('%s', (value, isSpf, isDmarc) => {
    expect(isOfKind('spf', value)).toBe(isSpf);
    expect(isOfKind('dmarc', value)).toBe(isDmarc);
    // RFC 9990 §4: what a receiver says is a DMARC record too.
    expect(isOfKind('report', value)).toBe(isDmarc);
  });
});

describe('mailboxes that reports go to', () => {
  it.each([
    ['none', 'v=DMARC1; p=none', []],
    ['its own', 'v=DMARC1; p=none; rua=mailto:a@example.com', []],
    [
      'a sub-domain’s, which is another domain',
      'v=DMARC1; p=none; rua=mailto:a@mail.example.com',
      ['mail.example.com'],
    ],
    ['of aggregate reports', 'v=DMARC1; p=none; rua=mailto:a@example.net', ['example.net']],
    ['of failure reports', 'v=DMARC1; p=none; ruf=mailto:a@example.net', ['example.net']],
    [
      'several, each domain once',
      'v=DMARC1; p=none; rua=mailto:a@example.net,mailto:b@Example.NET,mailto:c@example.com; ruf=mailto:d@example.org,mailto:e@example.net',
      ['example.net', 'example.org'],
    ],
    ['no mailbox at all', 'v=DMARC1; p=none; rua=https://example.net/reports', []],
  ])('%s', (_, value, hosts) => expect(reportHosts('example.com', value)).toEqual(hosts));
});

describe('a domain', () => {
  const spf = { value: 'v=spf1 mx -all' };
  const dmarc = { value: 'v=DMARC1; p=none' };

  it('that names neither wants none', () => {
    expect(wantedRecords({ domain: 'example.com' }, zones)).toEqual([]);
  });

  it('has its SPF record at its own name, its DMARC record below it (RFC 7208 §3, RFC 9989 §4.10)', () => {
    expect(dmarcName('example.com')).toBe('_dmarc.example.com');
    expect(wantedRecords({ domain: 'example.com', spf, dmarc }, zones)).toStrictEqual([
      { kind: 'spf', name: 'example.com', zone: 'example.com', value: 'v=spf1 mx -all', adopt: false },
      {
        kind: 'dmarc',
        name: '_dmarc.example.com',
        zone: 'example.com',
        value: 'v=DMARC1; p=none',
        adopt: false,
      },
    ]);
  });

  it('has each in the deepest zone that holds its name', () => {
    const deeper = new Set([...zones, '_dmarc.example.com']);
    const found = wantedRecords({ domain: 'example.com', spf, dmarc }, deeper);
    expect(found.map(({ zone }) => zone)).toEqual(['example.com', '_dmarc.example.com']);
    expect(wantedRecords({ domain: 'elsewhere.example', spf }, zones)).toStrictEqual([
      { kind: 'spf', name: 'elsewhere.example', value: 'v=spf1 mx -all', adopt: false },
    ]);
  });

  it.each([
    ['spf', true, false],
    ['dmarc', false, true],
  ] as const)('takes another’s record over where it says so of %s', (which, ofSpf, ofDmarc) => {
    const entry = { domain: 'example.com', spf, dmarc };
    const adopting = { ...entry, [which]: { ...entry[which], adopt: true } };
    expect(wantedRecords(adopting, zones).map(({ adopt }) => adopt)).toEqual([ofSpf, ofDmarc]);
  });

  it('wants the word of each other domain that takes its reports (RFC 9990 §4), and takes none over', () => {
    const value = 'v=DMARC1; p=none; rua=mailto:a@reports.example,mailto:b@example.net';
    const entry = { domain: 'example.com', dmarc: { value, adopt: true } } as const;
    expect(wantedRecords(entry, zones).slice(1)).toStrictEqual([
      {
        kind: 'report',
        name: 'example.com._report._dmarc.reports.example',
        zone: 'reports.example',
        value: 'v=DMARC1',
        adopt: false,
        host: 'reports.example',
      },
      {
        kind: 'report',
        name: 'example.com._report._dmarc.example.net',
        value: 'v=DMARC1',
        adopt: false,
        host: 'example.net',
      },
    ]);
  });
});
