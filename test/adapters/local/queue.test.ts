import { describe, expect, test } from 'vitest';
import { createLocalQueue, systemTimer } from '../../../adapters/local/queue.ts';
import { milliseconds, seconds } from '../../../core/time.ts';
import type { Unit } from '../../../engine/ports.ts';
import { queueContract } from '../../contracts/queue.ts';
import { createVirtualTimer } from '../../tools/virtual-timer.ts';

const one: Unit = { kind: 'host', host: 'mx1' };
const two: Unit = { kind: 'host', host: 'mx2' };
const cohort = (...domains: string[]): Unit => ({ kind: 'cohort', domains });

const open = () => {
  const timer = createVirtualTimer();
  const queue = createLocalQueue({ timer: timer.after, retryAfter: seconds(5) });
  const done: Unit[] = [];
  const work = async (unit: Unit): Promise<void> => {
    done.push(unit);
  };
  return { timer, queue, done, work };
};

queueContract('one process', async () => {
  const { timer, queue } = open();
  return {
    queue,
    async receive() {
      const units: Unit[] = [];
      await queue.drain(async (unit) => {
        units.push(unit);
      });
      return units;
    },
    pass: async (length) => timer.pass(length),
    stop: async () => queue.close(),
  };
});

describe('one process', () => {
  test('equal units that wait become one, whatever the order of their domains', async () => {
    const { queue, done, work } = open();
    await queue.send([one, cohort('b.example', 'a.example'), one, two, cohort('a.example', 'b.example')]);
    await queue.send([cohort('a.example'), cohort()]);
    expect(queue.waiting).toBe(5);
    expect(await queue.drain(work)).toBe(5);
    expect(done).toEqual([one, cohort('b.example', 'a.example'), two, cohort('a.example'), cohort()]);
  });

  test('an equal unit sent while one is worked on is done again', async () => {
    const { queue, done } = open();
    await queue.send([one]);
    let again = true;
    await queue.drain(async (unit) => {
      done.push(unit);
      if (again) await queue.send([unit, unit]);
      again = false;
    });
    expect(done).toEqual([one, one]);
  });

  test('a delayed unit becomes one with an equal one that waits', async () => {
    const { queue, timer, done, work } = open();
    await queue.send([one], seconds(10));
    await queue.send([one], seconds(20));
    timer.pass(seconds(20));
    await queue.drain(work);
    expect(done).toEqual([one]);
  });

  test('a unit whose work throws comes back later, and the others go on', async () => {
    const { queue, timer, done } = open();
    await queue.send([one, two]);
    const failures: string[] = [];
    let broken = true;
    const work = async (unit: Unit): Promise<void> => {
      if (broken && unit === one) throw new Error('the zone is busy');
      done.push(unit);
    };
    await queue.drain(work, (unit, error) => failures.push(`${JSON.stringify(unit)} ${error}`));
    expect(done).toEqual([two]);
    expect(failures).toEqual([`${JSON.stringify(one)} Error: the zone is busy`]);
    broken = false;
    timer.pass(seconds(4.9));
    expect(await queue.drain(work)).toBe(0);
    timer.pass(seconds(0.1));
    expect(await queue.drain(work)).toBe(1);
    expect(done).toEqual([two, one]);
  });

  test('next waits for a unit, and each goes to one taker', async () => {
    const { queue, timer } = open();
    const takers = [queue.next(), queue.next()];
    await queue.send([one]);
    await queue.send([two], seconds(1));
    timer.pass(seconds(1));
    expect(await Promise.all(takers)).toEqual([one, two]);
    expect(queue.waiting).toBe(0);
  });

  test('consume goes on until the queue is closed', async () => {
    const { queue, timer, done, work } = open();
    const consumer = queue.consume(work);
    await queue.send([one]);
    await queue.send([two], seconds(1));
    timer.pass(seconds(1));
    await new Promise(setImmediate);
    expect(done).toEqual([one, two]);
    queue.close();
    await consumer;
    expect(await queue.next()).toBeUndefined();
  });

  test('a unit in hand is finished when the queue closes: what it sends is forgotten, and is no failure', async () => {
    const { queue } = open();
    const failed: unknown[] = [];
    const finished: Unit[] = [];
    let close = (): void => {};
    const closed = new Promise<void>((resolve) => {
      close = resolve;
    });
    const consumer = queue.consume(
      async (unit) => {
        await closed;
        await queue.send([two]);
        await queue.send([two], seconds(1));
        finished.push(unit);
      },
      (_, error) => failed.push(error),
    );
    await queue.send([one]);
    queue.close();
    close();
    await consumer;
    expect({ failed, finished, waiting: queue.waiting }).toEqual({ failed: [], finished: [one], waiting: 0 });
  });

  test('closing forgets what is delayed', async () => {
    const { queue, timer } = open();
    await queue.send([one], seconds(1));
    queue.close();
    timer.pass(seconds(2));
    expect(queue.waiting).toBe(0);
  });

  test('the system timer calls once, and can be cancelled', async () => {
    const called: string[] = [];
    const cancel = systemTimer(milliseconds(1), () => called.push('cancelled'));
    cancel();
    await new Promise<void>((resolve) => {
      const alive = setTimeout(() => {}, 10_000);
      systemTimer(milliseconds(5), () => {
        called.push('due');
        clearTimeout(alive);
        resolve();
      });
    });
    expect(called).toEqual(['due']);
  });
});
