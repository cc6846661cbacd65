// Where the control plane delivers bundles: HTTPS, POST /v1/bundle. It needs no password: a bundle proves itself. Everybody
// may connect, so everything is bounded: connections, sizes, times, and how often one address may be wrong. Owns its
// listening socket.
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { endpointName } from '../adapters/push/endpoint-name.ts';
import { type Problem, problemOf } from '../contract/api.ts';
import { limits } from '../contract/manifest.ts';
import { describe, SelkieError } from '../core/errors.ts';
import { createLimiter, type Limiter, neighbour } from './push-limits.ts';
import type { Receive } from './receive.ts';

/** PEM. */
interface Tls {
  readonly key: string;
  readonly cert: string;
}

export interface PushServerOptions {
  /** An address of this machine; all of them where absent. */
  readonly address?: string;
  /** 0: the system's choice. */
  readonly port: number;
  /** Shown unless another is asked for. */
  readonly tls: Tls;
  /** Others that may be asked for by `endpointName`. */
  readonly others?: () => Promise<readonly Tls[]>;
  readonly receive: Receive;
  readonly log: (line: string) => void;
  /** Milliseconds from any origin, never backwards; for the limits of each address. */
  readonly elapsed?: () => number;
}

export interface PushServer {
  readonly port: number;
  /** New connections are shown this one, unless they ask for another. */
  show(tls: Tls): void;
  /** Takes no more connections, and ends when the requests in hand are answered, or have had their time. */
  close(): Promise<void>;
}

/** Of all addresses together; each costs some 100 KB while it shakes hands. */
const mostConnections = 64;
/** Of one address at once: a control plane pushes one bundle at a time, from some workers. */
const mostOfOne = 16;
/** New connections of one address. A snapshot of 100,000 domains comes in some 500 pushes, one after the other. */
const connecting = { burst: 64, perSecond: 16 };
/** Requests of one address that were refused; whoever is always right is never slowed down. */
const refusals = { burst: 20, perSecond: 0.5 };
/** Milliseconds. */
const times = {
  handshake: 10_000,
  header: 10_000,
  request: 30_000,
  idle: 45_000,
  keepAlive: 5_000,
  last: 10_000,
};

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

const tooMany = {
  status: 429,
  title: 'Too Many Requests',
  detail: 'Too many requests from this address were refused: wait a minute.',
} as const;

interface Limits {
  readonly refused: Limiter;
  /** One line about each address in a while. */
  readonly told: Limiter;
}

const serve = async (
  request: IncomingMessage,
  response: ServerResponse,
  { receive, log }: PushServerOptions,
  { refused, told }: Limits,
): Promise<void> => {
  const from = request.socket.remoteAddress ?? 'a closed connection';
  const refuse = (problem: Pick<Problem, 'status' | 'title' | 'detail'>): void => {
    refused.take(from);
    if (!response.headersSent) answer(response, problem);
  };
  try {
    // Before the body is read, let alone opened.
    if (!refused.has(from)) {
      if (told.take(from)) log(`push from ${from}: too many refused requests: it has to wait`);
      return answer(response, tooMany);
    }
    const wrong = refusal(request);
    if (wrong !== undefined) return refuse(wrong);
    const body = await bodyOf(request);
    if (body === undefined) return refuse(tooLarge);
    const acknowledgement = await receive(body);
    response.writeHead(200, { 'content-type': 'application/jose' }).end(acknowledgement);
  } catch (error) {
    // Whoever can connect can cause this line: it says no more than the sender's address and our own words.
    log(`push from ${from} refused: ${describe(error)}`);
    refuse(failure(error));
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

/** Certificates by the names that they are asked for; parsed once each. */
const createShowcase = () => {
  const known = new Map<string, { readonly name: string; readonly context: SecureContext }>();
  return (tls: Tls): { readonly name: string; readonly context: SecureContext } => {
    const found = known.get(tls.cert) ?? {
      name: endpointName(new X509Certificate(tls.cert)),
      context: createSecureContext({ ...tls, minVersion: 'TLSv1.3' }),
    };
    known.set(tls.cert, found);
    for (const oldest of known.keys()) {
      if (known.size <= 4) break;
      known.delete(oldest);
    }
    return found;
  };
};

/** Connections that may not even shake hands. */
const guard = (server: Server, elapsed: () => number): void => {
  const limiter = createLimiter(connecting, elapsed);
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const from = neighbour(socket.remoteAddress ?? '');
    const count = open.get(from) ?? 0;
    if (count >= mostOfOne || !limiter.take(from)) return void socket.destroy();
    open.set(from, count + 1);
    socket.once('close', () => {
      const left = (open.get(from) ?? 1) - 1;
      if (left > 0) open.set(from, left);
      else open.delete(from);
    });
  });
};

/** @throws SelkieError invalid, with field `pushPort`, where the port cannot be listened on */
export const startPushServer = async (options: PushServerOptions): Promise<PushServer> => {
  const elapsed = options.elapsed ?? (() => performance.now());
  const shown = createShowcase();
  let usual = options.tls;
  const contextFor = async (name: string): Promise<SecureContext> => {
    const present = shown(usual);
    if (name === present.name) return present.context;
    const others = (await options.others?.()) ?? [];
    return others.map(shown).find((one) => one.name === name)?.context ?? present.context;
  };
  const allowed: Limits = {
    refused: createLimiter(refusals, elapsed),
    told: createLimiter({ burst: 1, perSecond: 1 / 60 }, elapsed),
  };
  const server = createServer(
    {
      ...options.tls,
      minVersion: 'TLSv1.3',
      SNICallback: (name, done) => {
        contextFor(name).then(
          (context) => done(null, context),
          () => done(null, shown(usual).context),
        );
      },
      requestTimeout: times.request,
      headersTimeout: times.header,
      handshakeTimeout: times.handshake,
      keepAliveTimeout: times.keepAlive,
      // How often the three before are looked at: 30 s unless told, so that a slow header could take 40 s.
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 8_192,
    },
    (request, response) => void serve(request, response, options, allowed),
  );
  server.maxConnections = mostConnections;
  // Whoever does not read its answer.
  server.timeout = times.idle;
  guard(server, elapsed);
  const port = await listening(server, options);
  server.on('error', (error) => options.log(`push server: ${error.message}`));
  return {
    port,
    show(tls) {
      usual = tls;
      server.setSecureContext({ ...tls, minVersion: 'TLSv1.3' });
    },
    close: () =>
      new Promise((resolve) => {
        const last = setTimeout(() => server.closeAllConnections(), times.last);
        server.close(() => {
          clearTimeout(last);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
};
