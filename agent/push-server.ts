// Where the control plane delivers bundles: HTTPS, POST /v1/bundle. It needs no password: a bundle proves itself. Owns its
// listening socket.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type Problem, problemOf } from '../contract/api.ts';
import { limits } from '../contract/manifest.ts';
import { describe, SelkieError } from '../core/errors.ts';
import type { Receive } from './receive.ts';

export interface PushServerOptions {
  /** An address of this machine; all of them where absent. */
  readonly address?: string;
  /** 0: the system's choice. */
  readonly port: number;
  /** PEM. */
  readonly tls: { readonly key: string; readonly cert: string };
  readonly receive: Receive;
  readonly log: (line: string) => void;
}

export interface PushServer {
  readonly port: number;
  /** Takes no more connections, and ends when the requests in hand are answered. */
  close(): Promise<void>;
}

const path = '/v1/bundle';

/** What is wrong with a request before its body matters. */
const refusal = (request: IncomingMessage): Pick<Problem, 'status' | 'title' | 'detail'> | undefined => {
  if (request.url !== path) return { status: 404, title: 'Not Found', detail: `Bundles go to ${path}.` };
  if (request.method !== 'POST')
    return { status: 405, title: 'Method Not Allowed', detail: 'Bundles are posted.' };
  if (Number(request.headers['content-length'] ?? 0) > limits.bundle) return tooLarge;
  return undefined;
};

const tooLarge = {
  status: 413,
  title: 'Content Too Large',
  detail: `A bundle has at most ${limits.bundle} characters.`,
} as const;

/** The body, or undefined where it is too long: the rest is not read. */
const bodyOf = async (request: IncomingMessage): Promise<string | undefined> => {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limits.bundle) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('latin1');
};

const answer = (response: ServerResponse, problem: Pick<Problem, 'status' | 'title' | 'detail'>): void => {
  // What is left of the request stays unread, so the connection cannot be used again.
  response.writeHead(problem.status, {
    'content-type': 'application/problem+json',
    connection: 'close',
    ...(problem.status === 405 ? { allow: 'POST' } : {}),
  });
  response.end(JSON.stringify({ type: 'about:blank', ...problem }));
};

const failure = (error: unknown): Pick<Problem, 'status' | 'title' | 'detail'> =>
  error instanceof SelkieError
    ? problemOf(error)
    : // Of a disk, say: for the host's own log, not for whoever asks.
      {
        status: 500,
        title: 'Internal Server Error',
        detail: 'The host could not apply the bundle: see its log.',
      };

const serve = async (
  request: IncomingMessage,
  response: ServerResponse,
  { receive, log }: PushServerOptions,
): Promise<void> => {
  try {
    const refused = refusal(request);
    if (refused !== undefined) return answer(response, refused);
    const body = await bodyOf(request);
    if (body === undefined) return answer(response, tooLarge);
    const acknowledgement = await receive(body);
    response.writeHead(200, { 'content-type': 'application/jose' }).end(acknowledgement);
  } catch (error) {
    // Whoever can connect can cause this line: it says no more than the sender's address and our own words.
    log(`push from ${request.socket.remoteAddress ?? 'a closed connection'} refused: ${describe(error)}`);
    if (!response.headersSent) answer(response, failure(error));
  }
};

const listening = (server: Server, { port, address }: PushServerOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'is in use: stop what listens there, or choose another' : error.message;
      reject(
        new SelkieError('invalid', `The push port ${port} ${why}.`, { field: 'pushPort', cause: error }),
      );
    });
    server.listen({ port, ...(address === undefined ? {} : { host: address }) }, () => {
      const bound = server.address();
      resolve(bound !== null && typeof bound === 'object' ? bound.port : port);
    });
  });

/** @throws SelkieError invalid, with field `pushPort`, where the port cannot be listened on */
export const startPushServer = async (options: PushServerOptions): Promise<PushServer> => {
  const server = createServer(
    {
      ...options.tls,
      minVersion: 'TLSv1.3',
      requestTimeout: 30_000,
      headersTimeout: 10_000,
      handshakeTimeout: 10_000,
      keepAliveTimeout: 5_000,
      maxHeaderSize: 8_192,
    },
    (request, response) => void serve(request, response, options),
  );
  server.maxConnections = 64;
  const port = await listening(server, options);
  server.on('error', (error) => options.log(`push server: ${error.message}`));
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
};
