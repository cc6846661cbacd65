// The application holds what the OpenAPI document says: the same routes, and answers that fit the document's own schemas, which
// are read back from the document as any client's generator would.
import { createPublicKey, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { createApi } from '../../../adapters/http/api.ts';
import { openApiDocument } from '../../../contract/api/document.ts';
import { type Operation, operations } from '../../../contract/api/operations.ts';
import { verifyAuditChain } from '../../../contract/audit.ts';
import { reportUpload } from '../../../contract/reports.ts';
import type { AuditEvent } from '../../../core/audit.ts';
import { dayOf } from '../../../core/reports/report.ts';
import { days, hours, instant, minutes } from '../../../core/time.ts';
import { policyOf } from '../../../engine/world.ts';
import { record, report, xmlOf } from '../../reports/made.ts';
import { domain, type Simulation, simulate } from '../../world/world.ts';

const host = 'mx1.example.com';
const ada = 'arn:aws:iam::123456789012:user/ada';

type Schema = Parameters<typeof z.fromJSONSchema>[0] & object;
type Loose = { readonly [name: string]: Loose | undefined };
const document = openApiDocument() as Loose;

/** With what it refers to, in a form that stands alone. */
const judge = (schema: Loose): z.ZodType =>
  z.fromJSONSchema({
    ...(JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', '#/$defs/')) as Schema),
    $defs: JSON.parse(
      JSON.stringify(document.components?.schemas).replaceAll('#/components/schemas/', '#/$defs/'),
    ),
  });

const responseOf = (
  { method, path }: Pick<Operation, 'method' | 'path'>,
  status: number,
): Loose | undefined => {
  const response = document.paths?.[path]?.[method]?.responses?.[String(status)];
  const reference = response?.$ref as unknown as string | undefined;
  return reference === undefined
    ? response
    : document.components?.responses?.[reference.split('/').at(-1) ?? ''];
};

let simulation: Simulation;
let api: ReturnType<typeof createApi>;
beforeAll(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', {}, [host, 'mx2.example.com']);
  await simulation.run(hours(2));
  api = createApi(
    simulation.world,
    () => {},
    () => ada,
  );
});
afterAll(() => simulation.close());

const seen = new Set<string>();

/** Sends it, and holds the answer against the document. */
const call = async (
  id: string,
  parameters: Readonly<Record<string, string>> = {},
  {
    body,
    query = '',
    headers = {},
  }: { body?: unknown; query?: string; headers?: Record<string, string> } = {},
) => {
  const operation = operations.find((each) => each.id === id);
  if (operation === undefined) throw new Error(`no operation ${id}`);
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent({ domain, host, zone: domain, pool: 'mx', ...parameters }[name] ?? 'x'),
  );
  const response = await api.request(`http://api.example${path}${query}`, {
    method: operation.method.toUpperCase(),
    headers,
    ...(body === undefined ? {} : { body: body instanceof Uint8Array ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const described = responseOf(operation, response.status);
  expect(described, `${id} answers ${response.status}, which is not in the document: ${text}`).toBeDefined();
  for (const name of Object.keys(described?.headers ?? {}))
    if (name === 'Location') expect(response.headers.get(name), id).toMatch(/^\/v1\//);
  const [media = '', content] = Object.entries(described?.content ?? {})[0] ?? [];
  if (media === '') {
    expect(text).toBe('');
  } else {
    expect(response.headers.get('content-type')?.split(';')[0]).toBe(media);
    if (media !== 'text/plain') {
      const verdict = judge(content?.schema ?? {}).safeParse(JSON.parse(text));
      expect(verdict.error?.issues ?? [], `${id} ${text}`).toEqual([]);
    }
  }
  seen.add(`${id} ${response.status}`);
  const answer: unknown = media.endsWith('json') ? JSON.parse(text) : text;
  return { status: response.status, headers: response.headers, answer: answer as Record<string, unknown> };
};

it('has exactly the routes of the document, and the document those of the application', () => {
  const served = api.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, '{$1}')}`);
  expect(served.toSorted()).toEqual(operations.map(({ method, path }) => `${method} ${path}`).toSorted());
  const written = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.keys(methods ?? {}).map((method) => `${method} ${path}`),
  );
  expect(written.toSorted()).toEqual(served.toSorted());
});

it('an answer with a field more, or less, or of another kind does not fit the document', () => {
  const ordered = judge(
    responseOf({ method: 'post', path: '/v1/domains/{domain}/rotations' }, 202)?.content?.['application/json']
      ?.schema ?? {},
  );
  const rotation = {
    id: 'r',
    kind: 'requested',
    state: 'done',
    requested: '2024-01-28T09:00:00.000Z',
    algorithms: ['ed25519'],
    selectors: [],
  };
  const fits = (body: unknown) => ordered.safeParse(body).success;
  expect(fits({ domain, joined: true, rotation })).toBe(true);
  expect(fits({ domain, joined: true, rotation, more: 1 })).toBe(false);
  expect(fits({ domain, joined: true, rotation: { ...rotation, more: 1 } })).toBe(false);
  expect(fits({ domain, joined: true, rotation: { ...rotation, kind: 'other' } })).toBe(false);
  expect(fits({ domain, joined: true, rotation: { ...rotation, requested: 'today' } })).toBe(false);
  expect(fits({ domain, rotation })).toBe(false);
});

describe('a life of orders', () => {
  it('each is accepted, followed by its Location, and left in the trail', async () => {
    const rotated = await call(
      'rotate',
      {},
      { body: { reason: 'as planned' }, headers: { 'idempotency-key': 'k1' } },
    );
    expect(rotated).toMatchObject({ status: 202, answer: { joined: false, rotation: { by: ada } } });
    const location = rotated.headers.get('location') ?? '';
    const { id } = rotated.answer.rotation as { id: string };
    expect(location).toBe(`/v1/domains/${domain}/rotations/${id}`);
    expect(await (await api.request(`http://api.example${location}`)).json()).toMatchObject({
      id,
      state: 'under-way',
    });
    const again = await call('rotate', {}, { body: {}, headers: { 'idempotency-key': 'k1' } });
    expect(again.answer).toMatchObject({ joined: true, rotation: { id } });
    expect(
      (await call('rotate', {}, { body: { kind: 'emergency' }, headers: { 'idempotency-key': 'k1' } }))
        .status,
    ).toBe(409);

    await simulation.run(minutes(10));
    expect((await call('getPlan')).answer.blockedBy).not.toEqual([]);
    expect((await call('getRotation', { rotation: id })).answer.blockedBy).not.toEqual([]);
    expect((await call('abort', {}, { body: { reason: 'second thoughts' } })).status).toBe(202);
    expect((await call('getRotation', { rotation: id })).answer).toMatchObject({
      state: 'aborted',
      aborted: 'second thoughts',
    });
    expect((await call('abort')).status).toBe(409);

    await call('rotate');
    await simulation.run(hours(2));
    expect((await call('rollBack')).status).toBe(202);
    await simulation.run(hours(2));
    const keys = (await call('listKeys')).answer.keys as { selector: string; state: string }[];
    const draining = keys.find(({ state }) => state === 'draining')?.selector ?? '';
    const declared = await call(
      'declareCompromised',
      { selector: draining },
      { body: { reason: 'in a backup' } },
    );
    expect(declared).toMatchObject({ status: 202, answer: { selector: draining, joined: false } });
    expect(declared.answer).not.toHaveProperty('rotation');
    expect(declared.headers.get('location')).toBe(`/v1/domains/${domain}/keys/${draining}`);
    await simulation.run(minutes(10));
    expect((await call('getKey', { selector: draining })).answer).toMatchObject({
      compromised: 'in a backup',
      state: 'revoked',
    });
    const signing = keys.find(({ state }) => state === 'active')?.selector ?? '';
    const urgent = await call('declareCompromised', { selector: signing });
    expect(urgent.answer).toMatchObject({ joined: false, rotation: { kind: 'emergency' } });

    const events: AuditEvent[] = [];
    let query = '?limit=2';
    for (;;) {
      const page = await call('getDomainAudit', {}, { query });
      events.push(...(page.answer.events as AuditEvent[]));
      const link = page.headers.get('link');
      expect(link === null).toBe(page.answer.next === undefined);
      if (link === null) break;
      query = /^<[^?]*(\?[^>]*)>; rel="next"$/.exec(link)?.[1] ?? 'no link';
      expect(query).toContain('limit=2');
    }
    expect(verifyAuditChain(events)).toEqual({ ok: true });
    expect(events.map(({ who, what, why }) => [who, what, why])).toEqual([
      [ada, 'rotate', 'as planned'],
      [ada, 'abort', 'second thoughts'],
      [ada, 'rotate', undefined],
      [ada, 'rollback', undefined],
      [ada, 'compromise', 'in a backup'],
      [ada, 'compromise', undefined],
    ]);
    expect(events.at(-1)).toMatchObject({ after: { selector: signing, rotation: expect.any(String) } });
  });

  it('of hosts, once under a key, and a late repetition undoes nothing', async () => {
    const headers = { 'idempotency-key': 'e1' };
    expect((await call('excludeHost', {}, { body: { reason: 'repair' }, headers })).answer).toEqual({
      host,
      excluded: 'repair',
    });
    expect((await call('getHost')).answer).toMatchObject({ ready: false, excluded: 'repair' });
    await call('returnHost', {}, { body: { reason: 'back' }, headers: { 'idempotency-key': 'r1' } });
    expect((await call('excludeHost', {}, { body: { reason: 'repair' }, headers })).answer).toEqual({ host });
    expect((await call('returnHost', {}, { headers })).status).toBe(409);
    const { answer } = await call('getHostAudit');
    const events = answer.events as AuditEvent[];
    expect(events.map(({ who, what, why }) => [who, what, why])).toEqual([
      [ada, 'exclude', 'repair'],
      [ada, 'return', 'back'],
    ]);
    expect(verifyAuditChain(events)).toEqual({ ok: true });
    expect(answer.last).toEqual({ n: 2, hash: events[1]?.hash });
  });

  it('of many at once, once under a key: each domain has its rotation, and its event', async () => {
    const headers = { 'idempotency-key': 'm1' };
    const body = { kind: 'emergency', reason: 'mx1 was broken into' };
    // What it would come to is asked first, and nothing is ordered by asking.
    for (const id of ['weighAll', 'weighZone', 'weighPool'])
      expect((await call(id)).answer, id).toEqual({ domains: 1, until: expect.any(String) });
    const { status, answer, headers: told } = await call('rotatePool', {}, { body, headers });
    expect([status, told.get('location')]).toEqual([202, '/v1/domains']);
    expect(answer).toMatchObject({ domains: 1, joined: false });
    expect((await call('rotatePool', {}, { body, headers })).answer).toEqual({ ...answer, joined: true });
    // The same key for another order.
    expect((await call('rotateAll', {}, { body, headers })).status).toBe(409);
    await simulation.run(minutes(10));
    const rotations = (await call('listRotations')).answer.rotations as { kind: string }[];
    expect(rotations.filter(({ kind }) => kind === 'emergency')).toMatchObject([{ state: 'done', by: ada }]);
    const events = (await call('getDomainAudit')).answer.events as AuditEvent[];
    expect(events.at(-1)).toMatchObject({ who: ada, why: body.reason });
    for (const id of ['rotateAll', 'rotateZone'])
      expect((await call(id, {}, { body: { reason: 'a drill' } })).status).toBe(202);
    for (const [id, wrong] of [
      ['rotateZone', { zone: 'other.example' }],
      ['rotatePool', { pool: 'nobody' }],
    ] as const) {
      expect((await call(id, wrong, { body: { reason: 'a drill' } })).status).toBe(404);
      expect((await call(id.replace('rotate', 'weigh'), wrong)).status).toBe(404);
    }
    // What is ordered of many is told in the fleet's trail too, once for each order.
    const trail = (await call('getFleetAudit')).answer;
    const ordered = trail.events as AuditEvent[];
    expect(ordered.map(({ what, who, after }) => [what, who, after])).toEqual([
      ['emergency', ada, { of: 'pool mx', domains: 1 }],
      ['rotate', ada, { of: 'the fleet', domains: 1 }],
      ['rotate', ada, { of: `zone ${domain}`, domains: 1 }],
    ]);
    expect(verifyAuditChain(ordered)).toEqual({ ok: true });
    expect(trail.last).toEqual({ n: 3, hash: ordered.at(-1)?.hash });
    // Why is always said: it is in the trail of every domain.
    for (const wrong of [{}, { reason: '' }, { reason: 'r', unsigned: true }])
      expect((await call('rotateAll', {}, { body: wrong })).status).toBe(400);
  });

  it('is in the trail of the whole fleet, the newest first, by subject, by who and by what', async () => {
    const subject = encodeURIComponent(`host/${host}`);
    const ofHost = (await call('listOrders', {}, { query: `?subject=${subject}` })).answer;
    expect(ofHost.events).toEqual(((await call('getHostAudit')).answer.events as AuditEvent[]).toReversed());
    expect(ofHost).not.toHaveProperty('next');
    const all: AuditEvent[] = [];
    for (let query = '?limit=2'; ; ) {
      const { answer } = await call('listOrders', {}, { query });
      all.push(...(answer.events as AuditEvent[]));
      if (answer.next === undefined) break;
      query = `?limit=2&after=${encodeURIComponent(String(answer.next))}`;
    }
    expect(all.length).toBeGreaterThan(4);
    expect(all.map(({ at }) => at)).toEqual(
      all
        .map(({ at }) => at)
        .toSorted()
        .toReversed(),
    );
    expect((await call('listOrders')).answer.events).toEqual(all);
    const excluded = all.filter(({ what }) => what === 'exclude');
    expect((await call('listOrders', {}, { query: '?what=exclude&who=USER/ADA' })).answer).toEqual({
      events: excluded,
    });
    for (const query of ['?who=nobody', '?subject=other.example'])
      expect((await call('listOrders', {}, { query })).answer).toEqual({ events: [] });
    const hosts = (await call('listHosts', {}, { query: '?limit=1' })).answer;
    for (const query of ['?what=nonsense', '?limit=501', `?after=${encodeURIComponent(String(hosts.next))}`])
      expect((await call('listOrders', {}, { query })).status, query).toBe(400);
  });

  it('lists are paged by cursors of their own', async () => {
    const first = await call('listHosts', {}, { query: '?limit=1' });
    expect(first.answer.hosts).toHaveLength(1);
    const after = encodeURIComponent(String(first.answer.next));
    const second = await call('listHosts', {}, { query: `?limit=1&after=${after}` });
    expect(second.answer).toMatchObject({ hosts: [{ host: 'mx2.example.com' }] });
    expect(second.answer).not.toHaveProperty('next');
    expect((await call('listDomains', {}, { query: `?after=${after}` })).status).toBe(400);
    expect((await call('listHosts', {}, { query: '?after=mx1.example.com' })).status).toBe(400);
  });
});

