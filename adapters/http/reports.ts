// The HTTP API's part on DMARC aggregate reports: uploads, and what they say together. Parses, calls the engine, answers. Errors,
// authentication and the limit of a body's size are of the application that mounts it (api.ts).

import { Hono } from 'hono';
import { pageSizes } from '../../contract/page-sizes.ts';
import { reportDays } from '../../contract/reports.ts';
import { reportsOf, reportsOfAll } from '../../engine/report-rates.ts';
import { type ImportedReport, importReport } from '../../engine/reports.ts';
import { readReports } from '../reports/read.ts';
import { domainIn, type Edge, pageAnswer, pageIn, wholeNumber } from './edge.ts';

export const reportRoutes = ({ world, session }: Edge): Hono => {
  const app = new Hono();
  app.post('/v1/reports', async (context) => {
    const given = await readReports(new Uint8Array(await context.req.arrayBuffer()));
    const open = await session();
    const reports: ImportedReport[] = [];
    for (const each of given) reports.push(await importReport(world, open, each));
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
