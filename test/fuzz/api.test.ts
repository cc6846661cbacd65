// The HTTP API against hostile requests: each is answered with a problem that says what to do, and the ledger stays as it
// was. In front of the whole engine, in virtual time.
import { once } from 'node:events';
import { connect } from 'node:net';
import { serve } from '@hono/node-server';
import fc from 'fast-check';
import type { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { openApiDocument } from '../../contract/api/document.ts';
import { operations } from '../../contract/api/operations.ts';
import { hours } from '../../core/time.ts';
import type { Ledger } from '../../engine/ports.ts';
import { report, xmlOf } from '../reports/made.ts';
import { freePort } from '../tools/free-port.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';
import { patience, runs } from './settings.ts';

patience();

const host = 'mx1.example.com';
let simulation: Simulation;
let api: Hono;
let log: string[];
/** The id of the first. */
let rotation = '';
/** Writes that the ledger took. */
let writes = 0;
beforeAll(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', { algorithms: ['ed25519'] }, [host]);
  await simulation.run(hours(2));
  const { ledger } = simulation.world;
  rotation = (await ledger.domain(domain))?.rotations[0]?.id ?? '';
  const counted: Ledger = {
    ...ledger,
    commit: async (commit) => {
      await ledger.commit(commit);
      writes += 1;
    },
  };
  log = [];
  api = createApi({ ...simulation.world, ledger: counted }, (line) => log.push(line));
});
afterAll(() => simulation.close());

const send = async (
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: string | Uint8Array,
) =>
  api.request(
    new Request(`http://localhost${path}`, {
      method,
      headers,
      ...(body === undefined || method === 'GET' || method === 'HEAD'
        ? {}
        : { body: typeof body === 'string' ? body : new Uint8Array(body) }),
    }),
  );

/** That it is a problem (RFC 9457 §3.1) which blames the sender, tells nothing of the inside, and changed nothing. */
const isProblem = async (response: Response, before: number): Promise<void> => {
  const text = await response.text();
  expect(response.status, text).toBeLessThan(500);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  const problem = JSON.parse(text);
  expect(problem).toMatchObject({ type: 'about:blank', status: response.status });
  expect(problem.title).toMatch(/^[A-Z][A-Za-z ]+$/);
  expect(problem.code).toMatch(/^[a-z.-]+$/);
  expect(problem.detail).not.toMatch(/\.ts\b|node_modules|\n\s+at |TypeError|undefined/);
  expect(writes).toBe(before);
};

const seen = new Map<string, number>();
/** Either all is well, or it is a problem. */
const isAnswered = async (response: Response, before: number): Promise<void> => {
  const kind = `${Math.floor(response.status / 100)}xx`;
  seen.set(kind, (seen.get(kind) ?? 0) + 1);
  if (response.status >= 400) await isProblem(response, before);
  else expect([200, 202, 204]).toContain(response.status);
};

const posts = [
  `/v1/domains/${domain}/rotations`,
  `/v1/domains/${domain}/rollback`,
  `/v1/domains/${domain}/abort`,
  `/v1/domains/${domain}/keys/240128e/compromise`,
  '/v1/drift',
  `/v1/hosts/${host}/exclusion`,
  `/v1/hosts/${host}/pull`,
  `/v1/hosts/${host}/acknowledgements`,
] as const;

const names = fc.constantFrom(
  'reason',
  'kind',
  'compromised',
  'unsigned',
  '__proto__',
  'constructor',
  'x\ny',
  '',
);
const values = fc.oneof(
  fc.constantFrom<unknown>(
    'emergency',
    'requested',
    '240128e',
    'x'.repeat(501),
    'a\u001b[2J',
    true,
    { length: { toString: null } },
    { length: Number.POSITIVE_INFINITY },
    null,
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
const bodies = fc.oneof(
  fc.dictionary(names, values, { maxKeys: 4, noNullPrototype: true }).map((value) => JSON.stringify(value)),
  fc.json(),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(
    '',
    ' ',
    '{',
    '[]',
    'null',
    '{"reason":"a","reason":1}',
    `${'['.repeat(8_000)}${']'.repeat(8_000)}`,
    'x'.repeat(20_000),
    'x'.repeat(2_000_000),
    'é'.repeat(700_000),
    '\ufeff{}',
    '{"kind":"emergency","compromised":"240128"}',
    'e30.e30.e30',
    '..',
    'eyJhbGciOiJub25lIn0..',
  ),
);
const headers = fc.dictionary(
  fc.constantFrom(
    'content-type',
    'idempotency-key',
    'accept',
    'content-length',
    'x-http-method-override',
    'content-encoding',
    'transfer-encoding',
  ),
  fc.oneof(
    fc.constantFrom(
      'text/plain',
      'multipart/form-data; boundary=x',
      'application/json; charset=utf-16',
      'gzip',
      'chunked',
      '0',
      '99999999',
      '-1',
      'DELETE',
      'k',
      '',
      'a b',
      'k'.repeat(129),
      '\xe9',
    ),
    fc.string({
      unit: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)),
      maxLength: 10,
    }),
  ),
  { maxKeys: 3 },
);

