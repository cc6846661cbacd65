// Serves the console below /console/ to the browser of one person on this machine: its files to anybody, since nothing in them
// is secret, and the API only to a session that a one-time link began. docs/adr/0014-console.md says against whom.

import { problemOf } from '../../contract/api.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import type { ConsoleFiles } from './build.ts';
import { createSessions } from './sessions.ts';

export interface ConsoleOptions {
  /** `http://127.0.0.1:8400`; asked for once it listens. */
  readonly origin: () => string;
  /** Answers a request for `/v1/…` as the operator's own. */
  readonly api: (request: Request) => Response | Promise<Response>;
  readonly files: () => Promise<ConsoleFiles>;
  /** Shown in the page: which Selkie it is. */
  readonly place: string;
  /** Milliseconds between two looks of the page. */
  readonly lookEvery: number;
}

export interface Console {
  /** Answers what is at `/` and below `/console`; undefined: it is not the console's. */
  answer(request: Request): Promise<Response> | undefined;
  /** An address that opens the console, once. */
  link(): string;
}

/** No inline script or style, nothing from elsewhere, nobody's frame. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

const careful: Readonly<Record<string, string>> = {
  'content-security-policy': contentSecurityPolicy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

const refuse = (status: number, title: string, detail: string): Response =>
  Response.json(
    { type: 'about:blank', title, status, detail, code: 'untrusted' },
    { status, headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' } },
  );

/** What a person in a browser is to do. */
const openAgain = 'run npm run selkie -- console, and open the link that it prints';

/** The longest body that the page sends: a reason of 500 characters and some words. */
const longest = 16_384;

export const createConsole = (options: ConsoleOptions): Console => {
  const sessions = createSessions(Date.now);

  /** A name that somebody else's DNS leads here is not ours: else their page would be of our origin. */
  const isOurs = (host: string | null): boolean => {
    const { port } = new URL(options.origin());
    return host === `127.0.0.1:${port}` || host === `localhost:${port}`;
  };

  /** Another site's page, or one of another port: browsers say so. Undefined: it is our own. */
  const stranger = ({ method, headers }: Request): Response | undefined => {
    const site = headers.get('sec-fetch-site');
    const origin = headers.get('origin');
    const own = origin === `http://${headers.get('host')}`;
    if ((site !== null && site !== 'same-origin') || (origin === null ? method !== 'GET' : !own))
      return refuse(403, 'Forbidden', 'only the console itself may ask here');
    return undefined;
  };

  const tokenOf = ({ headers }: Request): string =>
    /^Bearer ([\w-]+)$/.exec(headers.get('authorization') ?? '')?.[1] ?? '';

  const file = async (path: string): Promise<Response> => {
    const name = path === '' ? 'index.html' : path;
    try {
      const found = (await options.files()).get(name);
      if (found === undefined)
        return new Response('there is nothing here\n', { status: 404, headers: careful });
      // An asset's name bears its hash; the page that names them is asked for each time.
      const cacheControl = name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';
      return new Response(found.body, {
        headers: { ...careful, 'content-type': found.type, 'cache-control': cacheControl },
      });
    } catch (error) {
      return new Response(`${describe(error)}\n`, { status: 503, headers: careful });
    }
  };

  const session = async (request: Request): Promise<Response> => {
    if (request.method === 'DELETE') {
      sessions.close(tokenOf(request));
      return new Response(null, { status: 204 });
    }
    if (request.method !== 'POST')
      return refuse(405, 'Method Not Allowed', 'a session is begun by POST and ended by DELETE');
    const text = await request.text();
    const token = /^[\w-]{1,64}$/.test(text) ? sessions.open(text) : undefined;
    if (token === undefined)
      return refuse(
        401,
        'Unauthorized',
        `this link was used before, or is of an earlier start: ${openAgain}`,
      );
    const { place, lookEvery } = options;
    return Response.json({ token, place, lookEvery }, { headers: { 'cache-control': 'no-store' } });
  };

  const api = async (request: Request, path: string): Promise<Response> => {
    if (!sessions.has(tokenOf(request)))
      return refuse(401, 'Unauthorized', `this session has ended: ${openAgain}`);
    const { method } = request;
    // What hosts send is none of an operator's business.
    if (!/^\/v1\//.test(path) || /\/(pull|acknowledgements)$/.test(path))
      return refuse(404, 'Not Found', `there is nothing at ${method} ${path}`);
    const body = method === 'GET' ? undefined : await request.text();
    if (body !== undefined && body.length > longest)
      return refuse(400, 'Bad Request', `The body is over ${longest} characters.`);
    const headers = new Headers();
    for (const name of ['content-type', 'idempotency-key', 'if-none-match']) {
      const value = request.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    const url = `${options.origin()}${path}${new URL(request.url).search}`;
    try {
      const asked = new Request(url, {
        method,
        headers,
        ...(body === undefined || body === '' ? {} : { body }),
      });
      const answered = await options.api(asked);
      const response = new Response(answered.body, answered);
      response.headers.set('cache-control', 'no-store');
      return response;
    } catch (error) {
      const known =
        error instanceof SelkieError
          ? error
          : new SelkieError('unavailable', describe(error), { cause: error });
      const problem = problemOf(known);
      return Response.json(problem, {
        status: problem.status,
        headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
      });
    }
  };

  const own = async (request: Request, pathname: string): Promise<Response> => {
    if (!isOurs(request.headers.get('host')))
      return refuse(403, 'Forbidden', `the console is at ${options.origin()}/console/`);
    const path = pathname.slice('/console/'.length);
    if (path === 'session') return stranger(request) ?? session(request);
    if (path.startsWith('api/')) return stranger(request) ?? api(request, path.slice('api'.length));
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return refuse(405, 'Method Not Allowed', 'a page answers to GET');
    return file(path);
  };

  return {
    answer: (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === '/' || pathname === '/console')
        return Promise.resolve(new Response(null, { status: 302, headers: { location: '/console/' } }));
      return pathname.startsWith('/console/') ? own(request, pathname) : undefined;
    },
    // Behind the #, which is sent to nobody: not to this server's log, nor in a Referer, and no program that merely looks at
    // links uses it up.
    link: () => `${options.origin()}/console/#open=${sessions.link()}`,
  };
};
