// A control plane for tests of the agent: answers pulls from a list of bundles and keeps what it is sent. HTTP on loopback.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TestControlPlane {
  readonly url: string;
  /** Given out one by one; then 204. A number is answered as a status. */
  readonly bundles: (string | number)[];
  /** Method and path of each request, and its body. */
  readonly seen: { readonly what: string; readonly body: string }[];
  /** What GET /v1/bundle-keys shows. */
  bundleKeys: unknown;
  close(): Promise<void>;
}

export const startControlPlane = async (): Promise<TestControlPlane> => {
  const bundles: (string | number)[] = [];
  const seen: { what: string; body: string }[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push({ what: `${request.method} ${request.url}`, body });
    if (request.url === '/v1/bundle-keys') return response.end(JSON.stringify(plane.bundleKeys));
    if (request.url?.endsWith('/acknowledgements')) return response.writeHead(204).end();
    const next = bundles.shift() ?? 204;
    return typeof next === 'number' ? response.writeHead(next).end() : response.writeHead(200).end(next);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const plane: TestControlPlane = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bundles,
    seen,
    bundleKeys: {},
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return plane;
};
