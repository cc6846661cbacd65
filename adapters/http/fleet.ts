// Routes of the fleet as a whole: orders for many domains, and the trail of what was ordered of no one domain or host. Parses,
// calls the engine, answers.

import { type Context, Hono } from 'hono';
import { manyRequest, parseBody } from '../../contract/api.ts';
import { fleetSubject } from '../../core/audit.ts';
import { lowerName } from '../../core/names.ts';
import { formatInstant } from '../../core/time.ts';
import { fleetTrail } from '../../engine/details.ts';
import { orderMany, type Which, weighMany } from '../../engine/order-many.ts';
import { type Edge, orderIn } from './edge.ts';
import { trailAnswer, trailIn } from './trail.ts';

/** Orders for many domains: each path says what such an order would come to, and takes it. */
const ordersForMany = (edge: Edge): Hono => {
  const { world, session } = edge;
  const app = new Hono();
  const whiches: Readonly<Record<string, (context: Context) => Which>> = {
    '/v1/rotations': () => ({ all: true }),
    '/v1/zones/:zone/rotations': (context) => ({ zone: lowerName(context.req.param('zone') ?? '') }),
    '/v1/pools/:pool/rotations': (context) => ({ pool: context.req.param('pool') ?? '' }),
  };
  for (const [path, which] of Object.entries(whiches)) {
    app.get(path, async (context) => {
      const { until, ...weighed } = weighMany(world, await session(), which(context));
      return context.json({ ...weighed, until: formatInstant(until) });
    });
    app.post(path, async (context) => {
      const { by, idempotencyKey } = orderIn(edge, context);
      const order = { ...parseBody(manyRequest, await context.req.text()), ...which(context), by };
      const { until, ...begun } = await orderMany(world, await session(), order, idempotencyKey);
      context.header('Location', '/v1/domains');
      return context.json({ ...begun, until: formatInstant(until) }, 202);
    });
  }
  return app;
};

export const fleetRoutes = (edge: Edge): Hono => {
  const app = new Hono();
  app.get('/v1/audit', async (context) =>
    trailAnswer(context, fleetSubject, {}, await fleetTrail(edge.world, trailIn(context, fleetSubject))),
  );
  return app.route('/', ordersForMany(edge));
};
