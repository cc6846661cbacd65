// The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1), made of the operations and of the very schemas by which
// the API judges what it is sent: JSON Schema 2020-12, by zod's own converter. Pure.

import * as z from 'zod/mini';
import { auditedOrders } from '../../core/audit.ts';
import { supposedOrders } from '../api.ts';
import { limits } from '../manifest.ts';
import { reportUpload } from '../reports.ts';
import { type Operation, operations, type QueryName, type SchemaName, schemas } from './operations.ts';

const pointer = (name: string): string => `#/components/schemas/${name}`;
const reference = (name: SchemaName) => ({ $ref: pointer(name) });

/** Those that name each other refer to each other. */
const components = (): Record<string, unknown> => {
  const registry = z.registry<{ id: string }>();
  for (const [name, schema] of Object.entries(schemas)) registry.add(schema, { id: name });
  const { schemas: converted } = z.toJSONSchema(registry, {
    uri: pointer,
    io: 'input',
    target: 'draft-2020-12',
  });
  return Object.fromEntries(
    Object.entries(converted).map(([name, { $schema: _schema, $id: _id, ...schema }]) => [name, schema]),
  );
};

const pathParameters: Readonly<Record<string, object>> = {
  domain: { description: 'A signing domain of the fleet', schema: { type: 'string', maxLength: 253 } },
  selector: { description: 'The selector of one of its keys', schema: { type: 'string', maxLength: 63 } },
  rotation: { description: 'The id of one of its rotations', schema: { type: 'string' } },
  host: { description: 'A mail host of the fleet', schema: { type: 'string', maxLength: 253 } },
  zone: { description: 'A record zone of the fleet', schema: { type: 'string', maxLength: 253 } },
  pool: { description: 'A pool of the fleet', schema: { type: 'string', maxLength: 253 } },
};

/** An order that a forecast supposes. */
const supposed = {
  order: {
    description: 'Suppose that this were ordered now',
    schema: { type: 'string', enum: supposedOrders },
  },
  selector: {
    description: 'With order=compromise the key; with order=emergency where one key is meant',
    schema: { type: 'string', maxLength: 63 },
  },
  unsigned: {
    description: 'With order=compromise or emergency: revoke at once, though mail then goes unsigned',
    schema: { type: 'string', enum: ['true', 'false'] },
  },
};

/** What a list is narrowed to. */
const wished = {
  zone: { description: 'Of this record zone alone', schema: { type: 'string', maxLength: 253 } },
  subject: {
    description: 'Of one domain alone, of host/NAME, or of fleet',
    schema: { type: 'string', maxLength: 260 },
  },
  who: {
    description: 'Whose name has this in it, in any case',
    schema: { type: 'string' },
  },
  what: { description: 'Orders of this kind alone', schema: { type: 'string', enum: auditedOrders } },
};

const query = (name: QueryName, { bound: ofLimit, days }: Operation): object => {
  const bound = name === 'days' ? (days ?? ofLimit) : ofLimit;
  if (name === 'after')
    return {
      name,
      in: 'query',
      description: 'A cursor: next of the page before, or the target of its Link. Its form may change',
      schema: { type: 'string', minLength: 1 },
    };
  if (name === 'order' || name === 'selector' || name === 'unsigned')
    return { name, in: 'query', ...supposed[name] };
  if (name === 'zone' || name === 'subject' || name === 'who' || name === 'what')
    return { name, in: 'query', ...wished[name] };
  return {
    name,
    in: 'query',
    description: name === 'limit' ? 'Items of a page, at most' : 'How far to look',
    schema: { type: 'integer', minimum: 1, maximum: bound?.most, default: bound?.usual },
  };
};

const parameters = (operation: Operation): readonly object[] => [
  ...[...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    ...pathParameters[name],
  })),
  ...(operation.query ?? []).map((name) => query(name, operation)),
  ...(operation.order === undefined ? [] : [{ $ref: '#/components/parameters/IdempotencyKey' }]),
];

const token = { 'text/plain': { schema: { type: 'string', maxLength: limits.hostToken } } };
const sealed = { 'text/plain': { schema: { type: 'string', maxLength: limits.bundle } } };
/** Up to `reportUpload` bytes. */
const report = { 'application/octet-stream': {} };
const json = (name: SchemaName) => ({ 'application/json': { schema: reference(name) } });

