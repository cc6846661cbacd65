import { describe, expect, it } from 'vitest';
import { applyChange, parseMessage, type RawField, toRaw } from '../../../agent/milter/raw-message.ts';
import type { Reply } from '../../../agent/milter/wire-reply.ts';
import { messages } from '../../oracles/messages.ts';

describe('a message in parts', () => {
  it.each(Object.entries(messages))('comes together again: %s', (_, raw) =>
    expect(Buffer.from(toRaw(parseMessage(raw))).equals(raw)).toBe(true),
  );
  it.each<[string, string, RawField[], string]>([
    [
      'folds stay',
      'A: 1\r\n 2\r\nB:\r\n\t3\r\n\r\nx',
      [
        { name: 'A', value: ' 1\r\n 2' },
        { name: 'B', value: '\r\n\t3' },
      ],
      'x',
    ],
    ['no body', 'A: 1\r\n', [{ name: 'A', value: ' 1' }], ''],
    ['no header', '\r\nx', [], 'x'],
    ['an empty body', 'A: 1\r\n\r\n', [{ name: 'A', value: ' 1' }], ''],
    ['an empty line in the body', 'A: 1\r\n\r\n\r\n\r\nx', [{ name: 'A', value: ' 1' }], '\r\n\r\nx'],
    [
      'a line without colon',
      'A: 1\r\nnonsense\r\nB: 2\r\n\r\n',
      [
        { name: 'A', value: ' 1' },
        { name: 'B', value: ' 2' },
      ],
      '',
    ],
  ])('%s', (_, raw, fields, body) => {
    const parsed = parseMessage(Buffer.from(raw));
    expect(parsed.fields).toEqual(fields);
    expect(Buffer.from(parsed.body).toString()).toBe(body);
  });
});

describe('what a milter changes', () => {
  const fields = [
    { name: 'A', value: ' 1' },
    { name: 'B', value: ' 2' },
    { name: 'a', value: ' 3' },
  ];
  it.each<[string, Reply, string]>([
    ['inserts on top', { reply: 'insert-header', index: 0, name: 'X', value: ' x' }, 'X: x|A: 1|B: 2|a: 3'],
    ['inserts within', { reply: 'insert-header', index: 2, name: 'X', value: ' x' }, 'A: 1|B: 2|X: x|a: 3'],
    [
      'inserts beyond the end',
      { reply: 'insert-header', index: 99, name: 'X', value: ' x' },
      'A: 1|B: 2|a: 3|X: x',
    ],
    [
      'makes CRLF of folds',
      { reply: 'insert-header', index: 0, name: 'X', value: ' x\n\ty' },
      'X: x\r\n\ty|A: 1|B: 2|a: 3',
    ],
    ['adds', { reply: 'add-header', name: 'X', value: ' x' }, 'A: 1|B: 2|a: 3|X: x'],
    [
      'changes the second of a name',
      { reply: 'change-header', index: 2, name: 'A', value: ' x' },
      'A: 1|B: 2|A: x',
    ],
    ['deletes', { reply: 'change-header', index: 1, name: 'a', value: '' }, 'B: 2|a: 3'],
    [
      'deletes what is not there',
      { reply: 'change-header', index: 1, name: 'X', value: '' },
      'A: 1|B: 2|a: 3',
    ],
    [
      'adds where there is none to change',
      { reply: 'change-header', index: 1, name: 'X', value: ' x' },
      'A: 1|B: 2|a: 3|X: x',
    ],
    ['leaves the header', { reply: 'other', letter: 'q' }, 'A: 1|B: 2|a: 3'],
  ])('%s', (_, change, expected) =>
    expect(
      applyChange(fields, change, true)
        .map(({ name, value }) => `${name}:${value}`)
        .join('|'),
    ).toBe(expected),
  );
  it('puts the space there itself where values come without it', () =>
    expect(applyChange([], { reply: 'add-header', name: 'X', value: 'x' }, false)).toEqual([
      { name: 'X', value: ' x' },
    ]));
});
