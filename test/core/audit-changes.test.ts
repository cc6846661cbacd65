// What an audited order changed, as `selkie audit` prints it.
import { describe, expect, it } from 'vitest';
import { auditChanges } from '../../core/audit-changes.ts';

it('shows where two values differ, and keys by their selectors', () => {
  const before = { keys: { '240127': 'active', '231029': 'draining' }, rotation: null };
  const after = { keys: { '240127': 'draining', '231029': 'draining', '240128': 'active' }, rotation: 'r1' };
  expect(auditChanges(before, after)).toEqual([
    '240127: active → draining',
    '240128: none → active',
    'rotation: none → r1',
  ]);
  expect(auditChanges(after, after)).toEqual([]);
});

it('shows what is gone, and what is new', () => {
  expect(auditChanges({ ready: true, fenced: 'silent' }, { ready: true, excluded: 'away' })).toEqual([
    'fenced: silent → none',
    'excluded: none → away',
  ]);
});

it('shows an order of which nothing is said before, name by name', () => {
  const after = { of: 'pool mx', domains: 3, keys: { '240128': 'active' } };
  const lines = ['of: none → pool mx', 'domains: none → 3', '240128: none → active'];
  expect(auditChanges(null, after)).toEqual(lines);
  expect(auditChanges(undefined, after)).toEqual(lines);
  expect(auditChanges(after, null)).toEqual([
    'of: pool mx → none',
    'domains: 3 → none',
    '240128: active → none',
  ]);
});

it('names the way to a value that lies deeper', () => {
  expect(auditChanges({ host: { mx1: { ready: false } } }, { host: { mx1: { ready: true } } })).toEqual([
    'host mx1 ready: false → true',
  ]);
});

describe('values', () => {
  it.each([
    ['texts', 'a', 'b', 'x: a → b'],
    ['numbers', 1, 2, 'x: 1 → 2'],
    ['answers', false, true, 'x: false → true'],
    ['lists', ['a'], ['a', 'b'], 'x: ["a"] → ["a","b"]'],
    ['a list in place of a text', 'a', ['a'], 'x: a → ["a"]'],
    ['a list in place of a map', { 0: 'a' }, ['a'], 'x: {"0":"a"} → ["a"]'],
    ['a map in place of a list', ['a'], { 0: 'a' }, 'x: ["a"] → {"0":"a"}'],
    ['a map in place of a text', 'a', { b: 1 }, 'x: a → {"b":1}'],
    ['a text in place of nothing', null, 'a', 'x: none → a'],
  ])('%s', (_, before, after, line) => {
    expect(auditChanges({ x: before }, { x: after })).toEqual([line]);
  });

  it('are the same where they say the same', () => {
    expect(auditChanges({ x: null, y: ['a', { b: 1 }] }, { y: ['a', { b: 1 }] })).toEqual([]);
    expect(auditChanges(null, undefined)).toEqual([]);
    expect(auditChanges(null, {})).toEqual([]);
  });
});
