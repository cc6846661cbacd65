// Counts become lines of the embedded metric format.
import { describe, expect, it } from 'vitest';
import { SelkieError } from '../../core/errors.ts';
import { createMeter } from '../../functions/metrics.ts';
import { countingThrottles } from '../../functions/wire.ts';

const meter = () => {
  const lines: Readonly<Record<string, unknown>>[] = [];
  return {
    lines,
    ...createMeter({
      service: 'selkie',
      now: () => 1_700_000_000_000,
      write: (line) => void lines.push(line),
    }),
  };
};

describe('a meter', () => {
  it('writes what was counted as one object of the embedded metric format', () => {
    const { lines, count, flush } = meter();
    count('HostsSilent', 2, ['mx1', 'mx2']);
    count('CallsThrottled', 0);
    flush();
    expect(lines).toEqual([
      {
        _aws: {
          Timestamp: 1_700_000_000_000,
          CloudWatchMetrics: [
            {
              Namespace: 'Selkie',
              Dimensions: [['Service']],
              Metrics: [
                { Name: 'HostsSilent', Unit: 'Count' },
                { Name: 'CallsThrottled', Unit: 'Count' },
              ],
            },
          ],
        },
        Service: 'selkie',
        HostsSilent: 2,
        CallsThrottled: 0,
        which: { HostsSilent: ['mx1', 'mx2'] },
      },
    ]);
  });

  // Every dimension and every metric that the directive names has its member at the root: the specification's rule.
  it('names nothing that the line does not have', () => {
    const { lines, count, flush } = meter();
    count('RotationsOverdue', 1, ['example.com']);
    flush();
    const line: Readonly<Record<string, unknown>> = JSON.parse(JSON.stringify(lines[0]));
    const { CloudWatchMetrics } = line._aws as {
      CloudWatchMetrics: { Dimensions: string[][]; Metrics: { Name: string }[] }[];
    };
    for (const { Dimensions, Metrics } of CloudWatchMetrics) {
      for (const dimension of Dimensions.flat()) expect(line[dimension]).toEqual(expect.any(String));
      for (const { Name } of Metrics) expect(line[Name]).toEqual(expect.any(Number));
    }
  });

  it('adds up, and begins anew after each line', () => {
    const { lines, count, flush } = meter();
    flush();
    count('CallsThrottled', 1, ['writer submit']);
    count('CallsThrottled', 2, ['vault store']);
    flush();
    flush();
    count('CallsThrottled', 4);
    flush();
    expect(lines.map((line) => line.CallsThrottled)).toEqual([3, 4]);
    expect(lines[0]?.which).toEqual({ CallsThrottled: ['writer submit', 'vault store'] });
  });

  it('names twenty of many', () => {
    const { lines, count, flush } = meter();
    const names = Array.from({ length: 30 }, (_, n) => `d${n}`);
    count('DriftFound', 30, names);
    flush();
    expect(lines[0]).toMatchObject({ DriftFound: 30, which: { DriftFound: names.slice(0, 20) } });
  });
});

describe('a port whose throttled calls are counted', () => {
  const port = {
    size: 3,
    async work(fails?: 'throttled' | 'busy'): Promise<number> {
      if (fails !== undefined) throw new SelkieError(fails, 'not now');
      return this.size;
    },
    fits: (n: number): number => n,
  };

  it('works as before, and counts only what was throttled', async () => {
    const { lines, flush, ...counting } = meter();
    const counted = countingThrottles(port, 'writer', counting);
    expect([await counted.work(), counted.fits(7), counted.size]).toEqual([3, 7, 3]);
    await expect(counted.work('busy')).rejects.toMatchObject({ code: 'busy' });
    flush();
    expect(lines).toEqual([]);
    await expect(counted.work('throttled')).rejects.toMatchObject({ code: 'throttled' });
    flush();
    expect(lines).toMatchObject([{ CallsThrottled: 1, which: { CallsThrottled: ['writer work'] } }]);
  });
});
