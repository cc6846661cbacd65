import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatUnit, parseUnit, type UnitBody } from '../../contract/unit.ts';
import { SelkieError } from '../../core/errors.ts';

const units: readonly UnitBody[] = [
  { kind: 'fleet' },
  { kind: 'cohort', domains: [] },
  { kind: 'cohort', domains: ['example.org', 'a.example.net'] },
  { kind: 'host', host: 'mx1.example.org' },
  { kind: 'host', host: 'mx1' },
  { kind: 'audit', zone: 'example.org' },
  { kind: 'audit', zone: 'example.org', after: '240128._domainkey.example.org. TXT' },
  { kind: 'mended', zone: 'example.org' },
  { kind: 'order', id: '2026-11-24-a' },
  { kind: 'order', id: '2026-11-24-a', turn: 34 },
  { kind: 'inventory', of: 'zones' },
  { kind: 'inventory', of: 'secrets', after: 'example.org/240128' },
];

describe('the body of a unit', () => {
  test.each(units)('comes back as it went: %o', (unit) => {
    expect(parseUnit(formatUnit(unit))).toEqual(unit);
  });

  test('is the same text for equal units, whatever the order of their fields', () => {
    const one: UnitBody = { kind: 'audit', zone: 'example.org', after: 'a' };
    const other: UnitBody = { after: 'a', zone: 'example.org', kind: 'audit' };
    expect(formatUnit(one)).toBe(formatUnit(other));
  });

  test('drops fields that are not known here', () => {
    expect(parseUnit('{"kind":"fleet","then":"rm","__proto__":{"kind":"host"}}')).toEqual({ kind: 'fleet' });
  });

  test('of the time when a unit was of one zone is understood', () => {
    const body = { kind: 'zone', zone: 'example.org', domains: ['a.example.org', 'example.org'] };
    expect(parseUnit(JSON.stringify(body))).toEqual({ kind: 'cohort', domains: body.domains });
  });

  test('of an order that counted other turns begins it again', () => {
    expect(parseUnit('{"kind":"order","id":"a","from":34}')).toEqual({ kind: 'order', id: 'a' });
  });

  // A valid baseline, then one mutation each.
  const cohort = { kind: 'cohort', domains: ['a.example'] };
  const zone = { kind: 'zone', zone: 'example.org', domains: ['a.example'] };
  test.each<[string, string]>([
    ['nothing', ''],
    ['no JSON', '{kind:fleet}'],
    ['null', 'null'],
    ['an array', '[]'],
    ['a string', '"fleet"'],
    ['no kind', '{}'],
    ['an unknown kind', '{"kind":"shell"}'],
    ['an inherited kind', '{"kind":"constructor"}'],
    ['a cohort without domains', JSON.stringify({ ...cohort, domains: undefined })],
    ['a cohort of what is no name', JSON.stringify({ ...cohort, domains: ['../etc'] })],
    ['a cohort of too many', JSON.stringify({ ...cohort, domains: Array(1_001).fill('a.example') })],
    ['a zone without domains', JSON.stringify({ ...zone, domains: undefined })],
    ['a zone that is a number', JSON.stringify({ ...zone, zone: 7 })],
    ['a zone that is no name', JSON.stringify({ ...zone, zone: '../etc' })],
    ['a zone in capitals', JSON.stringify({ ...zone, zone: 'Example.org' })],
    ['a zone with a final dot', JSON.stringify({ ...zone, zone: 'example.org.' })],
    ['a domain that is no name', JSON.stringify({ ...zone, domains: ['a.example', 'b example'] })],
    ['a domain that is nested', JSON.stringify({ ...zone, domains: [['a.example']] })],
    ['too many domains', JSON.stringify({ ...zone, domains: Array(1_001).fill('a.example') })],
    ['an empty host', '{"kind":"host","host":""}'],
    ['a host too long', JSON.stringify({ kind: 'host', host: 'a.'.repeat(200) })],
    ['an audit without a zone', '{"kind":"audit"}'],
    ['an audit from nowhere', '{"kind":"audit","zone":"example.org","after":""}'],
    [
      'an audit from too far',
      JSON.stringify({ kind: 'audit', zone: 'example.org', after: 'a'.repeat(4_097) }),
    ],
    ['an inventory of what is not counted', '{"kind":"inventory","of":"records"}'],
    ['a host with a line break', '{"kind":"host","host":"mx1\\nmx2"}'],
  ])('is refused where it is %s', (_, body) => {
    expect(() => parseUnit(body)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  test('an error names the field and does not quote the body', () => {
    const body = JSON.stringify({ ...zone, domains: ['a.example', 'BEGIN PRIVATE KEY'] });
    expect(() => parseUnit(body)).toThrow(expect.objectContaining({ field: 'domains.1' }));
    expect(() => parseUnit(body)).not.toThrow('PRIVATE');
  });

  test('whatever comes, it is a unit or it is invalid', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (body) => {
        try {
          expect(parseUnit(body)).toHaveProperty('kind');
        } catch (error) {
          expect(error).toBeInstanceOf(SelkieError);
        }
      }),
    );
  });
});
