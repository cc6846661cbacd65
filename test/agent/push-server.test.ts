import { generateKeyPairSync } from 'node:crypto';
import type { RequestOptions } from 'node:https';
import { createServer } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { selfSigned } from '../../agent/certificate.ts';
import { type PushServer, startPushServer } from '../../agent/push-server.ts';
import { limits } from '../../contract/manifest.ts';
import { SelkieError } from '../../core/errors.ts';
import { instant } from '../../core/time.ts';
import { freePort } from '../tools/free-port.ts';
import { type PushAnswer, pushRequest } from '../tools/push-request.ts';

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const tls = {
  key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  cert: selfSigned(keys, '127.0.0.1', instant(Date.now())),
};

let server: PushServer;
let receive: (bundle: string) => Promise<string>;
let lines: string[] = [];
const options = {
  address: '127.0.0.1',
  tls,
  receive: (bundle: string) => receive(bundle),
  log: (line: string) => void lines.push(line),
};
beforeAll(async () => {
  server = await startPushServer({ ...options, port: 0 });
});
afterAll(() => server.close());
beforeEach(() => {
  lines = [];
  receive = async (bundle) => `${bundle} taken`;
});

const send = (body: string, more: RequestOptions = {}): Promise<PushAnswer> =>
  pushRequest(body, { port: server.port, ca: tls.cert, ...more });

describe('the push server', () => {
  it('answers a bundle with its acknowledgement', async () =>
    expect(await send('a bundle')).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/jose' },
      body: 'a bundle taken',
    }));

  it.each<[string, RequestOptions, number]>([
    ['another path', { path: '/' }, 404],
    ['a path below', { path: '/v1/bundle/x' }, 404],
    ['another method', { method: 'PUT' }, 405],
    ['a body that says it is too long', { headers: { 'content-length': limits.bundle + 1 } }, 413],
  ])('refuses %s', async (_, more, status) => {
    const answer = await send('', more).catch((error: unknown) => expect.unreachable(String(error)));
    expect(answer).toMatchObject({ status, headers: { 'content-type': 'application/problem+json' } });
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'about:blank', status });
  });

  it('refuses a body that is too long and did not say so', async () => {
    const more = { headers: { 'transfer-encoding': 'chunked' } };
    const seen: string[] = [];
    receive = async (bundle) => {
      seen.push(bundle);
      return 'taken';
    };
    // It may hang up while we still write.
    const answer = await send('x'.repeat(limits.bundle + 1), more).catch(() => undefined);
    if (answer !== undefined) expect(answer.status).toBe(413);
    expect(await send('a bundle')).toMatchObject({ status: 200 });
    expect(seen).toEqual(['a bundle']);
  });

  it.each([
    [new SelkieError('untrusted', 'The manifest has expired.'), 403, 'The manifest has expired.'],
    [new SelkieError('invalid', 'The payload is not JSON.'), 400, 'The payload is not JSON.'],
    [new Error('ENOSPC: /var/lib/selkie-agent'), 500, 'The host could not apply the bundle: see its log.'],
  ])('tells the sender and the log of %s', async (error, status, detail) => {
    receive = () => Promise.reject(error);
    const answer = await send('x');
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ status, detail });
    expect(lines).toEqual([`push from 127.0.0.1 refused: ${error.message}`]);
  });

  it('speaks TLS 1.3 only', async () => {
    const version = (maxVersion: 'TLSv1.2' | 'TLSv1.3') =>
      new Promise((resolve) => {
        const socket = connect({ host: '127.0.0.1', port: server.port, ca: tls.cert, maxVersion }, () => {
          resolve(socket.getProtocol());
          socket.destroy();
        });
        socket.once('error', () => resolve('refused'));
      });
    expect(await version('TLSv1.3')).toBe('TLSv1.3');
    expect(await version('TLSv1.2')).toBe('refused');
  });

  it('says which setting is wrong where the port is taken', async () => {
    const port = await freePort();
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve));
    try {
      await expect(startPushServer({ ...options, port })).rejects.toMatchObject({
        code: 'invalid',
        field: 'pushPort',
        message: expect.stringContaining(`${port} is in use`),
      });
    } finally {
      squatter.close();
    }
  });

  it('answers what is in hand before it ends', async () => {
    const other = await startPushServer({ ...options, port: 0 });
    let go = (_: string): void => {};
    let begun = (): void => {};
    const started = new Promise<void>((resolve) => {
      begun = resolve;
    });
    receive = () =>
      new Promise((resolve) => {
        go = resolve;
        begun();
      });
    const answer = send('x', { port: other.port });
    await started;
    const closed = other.close();
    go('done');
    expect(await answer).toMatchObject({ status: 200, body: 'done' });
    await closed;
    await expect(send('x', { port: other.port })).rejects.toThrow(/ECONNREFUSED/);
  });
});
