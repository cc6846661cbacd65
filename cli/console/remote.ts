// The console of a deployment on AWS: a server on this machine's loopback whose requests are signed with the operator's
// credentials, so that neither the API nor the credentials are opened to anybody.

import { serve } from '@hono/node-server';
import { problemOf } from '../../contract/api.ts';
import { SelkieError } from '../../core/errors.ts';
import type { Door, Method } from '../client.ts';
import { consoleFiles } from './build.ts';
import { type Console, createConsole } from './serve.ts';

const patience = 30_000;
const methods: readonly Method[] = ['GET', 'POST', 'DELETE'];

const problem = (error: SelkieError): Response => {
  const body = problemOf(error);
  return Response.json(body, {
    status: body.status,
    headers: { 'content-type': 'application/problem+json' },
  });
};

/** What a browser may see of an answer. */
const shown = ['content-type', 'etag', 'retry-after', 'location'];

/** Sends a request through a door, signed. */
const through =
  (door: Door) =>
  async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    const url = new URL(`${door.url}${pathname}${search}`);
    const method = methods.find((each) => each === request.method);
    if (method === undefined)
      return problem(new SelkieError('invalid', `${request.method} is no method of the API`));
    const text = await request.text();
    const body = text === '' ? {} : { body: text };
    const headers = await door.sign({ method, url, headers: Object.fromEntries(request.headers), ...body });
    const answered = await fetch(url, {
      method,
      headers,
      ...body,
      redirect: 'manual',
      signal: AbortSignal.timeout(patience),
    }).catch((cause: unknown) => {
      throw new SelkieError('unavailable', `no answer at ${door.url}: ${door.silence}`, { cause });
    });
    const { status } = answered;
    const type = answered.headers.get('content-type') ?? '';
    // Not the API's own words, but of something before it.
    if (status >= 400 && !type.includes('problem+json')) {
      const refusal = { status, headers: answered.headers, text: await answered.text() };
      return problem(
        (await door.explain(refusal)) ?? new SelkieError('unavailable', `${door.url} answers ${status}`),
      );
    }
    const given = new Headers();
    for (const name of shown) {
      const value = answered.headers.get(name);
      if (value !== null) given.set(name, value);
    }
    return new Response(answered.body, { status, headers: given });
  };

export interface RemoteConsole extends Console {
  close(): Promise<void>;
}

/** @param port 0: a free one  @throws invalid: the port is in use */
export const startRemoteConsole = async (door: Door, port: number): Promise<RemoteConsole> => {
  let origin = '';
  const console = createConsole({
    origin: () => origin,
    api: through(door),
    files: consoleFiles,
    place: door.url,
    lookEvery: door.lookEvery,
  });
  const server = await new Promise<ReturnType<typeof serve>>((resolve, reject) => {
    const starting = serve(
      {
        fetch: (request) =>
          console.answer(request) ?? new Response('there is nothing here\n', { status: 404 }),
        port,
        hostname: '127.0.0.1',
      },
      ({ port: bound }) => {
        origin = `http://127.0.0.1:${bound}`;
        resolve(starting);
      },
    );
    starting.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new SelkieError(
              'invalid',
              `127.0.0.1:${port} is in use: choose another --port, 0 for a free one`,
              {
                cause: error,
              },
            )
          : error,
      ),
    );
  });
  return {
    ...console,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  };
};
