// How long a rotation takes on an imitation of AWS, without faults and in true time: from the request to the first message
// signed with the new key. `node test/torture/aws-latency.ts [rotations] [seconds until INSYNC]`. Sweeps come each minute and
// negative answers are cached nowhere (SOA minimum 0).
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { rotationState } from '../../core/key/state.ts';
import { seconds } from '../../core/time.ts';
import { stream } from '../simulation/random.ts';
import { createDriver } from './aws-drive.ts';
import { makePlace, type Place } from './aws-place.ts';

const domain = 'mail.example.jp';
const patience = 300_000;

const selectorsSigned = async ({ milters }: Place): Promise<string> => {
  const id = randomUUID();
  const { raw } = await sendThroughMilter(
    { host: '127.0.0.1', port: milters.get('mx1.example.jp') ?? 0 },
    {
      macros: { i: id },
      from: `jo@${domain}`,
      to: ['rcpt@example.com'],
      raw: Buffer.from(`From: Jo <jo@${domain}>\r\nSubject: ${id}\r\n\r\nHello.\r\n`),
    },
  );
  return [
    ...Buffer.from(raw)
      .toString('latin1')
      .matchAll(/\bs=([\w-]+)/g),
  ]
    .map(([, selector]) => selector)
    .join(' ');
};

const until = async (holds: () => Promise<boolean> | boolean): Promise<void> => {
  for (const end = Date.now() + patience; !(await holds()); await sleep(10))
    if (Date.now() > end) throw new Error('it takes too long');
};

const isDone = ({ watch, domains }: Place): boolean =>
  watch.domains.size === domains.size &&
  [...watch.domains.values()].every(
    (row) =>
      row.rotations.length > 0 && row.rotations.every((rotation) => rotationState(row, rotation) === 'done'),
  );

/** Milliseconds of each rotation, in their order. */
export const measureSwitch = async (rotations: number, secondsToSync: number): Promise<number[]> => {
  const random = stream(1, 'latency');
  const place = await makePlace({
    random,
    negativeTtl: seconds(0),
    syncDelay: seconds(secondsToSync),
    lags: [seconds(0), seconds(Math.max(0, secondsToSync - 1))],
    skews: [],
    pullEvery: 60_000,
    hosts: ['push', 'push'],
    log: () => {},
  });
  const driver = createDriver(place, { ...random, chance: () => false }, () => {});
  await driver.sweep();
  const sweeps = setInterval(() => void driver.sweep(), 60_000);
  try {
    await until(() => isDone(place));
    const taken: number[] = [];
    while (taken.length < rotations) {
      // At any moment between two sweeps.
      await sleep(random.int(0, secondsToSync * 1_000));
      const before = await selectorsSigned(place);
      const began = performance.now();
      const status = await driver.order(domain, 'rotate');
      if (status !== 202) throw new Error(`the rotation was refused with ${status}`);
      await until(async () => (await selectorsSigned(place)) !== before);
      taken.push(performance.now() - began);
      await until(() => isDone(place));
    }
    if (place.watch.violations.length > 0) throw new Error(place.watch.violations.join('\n'));
    return taken;
  } finally {
    clearInterval(sweeps);
    await driver.stop();
    await place.close();
  }
};

if (import.meta.main) {
  const [rotations = '5', sync = '0'] = process.argv.slice(2);
  const taken = (await measureSwitch(Number(rotations), Number(sync))).map(Math.round);
  const median = taken.toSorted((a, b) => a - b)[taken.length >> 1];
  process.stdout.write(`INSYNC after ${sync} s: ${taken.join(', ')} ms; median ${median} ms\n`);
}
