import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { schemaFile, schemaText } from '../../fleet/write-schema.ts';

interface Node {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: Node | boolean;
  readonly anyOf?: readonly Node[];
}

/** Every field below `node` that an editor would show without a word of help. */
const silentFields = (node: Node, path: string): string[] => [
  ...Object.entries(node.properties ?? {}).flatMap(([name, inner]) => [
    ...(inner.description === undefined &&
    inner.anyOf?.every((one) => one.description === undefined) !== false
      ? [`${path}.${name}`]
      : []),
    ...silentFields(inner, `${path}.${name}`),
  ]),
  ...(node.anyOf ?? []).flatMap((one) => silentFields(one, path)),
  ...(typeof node.additionalProperties === 'object'
    ? silentFields(node.additionalProperties, `${path}.*`)
    : []),
];

describe('docs/fleet.schema.json', () => {
  test('is what the schema says: `npm run schema` writes it anew', () => {
    expect(readFileSync(schemaFile, 'utf8')).toBe(schemaText());
  });

  test('explains each field', () => {
    const schema = JSON.parse(schemaText()) as Node;
    expect(Object.keys(schema.properties ?? {})).toEqual([
      'defaults',
      'domains',
      'zones',
      'pools',
      'hosts',
      'vault',
    ]);
    expect(silentFields(schema, '')).toEqual([]);
  });
});
