// The HTTP API: parses, calls the engine, answers. The same application serves one machine and Lambda. It authenticates
// nobody: in front of it stands a bearer token (selkie up) or IAM (API Gateway); hosts prove themselves by their own keys.

import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { parseBody, problemOf, reasonRequest, rotationRequest } from '../../contract/api.ts';
import { limits } from '../../contract/manifest.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import { isDomainName, lowerName } from '../../core/names.ts';
import { abortRotation, type Ordered, requestRotation, rollBack } from '../../engine/commands.ts';
import { forecast } from '../../engine/forecast.ts';
import { excludeHost, returnHost, takeAcknowledgement } from '../../engine/hosts.ts';
import { answerPull } from '../../engine/reconcile-host.ts';
import { hostsStatus, statusOf, statusOfAll } from '../../engine/status.ts';
import { openSession, type World } from '../../engine/world.ts';

/** Domains of one page, and the most that may be asked for. */
const page = { usual: 100, most: 500 };

const domainIn = (context: Context): string => {
  const text = lowerName(context.req.param('domain') ?? '');
  if (!isDomainName(text))
    throw new SelkieError(
      'invalid',
      `"${text}" is no domain name: write it as in DNS, such as mail.example.jp`,
      {
        field: 'domain',
      },
    );
  return text;
};

const wholeNumber = (text: string | undefined, field: string, usual: number, most: number): number => {
  if (text === undefined) return usual;
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1 || n > most)
    throw new SelkieError('invalid', `${field} is a whole number from 1 to ${most}`, { field });
  return n;
};

const idempotencyKeyIn = (context: Context): { idempotencyKey?: string } => {
  const key = context.req.header('idempotency-key');
  if (key === undefined) return {};
  if (!/^[\x21-\x7e]{1,128}$/.test(key))
    throw new SelkieError('invalid', 'Idempotency-Key is 1 to 128 printable characters without spaces', {
      field: 'Idempotency-Key',
    });
  return { idempotencyKey: key };
};

const accepted = (context: Context, domain: string, { rotation, joined }: Ordered): Response => {
  context.header('Location', `/v1/domains/${domain}`);
  return context.json(
    { domain, joined, rotation: { ...rotation, at: new Date(rotation.at).toISOString() } },
    202,
  );
};

/** @param log told of what is not the caller's fault */
export const createApi = (world: World, log: (line: string) => void): Hono => {
  const app = new Hono();

  app.onError((error, context) => {
    const known =
      error instanceof SelkieError
        ? error
        : new SelkieError('unavailable', 'something went wrong here: see the log');
    const problem = problemOf(known);
    if (problem.status >= 500) log(`${context.req.method} ${context.req.path}: ${describe(error)}`);
    return context.json(problem, problem.status as 400, { 'content-type': 'application/problem+json' });
  });
  app.notFound((context) =>
    context.json(
      problemOf(
        new SelkieError('not-found', `there is nothing at ${context.req.method} ${context.req.path}`),
      ),
      404,
      { 'content-type': 'application/problem+json' },
    ),
  );

  // A host's word is the longest of all bodies; what is longer is not kept in memory to be told so.
  app.use(
    bodyLimit({
      maxSize: limits.hostToken,
      onError: () => {
        throw new SelkieError('invalid', `The body is over ${limits.hostToken} bytes.`);
      },
    }),
  );

  app.get('/v1/domains', async (context) => {
    const after = context.req.query('after');
    const limit = wholeNumber(context.req.query('limit'), 'limit', page.usual, page.most);
    const session = await openSession(world);
    return context.json(
      await statusOfAll(world, session, { limit, ...(after === undefined ? {} : { after }) }),
    );
  });
  app.get('/v1/domains/:domain', async (context) =>
    context.json(await statusOf(world, await openSession(world), domainIn(context))),
  );
  app.get('/v1/domains/:domain/forecast', async (context) => {
    const horizon = wholeNumber(context.req.query('days'), 'days', 120, 3_650);
    return context.json(await forecast(world, await openSession(world), domainIn(context), horizon));
  });
  app.get('/v1/hosts', async (context) => context.json({ hosts: await hostsStatus(world) }));

  app.post('/v1/domains/:domain/rotations', async (context) => {
    const domain = domainIn(context);
    const body = parseBody(rotationRequest, await context.req.text());
    const order = { ...body, ...idempotencyKeyIn(context) };
    return accepted(context, domain, await requestRotation(world, await openSession(world), domain, order));
  });
  app.post('/v1/domains/:domain/rollback', async (context) => {
    const domain = domainIn(context);
    const body = parseBody(reasonRequest, await context.req.text());
    const order = { ...body, ...idempotencyKeyIn(context) };
    return accepted(context, domain, await rollBack(world, await openSession(world), domain, order));
  });
  app.post('/v1/domains/:domain/abort', async (context) => {
    const domain = domainIn(context);
    const body = parseBody(reasonRequest, await context.req.text());
    const order = { ...body, ...idempotencyKeyIn(context) };
    return accepted(context, domain, await abortRotation(world, await openSession(world), domain, order));
  });

  app.post('/v1/hosts/:host/exclusion', async (context) => {
    const { reason } = parseBody(reasonRequest, await context.req.text());
    const session = await openSession(world);
    const row = await excludeHost(
      world,
      session,
      context.req.param('host'),
      reason ?? 'excluded by an operator',
    );
    return context.json({ host: row.name, excluded: row.excluded?.reason });
  });
  app.delete('/v1/hosts/:host/exclusion', async (context) => {
    const row = await returnHost(world, await openSession(world), context.req.param('host'));
    return context.json({ host: row.name, ready: false });
  });

  // Public: a host that enrols compares it with the thumbprint that it was told.
  app.get('/v1/bundle-keys', async (context) => context.json({ keys: await world.seals.bundleKeys() }));
  app.post('/v1/hosts/:host/pull', async (context) => {
    const session = await openSession(world);
    const bundle = await answerPull(world, session, context.req.param('host'), await context.req.text());
    return bundle === undefined ? context.body(null, 204) : context.text(bundle);
  });
  app.post('/v1/hosts/:host/acknowledgements', async (context) => {
    const session = await openSession(world);
    await takeAcknowledgement(world, session, context.req.param('host'), await context.req.text());
    return context.body(null, 204);
  });
  return app;
};
