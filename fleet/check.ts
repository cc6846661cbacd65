// Checks a part of the file against its schema and says what is wrong in words for people. Zod; no I/O.

import { z } from 'zod';
import type { Path, Problem } from './problems.ts';
import type { Source } from './source.ts';
import { didYouMean } from './suggest.ts';

/** What these hold is never repeated in a message: somebody may have pasted a private key. */
const silent = new Set(['encryptionKey', 'signingKey', 'certificate', 'note', 'publicKey']);

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list, such as [a, b]',
  object: 'a map of fields',
  record: 'a map of names',
};

const kindOf = (value: unknown): string => {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a map' : (kinds[typeof value] ?? typeof value);
};

/** How a value stands at the head of a sentence, with the space behind it. */
const quoted = (value: unknown, path: Path): string => {
  if (path.some((part) => silent.has(String(part)))) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return `${value} `;
  return typeof value === 'string' && value.length <= 300 && !/[\r\n]/.test(value) ? `'${value}' ` : '';
};

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (inner, part) =>
      typeof inner === 'object' && inner !== null
        ? (inner as Record<string | number, unknown>)[part]
        : undefined,
    value,
  );

/** The names of the fields that `schema` has at `path`. */
const fieldsAt = (schema: z.core.$ZodType, path: Path): string[] => {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return fieldsAt(schema.unwrap(), path);
  if (!(schema instanceof z.ZodObject)) return [];
  const [part, ...rest] = path;
  if (part === undefined) return Object.keys(schema.shape);
  const inner = (schema.shape as Record<string, z.core.$ZodType>)[String(part)];
  return inner === undefined ? [] : fieldsAt(inner, rest);
};

export const unknownField = (name: string, known: readonly string[]): string =>
  `is not a field here${didYouMean(name, known) || `; there are ${known.join(', ')}`}`;

const sentence = (issue: z.core.$ZodIssue, value: unknown, path: Path): string => {
  if (issue.code === 'invalid_type' && value !== undefined) {
    const scalar = typeof value === 'number' || typeof value === 'boolean';
    const mend = issue.expected === 'string' && scalar ? ' (write it in quotes)' : '';
    return `${quoted(value, path)}is ${kindOf(value)}; it must be ${kinds[issue.expected] ?? issue.expected}${mend}`;
  }
  if (issue.code === 'invalid_type' && issue.message.startsWith('Invalid input')) return 'is missing';
  return `${quoted(value, path)}${issue.message}`;
};

const problemsOf = (
  issue: z.core.$ZodIssue,
  schema: z.core.$ZodType,
  value: unknown,
  place: Path,
  source: Source,
): Problem[] => {
  const inner = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  const path = [...place, ...inner];
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsAt(schema, inner);
    return issue.keys.map((key) => source.problem([...path, key], unknownField(key, known)));
  }
  return [source.problem(path, sentence(issue, valueAt(value, inner), path))];
};

const without = (value: object, issues: readonly z.core.$ZodIssue[]): object => {
  const bad = new Set(
    issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys' && issue.path.length === 0 ? issue.keys : [String(issue.path[0])],
    ),
  );
  return Object.fromEntries(Object.entries(value).filter(([key]) => !bad.has(key)));
};

/** Undefined where zod throws: it compares the `length` of whatever has one with a bound, a map's too, which may be no number. */
const judged = <T extends z.ZodType>(schema: T, value: unknown) => {
  try {
    return schema.safeParse(value);
  } catch {
    return undefined;
  }
};

/**
 * The checked entry at `place`, its problems added to `problems`. Where fields of it are wrong, the others are checked and
 * returned as if those were not there, so that later checks still find theirs; undefined where nothing can be made of it.
 */
export const check = <T extends z.ZodType>(
  schema: T,
  value: unknown,
  place: Path,
  source: Source,
  problems: Problem[],
): z.output<T> | undefined => {
  const result = judged(schema, value);
  if (result === undefined) {
    problems.push(source.problem(place, 'holds a map where a text or a list belongs'));
    return undefined;
  }
  if (result.success) return result.data;
  for (const issue of result.error.issues) problems.push(...problemsOf(issue, schema, value, place, source));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return judged(schema, without(value, result.error.issues))?.data;
};