const statusSays = {
  200: 'Done',
  202: 'Taken on: the work is woken at once, and Location tells of it',
  204: 'Nothing more to say',
};

const problemSays: Readonly<Record<number, string>> = {
  400: 'The request is wrong: detail says what, and field where',
  401: 'Nobody, or somebody unknown, asks',
  403: 'It may not be asked by whoever asks, or a signature does not hold',
  404: 'The fleet has no such thing',
  405: 'What is at this path answers to other methods, which Allow names',
  409: 'It cannot be as things stand: detail says why',
  502: 'A service behind refused',
  503: 'Not now: the same request may succeed later',
};

const problems = ({ problems: more = [] }: Operation): Record<string, object> =>
  Object.fromEntries(
    [400, 401, 403, 404, 405, ...more, 502, 503].map((status) => [
      String(status),
      { $ref: `#/components/responses/Problem${status}` },
    ]),
  );

const problemResponses = (): Record<string, object> =>
  Object.fromEntries(
    Object.entries(problemSays).map(([status, description]) => [
      `Problem${status}`,
      {
        description,
        ...(status === '405' ? { headers: { Allow: { $ref: '#/components/headers/Allow' } } } : {}),
        content: { 'application/problem+json': { schema: reference('Problem') } },
      },
    ]),
  );

const responses = (operation: Operation): Record<string, object> => {
  const { status, schema, headers = [], orNone } = operation.answer;
  const content = schema === undefined ? undefined : schema === 'token' ? sealed : json(schema);
  return {
    [status]: {
      description: statusSays[status],
      ...(headers.length === 0
        ? {}
        : {
            headers: Object.fromEntries(
              headers.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
            ),
          }),
      ...(content === undefined ? {} : { content }),
    },
    ...(orNone === undefined ? {} : { 204: { description: statusSays[204] } }),
    ...problems(operation),
  };
};

const bodyObject = (body: NonNullable<Operation['body']>): object =>
  body === 'token'
    ? { required: true, content: token }
    : body === 'report'
      ? { required: true, description: `At most ${reportUpload} bytes`, content: report }
      : { required: false, content: json(body) };

const operationObject = (operation: Operation): object => {
  const { id, says, body, open } = operation;
  const given = parameters(operation);
  return {
    operationId: id,
    summary: says,
    ...(given.length === 0 ? {} : { parameters: given }),
    ...(body === undefined ? {} : { requestBody: bodyObject(body) }),
    responses: responses(operation),
    ...(open === undefined ? {} : { security: [] }),
  };
};

const paths = (): Record<string, Record<string, object>> => {
  const found: Record<string, Record<string, object>> = {};
  for (const operation of operations)
    found[operation.path] = { ...found[operation.path], [operation.method]: operationObject(operation) };
  return found;
};

/** @returns the document, a value of JSON */
export const openApiDocument = (): object => ({
  openapi: '3.1.1',
  jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
  info: {
    title: 'Selkie',
    version: '1',
    description:
      'Rotates the DKIM keys of mail domains. Problems are RFC 9457; lists are paged by cursors, with Link (RFC 8288); each order takes an Idempotency-Key and leaves an event in a hash-chained audit trail.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  security: [{ iam: [] }, { token: [] }],
  paths: paths(),
  components: {
    schemas: components(),
    responses: problemResponses(),
    parameters: {
      IdempotencyKey: {
        name: 'Idempotency-Key',
        in: 'header',
        description:
          'The same order under the same key is carried out once, and answered again, for 30 days at least',
        schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,128}$' },
      },
    },
    headers: {
      Allow: { description: 'The methods, with commas (RFC 9110 §10.2.1)', schema: { type: 'string' } },
      Link: { description: 'rel="next": the next page (RFC 8288)', schema: { type: 'string' } },
      Location: { description: 'Where to look after the work', schema: { type: 'string' } },
    },
    securitySchemes: {
      iam: {
        type: 'apiKey',
        in: 'header',
        name: 'Authorization',
        description: 'In an AWS account: AWS Signature Version 4, service execute-api',
      },
      token: { type: 'http', scheme: 'bearer', description: 'On one machine: the token of selkie up' },
    },
  },
});

/** As it stands in docs/openapi.json. */
export const openApiText = (): string => `${JSON.stringify(openApiDocument(), null, 2)}\n`;
