import { createPublicKey } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MilterTarget, openMilter, sendThroughMilter } from '../../../agent/milter/client.ts';
import { type Milter, type MilterOptions, startMilter } from '../../../agent/milter/server.ts';
import { encodePacket, steps } from '../../../agent/milter/wire.ts';
import { encodeCommand } from '../../../agent/milter/wire-command.ts';
import { createKeyRing, type KeyRing } from '../../../agent/signing/key-ring.ts';
import * as mailauth from '../../oracles/mailauth.ts';
import { messages } from '../../oracles/messages.ts';
import { lines, recordsOf, testKey } from '../../oracles/records.ts';
import { freePort } from '../../tools/free-port.ts';

const oldKey = testKey('example.com', '240128');
const newKey = testKey('example.com', '240501');
const records = recordsOf(oldKey, newKey);
const plain = messages.plain ?? Buffer.alloc(0);
const foreign = Buffer.from(
  Buffer.from(plain).toString('latin1').replace('jo@example.com', 'jo@example.org'),
);
const message = (queueId: string, raw: Uint8Array = plain, macros: Record<string, string> = {}) => ({
  macros: { i: queueId, ...macros },
  from: 'jo@example.com',
  to: ['rcpt@example.org'],
  raw,
});

let folder: string;
let ring: KeyRing;
let log: string[];
let running: Milter[];
let sockets: Socket[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'selkie-milter-'));
  ring = createKeyRing();
  ring.replace([oldKey]);
  log = [];
  running = [];
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all(running.map((milter) => milter.close()));
  rmSync(folder, { recursive: true, force: true });
});

