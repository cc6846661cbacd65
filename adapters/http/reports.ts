// The HTTP API's part on DMARC aggregate reports: uploads, and what they say together. Parses, calls the engine, answers. Errors,
// authentication and the limit of a body's size are of the application that mounts it (api.ts).

import { Hono } from 'hono';
import { pageSizes } from '../../contract/page-sizes.ts';
import { reportDays } from '../../contract/reports.ts';
import { reportsOf, reportsOfAll } from '../../engine/report-rates.ts';
import { importReports } from '../../engine/reports.ts';
import { readReports } from '../reports/read.ts';
import { domainIn, type Edge, orderIn, pageAnswer, pageIn, wholeNumber } from './edge.ts';

export const reportRoutes = (edge: Edge): Hono => {
  const { world, session } = edge;
  const app = new Hono();
  app.post('/v1/reports', async (context) => {
    const given = await readReports(new Uint8Array(await context.req.arrayBuffer()));
    const reports = await importReports(world, await session(), given, orderIn(edge, context));
    return context.json({ reports });
  });
  app.get('/v1/reports', async (context) => {
    const length = wholeNumber(context.req.query('days'), 'days', reportDays);
    const options = { ...pageIn(context, 'reports', pageSizes.reports), length };
    const { next, ...found } = await reportsOfAll(world, await session(), options);
    return pageAnswer(context, 'reports', found, next);
  });
  app.get('/v1/domains/:domain/reports', async (context) => {
    const length = wholeNumber(context.req.query('days'), 'days', reportDays);
    return context.json(await reportsOf(world, await session(), domainIn(context), length));
  });
  return app;
};
