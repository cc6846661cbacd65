// Routes of domains: what is, what comes, what was ordered, and orders.

import { type Context, Hono } from 'hono';
import {
  compromiseRequest,
  parseBody,
  reasonRequest,
  rotationRequest,
  supposedOrders,
} from '../../contract/api.ts';
import { forecastDays, pageSizes } from '../../contract/page-sizes.ts';
import { SelkieError } from '../../core/errors.ts';
import { formatInstant } from '../../core/time.ts';
import {
  abortRotation,
  type Declared,
  declareCompromised,
  type Ordered,
  requestRotation,
  rollBack,
} from '../../engine/commands.ts';
import {
  disclosedOf,
  domainTrail,
  keyStatusOf,
  keysStatus,
  planOf,
  rotationStatusOf,
  rotationsStatus,
} from '../../engine/details.ts';
import { domainHosts } from '../../engine/domain-hosts.ts';
import { forecast, type Supposed } from '../../engine/forecast.ts';
import { rotationStatus, statusOf, statusOfAll } from '../../engine/status.ts';
import { pemOf } from '../disclosed/key-file.ts';
import { domainIn, type Edge, orderIn, pageAnswer, pageIn, wholeNumber } from './edge.ts';
import { trailAnswer, trailIn } from './trail.ts';

/** RFC 9110 §15.3.3: the work goes on; Location says where to look after it. */
const accepted = (
  context: Context,
  domain: string,
  { rotation, joined, row }: Ordered | Declared,
  about: { readonly selector?: string } = {},
): Response => {
  const at = `/v1/domains/${domain}`;
  const { selector } = about;
  context.header(
    'Location',
    rotation === undefined ? `${at}/keys/${selector}` : `${at}/rotations/${encodeURIComponent(rotation.id)}`,
  );
  const body = {
    domain,
    ...about,
    joined,
    ...(rotation === undefined ? {} : { rotation: rotationStatus(row, rotation) }),
  };
  return context.json(body, 202);
};

/** The order that a forecast is to suppose. @throws invalid */
const supposedIn = (context: Context): Supposed | undefined => {
  const { order: text, selector, unsigned = 'false' } = context.req.query();
  const about = { ...(selector === undefined ? {} : { selector }), unsigned: unsigned === 'true' };
  const order = supposedOrders.find((each) => each === text);
  const wrong = (field: string, says: string): SelkieError => new SelkieError('invalid', says, { field });
  if (text === undefined) {
    if (selector !== undefined || about.unsigned) throw wrong('order', 'selector and unsigned go with order');
    return undefined;
  }
  if (order === undefined) throw wrong('order', `order is one of ${supposedOrders.join(', ')}`);
  if (unsigned !== 'true' && unsigned !== 'false') throw wrong('unsigned', 'unsigned is true or false');
  const urgent = order === 'emergency' || order === 'compromise';
  if (about.unsigned && !urgent) throw wrong('unsigned', 'unsigned goes with emergency and compromise');
  if (selector !== undefined && !urgent)
    throw wrong('selector', 'selector goes with emergency and compromise');
  if (order === 'compromise' && selector === undefined)
    throw wrong('selector', 'which key is compromised? Name its selector');
  return { order, ...about };
};

const reading = (edge: Edge): Hono => {
  const { world, session } = edge;
  const app = new Hono();
  app.get('/v1/domains', async (context) => {
    const { next, ...found } = await statusOfAll(
      world,
      await session(),
      pageIn(context, 'domains', pageSizes.domains),
    );
    return pageAnswer(context, 'domains', found, next);
  });
  app.get('/v1/domains/:domain', async (context) =>
    context.json(await statusOf(world, await session(), domainIn(context))),
  );
  app.get('/v1/domains/:domain/keys', async (context) =>
    context.json(await keysStatus(world, await session(), domainIn(context))),
  );
  app.get('/v1/domains/:domain/keys/:selector', async (context) =>
    context.json(await keyStatusOf(world, await session(), domainIn(context), context.req.param('selector'))),
  );
  app.get('/v1/domains/:domain/rotations', async (context) =>
    context.json(await rotationsStatus(world, await session(), domainIn(context))),
  );
  app.get('/v1/domains/:domain/rotations/:rotation', async (context) =>
    context.json(
      await rotationStatusOf(world, await session(), domainIn(context), context.req.param('rotation')),
    ),
  );
  app.get('/v1/domains/:domain/plan', async (context) =>
    context.json(await planOf(world, await session(), domainIn(context))),
  );
  app.get('/v1/domains/:domain/forecast', async (context) => {
    const horizon = wholeNumber(context.req.query('days'), 'days', forecastDays);
    const supposed = supposedIn(context);
    return context.json(await forecast(world, await session(), domainIn(context), horizon, supposed));
  });
  app.get('/v1/domains/:domain/hosts', async (context) =>
    context.json(await domainHosts(world, await session(), domainIn(context))),
  );
  app.get('/v1/domains/:domain/disclosed', async (context) => {
    const domain = domainIn(context);
    const list = `disclosed/${domain}`;
    const { keys, next } = await disclosedOf(
      world,
      await session(),
      domain,
      pageIn(context, list, pageSizes.disclosed),
    );
    const shown = keys.map(({ selector, algorithm, publicKey, privateKey, removed }) => ({
      selector,
      algorithm,
      removed: formatInstant(removed),
      publicKey,
      privateKey: pemOf(privateKey),
    }));
    return pageAnswer(context, list, { domain, keys: shown }, next);
  });
  app.get('/v1/domains/:domain/audit', async (context) => {
    const domain = domainIn(context);
    const trail = await domainTrail(world, await session(), domain, trailIn(context, domain));
    return trailAnswer(context, domain, { domain }, trail);
  });
  return app;
};

const orders = (edge: Edge): Hono => {
  const { world, session } = edge;
  const app = new Hono();
  app.post('/v1/domains/:domain/rotations', async (context) => {
    const domain = domainIn(context);
    const order = { ...parseBody(rotationRequest, await context.req.text()), ...orderIn(edge, context) };
    return accepted(context, domain, await requestRotation(world, await session(), domain, order));
  });
  app.post('/v1/domains/:domain/keys/:selector/compromise', async (context) => {
    const domain = domainIn(context);
    const selector = context.req.param('selector');
    const order = { ...parseBody(compromiseRequest, await context.req.text()), ...orderIn(edge, context) };
    const declared = await declareCompromised(world, await session(), domain, selector, order);
    return accepted(context, domain, declared, { selector });
  });
  app.post('/v1/domains/:domain/rollback', async (context) => {
    const domain = domainIn(context);
    const order = { ...parseBody(reasonRequest, await context.req.text()), ...orderIn(edge, context) };
    return accepted(context, domain, await rollBack(world, await session(), domain, order));
  });
  app.post('/v1/domains/:domain/abort', async (context) => {
    const domain = domainIn(context);
    const order = { ...parseBody(reasonRequest, await context.req.text()), ...orderIn(edge, context) };
    return accepted(context, domain, await abortRotation(world, await session(), domain, order));
  });
  return app;
};

export const domainRoutes = (edge: Edge): Hono => reading(edge).route('/', orders(edge));