it('takes in a report once, packed as it comes, and tells what it says', async () => {
  const day = instant(Date.parse(dayOf(simulation.now())));
  const xml = xmlOf(report([record({ count: 12 })], { begin: day, end: instant(day + hours(24) - 1_000) }));
  const first = await call('importReports', {}, { body: gzipSync(xml) });
  expect(first).toMatchObject({
    status: 200,
    answer: {
      reports: [{ reporter: 'receiver.example', domains: [{ domain, messages: 12, kept: 'saved' }] }],
    },
  });
  const again = await call('importReports', {}, { body: Buffer.from(xml) });
  expect(again.answer).toMatchObject({ reports: [{ domains: [{ kept: 'known' }] }] });
  expect((await call('getReports', {}, { query: '?days=7' })).answer).toMatchObject({
    messages: 12,
    selectors: [{ selector: '240128', passed: 12 }],
  });
  expect((await call('listReports', {}, { query: '?days=7&limit=5' })).answer).toMatchObject({
    domains: [{ domain, messages: 12 }],
  });
  for (const query of ['?days=0', '?days=401', '?days=x'])
    for (const id of ['getReports', 'listReports']) expect((await call(id, {}, { query })).status).toBe(400);
  for (const body of [Buffer.from('no report'), Buffer.from('<feedback>'), gzipSync('{}')])
    expect((await call('importReports', {}, { body })).status).toBe(400);
  const foreign = xmlOf(report([], { domain: 'other.example' })).replace(
    '</feedback>',
    '<record/></feedback>',
  );
  expect((await call('importReports', {}, { body: Buffer.from(foreign) })).status).toBe(404);
  const large = await call('importReports', {}, { body: randomBytes(reportUpload + 1) });
  expect(large).toMatchObject({ status: 400, answer: { detail: `The body is over ${reportUpload} bytes.` } });
});