const start = async (change: Partial<MilterOptions> = {}): Promise<Milter> => {
  const milter = await startMilter({
    listen: { host: '127.0.0.1', port: 0 },
    ring,
    now: () => Date.now(),
    log: (line) => log.push(line),
    ...change,
  });
  running.push(milter);
  return milter;
};
const at = (milter: Milter): MilterTarget => ({ host: '127.0.0.1', port: milter.port ?? 0 });
const selectorsOf = async (raw: Uint8Array): Promise<string[]> => lines(await mailauth.verify(raw, records));
const eventually = async (met: () => boolean): Promise<void> => {
  for (let i = 0; !met(); i += 1) {
    if (i === 500) throw new Error(`never happened; the log: ${log.join(' | ')}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

describe('messages', () => {
  it('are signed, and logged as administrators grep', async () => {
    const answer = await sendThroughMilter(at(await start()), message('4Fx1'));
    expect(answer.verdict).toBe('accept');
    expect(await selectorsOf(answer.raw)).toEqual(['240128 example.com pass']);
    expect(log).toEqual(['4Fx1: DKIM-Signature field added (s=240128, d=example.com)']);
  });

  it('of other domains pass as they are, without their body being asked for', async () => {
    const answer = await sendThroughMilter(at(await start()), message('4Fx1', foreign));
    expect(answer).toEqual({ verdict: 'accept', raw: foreign });
    expect(log).toEqual(["4Fx1: no signing table match for 'jo@example.org'"]);
  });

  it.each<[string, Record<string, string>, boolean]>([
    ['a stranger', {}, false],
    ['a client that logged in', { auth_type: 'PLAIN' }, true],
  ])('from outside, of %s', async (_, macros, isSigned) => {
    const answer = await sendThroughMilter(at(await start()), message('Q', plain, macros), {
      client: { host: 'mx.example.net', address: '192.0.2.1' },
    });
    expect(answer.verdict).toBe('accept');
    expect(await selectorsOf(answer.raw)).toEqual(isSigned ? ['240128 example.com pass'] : []);
    expect(log).toEqual(
      isSigned
        ? ['Q: DKIM-Signature field added (s=240128, d=example.com)']
        : ['Q: mx.example.net [192.0.2.1] not internal', 'Q: not authenticated'],
    );
  });

  it('go one after the other on a connection, also after ones that were given up', async () => {
    const milter = await openMilter(at(await start()));
    for (const raw of Object.values(messages)) {
      await milter.sendAndAbort(message('GONE', raw));
      const answer = await milter.send(message('Q', raw));
      expect(await selectorsOf(answer.raw)).toEqual(['240128 example.com pass']);
    }
    await milter.close();
    expect(log).toEqual(
      Object.keys(messages).map(() => 'Q: DKIM-Signature field added (s=240128, d=example.com)'),
    );
  });

  it('of several clients come on one connection (QUIT_NC), each client judged for itself', async () => {
    const [inside, outside] = [
      { host: 'localhost', address: '127.0.0.1' },
      { host: 'mx.example.net', address: '192.0.2.1' },
    ];
    const milter = await openMilter(at(await start()), { client: inside });
    const signedFor = async (queueId: string) => selectorsOf((await milter.send(message(queueId))).raw);
    expect(await signedFor('Q1')).toEqual(['240128 example.com pass']);
    await milter.nextClient(outside);
    expect(await signedFor('Q2')).toEqual([]);
    await milter.nextClient(inside);
    expect(await signedFor('Q3')).toEqual(['240128 example.com pass']);
    // One that goes away in the middle of its message.
    await milter.sendAndAbort(message('GONE'));
    await milter.nextClient(inside);
    expect(await signedFor('Q4')).toEqual(['240128 example.com pass']);
    await milter.close();
    expect(log).toEqual([
      'Q1: DKIM-Signature field added (s=240128, d=example.com)',
      'Q2: mx.example.net [192.0.2.1] not internal',
      'Q2: not authenticated',
      'Q3: DKIM-Signature field added (s=240128, d=example.com)',
      'Q4: DKIM-Signature field added (s=240128, d=example.com)',
    ]);
  });

  it.each<[string, { version?: number; steps?: number }]>([
    ['of version 2, without any option', { version: 2, steps: 0 }],
    ['that keeps no leading space', { steps: steps.noReplyToHeader | steps.noReplyToBody }],
    ['that wants a reply to each chunk', { steps: steps.leadingSpace }],
  ])('of an MTA %s are signed', async (_, options) => {
    const milter = at(await start());
    for (const name of ['plain', 'folded header fields', 'one megabyte of text'] as const) {
      const answer = await sendThroughMilter(milter, message('Q', messages[name]), options);
      expect(await selectorsOf(answer.raw)).toEqual(['240128 example.com pass']);
    }
  });

  it('change keys between messages: the next is signed with the new one, none with none', async () => {
    const milter = await openMilter(at(await start()));
    const seen: string[] = [];
    for (let i = 0; i < 20; i += 1) {
      const sending = milter.send(message(`Q${i}`, messages['one megabyte of text'] ?? plain));
      // At any moment of the message, as it falls.
      if (i === 10) setTimeout(() => ring.replace([newKey]), 2);
      seen.push(...(await selectorsOf((await sending).raw)));
    }
    await milter.close();
    expect(seen).toHaveLength(20);
    expect(seen.slice(0, 10)).toEqual(Array(10).fill('240128 example.com pass'));
    expect(seen.slice(11)).toEqual(Array(9).fill('240501 example.com pass'));
  });

  it('are put off where a key is unusable, and never go unsigned', async () => {
    ring.replace([{ ...oldKey, load: async () => createPublicKey(oldKey.key) }]);
    const answer = await sendThroughMilter(at(await start()), message('Q'));
    expect(answer).toEqual({ verdict: 'tempfail', raw: plain });
    expect(log).toEqual([
      'Q: cannot sign (s=240128, d=example.com): it is not a private rsa key: message put off',
    ]);
  });

  it('follow a new policy on connections from then on, the old one on those that are open', async () => {
    const milter = await start({ onUnusableKey: 'tempfail' });
    ring.replace([], new Map([['example.com/240128', 'its record is gone']]));
    const before = await openMilter(at(milter));
    milter.configure({ listen: { host: '127.0.0.1', port: 0 }, onUnusableKey: 'unsigned' });
    expect((await before.send(message('Q'))).verdict).toBe('tempfail');
    expect((await sendThroughMilter(at(milter), message('Q'))).verdict).toBe('accept');
    await before.close();
  });

  it('of many connections at once are each signed', async () => {
    const milter = at(await start());
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => sendThroughMilter(milter, message(`Q${i}`))),
    );
    for (const { raw } of answers) expect(await selectorsOf(raw)).toEqual(['240128 example.com pass']);
    expect(log).toHaveLength(50);
  });

  it('do not wait for delayed acknowledgements of TCP, though the MTA leaves Nagle on', async () => {
    const milter = await openMilter(at(await start()));
    let fastest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 30; i += 1) {
      const begun = performance.now();
      await milter.send(message('Q'));
      fastest = Math.min(fastest, performance.now() - begun);
    }
    await milter.close();
    // Such a wait is 40 ms, and every message would have it.
    expect(fastest).toBeLessThan(30);
  });

  it('cannot write lines of their own into the log', async () => {
    await sendThroughMilter(at(await start()), message('Q\r\nX', foreign));
    expect(log).toEqual(["Q??X: no signing table match for 'jo@example.org'"]);
  });
});

describe('addresses', () => {
  it('a unix socket, with its mode, gone at the end', async () => {
    const path = join(folder, 'milter');
    const milter = await start({ listen: { path, mode: 0o600 } });
    expect(milter.port).toBeUndefined();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await selectorsOf((await sendThroughMilter({ path }, message('Q'))).raw)).toEqual([
      '240128 example.com pass',
    ]);
    await milter.close();
    expect(existsSync(path)).toBe(false);
  });

  it('a unix socket, for the group that Postfix is in, by name or number', async () => {
    const path = join(folder, 'milter');
    const [name = '', , id] = readFileSync('/etc/group', 'utf8').split('\n').at(-2)?.split(':') ?? [];
    // Only root may give a file to a group that it is not in.
    const group = process.getuid?.() === 0 ? name : `${process.getgid?.()}`;
    const milter = await start({ listen: { path, group } });
    expect(statSync(path).gid).toBe(process.getuid?.() === 0 ? Number(id) : process.getgid?.());
    expect(statSync(path).mode & 0o777).toBe(0o660);
    await milter.close();
    await start({ listen: { path, mode: 0o666, group: `${statSync(folder).gid}` } });
    expect(statSync(path).gid).toBe(statSync(folder).gid);
    expect(statSync(path).mode & 0o777).toBe(0o666);
  });

  it('a group that this host does not have is named, and nothing is left behind', async () => {
    const path = join(folder, 'milter');
    await expect(start({ listen: { path, group: 'nosuchgroup' } })).rejects.toMatchObject({
      code: 'invalid',
      field: 'milter.group',
      message: expect.stringContaining('there is no group nosuchgroup on this host'),
    });
    expect(existsSync(path)).toBe(false);
  });

  it('an IPv6 address, and names it in brackets', async () => {
    const milter = await start({ listen: { host: '::1', port: 0 } });
    const { port = 0 } = milter;
    expect((await sendThroughMilter({ host: '::1', port }, message('Q'))).verdict).toBe('accept');
    await expect(start({ listen: { host: '::1', port } })).rejects.toThrow(`[::1]:${port} is in use`);
  });

  it('a stale unix socket is taken over', async () => {
    const path = join(folder, 'milter');
    // Listening on a name, renaming it and closing leaves a socket that nobody serves.
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(`${path}.old`, resolve));
    renameSync(`${path}.old`, path);
    await new Promise((resolve) => server.close(resolve));
    expect(statSync(path).isSocket()).toBe(true);
    await start({ listen: { path } });
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect((await sendThroughMilter({ path }, message('Q'))).verdict).toBe('accept');
  });

  it('a unix socket that is served is not taken', async () => {
    const path = join(folder, 'milter');
    await start({ listen: { path } });
    await expect(start({ listen: { path } })).rejects.toMatchObject({
      code: 'invalid',
      field: 'milterSocket',
    });
    expect((await sendThroughMilter({ path }, message('Q'))).verdict).toBe('accept');
  });

  it('a file that is no socket is left alone', async () => {
    const path = join(folder, 'milter');
    writeFileSync(path, 'precious');
    await expect(start({ listen: { path } })).rejects.toThrow(`${path} is there and is no socket`);
    expect(existsSync(path)).toBe(true);
  });

  it('a busy port is named', async () => {
    const port = await freePort();
    await start({ listen: { host: '127.0.0.1', port } });
    await expect(start({ listen: { host: '127.0.0.1', port } })).rejects.toMatchObject({
      code: 'invalid',
      field: 'milterPort',
      message: expect.stringContaining(`127.0.0.1:${port} is in use`),
    });
  });

  it.each<[MilterOptions['listen'], string]>([
    [{ host: '192.0.2.1', port: 0 }, 'this machine does not have that address'],
    [{ path: '/nonexistent/milter' }, 'its directory does not exist'],
  ])('%j cannot be listened on', async (listen, reason) => expect(start({ listen })).rejects.toThrow(reason));
});

describe('connections', () => {
  const raw = (milter: Milter): Socket => {
    const socket = connect(milter.port ?? 0, '127.0.0.1');
    sockets.push(socket);
    socket.resume();
    return socket;
  };
  const closed = (socket: Socket): Promise<unknown> =>
    new Promise((resolve) => socket.once('close', resolve));

  it.each([
    ['no milter client', Buffer.from('EHLO example.com\r\n'), 'a packet of 1162366031 bytes'],
    ['a command out of place', Buffer.from(encodePacket('E')), 'end-of-message while new'],
    ['an unknown command', Buffer.from(encodePacket('Z')), 'unknown command'],
  ])('of %s are closed, and the others are served on', async (_, bytes, reason) => {
    const milter = await start();
    const other = await openMilter(at(milter));
    const socket = raw(milter);
    socket.write(bytes);
    await closed(socket);
    expect(log).toEqual([expect.stringContaining(reason)]);
    expect((await other.send(message('Q'))).verdict).toBe('accept');
    await other.close();
  });

  it('that reset in the middle of a message leave nothing behind', async () => {
    const milter = await start();
    const socket = raw(milter);
    for (const command of [
      { command: 'negotiate', version: 6, actions: 0x1ff, steps: 0x1fffff },
      { command: 'mail', args: ['<jo@example.com>'] },
      { command: 'header', name: 'From', value: Buffer.from(' jo@example.com') },
      { command: 'end-of-headers' },
    ] as const)
      socket.write(encodeCommand(command));
    await new Promise((resolve) => socket.once('data', resolve));
    socket.resetAndDestroy();
    await closed(socket);
    expect((await sendThroughMilter(at(milter), message('Q'))).verdict).toBe('accept');
    await milter.close();
  });

  it('that stay silent are closed', async () => {
    const socket = raw(await start({ idleTimeout: 50 }));
    await closed(socket);
    expect(log).toEqual(['milter connection closed: nothing came for 50 ms']);
  });

  it('beyond the limit are refused, and said', async () => {
    const milter = await start({ maxConnections: 1 });
    const first = await openMilter(at(milter));
    await expect(sendThroughMilter(at(milter), message('Q'))).rejects.toMatchObject({ code: 'unavailable' });
    expect(log).toEqual(['milter connection refused: 1 are open']);
    expect((await first.send(message('Q'))).verdict).toBe('accept');
    await first.close();
  });

  it.each([
    ['at once', true],
    ['packet by packet', false],
  ])('that pipeline whole messages, %s, get all of their answers, in order', async (_, atOnce) => {
    // Slow to sign, so that packets come meanwhile.
    ring.replace([testKey('example.com', '240128', 'rsa4096')]);
    const milter = await start();
    const socket = raw(milter);
    let received = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
    });
    const packets = [
      encodeCommand({ command: 'negotiate', version: 6, actions: 0x1ff, steps: 0x1fffff }),
      ...['A', 'B', 'C'].flatMap((queueId) =>
        [
          { command: 'macros', stage: 'M', macros: new Map([['i', queueId]]) } as const,
          { command: 'mail', args: ['<jo@example.com>'] } as const,
          { command: 'header', name: 'From', value: Buffer.from(' jo@example.com') } as const,
          { command: 'end-of-headers' } as const,
          { command: 'end-of-message', chunk: Buffer.from('x\r\n') } as const,
        ].map(encodeCommand),
      ),
      encodeCommand({ command: 'quit' }),
    ];
    socket.setNoDelay(true);
    for (const packet of packets) {
      socket.write(packet);
      if (!atOnce) await new Promise((resolve) => setImmediate(resolve));
    }
    await closed(socket);
    expect(log.map((line) => line.slice(0, 2))).toEqual(['A:', 'B:', 'C:']);
    expect(received.toString('latin1').split('DKIM-Signature').length - 1).toBe(3);
  });
});

describe('any conversation', () => {
  it('ends refused or served, and the milter lives on', async () => {
    const milter = await start({ idleTimeout: 2_000 });
    const packet = fc.oneof(
      fc.uint8Array({ maxLength: 30 }),
      fc
        .tuple(
          fc.constantFrom(...'DCHMRTLNBEAKUQ'),
          fc.constantFrom('', 'Mi\0Q\0', 'x\0', 'From\0 jo@example.com\0'),
        )
        .map(([letter, data]) => encodePacket(letter, Buffer.from(data))),
      fc.constantFrom(
        ...['M', 'N', 'E', 'L'].map((letter) =>
          encodePacket(
            letter,
            Buffer.from({ M: '<jo@example.com>\0', L: 'From\0 jo@example.com\0' }[letter] ?? ''),
          ),
        ),
      ),
    );
    let served = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(packet, { minLength: 5, maxLength: 30 }), async (packets) => {
        const socket = connect(milter.port ?? 0, '127.0.0.1');
        sockets.push(socket);
        socket.on('data', (bytes: Buffer) => {
          served += bytes.length;
        });
        socket.on('error', () => undefined);
        socket.write(encodeCommand({ command: 'negotiate', version: 6, actions: 0x1ff, steps: 0x1fffff }));
        for (const bytes of packets) socket.write(bytes);
        socket.end();
        await new Promise((resolve) => socket.once('close', resolve));
      }),
      { seed: 3, numRuns: 300 },
    );
    expect(served).toBeGreaterThan(5_000);
    expect((await sendThroughMilter(at(milter), message('Q'))).verdict).toBe('accept');
    await milter.close();
  });
});

describe('close', () => {
  it('lets a message in hand be finished, ends idle connections, takes no new ones', async () => {
    const milter = await start();
    const idle = await openMilter(at(milter));
    expect((await idle.send(message('Q0', foreign))).verdict).toBe('accept');
    const socket = connect(milter.port ?? 0, '127.0.0.1');
    sockets.push(socket);
    let received = '';
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
    });
    const say = (...commands: Parameters<typeof encodeCommand>[0][]): boolean =>
      socket.write(Buffer.concat(commands.map(encodeCommand)));
    say(
      { command: 'negotiate', version: 6, actions: 0x1ff, steps: 0x1fffff },
      { command: 'macros', stage: 'M', macros: new Map([['i', 'Q1']]) },
      { command: 'mail', args: ['<jo@example.com>'] },
      { command: 'header', name: 'From', value: Buffer.from(' jo@example.com') },
      { command: 'end-of-headers' },
    );
    await eventually(() => received.split('\0\0\0\x01c').length === 3);
    let isClosed = false;
    const closing = milter.close().then(() => {
      isClosed = true;
    });
    await expect(idle.send(message('Q2'))).rejects.toMatchObject({ code: 'unavailable' });
    await expect(openMilter(at(milter))).rejects.toMatchObject({ code: 'unavailable' });
    expect(isClosed).toBe(false);
    say({ command: 'end-of-message', chunk: Buffer.from('x\r\n') });
    await closing;
    await eventually(() => received.includes('DKIM-Signature'));
    expect(log.at(-1)).toBe('Q1: DKIM-Signature field added (s=240128, d=example.com)');
  });

  it('waits for a message no longer than it may', async () => {
    const milter = await start({ closeWithin: 50 });
    const stuck = connect(milter.port ?? 0, '127.0.0.1');
    sockets.push(stuck);
    let received = '';
    stuck.on('data', (bytes) => {
      received += bytes.toString('latin1');
    });
    stuck.write(encodeCommand({ command: 'negotiate', version: 6, actions: 0x1ff, steps: 0 }));
    stuck.write(encodeCommand({ command: 'mail', args: ['<jo@example.com>'] }));
    await eventually(() => received.endsWith('c'));
    await milter.close();
    expect(log).toEqual(['milter: 1 connections had a message in hand for too long and were closed']);
  });
});
