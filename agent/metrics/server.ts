// `GET /metrics` for Prometheus and `GET /healthz` for whoever watches this host: HTTP on loopback, without a password. Owns
// its listening socket.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { describe, SelkieError } from '../../core/errors.ts';

export interface Health {
  /** What keeps this host from signing all its mail; empty: it signs. */
  readonly trouble: readonly string[];
}

export interface MetricsServerOptions {
  /** `127.0.0.1:9463`, `[::1]:9463` or `localhost:9463`; port 0: the system's choice. */
  readonly listen: string;
  /** Prometheus' text format. */
  readonly text: () => Promise<string>;
  readonly health: () => Promise<Health>;
  readonly log: (line: string) => void;
}

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

const isLoopback = (host: string): boolean => {
  const version = isIP(host);
  return host === 'localhost' || (version !== 0 && loopback.check(host, version === 4 ? 'ipv4' : 'ipv6'));
};

/** @throws SelkieError invalid, with field `metrics`, where it is no address, or one that others can reach */
export const metricsAddress = (text: string): { readonly host: string; readonly port: number } => {
  const [, v6, name, digits = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535)
    throw new SelkieError('invalid', `metrics: ${text} is no address: write 127.0.0.1:9463.`, {
      field: 'metrics',
    });
  if (!isLoopback(host))
    throw new SelkieError(
      'invalid',
      `metrics: ${host} can be reached from elsewhere, and the figures have no password. Listen on 127.0.0.1:${port}, and let a collector or an HTTPS proxy on this host pass them on.`,
      { field: 'metrics' },
    );
  return { host, port };
};

const answer = (response: ServerResponse, status: number, type: string, body: string): void => {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
};

const serve = async (
  request: IncomingMessage,
  response: ServerResponse,
  { text, health, log }: MetricsServerOptions,
): Promise<void> => {
  try {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return answer(response.setHeader('allow', 'GET, HEAD'), 405, 'text/plain', 'Only GET is for here.\n');
    const [path] = (request.url ?? '').split('?', 1);
    if (path === '/metrics')
      return answer(response, 200, 'text/plain; version=0.0.4; charset=utf-8', await text());
    if (path === '/healthz') {
      const { trouble } = await health();
      const signs = trouble.length === 0;
      const body = JSON.stringify({ status: signs ? 'ok' : 'failing', trouble });
      return answer(response, signs ? 200 : 503, 'application/json', `${body}\n`);
    }
    answer(response, 404, 'text/plain', 'Here are /metrics and /healthz.\n');
  } catch (error) {
    log(`metrics: ${describe(error)}`);
    if (!response.headersSent) answer(response, 500, 'text/plain', "See the agent's log.\n");
  }
};

/** @throws SelkieError invalid, with field `metrics`, where the address cannot be listened on, or is no loopback address */
export const startMetricsServer = async (options: MetricsServerOptions): Promise<MetricsServer> => {
  const { host, port } = metricsAddress(options.listen);
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 60_000, maxHeaderSize: 8_192 },
    (request, response) => void serve(request, response, options),
  );
  server.maxConnections = 32;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === 'EADDRINUSE' ? 'it is in use: choose another port' : `it fails: ${cause.message}`;
      reject(
        new SelkieError('invalid', `metrics: cannot listen on ${options.listen}, ${why}.`, {
          field: 'metrics',
          cause,
        }),
      );
    });
    server.listen({ host, port }, resolve);
  });
  server.on('error', (error) => options.log(`metrics: ${error.message}`));
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
