// The HTTP API: parses, calls the engine, answers. The same application serves one machine and Lambda. It authenticates
// nobody: in front of it stands a bearer token (selkie up) or IAM (API Gateway); hosts prove themselves by their own keys.

import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { etag } from 'hono/etag';
import { limits } from '../../contract/manifest.ts';
import { reportUpload } from '../../contract/reports.ts';
import { SelkieError } from '../../core/errors.ts';
import openApi from '../../docs/openapi.json' with { type: 'json' };
import type { World } from '../../engine/world.ts';
import { byHandRoutes } from './by-hand.ts';
import { domainRoutes } from './domains.ts';
import { driftRoutes } from './drift.ts';
import { edgeOf, onError, onNotFound, type WhoOf } from './edge.ts';
import { fleetRoutes } from './fleet.ts';
import { hostRoutes } from './hosts.ts';
import { newestOrdersRoutes } from './newest-orders.ts';
import { reportRoutes } from './reports.ts';

/**
 * @param log told of what is not the caller's fault
 * @param whoOf for the audit trail; absent: whoever is let in is the operator of this machine
 */
export const createApi = (
  world: World,
  log: (line: string) => void,
  whoOf: WhoOf = () => 'local operator',
): Hono => {
  const app = new Hono();
  app.onError(onError(log));

  // A host's word is the longest of all bodies but reports; what is longer is not kept in memory to be told so.
  const limited = (maxSize: number) =>
    bodyLimit({
      maxSize,
      onError: () => {
        throw new SelkieError('invalid', `The body is over ${maxSize} bytes.`);
      },
    });
  const [usual, upload] = [limited(limits.hostToken), limited(reportUpload)];
  app.use((context, next) => (context.req.path === '/v1/reports' ? upload : usual)(context, next));
  // Whoever looks again and again is told in a few bytes that nothing is new: RFC 9110 §13.1.2.
  app.use('/v1/domains/*', etag());
  app.use('/v1/hosts', etag());
  app.use('/v1/drift', etag());
  app.use('/v1/orders', etag());
  app.use('/v1/by-hand', etag());
  const edge = edgeOf(world, whoOf);
  app.route('/', domainRoutes(edge));
  app.route('/', fleetRoutes(edge));
  app.route('/', hostRoutes(edge));
  app.route('/', driftRoutes(edge));
  app.route('/', byHandRoutes(edge));
  app.route('/', reportRoutes(edge));
  app.route('/', newestOrdersRoutes(edge));
  app.get('/openapi.json', (context) => context.json(openApi));
  app.notFound(onNotFound(app.routes));
  return app;
};
