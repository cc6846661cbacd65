// Whoever can reach the push endpoint and has no bundle: what it costs this host, what it tells, and that the control plane
// gets through all the same. Real TLS on loopback; 127.0.0.1 attacks, 127.0.0.9 is the control plane.
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { RequestOptions } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endpointName } from '../../adapters/push/endpoint-name.ts';
import { selfSigned } from '../../agent/certificate.ts';
import { type PushServer, startPushServer } from '../../agent/push-server.ts';
import { createReceiver } from '../../agent/receive.ts';
import { limits } from '../../contract/manifest.ts';
import { instant } from '../../core/time.ts';
import { type PushAnswer, pushRequest } from '../tools/push-request.ts';
import { fields, makeHost, makeSigner, noon, seal, skew, type TestSigner } from '../tools/sealed.ts';

const makeTls = () => {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { key, cert: selfSigned(keys, '127.0.0.1', instant(Date.now())) };
};
const [tls, other] = [makeTls(), makeTls()];
const host = makeHost();
const controlPlane = '127.0.0.9';

let signer: TestSigner;
let server: PushServer;
let lines: string[];
let clock: number;
let open: Socket[];
let applied: number;

beforeEach(async () => {
  [lines, clock, open, applied] = [[], 0, [], 0];
  signer = await makeSigner();
  const receive = createReceiver({
    host: host.name,
    identities: async () => [{ encryption: host.encryptionPrivate, signing: host.signingPrivate }],
    applier: {
      apply: async ({ manifest }) => {
        applied += 1;
        return {
          iss: host.name,
          iat: noon / 1_000,
          nonce: manifest.nonce,
          cursor: manifest.place,
          incarnation: 'incarnation-1',
          complete: true,
          failed: {},
        };
      },
    },
    trusted: async () => [signer.jwk],
    now: () => noon,
    skew,
  });
  server = await startPushServer({
    address: '127.0.0.1',
    port: 0,
    tls,
    others: async () => [tls, other],
    receive,
    log: (line) => lines.push(line),
    elapsed: () => clock,
  });
});
afterEach(async () => {
  for (const socket of open) socket.destroy();
  await server.close();
});

const send = (body: string | Buffer, more: RequestOptions = {}): Promise<PushAnswer> =>
  pushRequest(body, { port: server.port, ca: tls.cert, ...more });
const status = (...args: Parameters<typeof send>) =>
  send(...args).then(
    (answer) => answer.status,
    () => 'cut off',
  );
const good = () => seal(host, signer, [], fields());
const fromControlPlane = async () => (await send(await good(), { localAddress: controlPlane })).status;

const raw = async (text = '', more: { readonly maxVersion?: 'TLSv1.2' } = {}): Promise<TLSSocket> => {
  const socket = connect({
    host: '127.0.0.1',
    port: server.port,
    ca: tls.cert,
    checkServerIdentity: () => undefined,
    ...more,
  });
  open.push(socket);
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  socket.write(text);
  return socket;
};
const ended = (socket: Socket): Promise<number> => {
  const begun = performance.now();
  socket.resume();
  return new Promise((resolve) => socket.once('close', () => resolve(performance.now() - begun)));
};

describe('bundles that are none', () => {
  it('cost tokens; without them nothing is read any more, and the control plane is not slowed down', async () => {
    const statuses: (number | string | undefined)[] = [];
    for (let i = 0; i < 30; i += 1) statuses.push(await status('rubbish'));
    expect(statuses.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 403));
    expect(statuses.slice(20)).toEqual(Array.from({ length: 10 }, () => 429));
    expect(await fromControlPlane()).toBe(200);
    // One line says it, not one each; and it ends.
    expect(lines.filter((line) => line.includes('too many'))).toHaveLength(1);
    clock += 2_000;
    expect([await status('rubbish'), await status('rubbish')]).toEqual([403, 429]);
    clock += 60_000;
    expect(await status(await good())).toBe(200);
  });

  it('however many true ones of one address cost none', async () => {
    for (let i = 0; i < 40; i += 1) {
      clock += 100; // ten in a second
      expect(await fromControlPlane()).toBe(200);
    }
    expect(applied).toBe(40);
  });

  it.each<[string, RequestOptions & { readonly body?: string | Buffer }, number]>([
    ['another path', { path: '/' }, 404],
    ['a path that climbs', { path: '/v1/../v1/bundle' }, 404],
    ['another method', { method: 'GET' }, 405],
    ['nothing', { body: '' }, 403],
    ['a header of a JWE without a body', { body: 'e30....' }, 403],
    ['a length that is too long', { headers: { 'content-length': `${limits.bundle + 1}` } }, 413],
    ['bytes', { body: Buffer.alloc(1_000, 0xff) }, 403],
  ])('%s is refused without a word on the inside', async (_, { body = 'x', ...more }, wanted) => {
    const answer = await send(body, more);
    expect(answer.status).toBe(wanted);
    expect(answer.body).not.toMatch(/at .*\.ts|node:|Error:|\/agent\//);
    expect(lines.join('\n')).not.toMatch(/\.ts:\d/);
  });

  it('headers without end are cut off', async () => {
    expect(await status('x', { headers: { 'x-long': 'x'.repeat(20_000) } })).toBe(431);
    expect(applied).toBe(0);
  });

  it('two lengths, or a length and chunks, are refused', async () => {
    for (const head of [
      'Content-Length: 5\r\nContent-Length: 6\r\n',
      'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
    ]) {
      const socket = await raw(`POST /v1/bundle HTTP/1.1\r\nHost: x\r\n${head}\r\nhello`);
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      await ended(socket);
      expect(text).toMatch(/^HTTP\/1\.1 400/);
    }
  });
});

