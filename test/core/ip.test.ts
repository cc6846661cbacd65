// Addresses and networks as text: what is one, and what only looks like one.
import { describe, expect, it } from 'vitest';
import { isIpv4, isIpv6, isPrefixLength, networkFamily } from '../../core/ip.ts';

describe('an IPv4 address is four numbers from 0 to 255: RFC 7208 §12, qnum', () => {
  it.each(['0.0.0.0', '192.0.2.1', '1.10.99.100', '109.110.199.200', '209.240.249.250', '255.255.255.255'])(
    '%s',
    (text) => {
      expect(isIpv4(text)).toBe(true);
    },
  );

  it.each([
    '',
    '192.0.2',
    '192.0.2.1.1',
    '192.0.2.',
    '.192.0.2',
    '192.0.2.01',
    '192.0.2.00',
    '192.0.2.256',
    '192.0.2.260',
    '192.0.2.300',
    '192.0.2.1000',
    '192.0.2.-1',
    '192.0.2.a',
    '192.0.2.1a',
    'a1.0.2.1',
    '192.0.2.1 ',
    '192,0,2,1',
    '2001:db8::1',
  ])('"%s" is none', (text) => {
    expect(isIpv4(text)).toBe(false);
  });
});

describe('an IPv6 address: RFC 4291 §2.2', () => {
  it.each([
    // The examples of the RFC.
    'ABCD:EF01:2345:6789:ABCD:EF01:2345:6789',
    '2001:DB8:0:0:8:800:200C:417A',
    '2001:DB8::8:800:200C:417A',
    'FF01::101',
    '::1',
    '::',
    '0:0:0:0:0:0:13.1.68.3',
    '0:0:0:0:0:FFFF:129.144.52.38',
    '::13.1.68.3',
    '::FFFF:129.144.52.38',
    // :: stands for one group or more.
    '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8',
    '1:2:3::5:6:7:8',
    '1::3:4:5:6:192.0.2.1',
    '2001:db8::',
  ])('%s', (text) => {
    expect(isIpv6(text)).toBe(true);
  });

  it.each([
    '',
    ':',
    ':::',
    '1',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '1:2:3:4:5:6:7:8::',
    '1::2::3',
    '::1::',
    ':1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:',
    '1:2:3:4:5:6:7:g',
    'g::1',
    '1::g',
    '2001:db8::00001',
    '12345::',
    '1:2:3:4:5:6:7:192.0.2.1',
    '1:2:3:4:5:192.0.2.1',
    '1:2:3:4:5:6:192.0.2.256',
    '1:2:3:4:5:192.0.2.1:6',
    '192.0.2.1::',
    '::192.0.2.256',
    '::192.0.2',
    '::g:192.0.2.1',
    '1::2:3:4:5:6:192.0.2.1',
    'fe80::1%eth0',
    '::1 ',
    ' ::1',
    '192.0.2.1',
  ])('"%s" is none', (text) => {
    expect(isIpv6(text)).toBe(false);
  });
});

describe('a prefix length: RFC 7208 §12, ip4-cidr-length and ip6-cidr-length', () => {
  it.each([
    ['0', 32],
    ['1', 32],
    ['24', 32],
    ['32', 32],
    ['0', 128],
    ['33', 128],
    ['100', 128],
    ['128', 128],
  ] as const)('%s of %i', (text, most) => {
    expect(isPrefixLength(text, most)).toBe(true);
  });

  it.each([
    ['33', 32],
    ['100', 32],
    ['129', 128],
    ['1000', 128],
    ['', 32],
    ['00', 32],
    ['024', 32],
    ['-1', 32],
    ['+1', 32],
    [' 24', 32],
    ['24 ', 32],
    ['2.0', 32],
    ['1e1', 32],
    ['0x8', 32],
  ] as const)('"%s" is none of %i', (text, most) => {
    expect(isPrefixLength(text, most)).toBe(false);
  });
});

describe('the family of an address or a network', () => {
  it.each([
    ['192.0.2.1', 'ip4'],
    ['192.0.2.0/24', 'ip4'],
    ['0.0.0.0/0', 'ip4'],
    ['192.0.2.1/32', 'ip4'],
    ['2001:db8::1', 'ip6'],
    ['2001:db8::/32', 'ip6'],
    ['2001:db8::1/128', 'ip6'],
    ['::ffff:192.0.2.1', 'ip6'],
  ])('%s: %s', (text, family) => {
    expect(networkFamily(text)).toBe(family);
  });

  it.each([
    '',
    '/24',
    '192.0.2.0/33',
    '192.0.2.0/',
    '192.0.2.0/24/',
    '192.0.2.0/24/24',
    '192.0.2/24',
    '2001:db8::/129',
    '2001:db8::/',
    '2001:db8::/32/',
    '2001:db8/32',
    'mx1.example.jp',
  ])('"%s" has none', (text) => {
    expect(networkFamily(text)).toBeUndefined();
  });
});
