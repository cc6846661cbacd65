// What the evidence says should stand at the name of a key's record now. Pure.

import { buildTombstone } from '../dkim/key-record.ts';
import type { Duration } from '../time.ts';
import type { Key } from './evidence.ts';
import { mayHaveSigned } from './state.ts';

export type Standing =
  /** Exactly this record, and no other. */
  | {
      readonly is: 'record';
      readonly what: 'key' | 'tombstone';
      readonly value: string;
      readonly ttl: Duration;
    }
  /** A change is intended and not yet known to be made: whoever makes it looks at what is there. */
  | { readonly is: 'changing' }
  /** Nothing: it was ours, and was removed. */
  | { readonly is: 'nothing' }
  /** The name was never ours. */
  | { readonly is: 'not-ours' };

/** What a person was asked for is there once it was seen, and not when it was asked. */
const isAwaited = ({ evidence: e }: Key): boolean =>
  e.tombstoned === undefined
    ? e.created !== undefined && e.inSync === undefined
    : e.tombstoneInSync === undefined;

/**
 * A name is ours from the intent to publish on; an adopted key's, from its adoption.
 * @param byHand a person changes the zone
 */
export const standingOf = (key: Key, byHand = false): Standing => {
  const { evidence: e } = key;
  if (e.publishIntended === undefined) return { is: 'not-ours' };
  const { value, ttl } = e.publishIntended;
  if (e.removed !== undefined)
    return { is: e.created === undefined && e.adopted === undefined ? 'not-ours' : 'nothing' };
  if (e.removalIntended !== undefined || (byHand && isAwaited(key))) return { is: 'changing' };
  if (e.tombstoned !== undefined)
    return { is: 'record', what: 'tombstone', value: buildTombstone(key.algorithm), ttl };
  const published = e.created !== undefined || e.adopted !== undefined;
  const withdrawn = e.abandoned !== undefined && !mayHaveSigned(key);
  if (!published || withdrawn || e.revocationIntended !== undefined) return { is: 'changing' };
  return { is: 'record', what: 'key', value, ttl };
};
