import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBody, problemOf, reasonRequest, rotationRequest } from '../../contract/api.ts';
import { SelkieError } from '../../core/errors.ts';

const wrong = (text: string, schema = rotationRequest): SelkieError => {
  try {
    parseBody(schema, text);
  } catch (error) {
    expect(error).toBeInstanceOf(SelkieError);
    return error as SelkieError;
  }
  return expect.unreachable('it was taken');
};

describe('a request for a rotation', () => {
  it.each([
    ['', {}],
    [' \n', {}],
    ['{}', {}],
    ['{"reason":"as planned","kind":"requested"}', { reason: 'as planned', kind: 'requested' }],
    [
      '{"kind":"emergency","compromised":"240128e-2","unsigned":true}',
      { kind: 'emergency', compromised: '240128e-2', unsigned: true },
    ],
  ])('%s', (text, body) => expect(parseBody(rotationRequest, text)).toEqual(body));

  it.each([
    ['{"kind":"first"}', 'kind', /must be one of requested, emergency/],
    ['{"compromised":"240128"}', 'compromised', /only with kind emergency/],
    ['{"unsigned":true}', 'unsigned', /only with kind emergency/],
    ['{"kind":"emergency","compromised":"a b"}', 'compromised', /selector/],
    [JSON.stringify({ reason: 'x'.repeat(501) }), 'reason', /at most 500 characters/],
    [JSON.stringify({ reason: 'a\u001b[2J' }), 'reason', /one line/],
    ['{"reason":7}', 'reason', /must be a string/],
    ['{"raeson":"x"}', undefined, /not known here: raeson/],
    ['[]', undefined, /must be an object/],
    ['{', undefined, /not JSON/],
    [JSON.stringify({ reason: 'x'.repeat(20_000) }), undefined, /over 16384/],
    // Its length cannot be compared with a number: the schema library throws.
    ['{"reason":{"length":{"toString":null}}}', undefined, /does not have the right form/],
  ])('%s is refused', (text, field, sentence) => {
    const error = wrong(text);
    expect(error.code).toBe('invalid');
    expect(error.field).toBe(field);
    expect(error.message).toMatch(sentence);
  });

  it('of any text is judged in our own words', () =>
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        try {
          parseBody(reasonRequest, text);
        } catch (error) {
          expect(error).toBeInstanceOf(SelkieError);
        }
      }),
    ));
});

it('a problem says code, status and field', () => {
  expect(problemOf(new SelkieError('invalid', 'No.', { field: 'reason' }))).toEqual({
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    detail: 'No.',
    code: 'invalid',
    field: 'reason',
  });
  expect(problemOf(new SelkieError('untrusted', 'No.'))).not.toHaveProperty('field');
});
