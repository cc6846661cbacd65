import { afterEach, describe, expect, test } from 'vitest';
import { instant } from '../../core/time.ts';
import { stream } from '../simulation/random.ts';
import { jsonAnswer } from './aws-request.ts';
import { createHostileProxy, type HostileProxy } from './hostile-proxy.ts';
import type { StrictAccount } from './strict-account.ts';

const date = Date.UTC(2026, 0, 12);

const make = () => {
  let effects = 0;
  const account: StrictAccount = {
    perform: async () => {
      effects += 1;
      return jsonAnswer(200, { effect: effects });
    },
    performTwice: async (asked) => [await account.perform(asked), await account.perform(asked)],
    forgetToken: () => {},
    forgetChange: () => {},
    zoneAt: () => new Map(),
  };
  const proxy = createHostileProxy({
    account,
    random: stream(7, 'proxy'),
    now: () => instant(date),
    log: () => {},
  });
  return { proxy, effects: () => effects };
};

const ask = async (url: string, operation: string): Promise<string> => {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'x-amz-target': `DynamoDB_20120810.${operation}` },
      body: JSON.stringify({
        IndexName: 'due',
        ExpressionAttributeValues: { ':shard': { S: 'due#0' } },
        TransactItems: [{}],
      }),
    });
    if (Math.abs(Date.parse(response.headers.get('date') ?? '') - date) > 1_000) return 'another date';
    return `${response.status} ${await response.text()}`;
  } catch {
    return 'failed';
  }
};

describe('the hostile proxy', () => {
  let proxy: HostileProxy | undefined;
  afterEach(() => proxy?.close());

  test('does every kind of harm, and says how often', async () => {
    const made = make();
    proxy = made.proxy;
    let gate = await proxy.open(true);
    gate.hostile = true;
    const answers = new Map<string, number>();
    for (let n = 0; n < 1_500; n += 1) {
      if (gate.dead) {
        gate = await proxy.open(true);
        gate.hostile = true;
      }
      const answer = await ask(gate.url, ['Query', 'TransactWriteItems', 'GetItem'][n % 3] ?? '');
      const kind = /^200 \{"effect":\d+\}$/.test(answer) ? 'answered' : answer.replace(/^200 .*/, '200 cut');
      answers.set(kind.slice(0, 7), (answers.get(kind.slice(0, 7)) ?? 0) + 1);
    }
    const count = (...kinds: string[]): number =>
      kinds.reduce((sum, kind) => sum + (made.proxy.figures.get(kind) ?? 0), 0);
    expect(count('requests')).toBe(1_500);
    for (const [kind, n] of made.proxy.figures) expect(n, kind).toBeGreaterThan(0);
    expect([...made.proxy.figures.keys()].filter((kind) => kind !== 'requests')).toHaveLength(13);
    expect(answers.get('failed')).toBe(
      count('reset before the effect', 'reset after the effect', 'cut off', 'forgotten token', 'death'),
    );
    expect(answers.get('200 cut')).toBe(count('malformed'));
    expect(answers.has('another')).toBe(false);
    // What was done is what was let through, and the second of each pair.
    const without = count('reset before the effect', '500 before the effect', '503', 'throttle');
    expect(made.effects()).toBeGreaterThan(1_500 - without - count('stale index', 'death'));
    expect(made.effects()).toBeLessThanOrEqual(1_500 - without + count('duplicate'));
  });

  test('lets nothing through to a worker that died, and harms nobody when calm', async () => {
    const made = make();
    proxy = made.proxy;
    const gate = await proxy.open(true);
    gate.hostile = true;
    while (!gate.dead) await ask(gate.url, 'GetItem');
    await gate.died;
    const before = made.effects();
    expect(await ask(gate.url, 'GetItem')).toBe('failed');
    expect(made.effects()).toBe(before);

    proxy.calm();
    const other = await proxy.open(true);
    other.hostile = true;
    for (let n = 0; n < 100; n += 1) expect(await ask(other.url, 'Query')).toMatch(/^200 \{"effect":\d+\}$/);
  });
});
