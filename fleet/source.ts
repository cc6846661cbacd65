// A YAML text as plain values that still know where they stand. The package `yaml`; no file is touched.
// Its own test for keys that appear twice compares each with each, which takes minutes for 100,000 domains; the one
// here takes one pass.

import {
  type Alias,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
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

interface Read {
  readonly value: unknown;
  /** Every key that its map had before. */
  readonly repeated: readonly { readonly path: Path; readonly offset: number; readonly first: number }[];
  /** Aliases without an anchor before them. */
  readonly loose: readonly Alias[];
}

/**
 * The values of a document in one pass. The package's own way looks through all aliases for each of them, throws at one
 * that points to nothing, and does not tell keys that appear twice. What an alias points to is shared, never copied, so
 * that aliases of aliases take no room.
 */
const readValues = (root: unknown): Read => {
  const anchors = new Map<string, unknown>();
  const repeated: { path: Path; offset: number; first: number }[] = [];
  const loose: Alias[] = [];
  const read = (node: unknown, path: Path): unknown => {
    if (isAlias(node)) {
      if (!anchors.has(node.source)) loose.push(node);
      return anchors.get(node.source);
    }
    // Before what is in it: an alias may stand inside of its anchor.
    const keep = <T>(value: T): T => {
      if (isNode(node) && node.anchor !== undefined) anchors.set(node.anchor, value);
      return value;
    };
    if (isScalar(node)) return keep(node.value);
    if (isSeq(node)) {
      const list = keep<unknown[]>([]);
      for (const [index, item] of node.items.entries()) list.push(read(item, [...path, index]));
      return list;
    }
    if (!isMap(node)) return null;
    const map = keep<Record<string, unknown>>({});
    const seen = new Map<string, number>();
    for (const pair of node.items) {
      const name = read(pair.key, path) ?? '';
      const key = typeof name === 'object' ? String(pair.key) : String(name);
      const offset = startOf(pair.key) ?? 0;
      const first = seen.get(key);
      if (first === undefined) seen.set(key, offset);
      else repeated.push({ path: [...path, key], offset, first });
      const value = read(pair.value, [...path, key]);
      // A key like any other, though an assignment to it is none.
      if (key === '__proto__')
        Object.defineProperty(map, key, { value, configurable: true, enumerable: true, writable: true });
      else map[key] = value;
    }
    return map;
  };
  return { value: read(root, []), repeated, loose };
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
  const found = syntax.length > 0 ? undefined : readValues(document.contents);
  const nowhere = (found?.loose ?? []).map((alias) =>
    at(startOf(alias) ?? 0, '', `'*${alias.source}' points to nothing; write &${alias.source} before it`),
  );
  const twice = (found?.repeated ?? []).map(({ path, offset, first }) =>
    at(offset, fieldOf(path), `stands twice, first on line ${lines.linePos(first).line}; remove one`),
  );
  return {
    value: nowhere.length > 0 ? undefined : found?.value,
    problems: [...syntax, ...nowhere, ...twice],
    problem: (path, message) => at(offsetOf(path), fieldOf(path), message),
  };
};
