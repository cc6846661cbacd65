// The HTTP API's part on drift: audits that somebody asks for, and what the last ones found. Parses, calls the engine, answers.
// Errors, authentication and the limit of a body's size are of the application that mounts it (api.ts).

import { Hono } from 'hono';
import { parseBody } from '../../contract/api.ts';
import { auditRequest } from '../../contract/drift.ts';
import { pageSizes } from '../../contract/page-sizes.ts';
import { driftStatus, orderAudit } from '../../engine/drift.ts';
import { type Edge, orderIn, pageAnswer, pageIn } from './edge.ts';

export const driftRoutes = (edge: Edge): Hono => {
  const { world } = edge;
  const app = new Hono();
  app.post('/v1/drift', async (context) => {
    const order = { ...parseBody(auditRequest, await context.req.text()), ...orderIn(edge, context) };
    const subjects = await orderAudit(world, order);
    context.header('Location', '/v1/drift');
    // Of 100,000 zones nobody reads the names.
    return context.json({ audits: subjects.length, subjects: subjects.slice(0, pageSizes.drift.most) }, 202);
  });
  app.get('/v1/drift', async (context) => {
    const { next, ...found } = await driftStatus(world, pageIn(context, 'drift', pageSizes.drift));
    return pageAnswer(context, 'drift', found, next);
  });
  return app;
};
