// Calls an API of Selkie: the one of this machine, with its token, or the one of an AWS account, with signed requests.

import { randomUUID } from 'node:crypto';
import type { Problem } from '../contract/api.ts';
import { SelkieError } from '../core/errors.ts';
import { readApiAddress } from './local-world.ts';

export type Method = 'GET' | 'POST' | 'DELETE';

/** A request as it goes out; a door adds what proves who sends it. */
export interface Request {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

/** An answer that is no problem of RFC 9457, so that it comes from something before the API. */
export interface Refusal {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** The way to one API. */
export interface Door {
  /** Without a slash at its end. */
  readonly url: string;
  /** Headers that prove who asks, in place of the request's own.  @throws denied */
  sign(request: Request): Promise<Readonly<Record<string, string>>>;
  /** What to do where nobody answers. */
  readonly silence: string;
  /** Milliseconds between two looks of a command that waits for something. */
  readonly lookEvery: number;
  /** What a refusal means here, and what to do; undefined: nothing is known of it. */
  explain(refusal: Refusal): Promise<SelkieError | undefined>;
}

export interface Api {
  readonly url: string;
  readonly lookEvery: number;
  /**
   * @param body of a write, sent as JSON, or as it is where it is bytes; absent: none
   * @throws unavailable: nobody answers; denied: no credentials, or not enough; and what the API says
   */
  call<T>(method: Method, path: string, body?: unknown): Promise<T>;
}

const patience = 30_000;

/** What is not even there does not get there by asking again. */
const isAbsent = (error: unknown): boolean => {
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined;
  return cause?.code === 'ECONNREFUSED' || cause?.code === 'ENOTFOUND';
};

const problemIn = (response: Response, text: string): Problem | undefined => {
  if (!(response.headers.get('content-type') ?? '').includes('json')) return undefined;
  try {
    const found = JSON.parse(text) as Partial<Problem> | null;
    return typeof found?.detail === 'string' && typeof found.code === 'string'
      ? (found as Problem)
      : undefined;
  } catch {
    return undefined;
  }
};

/** Whether a gateway lost the API's answer, so that nobody knows whether the request was carried out. */
const isLost = ({ status }: Response): boolean => status === 502 || status === 503 || status === 504;

export const openApi = (door: Door, idempotencyKey?: string): Api => {
  // One for each command: what is sent again, since the answer was lost, is the same order.
  const key = idempotencyKey ?? randomUUID();

  const send = async (
    method: Method,
    path: string,
    body: Request['body'],
  ): Promise<{ response: Response; text: string }> => {
    const url = new URL(`${door.url}${path}`);
    const headers = {
      ...(method === 'GET' ? {} : { 'idempotency-key': key }),
      ...(body === undefined
        ? {}
        : { 'content-type': typeof body === 'string' ? 'application/json' : 'application/octet-stream' }),
    };
    const request = { method, url, headers, ...(body === undefined ? {} : { body }) };
    const response = await fetch(url, {
      method,
      headers: await door.sign(request),
      ...(body === undefined ? {} : { body }),
      // A signature is for one address.
      redirect: 'manual',
      signal: AbortSignal.timeout(patience),
    });
    return { response, text: await response.text() };
  };

  const exchange = async (method: Method, path: string, body: Request['body']) => {
    try {
      const first = await send(method, path, body);
      if (!isLost(first.response) || problemIn(first.response, first.text) !== undefined) return first;
    } catch (error) {
      if (error instanceof SelkieError || isAbsent(error)) throw error;
    }
    return send(method, path, body);
  };

  return {
    url: door.url,
    lookEvery: door.lookEvery,
    call: async <T>(method: Method, path: string, body?: unknown): Promise<T> => {
      const sent =
        body === undefined
          ? undefined
          : body instanceof Uint8Array
            ? new Uint8Array(body)
            : JSON.stringify(body);
      const { response, text: answer } = await exchange(method, path, sent).catch((error: unknown) => {
        if (error instanceof SelkieError) throw error;
        throw new SelkieError('unavailable', `no answer at ${door.url}: ${door.silence}`, { cause: error });
      });
      const problem = problemIn(response, answer);
      if (!response.ok && problem !== undefined)
        throw new SelkieError(
          problem.code,
          problem.detail,
          problem.field === undefined ? {} : { field: problem.field },
        );
      if (response.ok)
        try {
          return (answer === '' ? undefined : JSON.parse(answer)) as T;
        } catch {
          throw new SelkieError(
            'unavailable',
            `${door.url} answers something that is no JSON: is it the API of Selkie?`,
          );
        }
      const refusal = { status: response.status, headers: response.headers, text: answer };
      throw (
        (await door.explain(refusal)) ??
        new SelkieError(
          'unavailable',
          `${door.url} answers ${response.status} to ${method} ${path}: is it the API of Selkie?`,
        )
      );
    },
  };
};

/** The API of `selkie up`.  @param dir its state folder  @throws not-found: nothing was started there */
export const localDoor = (dir: string): Door => {
  const { url, token } = readApiAddress(dir);
  return {
    url,
    sign: async ({ headers }) => ({ ...headers, authorization: `Bearer ${token}` }),
    silence: 'is npm start still running?',
    lookEvery: 200,
    explain: async ({ status }) =>
      status === 401
        ? new SelkieError('denied', `${url} does not take the token in ${dir}: was it started elsewhere?`)
        : undefined,
  };
};
