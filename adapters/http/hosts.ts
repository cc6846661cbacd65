// Routes of mail hosts: what operators see and order, and what hosts themselves send, which their own keys prove.

import { Hono } from 'hono';
import { parseBody, reasonRequest } from '../../contract/api.ts';
import { pageSizes } from '../../contract/page-sizes.ts';
import { hostSubject } from '../../core/audit.ts';
import { hostTrail } from '../../engine/details.ts';
import { fleetHealth } from '../../engine/fleet-health.ts';
import { excludeHost, returnHost, takeAcknowledgement } from '../../engine/hosts.ts';
import { answerPull } from '../../engine/reconcile-host.ts';
import { hostStatusOf, hostsStatus } from '../../engine/status.ts';
import { type Edge, orderIn, pageAnswer, pageIn } from './edge.ts';
import { trailAnswer, trailIn } from './trail.ts';

const operators = (edge: Edge): Hono => {
  const { world, session } = edge;
  const app = new Hono();
  app.get('/v1/health', async (context) => context.json(await fleetHealth(world)));
  app.get('/v1/hosts', async (context) => {
    const { next, ...found } = await hostsStatus(world, pageIn(context, 'hosts', pageSizes.hosts));
    return pageAnswer(context, 'hosts', found, next);
  });
  app.get('/v1/hosts/:host', async (context) =>
    context.json(await hostStatusOf(world, context.req.param('host'))),
  );
  app.get('/v1/hosts/:host/audit', async (context) => {
    const host = context.req.param('host');
    const subject = hostSubject(host);
    const trail = await hostTrail(world, host, trailIn(context, subject));
    return trailAnswer(context, subject, { host }, trail);
  });
  app.post('/v1/hosts/:host/exclusion', async (context) => {
    const { reason } = parseBody(reasonRequest, await context.req.text());
    const order = orderIn(edge, context);
    const why = reason ?? 'excluded by an operator';
    const row = await excludeHost(world, await session(), context.req.param('host'), why, order);
    // An order that was answered before may have been taken back since.
    return context.json({
      host: row.name,
      ...(row.excluded === undefined ? {} : { excluded: row.excluded.reason }),
    });
  });
  app.delete('/v1/hosts/:host/exclusion', async (context) => {
    const order = { ...parseBody(reasonRequest, await context.req.text()), ...orderIn(edge, context) };
    const row = await returnHost(world, await session(), context.req.param('host'), order);
    return context.json({ host: row.name, ready: row.complete && row.excluded === undefined });
  });
  return app;
};

const hosts = ({ world, session }: Edge): Hono => {
  const app = new Hono();
  // Public: a host that enrols compares it with the thumbprint that it was told.
  app.get('/v1/bundle-keys', async (context) => context.json({ keys: await world.seals.bundleKeys() }));
  app.post('/v1/hosts/:host/pull', async (context) => {
    const host = context.req.param('host');
    const bundle = await answerPull(world, await session(), host, await context.req.text());
    return bundle === undefined ? context.body(null, 204) : context.text(bundle);
  });
  app.post('/v1/hosts/:host/acknowledgements', async (context) => {
    const host = context.req.param('host');
    await takeAcknowledgement(world, await session(), host, await context.req.text());
    return context.body(null, 204);
  });
  return app;
};

export const hostRoutes = (edge: Edge): Hono => operators(edge).route('/', hosts(edge));
