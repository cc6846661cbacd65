// Errors: a code that programs test, a sentence for people, and whether the same call may succeed later.
import { describe, expect, it } from 'vitest';
import { type ErrorCode, hasCode, type Retry, SelkieError, describe as sentence } from '../../core/errors.ts';

describe('whether to try again', () => {
  it.each(
    Object.entries({
      busy: 'later',
      conflict: 'later',
      denied: 'later',
      exists: 'never',
      'host.refused': 'later',
      'host.unreachable': 'later',
      invalid: 'never',
      'not-found': 'never',
      rejected: 'never',
      'stale-fleet': 'later',
      throttled: 'later',
      unavailable: 'later',
      unsafe: 'never',
      untrusted: 'never',
    } satisfies Record<ErrorCode, Retry>) as [ErrorCode, Retry][],
  )('%s: %s', (code, retry) => expect(new SelkieError(code, 'why').retry).toBe(retry));
});

it('an error carries its code, its sentence, the field and the cause', () => {
  const cause = new Error('first');
  expect(new SelkieError('invalid', 'too long', { field: 'policy.note', cause })).toMatchObject({
    name: 'SelkieError',
    code: 'invalid',
    message: 'too long',
    field: 'policy.note',
    cause,
  });
});

it('has no cause where none was given', () => {
  const error = new SelkieError('invalid', 'why');
  expect('cause' in error).toBe(false);
  expect(error.field).toBeUndefined();
});

it('is known by its code', () => {
  const error = new SelkieError('busy', 'why');
  expect(hasCode(error, 'conflict', 'busy')).toBe(true);
  expect(hasCode(error, 'conflict')).toBe(false);
  expect(hasCode(Object.assign(new Error('why'), { code: 'busy' }), 'busy')).toBe(false);
});

it('a sentence is made of whatever was thrown', () => {
  expect(sentence(new SelkieError('busy', 'why'))).toBe('why');
  expect(sentence('text')).toBe('text');
  expect(sentence(undefined)).toBe('undefined');
});
