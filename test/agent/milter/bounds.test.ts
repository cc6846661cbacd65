// Slow, broken and hostile clients: what they may hold, how long they are waited for, and that others are served meanwhile.
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMilter, sendThroughMilter } from '../../../agent/milter/client.ts';
import { sharedMemory, sureOf } from '../../../agent/milter/memory.ts';
import { type Milter, type MilterOptions, startMilter } from '../../../agent/milter/server.ts';
import { encodePacket, uint32 } from '../../../agent/milter/wire.ts';
import { type Command, encodeCommand } from '../../../agent/milter/wire-command.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { testKey } from '../../oracles/records.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const ring = createKeyRing();
ring.replace([testKey('example.com', '240128e', 'ed25519')]);
const raw = Buffer.from('From: jo@example.com\r\nSubject: a test\r\n\r\nHello.\r\n');
const message = { macros: { i: 'Q' }, from: 'jo@example.com', to: ['rcpt@example.org'], raw };
const signed = 'Q: DKIM-Signature field added (s=240128e, d=example.com)';

let log: string[];
let milter: Milter | undefined;
let sockets: Socket[];
let path: string;
beforeEach(() => {
  log = [];
  sockets = [];
  path = join(temporaryFolder(), 'milter');
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await milter?.close();
});

const start = async (change: Partial<MilterOptions> = {}): Promise<void> => {
  milter = await startMilter({
    listen: { path },
    ring,
    now: () => 0,
    log: (line) => log.push(line),
    ...change,
  });
};
const client = async (...commands: readonly Command[]): Promise<Socket> => {
  const socket = connect(path);
  sockets.push(socket);
  socket.on('error', () => undefined);
  socket.resume();
  socket.write(encodeCommand({ command: 'negotiate', version: 6, actions: 0x1ff, steps: 0x1fffff }));
  for (const command of commands) socket.write(encodeCommand(command));
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
};
const closed = (socket: Socket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));
const write = (socket: Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => socket.write(bytes, () => resolve()));
const mail: Command = { command: 'mail', args: ['<jo@example.com>'] };
const field = (name: string, value: string): Command => ({
  command: 'header',
  name,
  value: Buffer.from(value),
});

describe('time', () => {
  it('is short within the content of a message, and long between messages and in an envelope', async () => {
    await start({ idleTimeout: 60_000, contentTimeout: 100 });
    const idle = await openMilter({ path });
    const envelope = await client(mail);
    const header = await client(mail, field('From', ' jo@example.com'));
    await closed(header);
    expect(log).toEqual(['milter connection closed: nothing came for 100 ms']);
    const body = await client(mail, field('From', ' jo@example.com'), { command: 'end-of-headers' });
    await closed(body);
    expect(log).toHaveLength(2);
    expect(envelope.destroyed).toBe(false);
    expect((await idle.send(message)).verdict).toBe('accept');
    await idle.close();
  });

  it('is not won by bytes that never make a command', async () => {
    await start({ idleTimeout: 60_000, contentTimeout: 200 });
    const socket = await client(mail, field('From', ' jo@example.com'));
    socket.write(uint32(1000));
    const trickle = setInterval(() => socket.write('x'), 20);
    const started = performance.now();
    await closed(socket);
    clearInterval(trickle);
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(log).toEqual(['milter connection closed: nothing came for 200 ms']);
  });

  it('is given again with every command, whole as it comes', async () => {
    await start({ idleTimeout: 60_000, contentTimeout: 300 });
    const socket = await client(mail, field('From', ' jo@example.com'));
    for (let i = 0; i < 6; i += 1) {
      await wait(100);
      socket.write(encodeCommand(field('To', ' rcpt@example.org')));
    }
    expect(socket.destroyed).toBe(false);
    expect(log).toEqual([]);
  });
});

describe('a client that does not read', () => {
  const messages = (count: number): Uint8Array => {
    const one = Buffer.concat(
      [
        { command: 'macros', stage: 'M', macros: new Map([['i', 'Q']]) } as const,
        mail,
        field('From', ' jo@example.com'),
        { command: 'end-of-headers' } as const,
        { command: 'end-of-message', chunk: Buffer.from('x\r\n') } as const,
      ].map(encodeCommand),
    );
    return Buffer.concat(Array.from({ length: count }, () => one));
  };

  it('is served no further than its socket holds, then closed, and others are served on', async () => {
    await start({ idleTimeout: 60_000, contentTimeout: 1_000 });
    const socket = connect(path);
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(encodeCommand({ command: 'negotiate', version: 6, actions: 0x1ff, steps: 0x1fffff }));
    const count = 20_000;
    socket.write(messages(count));
    // Until it stands still: what is signed by then is what the socket's buffers hold.
    let before = -1;
    while (log.length !== before) {
      before = log.length;
      await wait(200);
    }
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(count / 4);
    await sendThroughMilter({ path }, message);
    for (let i = 0; i < 300 && !log.at(-1)?.includes('closed'); i += 1) await wait(20);
    expect(log.at(-1)).toBe('milter connection closed: replies were not read for 1000 ms');
  });

  it('is served to the end where it reads at last', async () => {
    await start({ idleTimeout: 60_000, contentTimeout: 30_000 });
    const socket = connect(path);
    sockets.push(socket);
    socket.pause();
    socket.write(encodeCommand({ command: 'negotiate', version: 6, actions: 0x1ff, steps: 0x1fffff }));
    const count = 1_500;
    socket.write(messages(count));
    socket.write(encodeCommand({ command: 'quit' }));
    await wait(300);
    expect(log.length).toBeLessThan(count);
    let received = '';
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
    });
    socket.resume();
    await closed(socket);
    expect(log).toEqual(Array(count).fill(signed));
    expect(received.split('DKIM-Signature').length - 1).toBe(count);
  });
});