describe('a request', () => {
  it('with any body and header is answered, or a problem that changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...posts), headers, bodies, async (path, heads, body) => {
        const before = writes;
        await isAnswered(await send('POST', path, heads, body), before);
      }),
      runs(700),
    );
    expect(seen.get('4xx')).toBeGreaterThan(200);
    expect(seen.get('2xx')).toBeGreaterThan(10);
  });

  it('to any path is a problem or an answer, and what asks for nothing that is there changes nothing', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'v1',
        'domains',
        'hosts',
        domain,
        host,
        'rotations',
        'rollback',
        'exclusion',
        'pull',
        'forecast',
        'bundle-keys',
        '',
        '.',
        '..',
        '%2e%2e',
        '%00',
        '%',
        '%zz',
        '%E0%A4%A',
        '%2f',
        '%5c',
        '*',
        ':domain',
        '__proto__',
        'constructor',
        `${'a'.repeat(63)}.jp`,
        'a'.repeat(9_000),
        '%F0%9F%A6%AD',
        'EXAMPLE.COM.',
        'example.com%00',
        "'; DROP TABLE domains; --",
        '%0d%0aX: 1',
        '🦭',
      ),
      fc.string({ maxLength: 8 }).map(encoded),
    );
    const query = fc.constantFrom(
      '',
      '?limit=0',
      '?limit=1e9',
      '?limit=x',
      '?limit=',
      '?after=%00',
      '?after=\u{1f9ad}',
      `?after=${'a'.repeat(5_000)}`,
      '?days=-1',
      '?days=1.5',
      '?days=NaN',
      '?limit=1&limit=2',
      '?__proto__=1',
      '?%',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS', 'PROPFIND'),
        fc.array(piece, { maxLength: 5 }),
        query,
        async (method, pieces, end) => {
          const before = writes;
          const response = await send(
            method,
            `/${pieces.join('/')}${end}`,
            {},
            method === 'POST' ? '{"reason":7}' : undefined,
          );
          if (response.status < 400) expect(['GET', 'DELETE']).toContain(method);
          await isAnswered(response, before);
        },
      ),
      runs(700),
    );
  });

  it.each([
    ...posts
      .filter((path) => path !== '/v1/drift')
      .flatMap((path) => [
        ['POST', path.replace(domain, 'example.net').replace(host, 'mx9.example.com')] as const,
      ]),
    ['POST', '/v1/domains/example/rotations'],
    ['POST', '/v1/domains/%00/rotations'],
    ['POST', '/v1/hosts/%00/exclusion'],
    ['POST', `/v1/hosts/${'a'.repeat(9_000)}/pull`],
    ['DELETE', '/v1/hosts/mx9.example.com/exclusion'],
    ['DELETE', '/v1/hosts/__proto__/exclusion'],
    ['GET', '/v1/domains/__proto__'],
    ['GET', '/v1/domains/example.net/forecast?days=3651'],
    ['GET', '/v1/domains?limit=501'],
    ['GET', '/v1/nothing'],
  ] as const)('%s %s is a problem', async (method, path) => {
    const before = writes;
    const response = await send(method, path, {}, method === 'POST' ? '{}' : undefined);
    expect(response.status).toBeGreaterThanOrEqual(400);
    await isProblem(response, before);
  });
});

/** A schema of the document, as far as requests use it. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly const?: unknown;
  readonly required?: readonly string[];
  readonly maxLength?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly $ref?: string;
}
interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema: Schema;
  readonly $ref?: string;
}
interface Described {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> };
}
const document = openApiDocument() as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};

/** What a reference leads to. */
const resolved = <T extends { readonly $ref?: string }>(value: T): T => {
  const [, , kind = '', name = ''] = value.$ref?.split('/') ?? [];
  return kind === '' ? value : (document.components[kind]?.[name] as T);
};

const anything = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', [], {}, -1, 1e300, '\u0000', '\ud800', '__proto__', {
    length: Number.NaN,
  }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** What fits a schema, what just does not, and what has nothing to do with it. */
const around = (given: Schema): fc.Arbitrary<unknown> => {
  const schema = resolved(given);
  const { properties } = schema;
  if (properties !== undefined)
    return fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record(
          Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, around(each)])),
          { requiredKeys: [...(schema.required ?? [])] },
        ),
      },
      { weight: 1, arbitrary: fc.dictionary(fc.string(), anything, { maxKeys: 3 }) },
      { weight: 1, arbitrary: anything },
    );
  if (schema.const !== undefined)
    return fc.oneof({ weight: 3, arbitrary: fc.constant(schema.const) }, { weight: 1, arbitrary: anything });
  if (schema.enum !== undefined) return fc.oneof(fc.constantFrom(...schema.enum), anything);
  if (schema.type === 'boolean') return fc.oneof(fc.boolean(), anything);
  if (schema.type === 'integer') {
    const most = schema.maximum ?? 100;
    return fc.oneof(
      fc.integer({ min: 1, max: most }),
      fc.constantFrom<unknown>(0, -1, most, most + 1, 1.5, '1e9', '', 'NaN'),
      anything,
    );
  }
  const longest = schema.maxLength ?? 300;
  return fc.oneof(
    fc.constantFrom(
      'x'.repeat(longest),
      'x'.repeat(longest + 1),
      domain,
      host,
      '240128e',
      'reason',
      'a\u001b[2J',
      'ü🦭',
    ),
    fc.string({ maxLength: 40 }),
    anything,
  );
};

