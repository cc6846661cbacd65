// The contract of `HostTransport`, for every adapter: hosts that answer, refuse, hang, lie, or are not there.
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createPlainServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { selfSigned } from '../../agent/certificate.ts';
import { startPushServer } from '../../agent/push-server.ts';
import { SelkieError } from '../../core/errors.ts';
import type { FleetHost } from '../../core/policy.ts';
import { instant } from '../../core/time.ts';
import type { HostTransport } from '../../engine/ports.ts';
import { freePort } from '../tools/free-port.ts';
import { makeHost } from '../tools/sealed.ts';

/** @param make a transport that waits at most `timeoutMs` for one delivery */
export const hostTransportContract = (name: string, make: (timeoutMs: number) => HostTransport): void => {
  describe(`${name} as HostTransport`, () => {
    const closers: (() => Promise<unknown>)[] = [];
    afterEach(async () => {
      for (const close of closers.splice(0)) await close();
    });

    const tlsFor = (host = '127.0.0.1') => {
      const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return {
        key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        cert: selfSigned(keys, host, instant(Date.now())),
      };
    };
    const tls = tlsFor();
    const hostAt = (port: number, certificate = tls.cert): FleetHost => {
      const { name: hostName, pool, encryptionKey, signingKey } = makeHost();
      const endpoint = `https://127.0.0.1:${port}`;
      return { name: hostName, pool, encryptionKey, signingKey, endpoint, certificate };
    };

    const agent = async (receive: (bundle: string) => Promise<string>, shown = tls): Promise<number> => {
      const options = { port: 0, address: '127.0.0.1', log: () => {}, receive, tls: shown };
      const server = await startPushServer(options);
      closers.push(() => server.close());
      return server.port;
    };

    const listen = async (server: Server): Promise<number> => {
      const sockets = new Set<Socket>();
      server.on('connection', (socket: Socket) => sockets.add(socket));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closers.push(async () => {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      });
      return (server.address() as AddressInfo).port;
    };
    const serving = (listener: RequestListener) => listen(createSecureServer(tls, listener));

    const failing = async (port: number, options: { host?: FleetHost; timeoutMs?: number } = {}) => {
      const error: unknown = await make(options.timeoutMs ?? 5_000)
        .push(options.host ?? hostAt(port), 'a bundle')
        .then(
          () => expect.unreachable('it was delivered'),
          (reason: unknown) => reason,
        );
      expect(error).toBeInstanceOf(SelkieError);
      return error as SelkieError;
    };

    test('delivers a bundle and returns the answer', async () => {
      const seen: string[] = [];
      const port = await agent(async (bundle) => {
        seen.push(bundle);
        return 'an acknowledgement';
      });
      const bundle = 'x'.repeat(2_000_000);
      expect(await make(10_000).push(hostAt(port), bundle)).toBe('an acknowledgement');
      expect(seen.map((text) => text === bundle)).toEqual([true]);
    });

    test('delivers to a pinned certificate that bears another name', async () => {
      const shown = tlsFor('mx1.example.com');
      const port = await agent(async () => 'an acknowledgement', shown);
      expect(await make(5_000).push(hostAt(port, shown.cert), 'a bundle')).toBe('an acknowledgement');
    });

    test('delivers again and again', async () => {
      const port = await agent(async (bundle) => `${bundle} taken`);
      const transport = make(5_000);
      const bundles = ['a', 'b', 'c', 'd', 'e'];
      const answers = await Promise.all(bundles.map((bundle) => transport.push(hostAt(port), bundle)));
      expect(answers).toEqual(bundles.map((bundle) => `${bundle} taken`));
    });

    test('another certificate is untrusted, and sees no bundle', async () => {
      const seen: string[] = [];
      const port = await agent(async (bundle) => {
        seen.push(bundle);
        return 'an acknowledgement';
      }, tlsFor());
      const error = await failing(port);
      expect(error.code).toBe('untrusted');
      expect(error.message).toMatch(/mx1\.example\.com does not show the certificate/);
      expect(seen).toEqual([]);
    });

    test('a certificate that has run out is untrusted', async () => {
      const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      const cert = selfSigned(keys, '127.0.0.1', instant(Date.UTC(2001, 0, 1)));
      const port = await agent(async () => 'an acknowledgement', { key, cert });
      const error = await failing(port, { host: hostAt(port, cert) });
      expect(error.code).toBe('untrusted');
      expect(error.message).toMatch(/expired/);
    });

    test('a host without certificate is untrusted', async () => {
      const { certificate: _, ...host } = hostAt(1);
      expect((await failing(1, { host })).code).toBe('untrusted');
    });

    test('a host without endpoint is unreachable', async () => {
      const { endpoint: _, ...host } = hostAt(1);
      expect((await failing(1, { host })).code).toBe('host.unreachable');
    });

    test('a port where nobody listens is unreachable', async () => {
      const error = await failing(await freePort());
      expect(error.code).toBe('host.unreachable');
      expect(error.message).toMatch(/ECONNREFUSED/);
      expect(error.retry).toBe('later');
    });

    test('a server that speaks no TLS is unreachable', async () => {
      const port = await listen(createServer((_, response) => response.end('hello')));
      expect((await failing(port)).code).toBe('host.unreachable');
    });

    test('a server that has no TLS 1.3 is unreachable', async () => {
      const port = await listen(
        createSecureServer({ ...tls, maxVersion: 'TLSv1.2' }, (_, response) => response.end('hello')),
      );
      expect((await failing(port)).code).toBe('host.unreachable');
    });

    test('a server that hangs up is unreachable', async () => {
      const port = await serving((request) => request.socket.destroy());
      expect((await failing(port)).code).toBe('host.unreachable');
    });

    const hanging: [string, () => Promise<number>][] = [
      ['before the handshake', () => listen(createPlainServer(() => {}))],
      ['before it answers', () => serving(() => {})],
      ['in the middle of its answer', () => serving((_, response) => response.write('half'))],
    ];
    test.each(hanging)('a server that hangs %s is unreachable, in time', async (_, start) => {
      const port = await start();
      const begun = Date.now();
      const error = await failing(port, { timeoutMs: 300 });
      expect(error.code).toBe('host.unreachable');
      expect(error.message).toMatch(/300 ms/);
      expect(Date.now() - begun).toBeLessThan(3_000);
    });

    test('a host that refuses is quoted', async () => {
      const port = await agent(async () => {
        throw new SelkieError('untrusted', 'The manifest has expired.');
      });
      const error = await failing(port);
      expect(error.code).toBe('host.refused');
      expect(error.message).toMatch(/mx1\.example\.com answered 403: The manifest has expired\./);
    });

    test('a host that refuses in any other way is quoted in one short line', async () => {
      const detail = `no\r\n\u001b[31m${'x'.repeat(10_000)}`;
      const port = await serving((_, response) => {
        response.writeHead(503).end(JSON.stringify({ detail }));
      });
      const error = await failing(port);
      expect(error.code).toBe('host.refused');
      expect(error.message).toMatch(/answered 503/);
      expect(error.message).not.toMatch(/\p{Cc}/u);
      expect(error.message.length).toBeLessThan(500);
    });

    test('a redirect is a refusal', async () => {
      const port = await serving((_, response) => {
        response.writeHead(302, { location: 'https://127.0.0.1:1/' }).end();
      });
      expect((await failing(port)).code).toBe('host.refused');
    });

    test('an answer without end is a refusal', async () => {
      const port = await serving((_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write('x'.repeat(65_536)));
        };
        response.on('drain', more);
        more();
      });
      const error = await failing(port);
      expect(error.code).toBe('host.refused');
      expect(error.message).toMatch(/over 1048576 bytes/);
    });
  });
};
