// The contract of `Queue`, for every adapter.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Duration, minutes, seconds } from '../../core/time.ts';
import type { Queue, Unit } from '../../engine/ports.ts';

export interface QueueHarness {
  readonly queue: Queue;
  /** Takes what can be received now, at once and for good; at least `atLeast` units where they come in time. */
  receive(atLeast: number): Promise<readonly Unit[]>;
  /** Lets time go on, on whatever clock the queue has. */
  pass(length: Duration): Promise<void>;
  stop(): Promise<void>;
}

const host = (n: number): Unit => ({ kind: 'host', host: `mx${n}.example.org` });
/** Each once, in one order: delivery may repeat and reorder. */
const distinct = (units: readonly Unit[]): string[] =>
  [...new Set(units.map((unit) => JSON.stringify(unit)))].toSorted();

export const queueContract = (name: string, start: () => Promise<QueueHarness>): void => {
  describe(`${name} as Queue`, () => {
    let harness: QueueHarness;
    beforeEach(async () => {
      harness = await start();
    });
    afterEach(() => harness.stop());

    test('nothing sent, nothing received', async () => {
      await harness.queue.send([]);
      expect(await harness.receive(0)).toEqual([]);
    });

    test('carries each kind of unit whole', async () => {
      const units: Unit[] = [
        { kind: 'fleet' },
        { kind: 'cohort', domains: [] },
        { kind: 'cohort', domains: ['a.example.org', 'b.example.net'] },
        { kind: 'host', host: 'mx1.example.org' },
      ];
      await harness.queue.send(units);
      expect(distinct(await harness.receive(4))).toEqual(distinct(units));
    });

    test.each([1, 10, 11, 35])('carries %i units in one call', async (count) => {
      const units = Array.from({ length: count }, (_, i) => host(i));
      await harness.queue.send(units);
      expect(distinct(await harness.receive(count))).toEqual(distinct(units));
    });

    test('what was received and sent again comes again', async () => {
      await harness.queue.send([host(1)]);
      expect(distinct(await harness.receive(1))).toEqual(distinct([host(1)]));
      await harness.queue.send([host(1)]);
      expect(distinct(await harness.receive(1))).toEqual(distinct([host(1)]));
    });

    test('equal units come at least once', async () => {
      await harness.queue.send([host(1), host(1)]);
      await harness.queue.send([host(1)]);
      expect(distinct(await harness.receive(1))).toEqual(distinct([host(1)]));
    });

    test('a delayed unit comes after its delay, not before; the others do not wait for it', async () => {
      await harness.queue.send([host(1)], seconds(2));
      await harness.queue.send([host(2)]);
      expect(distinct(await harness.receive(1))).toEqual(distinct([host(2)]));
      await harness.pass(seconds(2.1));
      expect(distinct(await harness.receive(1))).toEqual(distinct([host(1)]));
    });

    test('a delay of 15 minutes is taken, a longer one is refused', async () => {
      await harness.queue.send([host(1)], minutes(15));
      await expect(harness.queue.send([host(1)], minutes(15.1))).rejects.toMatchObject({ code: 'invalid' });
      expect(await harness.receive(0)).toEqual([]);
    });
  });
};