/** Bytes that have no schema: a report, or not quite. */
const upload = fc.oneof(
  fc.constantFrom(xmlOf(report()), xmlOf(report([], { domain: 'other.example' })), '<feedback>'),
  fc.string(),
);

const asText = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? '');

describe('each operation of the document', () => {
  const answered = new Set<string>();
  // Only its own key opens what a host sends; and what is under way, a rollback gave up before.
  const unanswered = ['abort', 'pull', 'acknowledge'];
  afterAll(() => {
    const never = operations.map(({ id }) => id).filter((id) => !answered.has(id));
    expect(never.filter((id) => !unanswered.includes(id))).toEqual([]);
  });

  it.each(operations.map(({ id, method, path }) => [id, method, path] as const))(
    '%s is answered whatever its fields hold',
    async (id, method, path) => {
      const described = document.paths[path]?.[method];
      if (described === undefined) return expect.unreachable();
      const parameters = (described.parameters ?? []).map(resolved);
      const fields = fc.record(
        Object.fromEntries(parameters.map(({ name, schema }) => [name, around(schema)])),
        { requiredKeys: parameters.flatMap((each) => (each.in === 'path' ? [each.name] : [])) },
      );
      const [content] = Object.values(described.requestBody?.content ?? {});
      const body =
        content === undefined
          ? fc.constant(undefined)
          : fc.option(content.schema === undefined ? upload : around(content.schema), { nil: undefined });
      const known: Readonly<Record<string, string>> = {
        domain,
        host,
        selector: '240128e',
        rotation,
        zone: domain,
        pool: 'mx',
      };
      await fc.assert(
        fc.asyncProperty(fields, body, fc.boolean(), async (values, sent, isKnown) => {
          const textOf = (name: string): string =>
            (isKnown ? known[name] : undefined) ?? asText((values as Record<string, unknown>)[name]);
          const query = new URLSearchParams();
          const heads: Record<string, string> = {};
          for (const each of parameters) {
            if (!(each.name in values)) continue;
            const text = textOf(each.name);
            if (each.in === 'query') query.set(each.name, text);
            // Others are refused by whoever sends them.
            if (each.in === 'header' && /^[\x20-\x7e]*$/.test(text)) heads[each.name] = text;
          }
          const target = path.replace(/\{(\w+)\}/g, (_all, name: string) => encoded(textOf(name)));
          const before = writes;
          const response = await send(
            method.toUpperCase(),
            `${target}${query.size === 0 ? '' : `?${query}`}`,
            heads,
            sent === undefined ? undefined : method === 'get' ? undefined : asText(sent),
          );
          if (response.ok) answered.add(id);
          await isAnswered(response, before);
        }),
        runs(160),
      );
    },
  );
});

const encoded = (text: string): string => {
  try {
    return encodeURIComponent(text);
  } catch {
    // A lone surrogate.
    return '%ed%a0%80';
  }
};

describe('bytes on the wire', () => {
  it.each([
    ['an odd path', 'GET /..%2f..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a path that climbs', 'GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['two slashes', 'GET //evil.example/v1/domains HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a whole address', 'GET http://evil.example/v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no host', 'GET /v1/nothing HTTP/1.1\r\n\r\n'],
    ['a broken host', 'GET /v1/nothing HTTP/1.1\r\nHost: [x\r\n\r\n'],
    ['a star', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n'],
    [
      'two lengths',
      'POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    ],
    [
      'a length and chunks',
      'POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['chunks that lie', `POST ${posts[0]} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`],
    ['a long header', `GET /v1/nothing HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`],
    ['bytes that are no HTTP', '\x16\x03\x01\x02\x00\x01\x00'],
    ['a body that is refused', `POST ${posts[0]} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]`],
  ])('%s', async (_, request) => {
    const before = writes;
    const port = await freePort();
    const server = serve({ fetch: api.fetch, port, hostname: '127.0.0.1' });
    try {
      if (!server.listening) await once(server, 'listening');
      const socket = connect(port, '127.0.0.1');
      let answer = '';
      socket.setEncoding('latin1').on('data', (text: string) => {
        answer += text;
        if (answer.includes('\r\n\r\n')) socket.end();
      });
      socket.on('error', () => {});
      socket.write(Buffer.from(request, 'latin1'));
      await once(socket, 'close');
      expect(answer).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
      expect(answer).not.toMatch(/node_modules|\.ts:/);
      expect(writes).toBe(before);
    } finally {
      if ('closeAllConnections' in server) server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