it('what was published of retired keys, in PEM, page by page', async () => {
  expect((await call('listDisclosed')).answer).toEqual({ domain, keys: [] });
  simulation.change({ policy: { ...policyOf(simulation.world, domain), disclose: 'after-removal' } });
  for (let n = 0; n < 2; n += 1) {
    await call('rotate');
    await simulation.run(days(20));
  }
  const all = (await call('listDisclosed')).answer.keys as {
    selector: string;
    privateKey: string;
    publicKey: string;
  }[];
  expect(all.length).toBeGreaterThanOrEqual(2);
  for (const { selector, privateKey, publicKey } of all) {
    const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
    expect(spki.subarray(-32).toString('base64')).toBe(publicKey);
    expect((await call('getKey', { selector })).answer).toMatchObject({
      publicKey,
      disclosed: expect.any(String),
    });
  }
  const first = await call('listDisclosed', {}, { query: '?limit=1' });
  expect(first.answer.keys).toEqual(all.slice(0, 1));
  const after = encodeURIComponent(String(first.answer.next));
  expect((await call('listDisclosed', {}, { query: `?after=${after}` })).answer).toEqual({
    domain,
    keys: all.slice(1),
  });
});

it('every operation answers as the document says, well and badly', async () => {
  for (const id of [
    'listDomains',
    'getDomain',
    'listRotations',
    'getForecast',
    'listDisclosed',
    'listBundleKeys',
    'getOpenApi',
    'getDrift',
    'getHostAudit',
    'listByHand',
    'listDomainHosts',
    'getHealth',
  ])
    expect((await call(id)).status, id).toBe(200);
  expect((await call('orderAudit', {}, { body: {} })).status).toBe(202);
  await simulation.run(minutes(10));
  expect((await call('getDrift')).answer.audits).not.toEqual([]);
  const rotation = 'no-such-rotation';
  for (const { id } of operations) {
    const wrong = { domain: 'other.example.net', host: 'mx9.example.com', selector: '990101', rotation };
    if (
      id.endsWith('Drift') ||
      // Of many: what is not there is tried above, with the reason that they want.
      /^(rotate|weigh)(All|Zone|Pool)$/.test(id) ||
      [
        'listDomains',
        'listHosts',
        'listByHand',
        'listBundleKeys',
        'getOpenApi',
        'getHealth',
        'getFleetAudit',
        'orderAudit',
        'importReports',
        'listReports',
        'listOrders',
      ].includes(id)
    )
      continue;
    expect((await call(id, wrong)).status, id).toBe(404);
  }
  for (const id of [
    'rotate',
    'rollBack',
    'abort',
    'declareCompromised',
    'excludeHost',
    'returnHost',
    'orderAudit',
    'rotateAll',
    'rotateZone',
    'rotatePool',
  ])
    expect((await call(id, { selector: '1' }, { body: { nonsense: 1 } })).status, id).toBe(400);
  for (const id of ['pull', 'acknowledge'])
    expect([400, 403]).toContain((await call(id, {}, { body: 'x' })).status);
  const wellAnswered = new Set(
    [...seen].filter((each) => /2\d\d$/.test(each)).map((each) => each.split(' ')[0]),
  );
  // What hosts send is signed: test/agent/pull-snapshot.test.ts has the real ones.
  expect(operations.map(({ id }) => id).filter((id) => !wellAnswered.has(id))).toEqual([
    'pull',
    'acknowledge',
  ]);
});

it.each([
  ['PUT', `/v1/domains/${domain}`, 'GET, HEAD'],
  ['DELETE', `/v1/domains/${domain}/rotations`, 'GET, HEAD, POST'],
  ['OPTIONS', '/v1/drift', 'GET, HEAD, POST'],
  ['GET', `/v1/hosts/${host}/exclusion`, 'DELETE, POST'],
  ['POST', '/openapi.json', 'GET, HEAD'],
])('%s %s is told which methods there are (RFC 9110 §15.5.6)', async (method, path, allow) => {
  const response = await api.request(`http://api.example${path}`, { method });
  expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  const template = [...new Set(operations.map((each) => each.path))].find((each) =>
    new RegExp(`^${each.replace(/\{\w+\}/g, '[^/]+').replaceAll('.', '\\.')}$`).test(path),
  );
  const known = operations.find((each) => each.path === template);
  const described = known && responseOf(known, 405);
  expect(Object.keys(described?.headers ?? {})).toEqual(['Allow']);
  const verdict = judge({ $ref: '#/components/schemas/Problem' } as never).safeParse(await response.json());
  expect(verdict.error).toBeUndefined();
});
