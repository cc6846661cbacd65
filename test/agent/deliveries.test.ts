// What is noted of how bundles come, and that nothing rests on it.
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openDeliveries, readDeliveries } from '../../agent/deliveries.ts';
import { add, type Instant, minutes, seconds } from '../../core/time.ts';
import { noon } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

let dir: string;
let clock: Instant;
let lines: string[];
beforeEach(() => {
  dir = temporaryFolder();
  clock = noon;
  lines = [];
});

const open = () => openDeliveries(dir, { now: () => clock, log: (line) => lines.push(line) });
const receive = async (bundle: string): Promise<string> => {
  if (bundle === 'refused') throw new Error('untrusted');
  return `acknowledged ${bundle}`;
};

describe('the record of deliveries', () => {
  it('knows a push, and forgets the pulls before it', async () => {
    const record = await open();
    expect(await record.note('pull', receive)('one')).toBe('acknowledged one');
    expect(await readDeliveries(dir)).toEqual({ pulls: { since: noon, last: noon, times: 1 } });
    clock = add(clock, seconds(10));
    await record.note('push', receive)('two');
    expect(await readDeliveries(dir)).toEqual({ pushed: clock });
    expect(statSync(join(dir, 'deliveries.json')).mode & 0o777).toBe(0o600);
  });

  it('counts occasions, not the parts of a snapshot; over a restart too', async () => {
    const record = await open();
    const pull = record.note('pull', receive);
    for (let part = 0; part < 5; part += 1) await pull(`part ${part}`);
    clock = add(clock, minutes(6));
    await (await open()).note('pull', receive)('next');
    expect(await readDeliveries(dir)).toEqual({ pulls: { since: noon, last: clock, times: 2 } });
  });

  it('is written once an hour where all is pushed', async () => {
    const push = (await open()).note('push', receive);
    await push('one');
    rmSync(join(dir, 'deliveries.json'));
    clock = add(clock, minutes(59));
    await push('two');
    expect(readdirSync(dir)).toEqual([]);
    clock = add(clock, minutes(1));
    await push('three');
    expect(await readDeliveries(dir)).toEqual({ pushed: clock });
  });

  it('knows nothing of a bundle that is refused', async () => {
    await expect((await open()).note('push', receive)('refused')).rejects.toThrow('untrusted');
    expect(await readDeliveries(dir)).toEqual({});
  });

  it('begins anew where its file is damaged, and a bundle holds where it cannot be written', async () => {
    writeFileSync(join(dir, 'deliveries.json'), '{"pushed": "yesterday"}');
    expect(await readDeliveries(dir)).toEqual({});
    const record = await open();
    rmSync(join(dir, 'deliveries.json'));
    mkdirSync(join(dir, 'deliveries.json', 'in the way'), { recursive: true });
    expect(await record.note('push', receive)('one')).toBe('acknowledged one');
    expect(lines).toEqual([expect.stringContaining('how bundles come cannot be noted')]);
  });
});
