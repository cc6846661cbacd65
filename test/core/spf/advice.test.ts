// What is allowed in an SPF record and not wise, said in one sentence each.
import { describe, expect, it } from 'vitest';
import { spfAdvice } from '../../../core/spf/advice.ts';
import { parseSpf } from '../../../core/spf/record.ts';

const cheap = { lookups: 1, voids: 0, strictVoids: 0 };
const advice = (text: string, count?: typeof cheap) => spfAdvice(parseSpf(`v=spf1 ${text}`), count);

const everyone = 'SPF: +all lets every host of the world send as this domain; end it with ~all or -all';
const open =
  'SPF: it has no all at its end, so it says nothing of other hosts (neutral); end it with ~all or -all';
const ptr =
  'SPF: ptr is slow and unreliable, and receivers may leave it out (RFC 7208 §5.5); name addresses in its place';
const idle = (terms: string) =>
  `SPF: ${terms} is never looked at, because all decides before it (RFC 7208 §5.1)`;

it.each([
  'mx ~all',
  'mx -all',
  'mx ?all',
  '-all',
  'redirect=_spf.example.jp',
  'mx redirect=_spf.example.jp',
  // Other modifiers are no terms that all cuts off: RFC 7208 §6.2.
  'mx -all exp=why.example.jp',
  'mx x=y -all',
])('nothing to say of "%s"', (text) => {
  expect(advice(text)).toEqual([]);
  expect(advice(text, cheap)).toEqual([]);
});

it.each([
  ['mx +all', [everyone]],
  ['mx all', [everyone]],
  ['mx', [open]],
  ['', [open]],
  ['+mx exp=why.example.jp', [open]],
  ['mx ptr -all', [ptr]],
  ['ptr:example.jp ~all', [ptr]],
  // RFC 7208 §5.1: terms behind all, and redirect wherever it stands.
  ['-all mx', [idle('mx')]],
  ['mx ~all a ip4:192.0.2.1 exp=why.example.jp', [idle('a ip4:192.0.2.1')]],
  ['redirect=_spf.example.jp mx -all', [idle('redirect=_spf.example.jp')]],
  ['mx -all +all', [idle('all')]],
  ['all -ptr', [everyone, idle('-ptr'), ptr]],
])('"%s"', (text, says) => {
  expect(advice(text)).toEqual(says);
});

describe('length: RFC 7208 §3.4', () => {
  // "v=spf1 x=" and " -all" around it are 14.
  const long = (length: number) => `x=${'y'.repeat(length - 14)} -all`;

  it('450 characters fit in a packet', () => {
    expect(advice(long(450))).toEqual([]);
  });

  it('451 may not', () => {
    expect(advice(long(451))).toEqual([
      'SPF: its 451 characters may not fit in one DNS packet; up to 450 do (RFC 7208 §3.4)',
    ]);
  });
});

describe('what it costs: RFC 7208 §4.6.4', () => {
  it.each([
    [8, []],
    [9, ['SPF: it makes 9 of 10 DNS lookups; one more that an included domain adds may break it']],
    [10, ['SPF: it makes 10 of 10 DNS lookups; one more that an included domain adds may break it']],
    // That is a fault, which limitFault says.
    [11, []],
  ])('%i lookups', (lookups, says) => {
    expect(advice('mx -all', { ...cheap, lookups })).toEqual(says);
  });

  it.each([
    [0, 2, []],
    [
      0,
      3,
      [
        'SPF: 3 of its lookups find no address for a sender by IPv4, or by IPv6; strict receivers take 2 (RFC 7208 §4.6.4)',
      ],
    ],
    [
      2,
      4,
      [
        'SPF: 4 of its lookups find no address for a sender by IPv4, or by IPv6; strict receivers take 2 (RFC 7208 §4.6.4)',
      ],
    ],
    [3, 3, []],
  ])('%i that find nothing, strictly %i', (voids, strictVoids, says) => {
    expect(advice('mx -all', { ...cheap, voids, strictVoids })).toEqual(says);
  });
});
