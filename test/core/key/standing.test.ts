// What an audit is to find at a key's name, by how far the key has come.
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../core/key/evidence.ts';
import { standingOf } from '../../../core/key/standing.ts';
import { at, evidenceUpTo, facts, key } from './made.ts';

const { value, ttl } = facts.publishIntended;
const record = { is: 'record', what: 'key', value, ttl };
const tombstone = { is: 'record', what: 'tombstone', value: 'v=DKIM1; k=ed25519; p=', ttl };
const [changing, nothing, notOurs] = [{ is: 'changing' }, { is: 'nothing' }, { is: 'not-ours' }];

const upTo = (last: Parameters<typeof evidenceUpTo>[0], more: Partial<Key['evidence']> = {}): Key =>
  key('240128e', 'stopped', { evidence: { ...evidenceUpTo(last), ...more } });

describe('what should stand at a name', () => {
  it.each([
    ['reserved', notOurs, notOurs],
    ['stored', notOurs, notOurs],
    // The answer may be lost: whoever publishes it looks.
    ['publishIntended', changing, changing],
    // Where a person changes the zone, it is there once it was seen.
    ['created', record, changing],
    ['inSync', record, record],
    ['revocationIntended', changing, changing],
    ['tombstoned', tombstone, changing],
    ['tombstoneInSync', tombstone, tombstone],
    ['revoked', tombstone, tombstone],
    ['removalIntended', changing, changing],
    ['deleted', changing, changing],
    ['deletionInSync', changing, changing],
    ['removed', nothing, nothing],
    ['destroyed', nothing, nothing],
  ] as const)('after %s', (last, ours, byHand) => {
    expect(standingOf(upTo(last))).toEqual(ours);
    expect(standingOf(upTo(last), true)).toEqual(byHand);
  });

  it('the record of an adopted key, which no change of ours put there', () => {
    const adopted = { adopted: { ...at, publicKey: 'AAAA' } };
    expect(standingOf(upTo('publishIntended', adopted))).toEqual(record);
    expect(standingOf(upTo('publishIntended', adopted), true)).toEqual(record);
    expect(standingOf(upTo('publishIntended', { ...adopted, removed: at }))).toEqual(nothing);
  });

  it('none of ours, where our CREATE was never accepted', () =>
    expect(standingOf(upTo('publishIntended', { removed: at }))).toEqual(notOurs));

  it('what is being withdrawn, where a key that never signed is given up', () => {
    const abandoned = { abandoned: { ...at, reason: 'aborted' } };
    const evidence = { ...evidenceUpTo('inSync'), ...abandoned };
    expect(standingOf(key('240128e', 'standby', { evidence }))).toEqual(changing);
    // One that signed has mail on its way.
    expect(standingOf(key('240128e', 'active', { evidence }))).toEqual(record);
  });
});
