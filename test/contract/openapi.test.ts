// docs/openapi.json is what the schemas say now, and says it as OpenAPI 3.1 asks.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openApiDocument, openApiText } from '../../contract/api/document.ts';
import { operations } from '../../contract/api/operations.ts';
import { documentFile } from '../../contract/api/write-document.ts';

type Json = { readonly [name: string]: Json } & readonly Json[];
const document = openApiDocument() as unknown as Json;

/** Every value of a document, with its name. */
function* members(value: unknown): Generator<readonly [string, unknown]> {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    yield [name, member];
    yield* members(member);
  }
}

describe('docs/openapi.json', () => {
  it('is current: npm run openapi writes it', () =>
    expect(readFileSync(documentFile, 'utf8')).toBe(openApiText()));

  it('refers to nothing that it has not', () => {
    const references = [...members(document)].filter(([name]) => name === '$ref').map(([, to]) => String(to));
    expect(references.length).toBeGreaterThan(50);
    for (const reference of references) {
      const [start, ...path] = reference.split('/');
      expect(start).toBe('#');
      expect(
        path.reduce((at: Json | undefined, step) => at?.[step], document),
        reference,
      ).toBeDefined();
    }
  });

  it('names each operation once, and declares each parameter of its path', () => {
    expect(new Set(operations.map(({ id }) => id)).size).toBe(operations.length);
    expect(new Set(operations.map(({ method, path }) => `${method} ${path}`)).size).toBe(operations.length);
    for (const { method, path } of operations) {
      const given = [
        ...((document.paths?.[path]?.[method]?.parameters ?? []) as unknown as {
          in?: string;
          name?: string;
        }[]),
      ]
        .filter((parameter) => parameter.in === 'path')
        .map(({ name }) => `{${name}}`);
      expect(given).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  });

  it('gives every write of an operator an Idempotency-Key, and every operation its problems', () => {
    for (const { method, path, order, open, id } of operations) {
      const operation = document.paths?.[path]?.[method];
      const text = JSON.stringify(operation);
      expect(text.includes('IdempotencyKey'), id).toBe(order === true);
      // Hosts prove themselves by their own keys; a report that comes twice changes nothing more.
      if (method !== 'get' && open !== true) expect(order === true || id === 'importReports', id).toBe(true);
      expect(Object.keys(operation?.responses ?? {})).toEqual(
        expect.arrayContaining(['400', '404', '405', '503']),
      );
    }
  });

  it('has no schema without a type, but for what audit events hold', () => {
    const schemas = document.components?.schemas;
    for (const [name, schema] of Object.entries(schemas ?? {})) expect(schema, name).toHaveProperty('type');
    expect(JSON.stringify(schemas)).not.toContain('"$schema"');
  });
});