describe('memory', () => {
  /** A header of `bytes` bytes, all but its end. */
  const grow = async (socket: Socket, bytes: number): Promise<void> => {
    for (let left = bytes; left > 0 && !socket.destroyed; left -= 50_000)
      await write(socket, encodeCommand(field('To', 'x'.repeat(Math.min(left, 50_000)))));
  };

  it('is shared: who wants more when there is none is closed, and a message as mail is has its own', async () => {
    await start({ memoryLimit: 1 << 20, longestHeader: 1 << 20 });
    const hogs = await Promise.all(Array.from({ length: 8 }, () => client(mail)));
    for (const hog of hogs) await grow(hog, 700_000);
    for (let i = 0; i < 100 && hogs.filter((hog) => !hog.closed).length > 2; i += 1) await wait(20);
    expect(hogs.filter((hog) => !hog.closed).length).toBeLessThanOrEqual(2);
    expect(log[0]).toBe(
      'milter connection closed: too much is held for all connections: see milter.memoryLimit',
    );
    const answer = await sendThroughMilter({ path }, message);
    expect(answer.verdict).toBe('accept');
    expect(log.at(-1)).toBe(signed);
    // What was held is given back.
    for (const hog of hogs) hog.destroy();
    await Promise.all(hogs.map(closed));
    await wait(50);
    const large = Buffer.concat([Buffer.from(`To: ${'x'.repeat(600_000)}\r\n`), raw]);
    expect((await sendThroughMilter({ path }, { ...message, raw: large })).verdict).toBe('accept');
  });

  it('counts parts of packets too', async () => {
    await start({ memoryLimit: 100_000 });
    const socket = await client(mail);
    await write(socket, Buffer.concat([uint32(1 << 20), Buffer.from('L')]));
    for (let i = 0; i < 10 && !socket.destroyed; i += 1) await write(socket, Buffer.alloc(50_000, 'x'));
    await closed(socket);
    expect(log).toEqual([
      'milter connection closed: too much is held for all connections: see milter.memoryLimit',
    ]);
  });

  it('is counted: a share grows only while there is room, and always up to what it is sure of', () => {
    const memory = sharedMemory(1_000);
    const [a, b] = [memory.share(), memory.share()];
    expect(a.hold(sureOf + 900)).toBe(true);
    expect(b.hold(sureOf)).toBe(true);
    expect(b.hold(sureOf + 101)).toBe(false);
    expect(b.hold(sureOf + 100)).toBe(true);
    expect(a.hold(sureOf + 901)).toBe(false);
    expect(a.hold(10)).toBe(true);
    expect(b.hold(sureOf + 1_000)).toBe(true);
    b.release();
    expect(a.hold(sureOf + 1_000)).toBe(true);
  });
});

describe('a header longer than is kept', () => {
  const long = Buffer.concat([Buffer.from(`To: ${'x'.repeat(2_000)}\r\n`), raw]);
  const many = Buffer.concat([Buffer.from('To:\r\n'.repeat(50)), raw]);
  it.each([
    ['of long fields', long],
    ['of many fields', many],
  ])('%s: its message waits, or passes unsigned, as the configuration says', async (_, text) => {
    await start({ longestHeader: 2_000 });
    expect((await sendThroughMilter({ path }, { ...message, raw: text })).verdict).toBe('tempfail');
    expect(log).toEqual(['Q: header too long to sign: message put off']);
    await milter?.close();
    await start({ longestHeader: 2_000, onUnusableKey: 'unsigned' });
    expect(await sendThroughMilter({ path }, { ...message, raw: text })).toEqual({
      verdict: 'accept',
      raw: text,
    });
    expect(log.at(-1)).toBe('Q: header too long to sign: passes unsigned');
  });
  it('is no hindrance to mail of others', async () => {
    await start({ longestHeader: 2_000 });
    const answer = await sendThroughMilter(
      { path },
      { ...message, raw: long },
      { client: { host: 'mx.example.net', address: '192.0.2.1' } },
    );
    expect(answer.verdict).toBe('accept');
    expect(log).toEqual(['Q: mx.example.net [192.0.2.1] not internal', 'Q: not authenticated']);
  });
});

describe('a flood of clients', () => {
  it('that say nothing, or nonsense, keeps nobody from being served', async () => {
    await start({ maxConnections: 200 });
    const mutes = await Promise.all(Array.from({ length: 150 }, () => client()));
    for (const mute of mutes.slice(0, 75)) mute.write(encodePacket('Z'));
    await Promise.all(mutes.slice(0, 75).map(closed));
    const answers = await Promise.all(Array.from({ length: 50 }, () => sendThroughMilter({ path }, message)));
    expect(answers.map(({ verdict }) => verdict)).toEqual(Array(50).fill('accept'));
    expect(mutes.filter((mute) => !mute.destroyed)).toHaveLength(75);
  });
});
