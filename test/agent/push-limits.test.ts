import { describe, expect, it } from 'vitest';
import { createLimiter, neighbour } from '../../agent/push-limits.ts';

describe('a token bucket', () => {
  const make = (size?: number) => {
    const clock = { now: 0 };
    return { clock, limiter: createLimiter({ burst: 3, perSecond: 0.5 }, () => clock.now, size) };
  };
  const taken = (limiter: ReturnType<typeof make>['limiter'], address: string, times: number) =>
    Array.from({ length: times }, () => limiter.take(address)).filter(Boolean).length;

  it('gives its burst, then what comes back, never more', () => {
    const { clock, limiter } = make();
    expect(taken(limiter, '192.0.2.1', 10)).toBe(3);
    clock.now = 1_900;
    expect(limiter.has('192.0.2.1')).toBe(false);
    clock.now = 2_000;
    expect(taken(limiter, '192.0.2.1', 10)).toBe(1);
    clock.now = 1e9;
    expect(taken(limiter, '192.0.2.1', 10)).toBe(3);
  });

  it('is one for each address, and asking takes nothing', () => {
    const { limiter } = make();
    for (let i = 0; i < 10; i += 1) expect(limiter.has('192.0.2.1')).toBe(true);
    expect([taken(limiter, '192.0.2.1', 9), taken(limiter, '192.0.2.2', 9)]).toEqual([3, 3]);
  });

  it('fills a table of bounded size, and keeps whoever came last', () => {
    const { limiter } = make(100);
    taken(limiter, '192.0.2.1', 3);
    for (let i = 0; i < 10_000; i += 1) {
      limiter.take(`2001:db8:${(i >> 8).toString(16)}:${(i & 255).toString(16)}::1`);
      limiter.take('192.0.2.1');
    }
    expect(limiter.size).toBe(100);
    expect(limiter.has('192.0.2.1')).toBe(false);
  });

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ])('%s counts as %s', (address, one) => expect(neighbour(address)).toBe(one));
});
