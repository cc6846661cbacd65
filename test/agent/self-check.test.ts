// Whether the milter answers, on real sockets: ours, a full one, a stuck one, none.
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type MilterOptions, startMilter } from '../../agent/milter/server.ts';
import { askMilter } from '../../agent/self-check.ts';
import { createKeyRing } from '../../agent/signing/key-ring.ts';
import { freePort } from '../tools/free-port.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const start = async (more: Partial<MilterOptions> = {}) => {
  const lines: string[] = [];
  const milter = await startMilter({
    listen: { host: '127.0.0.1', port: 0 },
    ring: createKeyRing(),
    now: Date.now,
    log: (line) => lines.push(line),
    ...more,
  });
  onTestFinished(() => milter.close());
  return { target: { host: '127.0.0.1', port: milter.port ?? 0 }, lines };
};
const listening = async (server: Server): Promise<number> => {
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
};

it('a milter that works answers, and makes no word of it', async () => {
  const { target, lines } = await start();
  expect(await askMilter(target, 2_000)).toBe('answers');
  expect(await askMilter(target, 2_000)).toBe('answers');
  expect(lines).toEqual([]);
});

it('so it does on a unix socket', async () => {
  const path = join(temporaryFolder(), 'milter.sock');
  await start({ listen: { path } });
  expect(await askMilter({ path }, 2_000)).toBe('answers');
});

it('one with all its connections in use is full, and alive', async () => {
  const { target } = await start({ maxConnections: 1 });
  const first = connect(target);
  onTestFinished(() => void first.destroy());
  await once(first, 'connect');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await askMilter(target, 2_000)).toBe('full');
});

it('one that is stuck does not answer', async () => {
  const port = await listening(createServer(() => {}));
  expect(await askMilter({ host: '127.0.0.1', port }, 200)).toEqual({
    trouble: 'the milter did not answer within 200 ms',
  });
});

it('none does not answer', async () => {
  const port = await freePort();
  expect(await askMilter({ host: '127.0.0.1', port }, 2_000)).toEqual({
    trouble: expect.stringMatching(/does not answer: .*ECONNREFUSED/),
  });
});
