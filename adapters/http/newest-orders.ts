// The HTTP API's part on all audit trails together. Parses, calls the engine, answers.

import { type Context, Hono } from 'hono';
import { pageSizes } from '../../contract/page-sizes.ts';
import { auditedOrders, numberInPlace } from '../../core/audit.ts';
import { SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import { newestOrders, type OrdersWish } from '../../engine/newest-orders.ts';
import { type Edge, pageAnswer, pageIn } from './edge.ts';

/** @throws invalid */
const wishIn = (context: Context): OrdersWish => {
  const { subject, who, what } = context.req.query();
  const { after, limit } = pageIn(context, 'orders', pageSizes.orders);
  if (what !== undefined && !auditedOrders.some((order) => order === what))
    throw new SelkieError('invalid', `what is one of ${auditedOrders.join(', ')}`, { field: 'what' });
  if (after !== undefined && numberInPlace(after) === undefined)
    throw new SelkieError('invalid', 'after is not a cursor of this list', { field: 'after' });
  return {
    limit,
    ...(subject === undefined ? {} : { subject: lowerName(subject) }),
    ...(who === undefined ? {} : { who }),
    ...(what === undefined ? {} : { what }),
    ...(after === undefined ? {} : { after }),
  };
};

export const newestOrdersRoutes = ({ world, session }: Edge): Hono => {
  const app = new Hono();
  app.get('/v1/orders', async (context) => {
    await session();
    const { next, ...found } = await newestOrders(world, wishIn(context));
    return pageAnswer(context, 'orders', found, next);
  });
  return app;
};
