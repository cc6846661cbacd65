// Quota buckets in memory: what DynamoDB does in one conditional write is one step here.
import type { Buckets } from '../../adapters/aws/quota.ts';
import { instant } from '../../core/time.ts';

export const createMemoryBuckets = (): Buckets => {
  const paid = new Map<string, number>();
  return {
    draw: async ({ bucket, now, cost, full, patience }) => {
      const next = Math.max(paid.get(bucket) ?? 0, now) + cost;
      if (next > now + full + patience) return undefined;
      paid.set(bucket, next);
      return instant(next);
    },
  };
};
