// How a mail host stands, in one word, and what troubles it.
import { describe, expect, it } from 'vitest';
import { hostStanding, hostTroubles, type ShownHost } from '../../core/host-standing.ts';

const ready: ShownHost = { ready: true, failed: {} };
const silent: ShownHost = { ...ready, ready: false };

describe('a host', () => {
  it.each<[string, ShownHost]>([
    ['ready', ready],
    ['not ready', silent],
    ['not ready', { ...silent, trouble: 'no answer' }],
    // Who takes it out of the pool, or puts it behind a fence, says more than that it is not ready.
    ['excluded', { ...silent, excluded: 'in repair' }],
    ['fenced', { ...silent, fenced: 'silent in an emergency' }],
    ['excluded', { ...silent, excluded: 'in repair', fenced: 'silent in an emergency' }],
    ['excluded', { ...ready, excluded: '' }],
    ['fenced', { ...ready, fenced: '' }],
  ])('is %s', (standing, host) => expect(hostStanding(host)).toBe(standing));
});

describe('what troubles a host', () => {
  it('is nothing where nothing does', () => expect(hostTroubles(ready)).toEqual([]));

  it('is said in its own words, and for each key that it cannot use', () => {
    const host = {
      ...silent,
      excluded: 'in repair',
      fenced: 'silent in an emergency',
      trouble: 'no answer',
      failed: { 'example.com/240128e': 'no Ed25519', 'example.net/240128': 'no room' },
    };
    expect(hostTroubles(host)).toEqual([
      'in repair',
      'silent in an emergency',
      'no answer',
      'cannot use example.com/240128e: no Ed25519',
      'cannot use example.net/240128: no room',
    ]);
    expect(hostTroubles({ ...ready, trouble: 'no answer' })).toEqual(['no answer']);
  });
});
