// The milter before miltertest, libmilter's own idea of an MTA, over TCP and a unix socket.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Milter, startMilter } from '../../../agent/milter/server.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import * as mailauth from '../../oracles/mailauth.ts';
import { lines, recordsOf, testKey } from '../../oracles/records.ts';
import { freePort } from '../../tools/free-port.ts';
import { describeWith, program } from '../../tools/machine.ts';

const execute = promisify(execFile);
const keys = [testKey('example.com', '240128'), testKey('example.com', '240128e', 'ed25519')];

let folder: string;
let log: string[];
let milter: Milter | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'selkie-miltertest-'));
  log = [];
});
afterEach(async () => {
  await milter?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a milter and gives its address in miltertest's form. */
const start = async (family: 'inet' | 'unix'): Promise<string> => {
  const port = await freePort();
  const path = join(folder, 'milter');
  const ring = createKeyRing();
  ring.replace(keys);
  milter = await startMilter({
    listen: family === 'inet' ? { host: '127.0.0.1', port } : { path },
    ring,
    now: () => Date.now(),
    log: (line) => log.push(line),
  });
  return family === 'inet' ? `inet:${port}@127.0.0.1` : `unix:${path}`;
};
const run = async (script: string, globals: Record<string, string>): Promise<string> => {
  const defines = Object.entries(globals).flatMap(([name, value]) => ['-D', `${name}=${value}`]);
  const file = join(import.meta.dirname, script);
  const { stdout } = await execute(program('miltertest') ?? 'miltertest', [...defines, '-s', file]);
  return stdout;
};

describeWith(['miltertest'], 'miltertest', () => {
  it.each(['inet', 'unix'] as const)('%s: a message is signed, and both signatures hold', async (family) => {
    const from = 'Jo <jo@example.com>';
    const printed = await run('sign.lua', { socket: await start(family), from, queueid: '4Fx1' });
    const signatures = printed
      .split('\n.\n')
      .slice(0, 2)
      .map((value) => `DKIM-Signature:${value.replaceAll('\n', '\r\n')}\r\n`);
    const raw = `${signatures.join('')}From: ${from}\r\nSubject: a test,\r\n folded\r\n\r\nHello,  world. \r\n\r\n\r\n`;
    expect(lines(await mailauth.verify(Buffer.from(raw), recordsOf(...keys))).sort()).toEqual([
      '240128 example.com pass',
      '240128e example.com pass',
    ]);
    expect(log).toEqual([
      '4Fx1: DKIM-Signature field added (s=240128, d=example.com)',
      '4Fx1: DKIM-Signature field added (s=240128e, d=example.com)',
    ]);
  });

  it('fails a script whose message is not signed', async () => {
    const socket = await start('inet');
    await expect(run('sign.lua', { socket, from: 'jo@example.net', queueid: 'Q' })).rejects.toThrow(
      'Command failed',
    );
    expect(log).toEqual(["Q: no signing table match for 'jo@example.net'"]);
  });

  it.each(['inet', 'unix'] as const)('%s: several messages on a connection', async (family) => {
    await run('several.lua', { socket: await start(family) });
    expect(log.map((line) => line.replace(/ \(s=240128e?,/, ' (s=…,'))).toEqual([
      ...Array(2).fill('A1: DKIM-Signature field added (s=…, d=example.com)'),
      "A3: no signing table match for 'jo@example.net'",
      "A4: can't determine message sender; accepting",
      ...Array(2).fill('A5: DKIM-Signature field added (s=…, d=example.com)'),
      ...Array(2).fill('A6: DKIM-Signature field added (s=…, d=example.com)'),
    ]);
  });
});
