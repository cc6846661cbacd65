// What routes of the API share: who asks, parameters of the path and the query, pages, problems. Touches nothing.

import type { Context } from 'hono';
import { methodProblem, type Problem, problemOf } from '../../contract/api.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import { isDomainName, lowerName } from '../../core/names.ts';
import { openSession, type Session, type World } from '../../engine/world.ts';

/**
 * Who sends an order, as the edge authenticated them; never what a request says of itself.
 * @throws untrusted: nobody did
 */
export type WhoOf = (context: Context) => string;

/** What the routes work with. */
export interface Edge {
  readonly world: World;
  readonly whoOf: WhoOf;
  session(): Promise<Session>;
}

export const edgeOf = (world: World, whoOf: WhoOf): Edge => ({
  world,
  whoOf,
  session: () => openSession(world),
});

/** The domain of the path. @throws invalid */
export const domainIn = (context: Context): string => {
  const text = lowerName(context.req.param('domain') ?? '');
  if (!isDomainName(text))
    throw new SelkieError(
      'invalid',
      `"${text}" is no domain name: write it as in DNS, such as mail.example.jp`,
      { field: 'domain' },
    );
  return text;
};

/** @throws invalid */
export const wholeNumber = (
  text: string | undefined,
  field: string,
  { usual, most }: { readonly usual: number; readonly most: number },
): number => {
  if (text === undefined) return usual;
  const n = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (n < 1 || n > most)
    throw new SelkieError('invalid', `${field} is a whole number from 1 to ${most}`, { field });
  return n;
};

/** RFC draft "The Idempotency-Key HTTP Header Field", for each write. @throws invalid */
const idempotencyKeyIn = (context: Context): { idempotencyKey?: string } => {
  const key = context.req.header('idempotency-key');
  if (key === undefined) return {};
  if (!/^[\x21-\x7e]{1,128}$/.test(key))
    throw new SelkieError('invalid', 'Idempotency-Key is 1 to 128 printable characters without spaces', {
      field: 'Idempotency-Key',
    });
  return { idempotencyKey: key };
};

/** What stands beside the body of a write. @throws invalid, untrusted */
export const orderIn = (edge: Edge, context: Context): { by: string; idempotencyKey?: string } => ({
  by: edge.whoOf(context),
  ...idempotencyKeyIn(context),
});

/** A cursor says behind what the page begins. Programs pass it on as it is: its form is nobody's business. */
const cursorOf = (list: string, after: string): string =>
  Buffer.from(JSON.stringify([list, after])).toString('base64url');

/** @param list what is paged: a cursor of one list is none of another  @throws invalid */
const afterIn = (context: Context, list: string): { after?: string } => {
  const text = context.req.query('after');
  if (text === undefined) return {};
  try {
    const [of, after, ...more]: unknown[] = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (of === list && typeof after === 'string' && after !== '' && more.length === 0) return { after };
  } catch {
    // Said below.
  }
  throw new SelkieError(
    'invalid',
    'after is not a cursor of this list: take it from next of the page before',
    {
      field: 'after',
    },
  );
};

export const pageIn = (
  context: Context,
  list: string,
  sizes: { readonly usual: number; readonly most: number },
): { after?: string; limit: number } => ({
  ...afterIn(context, list),
  limit: wholeNumber(context.req.query('limit'), 'limit', sizes),
});

/** Says in the body and by a link (RFC 8288) where the next page is. */
export const pageAnswer = (
  context: Context,
  list: string,
  page: object,
  next: string | undefined,
): Response => {
  if (next === undefined) return context.json(page);
  const cursor = cursorOf(list, next);
  const query = new URLSearchParams({ ...context.req.query(), after: cursor });
  context.header('Link', `<${new URL(context.req.url).pathname}?${query}>; rel="next"`);
  return context.json({ ...page, next: cursor });
};

const asProblem = (context: Context, problem: Problem): Response =>
  context.json(problem, problem.status as 400, { 'content-type': 'application/problem+json' });

/** @param log told of what is not the caller's fault */
export const onError =
  (log: (line: string) => void) =>
  (error: Error, context: Context): Response => {
    const known =
      error instanceof SelkieError
        ? error
        : new SelkieError('unavailable', 'something went wrong here: see the log');
    const problem = problemOf(known);
    if (problem.status >= 500) log(`${context.req.method} ${context.req.path}: ${describe(error)}`);
    if (problem.status === 503) context.header('Retry-After', '5');
    return asProblem(context, problem);
  };

/** As the routes write a path: `:name` stands for one segment. */
const fits = (pattern: string, path: string): boolean => {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => (part.startsWith(':') ? given[index] !== '' : part === given[index]))
  );
};

/** Where nothing is at all, or what is there answers to other methods only. */
export const onNotFound =
  (routes: readonly { readonly method: string; readonly path: string }[]) =>
  (context: Context): Response => {
    const { method, path } = context.req;
    const allowed = routes
      .filter((route) => route.method !== 'ALL' && fits(route.path, path))
      .flatMap((route) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
    if (allowed.length === 0)
      return asProblem(
        context,
        problemOf(new SelkieError('not-found', `there is nothing at ${method} ${path}`)),
      );
    const known = [...new Set(allowed)].toSorted();
    context.header('Allow', known.join(', '));
    return asProblem(context, methodProblem(method, path, known));
  };
