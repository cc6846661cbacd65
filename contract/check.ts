// Judges what came over a wire against its schema, and says what is wrong in words. May use zod/mini and core only.
// The sentences name fields, never what was in them: a payload holds private keys.

import type * as z from 'zod/mini';
import { SelkieError } from '../core/errors.ts';

/** A name that the sender chose, for a sentence that ends up in logs and on terminals: nothing in it ends a line, or hides one. */
export const shown = (name: string, most: number): string =>
  name.slice(0, most).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');

const sentence = (issue: z.core.$ZodIssue): string => {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${/^[aeiou]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}`;
    case 'too_small':
      return `must be at least ${issue.minimum}${issue.origin === 'string' ? ' characters' : ''}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'unrecognized_keys':
      return `has a field that is not known here: ${shown(issue.keys.join(', '), 100)}`;
    case 'custom':
      return issue.message;
    default:
      return 'does not have the right form';
  }
};

/** Undefined where zod throws: it compares the `length` of whatever has one with a bound, a map's too, which may be no number. */
const judged = <T>(schema: z.ZodMiniType<T>, value: unknown) => {
  try {
    return schema.safeParse(value);
  } catch {
    return undefined;
  }
};

/**
 * The value, where it fits the schema.
 * @param what what it is, as a sentence begins: "The manifest"
 * @throws SelkieError invalid, with the first field that is wrong (`changes.0.domain`)
 */
export const check = <T>(schema: z.ZodMiniType<T>, value: unknown, what: string): T => {
  const result = judged(schema, value);
  if (result?.success) return result.data;
  const [issue] = result?.error.issues ?? [];
  const path = shown(issue?.path.map(String).join('.') ?? '', 200);
  const wrong = issue === undefined ? 'does not have the right form' : sentence(issue);
  throw new SelkieError(
    'invalid',
    path === '' ? `${what} ${wrong}.` : `${what} is not valid: ${path} ${wrong}.`,
    path === '' ? {} : { field: path },
  );
};

/** As `check`, of JSON text. @throws SelkieError invalid */
export const checkJson = <T>(schema: z.ZodMiniType<T>, text: string, what: string): T => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text.
    throw new SelkieError('invalid', `${what} is not JSON.`);
  }
  return check(schema, value, what);
};

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** @throws SelkieError invalid where the bytes are not UTF-8 */
export const text = (bytes: Uint8Array, what: string): string => {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw new SelkieError('invalid', `${what} is not UTF-8.`);
  }
};
