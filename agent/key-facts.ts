// What the key files say besides their private keys, gathered in one file: with it, a host of 100,000 domains starts
// without reading 100,000 others. Nothing rests on it: a line that is missing or torn has its key file read instead, and
// whoever loads a private key compares. Touches that file only.
import { appendFile } from 'node:fs/promises';
import { type Algorithm, isAlgorithm } from '../core/algorithm.ts';
import { readIfThere, replaceFile } from './files.ts';

export interface KeyFacts {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: Algorithm;
  /** `p=` of the key record. */
  readonly publicKey: string;
}

const line = (file: string, { domain, selector, algorithm, publicKey }: KeyFacts): string =>
  `${JSON.stringify([file, domain, selector, algorithm, publicKey])}\n`;

const parsed = (text: string): readonly [string, KeyFacts] | undefined => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 5 || !value.every((one) => typeof one === 'string'))
    return undefined;
  const [file = '', domain = '', selector = '', algorithm = '', publicKey = ''] = value as string[];
  return isAlgorithm(algorithm) ? [file, { domain, selector, algorithm, publicKey }] : undefined;
};

/** By the key file's name, as far as the lines are whole. */
export const readFacts = async (path: string): Promise<Map<string, KeyFacts>> => {
  const text = (await readIfThere(path)) ?? '';
  const facts = new Map<string, KeyFacts>();
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    const entry = end === at ? undefined : parsed(text.slice(at, end));
    if (entry !== undefined) facts.set(...entry);
    at = end + 1;
  }
  return facts;
};

/** Without fsync: what a crash takes is read from the key files again. */
export const appendFacts = (path: string, file: string, facts: KeyFacts): Promise<void> =>
  // A line break first: a crash may have torn the line before.
  appendFile(path, `\n${line(file, facts)}`, { mode: 0o600 });

export const writeFacts = (
  path: string,
  keys: Iterable<KeyFacts & { readonly file: string }>,
): Promise<void> => replaceFile(path, Array.from(keys, (key) => line(key.file, key)).join(''));
