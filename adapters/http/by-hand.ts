// The HTTP API's part on zones that people change: what they are asked for. Parses, calls the engine, answers.

import { Hono } from 'hono';
import { byHandStatus } from '../../engine/by-hand.ts';
import { type Edge, pageAnswer, pageIn } from './edge.ts';

/** Zones of one page. */
const page = { usual: 20, most: 100 };

export const byHandRoutes = ({ world, session }: Edge): Hono => {
  const app = new Hono();
  app.get('/v1/by-hand', async (context) => {
    // A newer deployment may ask for other things.
    await session();
    const { next, ...found } = await byHandStatus(world, pageIn(context, 'by-hand', page));
    return pageAnswer(context, 'by-hand', found, next);
  });
  return app;
};