describe('connections', () => {
  it('by TLS 1.2, or none, get nothing', async () => {
    await expect(
      new Promise((_, reject) => {
        const socket = connect({ host: '127.0.0.1', port: server.port, ca: tls.cert, maxVersion: 'TLSv1.2' });
        socket.once('error', reject);
        socket.once('secureConnect', () => reject(new Error('connected')));
      }),
    ).rejects.toThrow(/protocol/i);
    const plain = connectTcp(server.port, '127.0.0.1');
    open.push(plain);
    plain.on('error', () => {});
    plain.write('POST /v1/bundle HTTP/1.1\r\n\r\n');
    await ended(plain);
    expect(await fromControlPlane()).toBe(200);
  });

  it('of one address are few; held open and silent, they keep the control plane from nothing', async () => {
    const held = Array.from({ length: 40 }, () => {
      const socket = connectTcp(server.port, '127.0.0.1');
      open.push(socket);
      socket.on('error', () => {});
      return socket;
    });
    const closed = await Promise.all(
      held.map((socket) =>
        Promise.race([
          ended(socket).then(() => true),
          new Promise<boolean>((r) => setTimeout(r, 1_500, false)),
        ]),
      ),
    );
    expect(closed.filter((one) => !one)).toHaveLength(16);
    expect(await fromControlPlane()).toBe(200);
  });

  it('that come without end are cut off before they shake hands', async () => {
    const outcomes: unknown[] = [];
    for (let i = 0; i < 80; i += 1) outcomes.push(await status('x', { method: 'GET' }));
    expect(outcomes.slice(64)).toEqual(Array.from({ length: 16 }, () => 'cut off'));
    expect(await fromControlPlane()).toBe(200);
    clock += 1_000;
    expect(await status('x', { method: 'GET' })).toBe(429);
  });

  it('with a slow header end within their ten seconds', async () => {
    const socket = await raw('POST /v1/bundle HTTP/1.1\r\n');
    const drip = setInterval(() => socket.write('x: y\r\n'), 500);
    const took = await ended(socket);
    clearInterval(drip);
    expect(took).toBeLessThan(13_000);
    expect(took).toBeGreaterThan(8_000);
  }, 20_000);

  it('whose bundle drips do not hold up the end of the agent', async () => {
    const socket = await raw('POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n');
    const drip = setInterval(() => socket.write('x'), 100);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const begun = performance.now();
    const closed = ended(socket);
    await server.close();
    await closed;
    clearInterval(drip);
    expect(performance.now() - begun).toBeLessThan(12_000);
  }, 20_000);
});

describe('the certificate', () => {
  const shownFor = async (servername?: string): Promise<string> => {
    const socket = connect({
      host: '127.0.0.1',
      port: server.port,
      rejectUnauthorized: false,
      ...(servername === undefined ? {} : { servername }),
    });
    open.push(socket);
    await once(socket, 'secureConnect');
    return new X509Certificate(socket.getPeerCertificate().raw).fingerprint256;
  };
  const print = ({ cert }: { readonly cert: string }) => new X509Certificate(cert).fingerprint256;
  const nameOf = ({ cert }: { readonly cert: string }) => endpointName(new X509Certificate(cert));

  it('is the one that is asked for by its key; without a name, or with a strange one, the present one', async () => {
    expect(await shownFor(nameOf(tls))).toBe(print(tls));
    expect(await shownFor(nameOf(other))).toBe(print(other));
    expect(await shownFor()).toBe(print(tls));
    expect(await shownFor('mx1.example.com')).toBe(print(tls));
    server.show(other);
    expect(await shownFor()).toBe(print(other));
    expect(await shownFor(nameOf(tls))).toBe(print(tls));
  });
});

describe('the time of a refusal', () => {
  it('does not tell a damaged bundle from one that is sealed to another key', async () => {
    const stranger = await makeSigner();
    const elsewhere = makeHost(host.name);
    const right = await good();
    const tampered = `${right.slice(0, -2)}${right.endsWith('AA') ? 'BB' : 'AA'}`;
    const wrongKey = await seal(elsewhere, signer, [], fields());
    const kinds = { tampered, wrongKey };
    const took: Record<string, number[]> = { tampered: [], wrongKey: [] };
    for (let i = 0; i < 60; i += 1) {
      clock += 60_000;
      for (const [kind, bundle] of Object.entries(kinds)) {
        const begun = performance.now();
        expect(await status(bundle)).toBe(403);
        took[kind]?.push(performance.now() - begun);
      }
    }
    const median = (times: readonly number[] = []) =>
      times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
    const [a, b] = [median(took.tampered), median(took.wrongKey)];
    expect(Math.abs(a - b)).toBeLessThan(Math.max(a, b) * 0.5);
    expect(await status(await seal(host, stranger, [], fields()))).toBe(403);
    expect(applied).toBe(0);
  }, 60_000);
});
