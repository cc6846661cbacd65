import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readIntoOneBuffer } from '../../../agent/milter/one-buffer.ts';

let server: Server;
const sockets: Socket[] = [];
const buffers = new Set<ArrayBufferLike>();
let said: string[] = [];

beforeEach(async () => {
  sockets.length = 0;
  buffers.clear();
  said = [];
  server = createServer({ pauseOnConnect: true }, (accepted) => {
    const socket = readIntoOneBuffer(accepted, (bytes) => {
      buffers.add(bytes.buffer);
      said.push(Buffer.from(bytes).toString());
      socket.write(bytes.slice());
    });
    sockets.push(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.close();
  for (const socket of sockets) socket.destroy();
});

const client = async (): Promise<Socket> => {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
};
const echo = async (socket: Socket, text: string): Promise<string> => {
  socket.write(text);
  return String((await once(socket, 'data'))[0]);
};
const until = async (is: () => boolean): Promise<void> => {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe('sockets that are read into one buffer', () => {
  it('share it, and say what came', async () => {
    const [one, two] = [await client(), await client()];
    expect(await echo(one, 'first')).toBe('first');
    expect(await echo(two, 'second')).toBe('second');
    expect(await echo(one, 'third')).toBe('third');
    expect(said).toEqual(['first', 'second', 'third']);
    expect(buffers.size).toBe(1);
    for (const socket of [one, two]) socket.destroy();
  });

  it('can be paused and resumed', async () => {
    const one = await client();
    await echo(one, 'first');
    sockets[0]?.pause();
    one.write('second');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(said).toEqual(['first']);
    sockets[0]?.resume();
    expect(String((await once(one, 'data'))[0])).toBe('second');
    one.destroy();
  });

  it('end with their client, and are counted and waited for by their server', async () => {
    const one = await client();
    await echo(one, 'first');
    const count = (): Promise<number> =>
      new Promise((resolve) => server.getConnections((_, connections) => resolve(connections)));
    expect(await count()).toBe(1);
    let closed = false;
    server.close(() => (closed = true));
    await echo(one, 'second');
    expect(closed).toBe(false);
    one.end();
    await until(() => closed);
    expect(sockets[0]?.destroyed).toBe(true);
    expect(await count()).toBe(0);
  });

  it('that are reset say so', async () => {
    const one = await client();
    await echo(one, 'first');
    const errors: unknown[] = [];
    sockets[0]?.on('error', (error) => errors.push(error));
    one.resetAndDestroy();
    await until(() => sockets[0]?.destroyed === true);
    expect(errors).toMatchObject([{ code: 'ECONNRESET' }]);
  });

  it('are read as Node reads them where it has no handle to give', async () => {
    const plain = new PassThrough();
    const taken: string[] = [];
    const take = (bytes: Uint8Array) => taken.push(Buffer.from(bytes).toString());
    expect(readIntoOneBuffer(plain as unknown as Socket, take)).toBe(plain);
    plain.write('first');
    await until(() => taken.length > 0);
    expect(taken).toEqual(['first']);
  });
});
