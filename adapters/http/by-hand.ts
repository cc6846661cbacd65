// The HTTP API's part on zones that people change: what they are asked for. Parses, calls the engine, answers.

import { Hono } from 'hono';
import { pageSizes } from '../../contract/page-sizes.ts';
import { lowerName } from '../../core/names.ts';
import { byHandStatus } from '../../engine/by-hand.ts';
import { type Edge, pageAnswer, pageIn } from './edge.ts';

export const byHandRoutes = ({ world, session }: Edge): Hono => {
  const app = new Hono();
  app.get('/v1/by-hand', async (context) => {
    // A newer deployment may ask for other things.
    await session();
    const zone = context.req.query('zone');
    const { next, ...found } = await byHandStatus(world, {
      ...pageIn(context, 'by-hand', pageSizes.byHand),
      ...(zone === undefined ? {} : { zone: lowerName(zone) }),
    });
    return pageAnswer(context, 'by-hand', found, next);
  });
  return app;
};
