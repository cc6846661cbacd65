// The HTTP API's part on drift: audits that somebody asks for, and what the last ones found. Parses, calls the engine, answers.
// Errors, authentication and the limit of a body's size are of the application that mounts it (api.ts).

import { Hono } from 'hono';
import { parseBody } from '../../contract/api.ts';
import { auditRequest } from '../../contract/drift.ts';
import { SelkieError } from '../../core/errors.ts';
import { driftStatus, orderAudit } from '../../engine/drift.ts';
import type { World } from '../../engine/world.ts';

/** Reports of one page, and the most that may be asked for: one holds up to 100 findings. */
const page = { usual: 20, most: 50 };

const limitIn = (text: string | undefined): number => {
  if (text === undefined) return page.usual;
  const n = Number(text);
  if (!/^[0-9]{1,4}$/.test(text) || n < 1 || n > page.most)
    throw new SelkieError('invalid', `limit is a whole number from 1 to ${page.most}`, { field: 'limit' });
  return n;
};

/** Subjects are `domains`, `hosts`, `secrets` and `zone/NAME`; a place between them will do. */
const afterIn = (text: string | undefined): { after?: string } => {
  if (text === undefined || text === '') return {};
  if (!/^[a-z0-9._/-]{1,260}$/.test(text))
    throw new SelkieError('invalid', 'after is the "next" of the page before', { field: 'after' });
  return { after: text };
};

export const createDriftRoutes = (world: World): Hono => {
  const app = new Hono();
  app.post('/v1/drift', async (context) => {
    const { zone } = parseBody(auditRequest, await context.req.text());
    const subjects = await orderAudit(world, zone);
    context.header('Location', '/v1/drift');
    // Of 100,000 zones nobody reads the names.
    return context.json({ audits: subjects.length, subjects: subjects.slice(0, page.most) }, 202);
  });
  app.get('/v1/drift', async (context) => {
    const limit = limitIn(context.req.query('limit'));
    return context.json(await driftStatus(world, { limit, ...afterIn(context.req.query('after')) }));
  });
  return app;
};
