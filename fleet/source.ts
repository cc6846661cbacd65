// A YAML text as plain values that still know where they stand. The package `yaml`; no file is touched.
// Its own test for keys that appear twice compares each with each, which takes minutes for 100,000 domains; the one
// here takes one pass.

import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import { fieldOf, type Path, type Problem } from './problems.ts';

export interface Source {
  /** Maps are objects, lists arrays. */
  readonly value: unknown;
  /** Of its syntax, and keys that appear twice. */
  readonly problems: readonly Problem[];
  /** A problem at the key that `path` leads to, or at the deepest part of it that the file has. */
  problem(path: Path, message: string): Problem;
}

const keyOf = (pair: Pair): string => String(isScalar(pair.key) ? pair.key.value : pair.key);

const startOf = (node: unknown): number | undefined =>
  isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined;

/** Every key that its map had before. */
const repeated = function* (
  node: unknown,
  path: Path,
): Generator<{ path: Path; offset: number; first: number }> {
  if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) yield* repeated(item, [...path, index]);
    return;
  }
  if (!isMap(node)) return;
  const seen = new Map<string, number>();
  for (const pair of node.items) {
    const key = keyOf(pair);
    const offset = startOf(pair.key) ?? 0;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, offset);
    else yield { path: [...path, key], offset, first };
    if (isMap(pair.value) || isSeq(pair.value)) yield* repeated(pair.value, [...path, key]);
  }
};

/** Aliases without an anchor before them: the parser lets them pass, and fails when values are made of them. */
const loose = (document: Document): Alias[] => {
  const anchors = new Set<string>();
  const found: Alias[] = [];
  visit(document, (_, node) => {
    if (isAlias(node)) {
      if (!anchors.has(node.source)) found.push(node);
    } else if (isNode(node) && node.anchor !== undefined) anchors.add(node.anchor);
  });
  return found;
};

export const parseSource = (text: string): Source => {
  const lines = new LineCounter();
  const document = parseDocument(text, { uniqueKeys: false, lineCounter: lines, prettyErrors: false });
  const at = (offset: number, field: string, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1), field, message };
  };

  const pairs = new WeakMap<YAMLMap, Map<string, Pair>>();
  const pairOf = (map: YAMLMap, key: string): Pair | undefined => {
    const known = pairs.get(map) ?? new Map(map.items.map((pair) => [keyOf(pair), pair]));
    pairs.set(map, known);
    return known.get(key);
  };
  const offsetOf = (path: Path): number => {
    let node: unknown = document.contents;
    let offset = startOf(node) ?? 0;
    for (const part of path) {
      const pair = isMap(node) ? pairOf(node, String(part)) : undefined;
      if (pair === undefined && !isSeq(node)) return offset;
      node = isSeq(node) ? node.items[Number(part)] : pair?.value;
      offset = startOf(pair === undefined ? node : pair.key) ?? offset;
    }
    return offset;
  };

  const syntax = [...document.errors, ...document.warnings].map((error) =>
    at(error.pos[0], '', `This is not the YAML that it should be: ${error.message}`),
  );
  if (syntax.length === 0)
    for (const alias of loose(document))
      syntax.push(
        at(startOf(alias) ?? 0, '', `'*${alias.source}' points to nothing; write &${alias.source} before it`),
      );
  const twice =
    syntax.length > 0
      ? []
      : [...repeated(document.contents, [])].map(({ path, offset, first }) =>
          at(offset, fieldOf(path), `stands twice, first on line ${lines.linePos(first).line}; remove one`),
        );
  return {
    // The file is the operator's own: an anchor that 100,000 domains refer to is no attack.
    value: syntax.length > 0 ? undefined : document.toJS({ maxAliasCount: -1 }),
    problems: [...syntax, ...twice],
    problem: (path, message) => at(offsetOf(path), fieldOf(path), message),
  };
};
