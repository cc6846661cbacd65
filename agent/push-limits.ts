// How much one address may ask of the push endpoint: token buckets in a table of bounded size. Pure; time comes from outside.
import { isIPv4, isIPv6 } from 'node:net';

export interface Bucket {
  /** Tokens at the start, and the most that there may be. */
  readonly burst: number;
  /** Tokens that come back in a second. */
  readonly perSecond: number;
}

export interface Limiter {
  /** Whether a token was there; it is taken. */
  take(address: string): boolean;
  /** Whether a token is there. */
  has(address: string): boolean;
  readonly size: number;
}

/** `2001:db8:1:2` of `2001:db8:1:2:3:4:5:6`; `::` filled up. */
const prefix64 = (address: string): string => {
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? [];
  const groups = (text: string | undefined): string[] => (text ?? '').split(':').filter((one) => one !== '');
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  return (tail === undefined ? left : [...left, ...zeros, ...right])
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':');
};

/** Who counts as one: an IPv4 address, also one that is mapped into IPv6; the /64 that one subscriber has of IPv6. */
export const neighbour = (address: string): string => {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined && isIPv4(mapped)) return mapped;
  return isIPv6(address) ? `${prefix64(address)}::/64` : address;
};

/**
 * @param now milliseconds, never backwards
 * @param size entries at most; whoever was not seen for longest is forgotten, and begins anew with a full bucket
 */
export const createLimiter = ({ burst, perSecond }: Bucket, now: () => number, size = 4_096): Limiter => {
  const buckets = new Map<string, { readonly tokens: number; readonly at: number }>();
  const tokensOf = (key: string): number => {
    const known = buckets.get(key);
    if (known === undefined) return burst;
    return Math.min(burst, known.tokens + ((now() - known.at) / 1_000) * perSecond);
  };
  return {
    take(address) {
      const key = neighbour(address);
      const tokens = tokensOf(key);
      const had = tokens >= 1;
      buckets.delete(key);
      buckets.set(key, { tokens: had ? tokens - 1 : tokens, at: now() });
      for (const oldest of buckets.keys()) {
        if (buckets.size <= size) break;
        buckets.delete(oldest);
      }
      return had;
    },
    has: (address) => tokensOf(neighbour(address)) >= 1,
    get size() {
      return buckets.size;
    },
  };
};
